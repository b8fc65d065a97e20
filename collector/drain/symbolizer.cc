#include "collector/drain/symbolizer.h"

#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "collector/naming/resident_limit.h"
#include "collector/naming/stack_namer.h"
#include "collector/symbols/process_symbols.h"
#include "run/reader.h"

namespace camprobe::drain {

namespace {

// Names that wait to be written. A C++ server's stack has fifty frames, whose names may take a kilobyte each: all of
// its stacks at once are a hundred megabytes of names, most of them the same.
constexpr std::size_t kNamedBytes = std::size_t{2} << 20;
// Files of processes that have ended stay open until their stacks are named.
constexpr std::size_t kIdleModules = 256;

std::size_t bytes_of(const Symbolizer::Named& named) {
  std::size_t bytes = sizeof named;
  for (const run::Frame& frame : named.leaf_first)
    bytes += sizeof frame + frame.function.capacity() + frame.file.capacity() + frame.module.capacity();
  return bytes;
}

std::chrono::nanoseconds thread_time() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace

struct Symbolizer::State {
  // Shared.
  mutable std::mutex mutex;
  std::condition_variable has_job, is_idle, has_room;
  std::deque<std::function<void()>> jobs;
  Results results;
  std::size_t named_bytes = 0;  // of results.named
  std::set<std::string> problems;
  std::chrono::nanoseconds naming_time{};
  std::size_t waits = 0;  // jobs, the present one among them
  bool is_naming = false;
  bool is_ending = false;
  std::size_t processes = 0;

  bool is_full() const { return named_bytes >= kNamedBytes; }

  // The thread's own.
  symbols::ModuleSymbols modules{
      symbols::ModuleSymbols::Limits{.idle_modules = kIdleModules, .resident_bytes = naming::kResidentBytes}};
  struct Target {
    std::unique_ptr<symbols::ProcessSymbols> symbols;
    run::ProcessId process{};
  };
  std::vector<Target> targets;
  std::map<run::ProcessId, std::size_t> by_process;  // whose symbols are at hand
  std::deque<std::size_t> ended;                     // of those; oldest first

  std::thread thread;

  void post(std::function<void()> job) {
    const std::lock_guard lock(mutex);
    jobs.push_back(std::move(job));
    ++waits;
    has_job.notify_one();
  }
  void work();
  void take_stack(std::size_t process, Unnamed stack);
  void name_all(const std::string& run_path, run::StacksOf which, const std::function<bool(Named)>& take);
  void forget(std::size_t process);
};

void Symbolizer::State::work() {
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), 10);
  std::unique_lock lock(mutex);
  for (;;) {
    has_job.wait(lock, [&] { return is_ending || !jobs.empty(); });
    if (is_ending) return;
    const std::function<void()> job = std::move(jobs.front());
    jobs.pop_front();
    lock.unlock();
    job();
    lock.lock();
    --waits;
    if (waits == 0) is_idle.notify_all();
  }
}

void Symbolizer::State::take_stack(std::size_t process, Unnamed stack) {
  symbols::ProcessSymbols* known = targets[process].symbols.get();
  if (known != nullptr) {
    const auto jit = known->jit_frames(
        {.addresses = stack.leaf_first, .leaf_is_exact = stack.leaf_is_exact, .taken_ns = stack.taken_ns});
    for (std::size_t depth = 0; depth < jit.size(); ++depth) {
      if (jit[depth]) stack.jit.emplace_back(depth, naming::as_row(*jit[depth]));
    }
  }
  const std::lock_guard lock(mutex);
  results.unnamed.push_back(std::move(stack));
}

void Symbolizer::State::name_all(const std::string& run_path, run::StacksOf which,
                                 const std::function<bool(Named)>& take) {
  const std::chrono::nanoseconds before = thread_time();
  if (auto reader = run::Reader::open(run_path)) {
    naming::StackNamer namer(modules, [&](run::ProcessId process) -> symbols::ProcessSymbols* {
      const auto found = by_process.find(process);
      return found != by_process.end() ? targets[found->second].symbols.get() : nullptr;
    });
    namer.name_all(*reader, which, [&](run::StackId stack, std::vector<run::Frame> leaf_first) {
      return take({stack, std::move(leaf_first)});
    });
    const std::lock_guard lock(mutex);
    problems.insert(namer.problems().begin(), namer.problems().end());
  }
  while (!ended.empty()) forget(ended.front());
  modules.forget_all();
  const std::lock_guard lock(mutex);
  naming_time += thread_time() - before;
  is_naming = false;
}

void Symbolizer::State::forget(std::size_t process) {
  by_process.erase(targets[process].process);
  targets[process].symbols.reset();
  std::erase(ended, process);
}

Symbolizer::Symbolizer() : state_(std::make_unique<State>()) {
  state_->thread = std::thread([state = state_.get()] { state->work(); });
}

Symbolizer::~Symbolizer() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->is_ending = true;
    state_->has_job.notify_one();
    state_->has_room.notify_one();
  }
  state_->thread.join();
}

std::size_t Symbolizer::add_process(run::ProcessId process, pid_t pid, uid_t uid) {
  State* state = state_.get();
  state->post([state, process, pid, uid] {
    state->by_process[process] = state->targets.size();
    state->targets.push_back(
        {std::make_unique<symbols::ProcessSymbols>(state->modules, symbols::TargetProcess{.pid = pid, .uid = uid}),
         process});
  });
  return state->processes++;
}

void Symbolizer::add_module(std::size_t process, ModuleAt module) {
  State* state = state_.get();
  state->post([state, process, module = std::move(module)] {
    symbols::RecordedModule recorded;
    recorded.path = module.path;
    recorded.build_id = module.build_id;
    recorded.base = module.base;
    recorded.low = module.low;
    recorded.high = module.high;
    state->targets[process].symbols->add_module(std::move(recorded), module.opened_ns);
    state->targets[process].symbols->open_files();
  });
}

void Symbolizer::close_module(std::size_t process, std::size_t number, std::uint64_t closed_ns) {
  State* state = state_.get();
  state->post([=] { state->targets[process].symbols->close_module(number, closed_ns); });
}

void Symbolizer::add_stack(std::size_t process, run::StackId stack, std::vector<std::uint64_t> leaf_first,
                           bool leaf_is_exact, std::uint64_t taken_ns) {
  State* state = state_.get();
  Unnamed unnamed{stack, leaf_is_exact, taken_ns, std::move(leaf_first), {}};
  state->post([state, process, unnamed = std::move(unnamed)]() mutable { state->take_stack(process, unnamed); });
}

void Symbolizer::end_process(std::size_t process) {
  constexpr std::size_t kMostEnded = 32;  // a program that forks for every request has many
  State* state = state_.get();
  state->post([=] {
    state->ended.push_back(process);
    if (state->ended.size() > kMostEnded) state->forget(state->ended.front());
  });
}

void Symbolizer::name_all(const std::string& run_path, run::StacksOf which) {
  State* state = state_.get();
  {
    const std::lock_guard lock(state->mutex);
    state->is_naming = true;
  }
  state->post([state, run_path, which] {
    state->name_all(run_path, which, [state](Named named) {
      std::unique_lock lock(state->mutex);
      if (state->is_full()) {
        state->is_idle.notify_all();  // whoever waits in finish() is to take them
        state->has_room.wait(lock, [state] { return !state->is_full() || state->is_ending; });
      }
      state->named_bytes += bytes_of(named);
      state->results.named.push_back(std::move(named));
      return !state->is_ending;
    });
  });
}

void Symbolizer::name_all_now(const std::string& run_path, const std::function<bool(Named)>& take) {
  state_->name_all(run_path, run::StacksOf::kEverything, take);
}

std::chrono::nanoseconds Symbolizer::naming_time() const {
  const std::lock_guard lock(state_->mutex);
  return state_->naming_time;
}

bool Symbolizer::is_naming() const {
  const std::lock_guard lock(state_->mutex);
  return state_->is_naming;
}

Symbolizer::Results Symbolizer::take() {
  const std::lock_guard lock(state_->mutex);
  state_->named_bytes = 0;
  state_->has_room.notify_one();
  return std::exchange(state_->results, {});
}

std::size_t Symbolizer::waiting() const {
  const std::lock_guard lock(state_->mutex);
  return state_->waits;
}

bool Symbolizer::finish(std::chrono::milliseconds limit) {
  std::unique_lock lock(state_->mutex);
  state_->is_idle.wait_for(lock, limit, [&] { return state_->waits == 0 || state_->is_full(); });
  return state_->waits == 0;
}

std::vector<std::string> Symbolizer::problems() {
  const std::lock_guard lock(state_->mutex);
  return {state_->problems.begin(), state_->problems.end()};
}

void write(const Symbolizer::Results& results, RunClock clock, run::Writer& writer) {
  for (const Symbolizer::Unnamed& stack : results.unnamed) {
    run::UnnamedStack row;
    row.stack = stack.stack;
    row.taken_ns = clock.run_ns(stack.taken_ns);
    row.leaf_is_exact = stack.leaf_is_exact;
    for (const std::uint64_t address : stack.leaf_first) row.leaf_first.push_back({address, {}});
    for (const auto& [depth, frame] : stack.jit) row.leaf_first.at(depth).jit = writer.frame(frame);
    writer.put(row);
  }
  for (const Symbolizer::Named& stack : results.named) writer.set_frames(stack.stack, stack.leaf_first);
}

}  // namespace camprobe::drain
