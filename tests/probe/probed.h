// tests/probe/probed.h
//
// Runs a program under the built libcamprobe.so, as a user does, and hands back what it printed, how it ended, and the
// regions it left. Regions stay because this process poses as their collector (CAMPROBE_RUN) and go with the Probed.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "shm/region_reader.h"

namespace camprobe::tests {

// What CAMPROBE_RUN says.
enum class Run {
  kNone,
  kNamed,      // a run that nobody collects: clean exits leave nothing
  kCollected,  // by this process: every region stays until the Probed goes
};

struct Program {
  std::vector<std::string> arguments = {};              // [0]: the executable, looked up in PATH
  std::map<std::string, std::string> environment = {};  // on top of ours
  std::string preload = "@";                            // "@" stands for libcamprobe.so; empty: no preload at all
  Run run = Run::kCollected;
  std::string input = {};
  int seconds = 30;                        // then it is killed, and the failure says where it hung
  int kill_after_ms = -1;                  // killed on purpose (SIGKILL), if it is not over by then
  std::function<void()> before_exec = {};  // in the child
};

class Probed {
 public:
  explicit Probed(const Program& program);
  ~Probed();
  Probed(const Probed&) = delete;
  Probed& operator=(const Probed&) = delete;

  pid_t pid = 0;
  bool exited = false;  // else: killed by `signal`
  int status = -1;
  int signal = 0;
  std::string out, err;

  // Paths of the regions that belong to this run, or of one process of it in the order of its images.
  std::vector<std::string> regions() const;
  std::vector<std::string> regions_of(pid_t process) const;
  // The program's own (last image's) region.
  shm::RegionReader region() const;
  // A number that the program printed as "name value".
  double printed(const std::string& name) const;
  // Numbers of all lines "name value".
  std::vector<double> all_printed(const std::string& name) const;

 private:
  std::string run_;
};

// The test target of this build, and the library.
std::string target();
std::string library();

struct Event {
  shm::LaneOwner lane;
  bool is_signal;
  shm::ReadRecord record;
};
std::vector<Event> events_of(shm::RegionReader& region);
std::vector<Event> events_of(shm::RegionReader& region, shm::RecordKind kind);

// Regions in /dev/shm of whatever process, by run name; "" for those of no run.
std::vector<std::string> all_regions();

}  // namespace camprobe::tests
