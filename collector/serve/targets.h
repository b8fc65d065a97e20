// collector/serve/targets.h
//
// All processes with the probe that this user may read: found as they come, drained while they run, dropped when they
// end. A process that is restarted is a new one, with a number of its own and counters from 0; one that becomes another
// program by exec is shown as that one.
//
// One thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "collector/attach/directory_watch.h"
#include "collector/attach/regions.h"
#include "collector/serve/target.h"

namespace camprobe::serve {

class Targets {
 public:
  // `only`: no process but this one.
  explicit Targets(std::size_t most, std::optional<pid_t> only = {}) : most_(most), only_(only) {}

  // Does what is due; gives how long until there is something to do again.
  std::chrono::milliseconds poll();
  // Reads what figures need; targets that have ended since are dropped.
  void refresh();

  // In the order of their numbers.
  std::vector<const Target*> all() const;
  // There, but more than are served.
  std::size_t left_out() const { return left_out_; }
  std::size_t most() const { return most_; }

 private:
  void discover();
  void take(const attach::RegionFile& file);
  void drop_ended();

  std::size_t most_, left_out_ = 0;
  std::optional<pid_t> only_;
  std::map<pid_t, std::unique_ptr<Target>> targets_;
  std::set<std::string> known_paths_;     // served, or never will be
  std::map<std::string, int> not_ready_;  // could not be opened yet, and how often that was tried
  attach::DirectoryWatch directory_;
  bool must_look_again_ = false;
  std::uint64_t next_look_ns_ = 0;
};

}  // namespace camprobe::serve
