// collector/session/load_child.h
//
// The load that a session starts beside the program: a shell command in a process group of its own, and what becomes of
// the results that it leaves.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "collector/load/command.h"
#include "collector/load/timeline.h"
#include "collector/recording.h"
#include "collector/session.h"

namespace camprobe {

// Takes a load tool's output into the run. A tool that we started, at `began`, has our clock; of another's the clock is
// compared. False: it could not be read, which has been said. `shown` is the name that the user knows it by;
// `h2load_text` what h2load printed, where it did.
bool take_load(Recording& recording, const std::string& file, const std::string& shown, const std::string& h2load_text,
               std::optional<load::WallTime> began);

// The load of a caller who drove it, each timeline a source of its own: 0, or 2 where it could not be read, which has
// been said.
int take_timelines(Recording& recording, const std::string& shown,
                   const run::Result<std::vector<load::LoadTimeline>>& timelines);

// A load command while it runs. The caller waits for children and says when this one has ended.
class LoadChild {
 public:
  using Instant = std::chrono::steady_clock::time_point;

  // `options` must outlive it. Nothing is started yet.
  LoadChild(const RunOptions& options, const std::string& run_path);
  // Removes what the load left beside the run, unless the file is the user's.
  ~LoadChild();
  LoadChild(const LoadChild&) = delete;
  LoadChild& operator=(const LoadChild&) = delete;

  // False: it could not be started, which has been said.
  bool start(const sigset_t& mask);

  pid_t pid() const { return pid_; }  // 0: not started
  bool is_running() const { return pid_ != 0 && !has_ended_; }
  bool has_succeeded() const { return has_ended_ && exit_code_ == 0 && !was_stopped_; }
  void ended(int wait_status);

  // Ends it; one that does not end by SIGTERM is killed when the grace is over.
  void stop(std::chrono::seconds grace);
  void kill_when_due(Instant now) const;

  // Takes its results into the run, and gives the exit code that it is worth: 0, 1 where the load failed, 2 where its
  // results cannot be read (both have been said).
  int take(Recording& recording);

 private:
  std::string newest_below() const;
  std::string without_what_was_there(const std::string& file) const;

  const RunOptions& options_;
  std::optional<load::LoadCommand> plan_;
  load::WallTime began_;
  std::string results_, output_;
  std::uintmax_t skip_bytes_ = 0;
  bool captures_ = false;
  pid_t pid_ = 0;
  bool has_ended_ = false, was_stopped_ = false;
  Instant kill_at_{};
  int exit_code_ = 0;
};

}  // namespace camprobe
