// What runs already, or has run: recorded from here on, taken as it stands, or read from what a dead process left.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <utility>

#include "collector/attach/control.h"
#include "collector/attach/regions.h"
#include "collector/recording.h"
#include "collector/session.h"
#include "collector/session/common.h"
#include "collector/session/load_child.h"
#include "collector/session/signals.h"

namespace camprobe {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

// Records what runs until it ends, or somebody says so.
Outcome record_until_end(Recording& recording, Signals& signals, const AttachOptions& options,
                         const std::string& path) {
  if (!options.is_quiet) say(fmt::format("recording to {}; Ctrl-C ends it", path));
  const auto began = steady_clock::now();
  std::optional<steady_clock::time_point> kill_at;
  for (bool is_ending = false; !is_ending;) {
    const milliseconds next = recording.poll();
    if (const auto error = recording.take_error()) {
      say(*error);
      is_ending = true;
    }
    const auto signal = signals.wait(std::max(next, milliseconds{1}));
    if (signal && is_end_signal(signal->ssi_signo)) {
      is_ending = !options.grace;
      for (const pid_t pid : is_ending ? std::vector<pid_t>{} : recording.roots()) ::kill(pid, SIGTERM);
      if (!kill_at && options.grace) kill_at = steady_clock::now() + *options.grace;
    }
    if (kill_at && steady_clock::now() >= *kill_at) {
      for (const pid_t pid : recording.roots()) ::kill(pid, SIGKILL);
      kill_at = steady_clock::now() + milliseconds{100};  // and what it leaves behind
    }
    if (options.duration && steady_clock::now() - began >= *options.duration) is_ending = true;
    if (!recording.follows_all() && recording.has_seen_process() && !recording.has_live_process()) is_ending = true;
  }
  int load_code = 0;
  if (!options.load_results.empty())
    load_code = take_load(recording, options.load_results, options.load_results, {}, std::nullopt) ? 0 : 2;
  if (options.load_timelines) load_code = take_timelines(recording, options.load, options.load_timelines());
  finish_run(recording, path, run::kComplete, options.is_quiet);
  return {load_code, path};
}

// Goes on with a run that was recorded before.
Outcome go_on(const AttachOptions& options) {
  Signals signals;
  auto resumed = Recording::resume(options.run);
  if (!resumed) return usage_error(resumed.error());
  Recording& recording = **resumed;
  if (options.pid != 0) recording.follow(options.pid);
  recording.poll();
  if (!recording.has_live_process() && !recording.follows_all()) {
    if (options.load_timelines) take_timelines(recording, options.load, options.load_timelines());
    const auto finished = recording.finish(run::kComplete);
    say(finished ? fmt::format(
                       "no process of {} lives any more: its recording is complete now. Name the PID of one that goes "
                       "on in its place, or start one with CAMPROBE_RUN={}",
                       options.run, recording.run_id())
                 : finished.error());
    return {2, {}};
  }
  return record_until_end(recording, signals, options, options.run);
}

}  // namespace

Outcome record_running(const AttachOptions& options) {
  if (options.resumes && options.pid == 0) return go_on(options);
  const auto regions = attach::find_regions(::geteuid());
  std::optional<attach::RegionFile> dead;
  std::string name = "camprobe";
  if (options.pid != 0) {
    const auto process = proc::ProcessFiles::open(options.pid);
    const bool is_alive = process && !process->is_dead();
    bool has_region = false;
    for (const attach::RegionFile& region : regions) {
      if (region.name.pid != static_cast<std::uint32_t>(options.pid)) continue;
      if (region.is_alive)
        has_region = true;
      else
        dead = region;
    }
    if (is_alive && !has_region) {
      const auto owner = process->owner();
      if (owner && *owner != ::geteuid() && ::geteuid() != 0) {
        return usage_error(fmt::format("pid {} belongs to another user: attach as that user, or as root", options.pid));
      }
      return usage_error(
          fmt::format("pid {} runs without the probe: start it under camprobe run, or with LD_PRELOAD=libcamprobe.so",
                      options.pid));
    }
    if (!is_alive && !dead)
      return usage_error(
          fmt::format("there is no process {}, and no region of a dead one (camprobe list shows both)", options.pid));
    if (is_alive) {
      dead.reset();
      name = fs::path(process->executable()).filename().string();
    } else {
      name = fmt::format("pid{}", options.pid);
    }
  } else if (regions.empty()) {
    return usage_error(
        "no process runs with the probe: start one under camprobe run, or with LD_PRELOAD=libcamprobe.so");
  }
  if (options.resumes) {
    if (dead)
      return usage_error(
          fmt::format("pid {} is dead: its last moments make a run of their own, without --resume", options.pid));
    return go_on(options);
  }
  const std::string path = options.run.empty() ? default_run(name.empty() ? "camprobe" : name) : options.run;
  if (const auto refused = make_way(path, options.may_replace)) return usage_error(*refused);

  run::Meta meta;
  meta.command = {"attach", options.pid != 0 ? std::to_string(options.pid) : "--all"};
  if (dead) {
    std::string why;
    const auto region = shm::RegionReader::open(dead->path, &why);
    if (!region) return usage_error(why);
    // The run is the dead process's life.
    meta.started_monotonic_ns = drain::to_integer(region->info().created_ns);
    meta.started_realtime_ns = drain::to_integer(region->info().created_realtime_ns);
  }
  Signals signals;
  auto created = Recording::create(path, meta);
  if (!created) return usage_error(created.error());
  Recording& recording = **created;
  if (dead) {
    if (const auto taken = recording.take_dead(*dead); !taken) say(taken.error());
    finish_run(recording, path, run::kPostMortem, options.is_quiet);
    return {0, path};
  }
  if (options.pid != 0)
    recording.follow(options.pid);
  else
    recording.follow_all();
  return record_until_end(recording, signals, options, path);
}

Outcome take_snapshot(const SnapshotOptions& options) {
  auto region = attach::region_of(options.pid);
  if (!region) return usage_error(region.error());
  std::string name;
  if (const auto process = proc::ProcessFiles::open(options.pid))
    name = fs::path(process->executable()).filename().string();
  const std::string path = options.run.empty() ? default_run(name.empty() ? "camprobe" : name) : options.run;
  if (const auto refused = make_way(path, options.may_replace)) return usage_error(*refused);
  run::Meta meta;
  meta.command = {"snapshot", std::to_string(options.pid)};
  // The run is the process's life up to now.
  meta.started_monotonic_ns = drain::to_integer(region->info().created_ns);
  meta.started_realtime_ns = drain::to_integer(region->info().created_realtime_ns);
  auto created = Recording::create(path, meta);
  if (!created) return usage_error(created.error());
  (*created)->take_snapshot(std::move(*region));
  finish_run(**created, path, kSnapshot, options.is_quiet);
  return {0, path};
}

}  // namespace camprobe
