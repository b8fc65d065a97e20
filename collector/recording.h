// collector/recording.h
//
// A run being recorded: finds the regions that belong to it, drains them, reads /proc, and writes a bucket a second.
//
//     auto recording = Recording::create("a.camrun", meta);
//     recording->follow_run();                       // regions that name this run
//     while (...) wait(recording->poll());           // poll() does what is due and says when it wants to be called
//     again recording->finish(run::kComplete);
//
// One thread; the symbolizer inside has one of its own.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "collector/attach/directory_watch.h"
#include "collector/attach/regions.h"
#include "collector/drain/region_drain.h"
#include "collector/proc/process_series.h"
#include "run/reader.h"
#include "run/writer.h"

namespace camprobe {

// meta.state of a run that shows a running process at one instant.
inline constexpr const char* kSnapshot = "snapshot";

class Recording {
 public:
  // How often a target's rings are drained: never more seldom than kDrainEvery, within which a thread at the default
  // rates fills half its ring at most, and more often where rings fill faster (drain_pace.h).
  static constexpr std::chrono::milliseconds kDrainEvery{100};

  // Takes the machine's facts and, unless `started_monotonic_ns` says otherwise, the present as the run's beginning.
  static run::Result<std::unique_ptr<Recording>> create(const std::string& path, run::Meta meta);
  // Goes on with a run whose collector was killed, or that has ended: its processes are taken up where they were left,
  // and what was followed is followed again. An error where somebody records it still, or it is no recording.
  static run::Result<std::unique_ptr<Recording>> resume(const std::string& path);
  ~Recording();

  run::Writer& writer() { return writer_; }
  const drain::RunClock& clock() const { return clock_; }
  const std::string& run_id() const { return writer_.run_id(); }

  // What belongs to the run; each adds to the others.
  void follow_run();       // every process whose region names this run
  void follow(pid_t pid);  // this process and its descendants
  void follow_all();       // every process with a region that we may read
  // The same as one who only looks: nothing is claimed, and regions of the dead are left to whoever records them.
  void observe_all();
  void observe(pid_t pid);  // the same of this process alone
  // A child of ours: its /proc series are recorded even if the probe never comes up in it.
  void follow_child(pid_t pid, const std::string& executable, const std::string& command);
  // What wait() said about it.
  void child_ended(pid_t pid, int wait_status);
  // A dead process, from the region it left.
  run::Result<void> take_dead(const attach::RegionFile& region);
  // A process that goes on, as it stands, without announcing ourselves; finish(kSnapshot) then writes what there is.
  void take_snapshot(shm::RegionReader region);

  // How long until there is something to do again.
  std::chrono::milliseconds poll();

  // Looks up the names of what is unnamed of these so far, beside the recording; they stand in the file some polls
  // after is_naming() has become false.
  void name_stacks(run::StacksOf which);
  bool is_naming() const { return symbolizer_.is_naming(); }

  // Whether any process of the run still lives, and whether one of them listens on TCP.
  bool has_live_process() const;
  bool is_listening() const;
  // Living processes whose parent is not one of the run's.
  std::vector<pid_t> roots() const;
  bool follows_all() const { return follows_all_; }
  bool has_seen_process() const { return has_seen_process_; }
  // Processes that ran without the probe, and why.
  const std::vector<std::string>& unprobed() const { return unprobed_; }

  // The first failure to write, once.
  std::optional<std::string> take_error();

  // Drains everything a last time, names all stacks, closes the file. `progress` is called while stacks are being
  // named; it may be empty.
  run::Result<void> finish(std::string_view state, const std::function<void()>& progress = {});

 private:
  struct Target;
  Recording(run::Writer writer, drain::RunClock clock);
  void note_what_is_followed();
  void discover();
  void discover_if_changed();
  bool belongs(const shm::RegionInfo& info) const;
  Target& adopt(shm::RegionReader region, const std::string& path, bool is_alive);
  Target& add_target(pid_t pid, std::uint64_t start_ticks, std::uint32_t image);
  Target* take_up(const shm::RegionInfo& info);
  void take_up_what_has_no_region();
  void describe(Target& target);
  void look_at(Target& target, std::uint64_t now_ns);
  void end_target(Target& target, std::uint64_t died_ns, bool has_execed);
  void end_second(std::int64_t second);
  void note_probe_state(Target& target);
  void write_stacks();
  void name_stacks_where_affordable(std::uint64_t now_ns);

  run::Writer writer_;
  drain::RunClock clock_;
  drain::Symbolizer symbolizer_;
  proc::MachineSeries machine_;
  bool follows_run_ = false, follows_all_ = false, only_observes_ = false;
  std::optional<pid_t> observed_;      // this one only
  std::set<pid_t> followed_;           // asked for, and their descendants as they are found
  std::vector<std::string> unprobed_;  // of those that have ended; a bounded number
  std::int64_t last_end_ns_ = 0;
  std::vector<std::unique_ptr<Target>> targets_;
  // After resume(): the run as it was found, and those of its processes that have not been taken up yet.
  std::optional<run::Reader> earlier_;
  std::vector<run::Process> left_;
  std::set<std::string> known_paths_;     // adopted, or not ours
  std::map<std::string, int> not_ready_;  // could not be opened yet, and how often that was tried
  attach::DirectoryWatch region_directory_;
  bool must_look_again_ = false;  // what the last look found may make other regions ours
  std::uint64_t next_look_ns_ = 0;
  std::uint64_t records_ = 0;  // drained from all targets
  std::int64_t last_second_ = -1;
  std::size_t stacks_since_trim_ = 0;        // taken from the naming thread
  bool has_unnamed_ = false;                 // stacks, since the last time names were looked up
  std::chrono::nanoseconds last_naming_{0};  // what that had taken
  std::optional<std::string> error_;
  bool has_failed_ = false;
  bool has_seen_process_ = false;
};

}  // namespace camprobe
