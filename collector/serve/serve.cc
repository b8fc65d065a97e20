#include "collector/serve/serve.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "collector/drain/run_clock.h"
#include "collector/proc/proc_files.h"
#include "collector/serve/exposition.h"
#include "collector/serve/http_endpoint.h"
#include "collector/serve/targets.h"

namespace camprobe::serve {
namespace {

volatile sig_atomic_t g_is_to_end = 0;

void ask_to_end(int) {
  g_is_to_end = 1;
}

double own_cpu_seconds() {
  struct rusage usage {};
  if (::getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double own_resident_bytes() {
  const auto text = proc::read_file("/proc/self/statm");
  const auto statm = text ? proc::parse_statm(*text) : std::nullopt;
  return statm ? static_cast<double>(statm->resident_pages) * static_cast<double>(::sysconf(_SC_PAGESIZE)) : 0;
}

// The text of the last collection, made anew where it is older than kFresh: who asks more often makes us no work.
class Metrics {
 public:
  static constexpr std::uint64_t kFreshNs = 500'000'000;

  Metrics(Targets& targets, std::string tier) : targets_(targets) { figures_.tier = std::move(tier); }

  std::string text(const HttpEndpoint& endpoint) {
    const std::uint64_t began_ns = drain::clock_ns(CLOCK_MONOTONIC);
    if (!text_.empty() && began_ns < made_ns_ + kFreshNs) return text_;
    figures_.cpu_seconds = own_cpu_seconds();
    figures_.resident_bytes = own_resident_bytes();
    figures_.answered = endpoint.answered();
    figures_.refused = endpoint.refused();
    targets_.poll();  // what ended or came in the last tenth of a second
    targets_.refresh();
    figures_.most_targets = targets_.most();
    figures_.targets_left_out = targets_.left_out();
    text_ = exposition_text(metric_families(targets_.all(), figures_));
    made_ns_ = began_ns;
    figures_.collect_seconds = static_cast<double>(drain::clock_ns(CLOCK_MONOTONIC) - began_ns) / 1e9;
    return text_;
  }

 private:
  Targets& targets_;
  ExporterFigures figures_;
  std::string text_;
  std::uint64_t made_ns_ = 0;
};

int wrong(const std::string& sentence) {
  fmt::print(stderr, "camprobe serve: {}\n", sentence);
  return 2;
}

}  // namespace

int serve(const ServeOptions& options) {
  const auto where = parse_listen_address(options.listen);
  if (!where) return wrong(where.error());
  std::string token;
  if (!options.token_file.empty()) {
    auto read = read_token(options.token_file);
    if (!read) return wrong(read.error());
    token = *read;
  }
  if (!where->is_loopback && token.empty())
    return wrong(options.listen +
                 " can be reached from other machines: give a token (--token-file FILE), or listen on "
                 "127.0.0.1 or a Unix socket");
  Targets targets(options.most_targets);
  Metrics metrics(targets, options.tier);
  HttpEndpoint* asked = nullptr;
  auto endpoint = HttpEndpoint::open(*where, std::move(token), [&] { return metrics.text(*asked); });
  if (!endpoint) return wrong(endpoint.error());
  asked = endpoint->get();

  struct sigaction ending {};
  ending.sa_handler = ask_to_end;
  for (const int number : {SIGINT, SIGTERM}) ::sigaction(number, &ending, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  if (!options.is_quiet) {
    fmt::print("camprobe: metrics at {}\n", asked->url());
    std::fflush(stdout);
  }
  while (g_is_to_end == 0) {
    const auto wait = targets.poll();
    asked->serve_for(std::max(wait, std::chrono::milliseconds(1)));
  }
  return 0;
}

}  // namespace camprobe::serve
