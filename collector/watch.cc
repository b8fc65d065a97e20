// collector/watch.cc
#include "collector/watch.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "collector/analysis/from_run.h"
#include "collector/attach/control.h"
#include "collector/naming/resident_limit.h"
#include "collector/naming/stack_namer.h"
#include "collector/proc/proc_text.h"
#include "run/reader.h"
#include "run/units.h"

namespace camprobe {

namespace {

constexpr std::chrono::seconds kStatusEvery{2};
constexpr std::uint64_t kDenser = 4;                  // a quarter of the interval: four times the samples
constexpr std::uint64_t kDensestInterval = 8 * 1024;  // as the automatic interval's

double seconds(std::chrono::steady_clock::duration d) {
  return std::chrono::duration<double>(d).count();
}

std::optional<double> resident_bytes(pid_t pid) {
  const auto process = proc::ProcessFiles::open(pid);
  const auto text = process ? process->read("statm") : std::nullopt;
  long long total = 0, resident = 0;
  if (!text || std::sscanf(text->c_str(), "%lld %lld", &total, &resident) != 2) return std::nullopt;
  return static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

Watch::Watch(WatchOptions options, Instant began)
    : options_(options), began_(began), next_status_(began + kStatusEvery), line_(!options.is_quiet) {
  const double length = options_.duration ? static_cast<double>(options_.duration->count()) : 0;
  next_look_ = analysis::next_look(0, length, analysis::Thresholds{});
}

Watch::~Watch() {
  end();
}

void Watch::end() {
  if (looking_.valid()) looking_.wait();
  line_.erase();
}

void Watch::say(const std::string& line) {
  line_.erase();
  if (!options_.is_quiet) fmt::print(stderr, "camprobe: {}\n", line);
}

Watch::Seen Watch::look(const std::string& path, analysis::Look look) {
  Seen seen;
  // What has been seen since names were last looked up.
  auto reader = naming::open_named(path, {.resident_bytes = naming::kResidentBytes}, run::StacksOf::kWhatIsJudged);
  if (!reader) return seen;
  reader->pin();
  for (const run::Finding& finding : analysis::leaks_in(*reader, analysis::for_look(analysis::Thresholds{}, look))) {
    if (finding.confirmed) {
      std::string line = finding.title;
      if (finding.per_1000_requests) {
        const run::Estimate& rate = *finding.per_1000_requests;
        const auto text = [&](double value) {
          return rate.unit == "bytes" ? run::in_bytes(value) : run::in_count(value);
        };
        line += fmt::format(", {} [{}, {}] per 1,000 requests", text(rate.value), text(rate.low), text(rate.high));
      }
      seen.leaks.emplace_back(finding.id, std::move(line));
    } else if (finding.verdict == "inconclusive") {
      seen.suspects.push_back(finding.title);
      seen.wants_samples |= finding.resource == "heap";
    }
  }
  return seen;
}

void Watch::take(const Seen& seen, Recording& recording) {
  suspects_ = seen.suspects;
  for (const auto& [id, text] : seen.leaks) {
    if (!told_.insert(id).second) continue;
    const std::string line = "leak, 95 %: " + text;
    say(line);
    recording.writer().put(run::Mark{0, recording.clock().now_ns(), line, "collector"});
  }
  if (seen.wants_samples && options_.escalates && !has_escalated_) sample_more_densely(recording, seen.suspects.size());
}

// Once a run: what was too thin for a verdict becomes denser for the rest of it. Each sample carries the interval that
// it was taken with, so nothing that is estimated changes but in its error.
void Watch::sample_more_densely(Recording& recording, std::size_t suspects) {
  for (const pid_t pid : recording.roots()) {
    auto region = attach::region_of(pid);
    const auto holding =
        region ? attach::what_holds(*region) : run::Result<attach::Holding>(run::Error{region.error()});
    if (!holding || holding->heap_interval <= kDensestInterval) continue;
    attach::SettingChange change;
    change.heap_interval = std::max(kDensestInterval, holding->heap_interval / kDenser);
    if (const auto asked = attach::ask_for(*region, change); !asked) {
      spdlog::info("pid {}: not sampled more densely: {}", pid, asked.error());
      continue;
    }
    has_escalated_ = true;
    const std::string line =
        fmt::format("heap of pid {} sampled every {} instead of {} from here on: {} too early to tell", pid,
                    run::in_bytes(static_cast<double>(*change.heap_interval)),
                    run::in_bytes(static_cast<double>(holding->heap_interval)),
                    suspects == 1 ? "one suspicion is" : fmt::format("{} suspicions are", suspects));
    say(line);
    recording.writer().put(run::Mark{0, recording.clock().now_ns(), line, "collector"});
  }
}

// Of the last five seconds that are written; nothing where there were none.
std::optional<double> Watch::socket_reads_a_second(Recording& recording) {
  if (!reader_) {
    auto reader = run::Reader::open(recording.writer().path());
    if (!reader) return std::nullopt;
    reader_.emplace(std::move(*reader));
  }
  constexpr std::int64_t kSpan = 5, kSecond = 1'000'000'000;
  const std::int64_t to = recording.clock().now_ns() / kSecond - 1;
  double reads = 0;
  for (const run::IoRow& row : reader_->io({(to - kSpan) * kSecond, to * kSecond, {}, {}, {}})) {
    if (row.kind == "socket_read") reads += static_cast<double>(row.ops);
  }
  return reads > 0 ? std::optional(reads / static_cast<double>(kSpan)) : std::nullopt;
}

void Watch::show_status(Instant now, Recording& recording, pid_t child) {
  const double elapsed = seconds(now - began_);
  std::string time = run::in_seconds(elapsed);
  if (options_.duration)
    time += fmt::format(" of {} ({:.0f} %)", run::in_seconds(static_cast<double>(options_.duration->count())),
                        100 * std::min(1.0, elapsed / static_cast<double>(options_.duration->count())));
  std::vector<StatusPart> parts = {{std::move(time), 0}};
  if (const auto reads = socket_reads_a_second(recording))
    parts.push_back({fmt::format("{:.0f} socket reads/s", *reads), 3});
  if (const auto resident = child != 0 ? resident_bytes(child) : std::nullopt)
    parts.push_back({"RSS " + run::in_bytes(*resident), 2});
  if (!told_.empty()) parts.push_back({fmt::format("leaks: {}", told_.size()), 0});
  parts.push_back(
      {fmt::format("suspects: {}", suspects_.empty() ? "none so far" : std::to_string(suspects_.size())), 1});
  if (!suspects_.empty()) parts.push_back({suspects_.front(), 4});
  line_.show(std::move(parts));
}

void Watch::poll(Instant now, Recording& recording, pid_t child) {
  if (looking_.valid() && looking_.wait_for(std::chrono::seconds(0)) == std::future_status::ready)
    take(looking_.get(), recording);
  const double elapsed = seconds(now - began_);
  if (next_look_ && elapsed >= next_look_->at && !looking_.valid()) {
    // What is judged is told apart by names. The recording looks them up for the file, where they stay, and in bounded
    // memory.
    if (!has_asked_for_names_) recording.name_stacks(run::StacksOf::kWhatIsJudged);
    has_asked_for_names_ = true;
    if (recording.is_naming()) return show_status_when_due(now, recording, child);
    has_asked_for_names_ = false;
    looking_ = std::async(std::launch::async, look, recording.writer().path(), *next_look_);
    const double length = options_.duration ? static_cast<double>(options_.duration->count()) : 0;
    next_look_ = analysis::next_look(elapsed, length, analysis::Thresholds{});
  }
  show_status_when_due(now, recording, child);
}

void Watch::show_status_when_due(Instant now, Recording& recording, pid_t child) {
  if (!line_.is_possible() || now < next_status_) return;
  next_status_ = now + kStatusEvery;
  show_status(now, recording, child);
}

}  // namespace camprobe
