#include "collector/session.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <utility>

#include "collector/attach/allocator.h"
#include "collector/attach/control.h"
#include "collector/attach/launch.h"
#include "collector/attach/program.h"
#include "collector/attach/regions.h"
#include "collector/load/adapter.h"
#include "collector/load/command.h"
#include "collector/load/h2load_summary.h"
#include "collector/load_rows.h"
#include "collector/prove_leak.h"
#include "collector/recording.h"
#include "collector/status_line.h"
#include "collector/watch.h"
#include "run/reader.h"

namespace camprobe {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

void say(const std::string& line) {
  StatusLine::erase_current();
  fmt::print(stderr, "camprobe: {}\n", line);
}

Outcome usage_error(const std::string& line) {
  say(line);
  return {2, {}};
}

// The signals a session waits for, blocked while it lives; programs it starts get the mask as it was.
class Signals {
 public:
  Signals() {
    ::sigemptyset(&waited_);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCHLD}) ::sigaddset(&waited_, signal);
    ::sigprocmask(SIG_BLOCK, &waited_, &before_);
    fd_ = ::signalfd(-1, &waited_, SFD_CLOEXEC | SFD_NONBLOCK);
  }
  ~Signals() {
    ::close(fd_);
    ::sigprocmask(SIG_SETMASK, &before_, nullptr);
  }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  const sigset_t& before() const { return before_; }

  // Waits for a signal, at most so long.
  std::optional<signalfd_siginfo> wait(milliseconds limit) {
    pollfd waiting{fd_, POLLIN, 0};
    ::poll(&waiting, 1, static_cast<int>(limit.count()));
    signalfd_siginfo signal{};
    if (::read(fd_, &signal, sizeof signal) != sizeof signal) return std::nullopt;
    return signal;
  }

 private:
  sigset_t waited_{}, before_{};
  int fd_ = -1;
};

bool is_end_signal(std::uint32_t signal) {
  return signal == SIGINT || signal == SIGTERM || signal == SIGHUP || signal == SIGQUIT;
}

std::string default_run(const std::string& program) {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  ::localtime_r(&now, &local);
  const std::string name = fmt::format("{}-{:%Y%m%d-%H%M%S}", fs::path(program).filename().string(), local);
  std::string path = name + ".camrun";
  for (int i = 2; fs::exists(path); ++i) path = fmt::format("{}-{}.camrun", name, i);  // two in one second
  return path;
}

// An older run in the way is removed only where that was asked for, and only if it is a run.
std::optional<std::string> make_way(const std::string& path, bool may_replace) {
  if (!may_replace || !fs::exists(path)) return std::nullopt;
  if (const auto old = run::Reader::open(path); !old) return old.error() + ": it is not replaced";
  for (const char* suffix : {"", "-wal", "-shm"}) ::unlink((path + suffix).c_str());
  return std::nullopt;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

std::string end_of(int wait_status) {
  if (WIFSIGNALED(wait_status))
    return fmt::format("killed by signal {}, {}", WTERMSIG(wait_status), ::strsignal(WTERMSIG(wait_status)));
  return fmt::format("exit code {}", WEXITSTATUS(wait_status));
}

int exit_code_of(int wait_status) {
  return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

void finish_run(Recording& recording, const std::string& path, std::string_view state, bool is_quiet) {
  bool has_said = false;
  const auto finished = recording.finish(state, [&] {
    if (!is_quiet && !has_said) say("looking up the names of functions ...");
    has_said = true;
  });
  if (!finished)
    say(finished.error());
  else if (!is_quiet)
    say(fmt::format("the run is in {}", path));
}

// Takes a load tool's output into the run. A tool that we started, at `began`, has our clock; of another's the clock is
// compared. False: it could not be read, which has been said.
bool take_load(Recording& recording, const std::string& file, const std::string& shown, const std::string& h2load_text,
               std::optional<load::WallTime> began) {
  auto timeline = load::read_load_file(file);
  if (!timeline) {
    say(timeline.error());
    return false;
  }
  if (!h2load_text.empty()) load::add_h2load_summary(*timeline, h2load_text);
  const std::int64_t realtime_ns = drain::to_integer(drain::clock_ns(CLOCK_REALTIME)) - recording.clock().now_ns();
  if (began) timeline->place(*began);
  if (!timeline->start) {
    say(fmt::format("{}: it does not tell when its requests were sent, so only its totals are in the run", shown));
  }
  std::optional<load::Nanoseconds> skew;
  if (began) {
    skew = load::Nanoseconds{0};
  } else if (auto reader = run::Reader::open(recording.writer().path())) {
    skew = find_skew(*reader, *timeline, realtime_ns);
    if (skew && std::chrono::abs(*skew) > std::chrono::seconds(1)) {
      say(fmt::format("{}: its clock differs from this machine's by {:.1f} s, which has been taken into account", shown,
                      std::chrono::duration<double>(*skew).count()));
    }
  }
  write_load(recording.writer(), *timeline, shown, realtime_ns, skew);
  for (const std::string& why : timeline->skipped.why) spdlog::info("{}: {}", shown, why);
  if (timeline->skipped.rows != 0) {
    say(fmt::format("{}: {} rows could not be used ({})", shown, timeline->skipped.rows,
                    timeline->skipped.why.empty() ? "see the run" : timeline->skipped.why.front()));
  }
  return true;
}

// The load of a caller who drove it: 0, or 2 where it could not be read, which has been said.
int take_timeline(Recording& recording, const std::string& shown, const run::Result<load::LoadTimeline>& timeline) {
  if (!timeline) {
    say(timeline.error());
    return 2;
  }
  const std::int64_t realtime_ns = drain::to_integer(drain::clock_ns(CLOCK_REALTIME)) - recording.clock().now_ns();
  write_load(recording.writer(), *timeline, shown, realtime_ns, load::Nanoseconds{0});
  return 0;
}

std::string read_text(const std::string& path) {
  const auto text = proc::read_file(path);
  return text ? *text : std::string();
}

// A load command while it runs.
class Load {
 public:
  Load(const RunOptions& options, const std::string& run_path) : options_(options) {
    const std::string beside = fs::absolute(run_path).string();
    results_ = beside + ".load";
    plan_ = load::plan_load_command(options.load, results_);
    output_ = beside + ".load-stdout";
  }
  ~Load() {
    std::error_code ignored;
    if (captures_) fs::remove(output_, ignored);
    // A directory is of our making where results were asked for below it.
    const bool is_ours = plan_ && !plan_->results_are_users;
    if (is_ours && plan_->results.starts_with(results_) &&
        (plan_->results != results_ || !plan_->results_below.empty()))
      fs::remove_all(results_, ignored);
    else if (is_ours || !plan_)
      fs::remove(results_, ignored);
  }
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  // False: it could not be started, which has been said.
  bool start(const sigset_t& mask) {
    attach::Launch what;
    what.path = "/bin/sh";
    what.arguments = {"sh", "-c", plan_ ? plan_->command : options_.load};
    what.environment = attach::own_environment();
    what.signal_mask = mask;
    what.own_group = true;
    captures_ = plan_ && (plan_->results_are_stdout || plan_->summary_is_stdout);
    int output = -1;
    if (captures_) {
      if (plan_->results_are_stdout) output_ = plan_->results;
      output = ::open(output_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
      if (output < 0) {
        say(fmt::format("{} cannot be written: {}", output_, std::strerror(errno)));
        return false;
      }
      what.standard_output = output;
    }
    if (plan_ && plan_->appends && options_.load_results.empty()) {
      std::error_code none;
      skip_bytes_ = fs::exists(plan_->results, none) ? fs::file_size(plan_->results, none) : 0;
    }
    if (plan_ && !plan_->added.empty()) spdlog::info("load command: added {}", plan_->added);
    began_ = std::chrono::system_clock::now();
    auto started = attach::launch(what);
    if (output >= 0) ::close(output);
    if (!started) {
      say(started.error());
      return false;
    }
    pid_ = *started;
    return true;
  }

  pid_t pid() const { return pid_; }
  bool is_running() const { return pid_ != 0 && !has_ended_; }
  bool has_succeeded() const { return has_ended_ && exit_code_ == 0 && !was_stopped_; }
  void ended(int wait_status) {
    has_ended_ = true;
    exit_code_ = exit_code_of(wait_status);
  }
  // Ends it; one that does not end by SIGTERM is killed when the grace is over.
  void stop(std::chrono::seconds grace) {
    if (!is_running() || was_stopped_) return;
    was_stopped_ = true;
    kill_at_ = steady_clock::now() + grace;
    ::kill(-pid_, SIGTERM);
  }
  void kill_when_due(steady_clock::time_point now) const {
    if (is_running() && was_stopped_ && now >= kill_at_) ::kill(-pid_, SIGKILL);
  }

  // Gives the exit code it is worth: 0, 1 where the load failed, 2 where its results cannot be read (both have been
  // said).
  int take(Recording& recording) {
    const bool has_failed = exit_code_ != 0 && !was_stopped_;
    if (was_stopped_) say("the load was ended before it was done");
    if (has_failed) say(fmt::format("the load command failed with exit code {}: {}", exit_code_, options_.load));
    std::string printed;
    if (captures_) printed = read_text(output_);
    // Hers: it was only looked at. JSON is not made for her.
    if (captures_ && (!plan_->results_are_stdout || plan_->results_are_text)) fmt::print("{}", printed);
    std::string file = options_.load_results;
    if (file.empty() && plan_) file = plan_->results_below.empty() ? plan_->results : newest_below();
    if (file.empty()) {
      say("no load tool was recognised in the load command, so requests and latencies are not in the run: "
          "name its results with --load-results FILE");
      return has_failed ? 1 : 0;
    }
    if (skip_bytes_ != 0) file = without_what_was_there(file);
    std::error_code none;
    if (!fs::exists(file, none) || fs::is_directory(file, none)) {
      say(fmt::format("{}: the load command left no results there", file));
      return has_failed ? 1 : was_stopped_ ? 0 : 2;
    }
    const std::string summary = plan_ && plan_->summary_is_stdout ? printed : std::string();
    const bool is_kept = !options_.load_results.empty() || (plan_ && plan_->results_are_users);
    const bool is_taken = take_load(recording, file, is_kept ? file : options_.load, summary, began_);
    return has_failed ? 1 : is_taken ? 0 : 2;
  }

 private:
  // The file in the directory that this load's results are in; the directory itself where there is none.
  std::string newest_below() const {
    std::error_code none;
    std::string newest = plan_->results;
    auto latest = fs::file_time_type::min();
    for (fs::recursive_directory_iterator at(plan_->results, none), end; !none && at != end; at.increment(none)) {
      if (at->path().filename() != plan_->results_below) continue;
      const auto written = at->last_write_time(none);
      // Nothing from before it began: a load that left no results must not get those of the last one.
      if (none || fs::file_time_type::clock::to_sys(written) < began_ || written < latest) continue;
      latest = written;
      newest = at->path().string();
    }
    return newest;
  }

  // A tool that appends: only what came after what was there is this run's.
  std::string without_what_was_there(const std::string& file) const {
    const int from = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    const int to = ::open(results_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (from < 0 || to < 0) return file;
    ::lseek(from, static_cast<off_t>(skip_bytes_), SEEK_SET);
    char buffer[1 << 16];
    for (ssize_t got; (got = ::read(from, buffer, sizeof buffer)) > 0;) {
      if (::write(to, buffer, static_cast<std::size_t>(got)) != got) break;
    }
    ::close(from);
    ::close(to);
    return results_;
  }

  const RunOptions& options_;
  std::optional<load::LoadCommand> plan_;
  load::WallTime began_;
  std::string results_, output_;
  std::uintmax_t skip_bytes_ = 0;
  bool captures_ = false;
  pid_t pid_ = 0;
  bool has_ended_ = false, was_stopped_ = false;
  steady_clock::time_point kill_at_{};
  int exit_code_ = 0;
};

}  // namespace

Outcome record_program(const RunOptions& options) {
  const auto program = attach::find_program(options.program.front());
  if (!program) return usage_error(program.error());
  auto library = attach::find_probe_library();
  if (!library) return usage_error(library.error());
  if (!options.allocator.empty()) {
    const auto allocator = attach::find_allocator(options.allocator);
    if (!allocator) return usage_error(allocator.error());
    *library += ":" + *allocator;  // behind the probe, before what is preloaded already
  }
  if (options.load.empty() && !options.load_results.empty() && !fs::exists(options.load_results)) {
    spdlog::info("{} is not there yet: it is read when the program has ended", options.load_results);
  }
  const std::string path = options.run.empty() ? default_run(program->path) : options.run;
  if (const auto refused = make_way(path, options.may_replace)) return usage_error(*refused);

  Signals signals;
  run::Meta meta;
  meta.command = options.program;
  meta.load_command = options.load;
  auto created = Recording::create(path, meta);
  if (!created) return usage_error(created.error());
  Recording& recording = **created;
  recording.follow_run();

  attach::Launch what;
  what.path = program->path;
  what.arguments = options.program;
  what.environment = attach::target_environment(attach::own_environment(), *library, recording.run_id(), ::getpid());
  what.signal_mask = signals.before();
  what.before_exec = options.before_exec;
  const auto started = attach::launch(what);
  if (!started) {
    created->reset();
    for (const char* suffix : {"", "-wal", "-shm"}) ::unlink((path + suffix).c_str());
    return usage_error(started.error());
  }
  const pid_t child = *started;
  recording.follow_child(child, program->executable, joined(options.program));

  std::optional<Load> load;
  if (!options.load.empty() && !options.load_timeline) load.emplace(options, path);
  Watch watch({options.duration, options.escalates, options.is_quiet}, steady_clock::now());
  std::optional<ProofOrder> proof;
  if (options.prove_idle) proof.emplace(*options.prove_idle);
  const auto mark_proof = [&](const char* what) {
    recording.writer().put(run::Mark{0, recording.clock().now_ns(), what, proof::kSource});
    if (!options.is_quiet) say(what);
  };
  const auto began = steady_clock::now();
  bool child_lives = true;
  int load_code = 0;  // what the load adds to the exit code
  int child_status = 0;
  enum class Stop { kNo, kAsked, kTerminated, kKilled } stop = Stop::kNo;
  steady_clock::time_point kill_at = steady_clock::time_point::max();
  auto next_look = began;
  steady_clock::time_point child_ended_at{};
  bool has_told_of_rest = false;
  // A program that went to the background is whoever of the run has no parent in it.
  const auto send = [&](int signal) {
    if (child_lives)
      ::kill(child, signal);
    else
      for (const pid_t pid : recording.roots()) ::kill(pid, signal);
  };
  bool we_ended_it = false;
  const auto terminate = [&] {
    if (stop != Stop::kNo) return;
    stop = Stop::kTerminated;
    we_ended_it = child_lives;
    send(SIGTERM);
    kill_at = steady_clock::now() + options.grace;
  };

  // A way out where the program ignores what it is sent. A shell or an interpreter lives on after one Ctrl-C or two.
  std::array<steady_clock::time_point, 2> interrupts{};
  const auto is_the_third_in_a_row = [&](std::uint32_t signal) {
    if (signal != SIGINT && signal != SIGTERM) return false;
    const auto now = steady_clock::now();
    const bool is_third = interrupts[0] != steady_clock::time_point{} && now - interrupts[0] < std::chrono::seconds(2);
    interrupts = {interrupts[1], now};
    return is_third;
  };

  // A child that the program leaves behind may need a moment until its probe is up.
  // One that goes to the background before its load has begun is worth waiting for.
  const auto linger = [&] {
    const bool may_be_a_daemon = load && load->pid() == 0 && stop == Stop::kNo && child_status == 0;
    return may_be_a_daemon ? milliseconds{2000} : milliseconds{200};
  };
  while (child_lives || recording.has_live_process() || (load && load->is_running()) ||
         steady_clock::now() - child_ended_at < linger()) {
    const milliseconds next = recording.poll();
    if (const auto error = recording.take_error()) say(*error);
    for (auto signal = signals.wait(std::max(next, milliseconds{1})); signal; signal = signals.wait(milliseconds{0})) {
      if (is_end_signal(signal->ssi_signo)) {
        if (stop == Stop::kNo) stop = Stop::kAsked;
        // A hang-up may mean "read your configuration again".
        if ((load || options.load_timeline) && signal->ssi_signo != SIGHUP)
          kill_at = std::min(kill_at, steady_clock::now() + options.grace);
        if (is_the_third_in_a_row(signal->ssi_signo)) kill_at = {};
        if (load) load->stop(options.grace);
        // A terminal's Ctrl-C has reached the program already, as it is in our process group.
        if (signal->ssi_code != SI_KERNEL || !child_lives) send(static_cast<int>(signal->ssi_signo));
      }
    }
    int status = 0;
    for (pid_t ended; (ended = ::waitpid(-1, &status, WNOHANG)) > 0;) {
      if (ended == child) {
        child_lives = false;
        child_status = status;
        recording.child_ended(child, status);
        child_ended_at = steady_clock::now();
      } else if (load && ended == load->pid()) {
        load->ended(status);
        if (!proof || stop != Stop::kNo || !load->has_succeeded()) {
          terminate();
        } else {
          mark_proof(proof->load_ended(steady_clock::now()));
        }
      }
    }
    const auto now = steady_clock::now();
    // A program that goes to the background ends, and its children go on; workers end a moment after their master.
    if (!child_lives && !has_told_of_rest && now - child_ended_at > std::chrono::seconds(1)) {
      has_told_of_rest = true;
      if (recording.has_live_process() && (stop == Stop::kTerminated || (stop == Stop::kAsked && load))) {
        send(SIGTERM);  // a shell script that started the server ends without telling it
      } else if (recording.has_live_process()) {
        say("the program ended but left processes behind, which are recorded until they end (Ctrl-C ends them)");
      } else if (load && load->is_running()) {
        if (stop == Stop::kNo) say(fmt::format("the program ended before its load ({})", end_of(child_status)));
        load->stop(options.grace);
      }
    }
    if (load && load->pid() == 0 && stop == Stop::kNo && recording.has_live_process() && now >= next_look) {
      next_look = now + milliseconds{50};
      const bool is_late = now - began > options.load_wait;
      if (recording.is_listening() || is_late) {
        if (is_late)
          say(fmt::format("the program does not listen on TCP after {} s: the load starts anyway",
                          options.load_wait.count()));
        if (!load->start(signals.before())) {
          load_code = 1;
          terminate();
        } else if (proof) {
          mark_proof(proof->load_began());
        }
      }
    }
    if (proof && stop == Stop::kNo && proof->wants_load(now)) {
      // The first load's results are taken in before the second writes its own to the same place.
      load_code = load->take(recording);
      load.emplace(options, path);
      if (load_code != 0 || !load->start(signals.before())) {
        load_code = std::max(load_code, 1);
        terminate();
      } else {
        mark_proof(proof->load_began());
      }
    }
    if (proof && stop == Stop::kNo) {
      if (const auto mark = proof->ended(now)) {
        mark_proof(*mark);
        terminate();
      }
    }
    if (options.duration && now - began >= *options.duration) {
      if (load) load->stop(options.grace);
      terminate();
    }
    if (stop == Stop::kNo) watch.poll(now, recording, child_lives ? child : 0);
    if (load) load->kill_when_due(now);
    if ((stop == Stop::kTerminated || stop == Stop::kAsked) && now >= kill_at &&
        (child_lives || recording.has_live_process())) {
      if (kill_at == steady_clock::time_point{})
        say("interrupted three times: the program is killed");
      else
        say(fmt::format("the program did not end within {} s of {} and is killed", options.grace.count(),
                        stop == Stop::kAsked ? "the signal" : "SIGTERM"));
      stop = Stop::kKilled;
      send(SIGKILL);
    }
  }

  watch.end();
  if (load && load->pid() == 0 && load_code == 0) {
    say(fmt::format("the load was never started: the program ended first ({})", end_of(child_status)));
    load_code = 1;
  }
  if (load && load->pid() != 0) load_code = std::max(load_code, load->take(recording));
  if (!load && !options.load_results.empty())
    load_code = take_load(recording, options.load_results, options.load_results, {}, std::nullopt) ? 0 : 2;
  if (options.load_timeline) load_code = take_timeline(recording, options.load, options.load_timeline());
  for (const std::string& line : recording.unprobed()) say("not sampled: " + line);
  finish_run(recording, path, run::kComplete, options.is_quiet);

  Outcome outcome{0, path};
  if (!we_ended_it) outcome.exit_code = exit_code_of(child_status);
  if (outcome.exit_code == 0) outcome.exit_code = load_code;
  return outcome;
}

namespace {

// Records what runs until it ends, or somebody says so.
Outcome record_until_end(Recording& recording, Signals& signals, const AttachOptions& options,
                         const std::string& path) {
  if (!options.is_quiet) say(fmt::format("recording to {}; Ctrl-C ends it", path));
  const auto began = steady_clock::now();
  for (bool is_ending = false; !is_ending;) {
    const milliseconds next = recording.poll();
    if (const auto error = recording.take_error()) {
      say(*error);
      is_ending = true;
    }
    if (const auto signal = signals.wait(std::max(next, milliseconds{1})); signal && is_end_signal(signal->ssi_signo))
      is_ending = true;
    if (options.duration && steady_clock::now() - began >= *options.duration) is_ending = true;
    if (!recording.follows_all() && recording.has_seen_process() && !recording.has_live_process()) is_ending = true;
  }
  int load_code = 0;
  if (!options.load_results.empty())
    load_code = take_load(recording, options.load_results, options.load_results, {}, std::nullopt) ? 0 : 2;
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
