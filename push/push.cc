#include "push/push.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <limits>
#include <optional>
#include <utility>

#include "collector/attach/control.h"
#include "collector/drain/run_clock.h"
#include "collector/naming/stack_namer.h"
#include "exporters/safe_text.h"
#include "push/session.h"
#include "run/rfc3339.h"

namespace camprobe::push {
namespace {

volatile sig_atomic_t g_is_to_end = 0;

void ask_to_end(int) {
  g_is_to_end = 1;
}

int wrong(const std::string& sentence) {
  say(sentence);
  return 2;
}

// Job, instance and what the user wants, each once.
run::Result<Labels> labels_of(const PushOptions& options, const std::string& host) {
  if (options.job.empty() || exporters::printable_utf8(options.job) != options.job || options.job.size() > 256)
    return run::Error{"--job: 1 to 256 bytes of printable UTF-8"};
  Labels labels{{"job", options.job}, {"instance", host.empty() ? "unknown" : host}};
  for (const std::string& text : options.labels) {
    auto label = parse_label(text);
    if (!label) return run::Error{label.error()};
    if (label->first == "instance") {
      labels[1].second = label->second;
      continue;
    }
    if (std::any_of(labels.begin(), labels.end(), [&](const auto& known) { return known.first == label->first; }))
      return run::Error{fmt::format("--label {}: given twice", label->first)};
    labels.push_back(*label);
  }
  return labels;
}

std::string utc(std::int64_t ms) {
  return run::rfc3339(ms * 1'000'000);
}

}  // namespace

void say(const std::string& sentence) {
  fmt::print(stderr, "camprobe push: {}\n", sentence);
}

bool is_to_end() {
  return g_is_to_end != 0;
}

std::int64_t realtime_ms() {
  return static_cast<std::int64_t>(drain::clock_ns(CLOCK_REALTIME) / 1'000'000);
}

void sleep_for(std::chrono::milliseconds time) {
  const timespec wait{time.count() / 1000, time.count() % 1000 * 1'000'000};
  ::nanosleep(&wait, nullptr);
}

void say_farewell(Session& session) {
  using std::chrono::steady_clock;
  session.outbox->try_now();
  const auto last = steady_clock::now() + std::chrono::seconds(10);
  session.outbox->wait_until_at_most(0, std::chrono::seconds(2), [&] { return steady_clock::now() >= last; });
}

int conclude(const Session& session) {
  if (const auto barred = session.outbox->barred()) {
    say(fmt::format("{}: {}", session.receiver.base, *barred));
    return 2;
  }
  const Outbox::Figures figures = session.outbox->figures();
  if (figures.waiting != 0) {
    const std::string why = session.outbox->away_why();
    say(fmt::format("{} of {} requests did not reach {}{}", figures.waiting, figures.waiting + figures.delivered,
                    session.receiver.base, why.empty() ? "" : ": " + why));
    if (const std::string& spool = session.options.spool; !spool.empty())
      say(fmt::format("{} of them wait in {} for the next push{}", figures.waiting - figures.in_memory, spool,
                      figures.in_memory == 0 ? "" : "; the others could not be written there, and are lost"));
  }
  const std::uint64_t lost = figures.dropped + figures.refused;
  if (lost != 0) {
    say(fmt::format("{} requests were dropped as too much was waiting and {} were refused{}, about {} to {}",
                    figures.dropped, figures.refused,
                    figures.refused_why.empty() ? "" : " (" + figures.refused_why + ")", utc(figures.lost_from_ms),
                    utc(figures.lost_to_ms)));
  }
  if (!session.options.is_quiet)
    say(fmt::format("{} requests delivered to {}", figures.delivered, session.receiver.base));
  return lost != 0 || figures.waiting != 0 ? 1 : 0;
}

int push(const PushOptions& options) {
  Session session;
  session.options = options;
  auto receiver = parse_receiver(options.to, options.url);
  if (!receiver) return wrong(receiver.error());
  session.receiver = *receiver;
  if (!options.token_file.empty() && !receiver->is_encrypted && !receiver->is_loopback)
    return wrong(options.url + ": the token would go over the network in the clear: use https");
  if (!options.ca_file.empty() && !receiver->is_encrypted) return wrong(options.url + ": --ca is for https");
  auto sender = HttpSender::open({options.token_file, options.ca_file});
  if (!sender) return wrong(sender.error());
  session.sender = std::move(*sender);

  std::optional<run::Reader> run;
  std::string host;
  if (options.run.empty()) {
    struct utsname names {};
    if (::uname(&names) == 0) host = names.nodename;
  } else {
    auto opened = naming::open_named(options.run);
    if (!opened) return wrong(opened.error());
    run.emplace(std::move(opened).value());
    const run::Meta meta = run->meta();
    host = meta.host;
    if (meta.started_realtime_ns <= 0) return wrong(options.run + ": it does not say when it was recorded");
  }
  if (options.run.empty() && options.pid != 0)
    if (const auto region = attach::region_of(options.pid); !region) return wrong(region.error());
  auto labels = labels_of(options, exporters::printable_utf8(host));
  if (!labels) return wrong(labels.error());
  session.labels = *labels;

  struct sigaction ending {};
  ending.sa_handler = ask_to_end;
  for (const int number : {SIGINT, SIGTERM}) ::sigaction(number, &ending, nullptr);
  ::signal(SIGPIPE, SIG_IGN);

  OutboxOptions outbox;
  // A run lies in its file: it is read as far as the receiver takes it.
  outbox.most_bytes = run ? std::numeric_limits<std::size_t>::max() : options.keep_at_most;
  outbox.newest_only = receiver->kind == ReceiverKind::kPushgateway;
  outbox.seed = drain::clock_ns(CLOCK_MONOTONIC) ^ static_cast<std::uint64_t>(::getpid()) << 32;
  if (!options.is_quiet) outbox.say = say;
  std::unique_ptr<Spool> spool;
  if (!options.spool.empty()) {
    auto opened = Spool::open(options.spool, receiver->base);
    if (!opened) return wrong(opened.error());
    spool = std::move(*opened);
    if (!spool->left().empty() && !options.is_quiet)
      say(fmt::format("{} requests of an earlier push wait in {}: they go first", spool->left().size(), options.spool));
  }
  HttpSender& http = *session.sender;
  session.outbox = std::make_unique<Outbox>([&http](const Parcel& parcel) { return http.send(parcel); },
                                            std::move(outbox), std::move(spool));
  const int exit_code = run                                          ? push_run(session, *run)
                        : receiver->kind == ReceiverKind::kPyroscope ? push_live_profiles(session)
                                                                     : push_live_metrics(session);
  http.stop();
  session.outbox.reset();
  return exit_code;
}

}  // namespace camprobe::push
