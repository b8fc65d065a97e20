// collector/watch.h
//
// What `camprobe run` says and does while it records: a status line, looks at what the run shows so far (a leak that is
// certain already is said at once), and denser sampling for what is suspected but has too few samples.
//
// Looks read the run file in a thread of their own, so that draining never waits for one; everything else, and every
// call here, is the recording thread's.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <future>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "collector/analysis/early.h"
#include "collector/recording.h"
#include "collector/status_line.h"
#include "run/reader.h"

namespace camprobe {

struct WatchOptions {
  std::optional<std::chrono::seconds> duration;  // of the run, where it is known
  bool escalates = true;                         // samples suspects more densely
  bool is_quiet = false;
};

class Watch {
 public:
  using Instant = std::chrono::steady_clock::time_point;
  Watch(WatchOptions options, Instant began);
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  // Call often. `child` is the program, 0 once it has ended.
  void poll(Instant now, Recording& recording, pid_t child);
  // Takes the status line off the terminal and lets a look that is going on come to its end.
  void end();

 private:
  struct Seen {
    std::vector<std::pair<std::string, std::string>> leaks;  // id, line
    std::vector<std::string> suspects;                       // titles
    bool wants_samples = false;                              // a suspect of sampled memory has too few
  };
  static Seen look(const std::string& path, analysis::Look look);
  void take(const Seen& seen, Recording& recording);
  void sample_more_densely(Recording& recording, std::size_t suspects);
  std::optional<double> socket_reads_a_second(Recording& recording);
  void show_status(Instant now, Recording& recording, pid_t child);
  void show_status_when_due(Instant now, Recording& recording, pid_t child);
  void say(const std::string& line);

  WatchOptions options_;
  Instant began_, next_status_;
  std::optional<analysis::Look> next_look_;
  std::future<Seen> looking_;
  std::set<std::string> told_;
  std::vector<std::string> suspects_;
  std::optional<run::Reader> reader_;
  StatusLine line_;
  bool has_escalated_ = false;
  bool has_asked_for_names_ = false;  // for the look that is due
};

}  // namespace camprobe
