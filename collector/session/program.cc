// A program started under the probe, with a load beside it where one is wanted, recorded until all of it has ended.
#include <fmt/format.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <utility>

#include "collector/attach/allocator.h"
#include "collector/attach/launch.h"
#include "collector/attach/program.h"
#include "collector/prove_leak.h"
#include "collector/recording.h"
#include "collector/session.h"
#include "collector/session/common.h"
#include "collector/session/load_child.h"
#include "collector/session/signals.h"
#include "collector/watch.h"

namespace camprobe {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

// From the start of the program to the end of the last of its processes. One thread; a turn of follow() at a time.
class ProgramSession {
 public:
  ProgramSession(const RunOptions& options, std::string path, Recording& recording, Signals& signals, pid_t child);

  // Until the program, what it left behind, and its load have ended.
  void follow();

  // Takes the load's results in and closes the run.
  Outcome finish();

 private:
  using Instant = steady_clock::time_point;
  // How far the end has come: somebody sent a signal, which went on to the program; we sent SIGTERM; we killed.
  enum class Stop { kNo, kAsked, kTerminated, kKilled };

  bool is_over() const;
  void take_signals(milliseconds wait);
  void take_signal(const signalfd_siginfo& signal);
  void reap_children();
  void tell_of_rest(Instant now);
  void start_load_when_ready(Instant now);
  void go_on_with_proof(Instant now);
  void stop_when_over_time(Instant now);
  void kill_when_due(Instant now);

  void send(int signal) const;
  void terminate();
  bool is_the_third_in_a_row(std::uint32_t signal);
  void start_load();
  void mark_proof(const char* what);

  const RunOptions& options_;
  const std::string path_;
  Recording& recording_;
  Signals& signals_;
  const pid_t child_;
  const Instant began_ = steady_clock::now();

  std::optional<LoadChild> load_;
  Watch watch_;
  std::optional<ProofOrder> proof_;

  bool child_lives_ = true;
  int child_status_ = 0;
  Instant child_ended_at_{};
  bool has_told_of_rest_ = false;
  Instant next_look_ = began_;
  int load_code_ = 0;  // what the load adds to the exit code

  Stop stop_ = Stop::kNo;
  bool we_ended_it_ = false;
  Instant kill_at_ = Instant::max();
  std::array<Instant, 2> interrupts_{};
};

ProgramSession::ProgramSession(const RunOptions& options, std::string path, Recording& recording, Signals& signals,
                               pid_t child)
    : options_(options),
      path_(std::move(path)),
      recording_(recording),
      signals_(signals),
      child_(child),
      watch_({options.duration, options.escalates, options.is_quiet}, began_) {
  if (!options.load.empty() && !options.load_timelines) load_.emplace(options, path_);
  if (options.prove_idle) proof_.emplace(*options.prove_idle);
}

void ProgramSession::follow() {
  while (!is_over()) {
    const milliseconds next = recording_.poll();
    if (const auto error = recording_.take_error()) say(*error);
    take_signals(std::max(next, milliseconds{1}));
    reap_children();
    const Instant now = steady_clock::now();
    tell_of_rest(now);
    start_load_when_ready(now);
    if (proof_ && stop_ == Stop::kNo) go_on_with_proof(now);
    stop_when_over_time(now);
    if (stop_ == Stop::kNo) watch_.poll(now, recording_, child_lives_ ? child_ : 0);
    if (load_) load_->kill_when_due(now);
    kill_when_due(now);
  }
  watch_.end();
}

// A child that the program leaves behind may need a moment until its probe is up. One that goes to the background
// before its load has begun is worth waiting for.
bool ProgramSession::is_over() const {
  if (child_lives_ || recording_.has_live_process() || (load_ && load_->is_running())) return false;
  const bool may_be_a_daemon = load_ && load_->pid() == 0 && stop_ == Stop::kNo && child_status_ == 0;
  return steady_clock::now() - child_ended_at_ >= (may_be_a_daemon ? milliseconds{2000} : milliseconds{200});
}

void ProgramSession::take_signals(milliseconds wait) {
  for (auto signal = signals_.wait(wait); signal; signal = signals_.wait(milliseconds{0})) {
    if (is_end_signal(signal->ssi_signo)) take_signal(*signal);
  }
}

void ProgramSession::take_signal(const signalfd_siginfo& signal) {
  if (stop_ == Stop::kNo) stop_ = Stop::kAsked;
  // A hang-up may mean "read your configuration again".
  if ((load_ || options_.load_timelines) && signal.ssi_signo != SIGHUP)
    kill_at_ = std::min(kill_at_, steady_clock::now() + options_.grace);
  if (is_the_third_in_a_row(signal.ssi_signo)) kill_at_ = {};
  if (load_) load_->stop(options_.grace);
  // A terminal's Ctrl-C has reached the program already, as it is in our process group.
  if (signal.ssi_code != SI_KERNEL || !child_lives_) send(static_cast<int>(signal.ssi_signo));
}

// A way out where the program ignores what it is sent. A shell or an interpreter lives on after one Ctrl-C or two.
bool ProgramSession::is_the_third_in_a_row(std::uint32_t signal) {
  if (signal != SIGINT && signal != SIGTERM) return false;
  const Instant now = steady_clock::now();
  const bool is_third = interrupts_[0] != Instant{} && now - interrupts_[0] < std::chrono::seconds(2);
  interrupts_ = {interrupts_[1], now};
  return is_third;
}

void ProgramSession::reap_children() {
  int status = 0;
  for (pid_t ended; (ended = ::waitpid(-1, &status, WNOHANG)) > 0;) {
    if (ended == child_) {
      child_lives_ = false;
      child_status_ = status;
      recording_.child_ended(child_, status);
      child_ended_at_ = steady_clock::now();
    } else if (load_ && ended == load_->pid()) {
      load_->ended(status);
      if (!proof_ || stop_ != Stop::kNo || !load_->has_succeeded()) {
        terminate();
      } else {
        mark_proof(proof_->load_ended(steady_clock::now()));
      }
    }
  }
}

// A program that goes to the background ends, and its children go on; workers end a moment after their master.
void ProgramSession::tell_of_rest(Instant now) {
  if (child_lives_ || has_told_of_rest_ || now - child_ended_at_ <= std::chrono::seconds(1)) return;
  has_told_of_rest_ = true;
  const bool has_load = load_ || options_.load_timelines;
  const bool is_to_end = stop_ == Stop::kTerminated || (stop_ == Stop::kAsked && has_load);
  if (recording_.has_live_process() && is_to_end) {
    send(SIGTERM);  // a shell script that started the server ends without telling it
  } else if (recording_.has_live_process()) {
    say("the program ended but left processes behind, which are recorded until they end (Ctrl-C ends them)");
  } else if (load_ && load_->is_running()) {
    if (stop_ == Stop::kNo) say(fmt::format("the program ended before its load ({})", end_of(child_status_)));
    load_->stop(options_.grace);
  }
}

void ProgramSession::start_load_when_ready(Instant now) {
  if (!load_ || load_->pid() != 0 || stop_ != Stop::kNo || !recording_.has_live_process() || now < next_look_) return;
  next_look_ = now + milliseconds{50};
  const bool is_late = now - began_ > options_.load_wait;
  if (!is_late && !recording_.is_listening()) return;
  if (is_late) {
    say(fmt::format("the program does not listen on TCP after {} s: the load starts anyway",
                    options_.load_wait.count()));
  }
  start_load();
}

void ProgramSession::start_load() {
  if (!load_->start(signals_.before())) {
    load_code_ = std::max(load_code_, 1);
    terminate();
  } else if (proof_) {
    mark_proof(proof_->load_began());
  }
}

void ProgramSession::go_on_with_proof(Instant now) {
  if (proof_->wants_load(now)) {
    // The first load's results are taken in before the second writes its own to the same place.
    load_code_ = load_->take(recording_);
    load_.emplace(options_, path_);
    if (load_code_ == 0)
      start_load();
    else
      terminate();
  }
  if (stop_ != Stop::kNo) return;
  if (const auto mark = proof_->ended(now)) {
    mark_proof(*mark);
    terminate();
  }
}

void ProgramSession::mark_proof(const char* what) {
  recording_.writer().put(run::Mark{0, recording_.clock().now_ns(), what, proof::kSource});
  if (!options_.is_quiet) say(what);
}

void ProgramSession::stop_when_over_time(Instant now) {
  if (!options_.duration || now - began_ < *options_.duration) return;
  if (load_) load_->stop(options_.grace);
  terminate();
}

void ProgramSession::kill_when_due(Instant now) {
  if (stop_ == Stop::kNo) return;
  if (now < kill_at_ || (!child_lives_ && !recording_.has_live_process())) return;
  if (stop_ == Stop::kKilled) {
    // What the program had started outlives it.
  } else if (kill_at_ == Instant{}) {
    say("interrupted three times: the program is killed");
  } else {
    say(fmt::format("the program did not end within {} s of {} and is killed", options_.grace.count(),
                    stop_ == Stop::kAsked ? "the signal" : "SIGTERM"));
  }
  stop_ = Stop::kKilled;
  kill_at_ = now + milliseconds{200};
  send(SIGKILL);
}

// A program that went to the background is whoever of the run has no parent in it.
void ProgramSession::send(int signal) const {
  if (child_lives_) {
    ::kill(child_, signal);
  } else {
    for (const pid_t pid : recording_.roots()) ::kill(pid, signal);
  }
}

void ProgramSession::terminate() {
  if (stop_ != Stop::kNo) return;
  stop_ = Stop::kTerminated;
  we_ended_it_ = child_lives_;
  send(SIGTERM);
  kill_at_ = steady_clock::now() + options_.grace;
}

Outcome ProgramSession::finish() {
  if (load_ && load_->pid() == 0 && load_code_ == 0) {
    say(fmt::format("the load was never started: the program ended first ({})", end_of(child_status_)));
    load_code_ = 1;
  }
  if (load_ && load_->pid() != 0) load_code_ = std::max(load_code_, load_->take(recording_));
  if (!load_ && !options_.load_results.empty()) {
    const bool is_taken = take_load(recording_, options_.load_results, options_.load_results, {}, std::nullopt);
    load_code_ = is_taken ? 0 : 2;
  }
  if (options_.load_timelines) load_code_ = take_timelines(recording_, options_.load, options_.load_timelines());
  for (const std::string& line : recording_.unprobed()) say("not sampled: " + line);
  finish_run(recording_, path_, run::kComplete, options_.is_quiet);

  Outcome outcome{0, path_};
  if (!we_ended_it_) outcome.exit_code = exit_code_of(child_status_);
  if (outcome.exit_code == 0) outcome.exit_code = load_code_;
  return outcome;
}

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
  if (!options.resumes) {
    if (const auto refused = make_way(path, options.may_replace)) return usage_error(*refused);
  }

  Signals signals;
  run::Meta meta;
  meta.command = options.program;
  meta.load_command = options.load;
  auto created = options.resumes ? Recording::resume(path) : Recording::create(path, meta);
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
    if (!options.resumes) remove_run(path);
    return usage_error(started.error());
  }
  recording.follow_child(*started, program->executable, joined(options.program));

  ProgramSession session(options, path, recording, signals, *started);
  session.follow();
  return session.finish();
}

}  // namespace camprobe
