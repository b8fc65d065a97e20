// collector/recording_resume.cc
//
// Going on with a run: what it followed is followed again, and each of its processes is taken up where it was left.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>
#include <utility>

#include "collector/proc/proc_files.h"
#include "collector/recording_target.h"

namespace camprobe {

using drain::clock_ns;

namespace {

// Whether the collector that began a run goes on with it.
bool is_recorded(const run::Meta& meta) {
  const auto pid = meta.all.find("collector_pid");
  if (meta.state != run::kRecording || pid == meta.all.end()) return false;
  const auto name = proc::read_file("/proc/" + pid->second + "/comm");
  return name && *name == "camprobe\n" && pid->second != std::to_string(::getpid());
}

// Where a run without its end stops is known to the second: a collector that was killed a moment ago was killed within
// it.
std::string went_on(std::int64_t until_ns, std::int64_t now_ns) {
  if (now_ns < until_ns) return "recording went on within its last second";
  return fmt::format("recording went on, {:.1f} s after its last second", static_cast<double>(now_ns - until_ns) / 1e9);
}

}  // namespace

std::string boot_id() {
  const auto text = proc::read_file("/proc/sys/kernel/random/boot_id");
  return text ? text->substr(0, text->find('\n')) : std::string();
}

run::Result<std::unique_ptr<Recording>> Recording::resume(const std::string& path) {
  auto earlier = run::Reader::open(path);
  if (!earlier) return run::Error{earlier.error()};
  const run::Meta meta = earlier->meta();
  if (is_recorded(meta))
    return run::Error{fmt::format("{} is being recorded by process {}", path, meta.all.at("collector_pid"))};
  if (meta.state != run::kRecording && meta.state != run::kComplete)
    return run::Error{fmt::format("{} is a {}, not a recording that could go on", path, meta.state)};
  if (!meta.all.contains("boot_id"))
    return run::Error{fmt::format("{} was made by an older camprobe, whose runs cannot be gone on with", path)};
  auto writer = run::Writer::resume(path);
  if (!writer) return run::Error{writer.error()};
  std::int64_t started_ns = meta.started_monotonic_ns;
  if (meta.all.at("boot_id") != boot_id()) {  // the machine was started anew: the wall clock links the two
    started_ns = drain::to_integer(clock_ns(CLOCK_MONOTONIC)) - drain::to_integer(clock_ns(CLOCK_REALTIME)) +
                 meta.started_realtime_ns;
    writer->set_meta("started_monotonic_ns", std::to_string(started_ns));
    writer->set_meta("boot_id", boot_id());
  }
  writer->set_meta("collector_pid", std::to_string(::getpid()));
  std::unique_ptr<Recording> recording(
      new Recording(std::move(*writer), drain::RunClock{static_cast<std::uint64_t>(started_ns)}));
  const std::int64_t now_ns = recording->clock_.now_ns();
  recording->writer_.put(run::Mark{0, now_ns, went_on(earlier->duration_ns(), now_ns), "collector"});
  for (run::Process& process : earlier->processes()) {
    const bool has_ended = process.ended_ns && process.ended_how != "running";
    if (!has_ended) recording->left_.push_back(std::move(process));
  }
  if (const auto follows = meta.all.find("follows"); follows != meta.all.end()) {
    std::istringstream words(follows->second);
    for (std::string word; words >> word;) {
      if (word == "run")
        recording->follow_run();
      else if (word == "all")
        recording->follow_all();
      else
        recording->follow(static_cast<pid_t>(std::atoi(word.c_str())));
    }
  }
  recording->earlier_.emplace(std::move(*earlier));
  return recording;
}

// For who goes on with the run.
void Recording::note_what_is_followed() {
  std::string words;
  if (follows_run_) words += "run ";
  if (follows_all_) words += "all ";
  for (const pid_t pid : followed_) words += std::to_string(pid) + " ";
  writer_.set_meta("follows", words);
}

// The process of a region, where the run had it before it was gone on with.
Recording::Target* Recording::take_up(const shm::RegionInfo& info) {
  const auto row = std::find_if(left_.begin(), left_.end(), [&](const run::Process& process) {
    return process.pid == info.pid && process.start_ticks == drain::to_integer(info.start_ticks) &&
           process.image == info.image;
  });
  if (row == left_.end()) return nullptr;
  Target& target = add_target(static_cast<pid_t>(info.pid), info.start_ticks, info.image);
  target.row = std::move(*row);
  target.row.ended_ns.reset();
  left_.erase(row);
  return &target;
}

// Processes of a run that is gone on with, of which no region was found: those that live on without the probe, and
// those that ended meanwhile.
void Recording::take_up_what_has_no_region() {
  const std::int64_t until_ns = std::min(earlier_->duration_ns(), clock_.now_ns());
  for (run::Process& row : std::exchange(left_, {})) {
    const auto start_ticks = static_cast<std::uint64_t>(row.start_ticks.value_or(0));
    if (attach::is_alive(static_cast<pid_t>(row.pid), start_ticks)) {
      Target& target = add_target(static_cast<pid_t>(row.pid), start_ticks, static_cast<std::uint32_t>(row.image));
      target.row = std::move(row);
      target.row.ended_ns.reset();
      describe(target);
      writer_.update(target.row);
      continue;
    }
    row.ended_how = "lost";
    row.ended_ns = std::max(row.began_ns, until_ns);
    writer_.put_drain_state(row.id, {});
    writer_.update(row);
  }
  earlier_.reset();
}

}  // namespace camprobe
