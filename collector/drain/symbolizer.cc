#include "collector/drain/symbolizer.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <set>
#include <thread>

#include "collector/symbols/process_symbols.h"

namespace camprobe::drain {

struct Symbolizer::State {
  // Shared.
  mutable std::mutex mutex;
  std::condition_variable has_job, is_idle;
  std::deque<std::function<void()>> jobs;
  std::vector<Resolved> resolved;
  std::set<std::string> problems;
  bool is_busy = false;
  bool is_ending = false;
  std::size_t processes = 0;

  // The thread's own.
  symbols::ModuleSymbols modules;
  std::vector<std::unique_ptr<symbols::ProcessSymbols>> targets;

  std::thread thread;

  void post(std::function<void()> job) {
    const std::lock_guard lock(mutex);
    jobs.push_back(std::move(job));
    has_job.notify_one();
  }

  void work() {
    ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), 10);
    std::unique_lock lock(mutex);
    for (;;) {
      has_job.wait(lock, [&] { return is_ending || !jobs.empty(); });
      if (is_ending) return;
      const std::function<void()> job = std::move(jobs.front());
      jobs.pop_front();
      is_busy = true;
      lock.unlock();
      job();
      lock.lock();
      is_busy = false;
      if (jobs.empty()) is_idle.notify_all();
    }
  }
};

namespace {

run::Frame as_row(const symbols::Frame& frame) {
  run::Frame row;
  row.function = frame.function;
  row.file = frame.file;
  if (frame.line != 0) row.line = frame.line;
  row.module = frame.module;
  row.address = static_cast<std::int64_t>(frame.address);
  row.kind = symbols::to_string(frame.kind);
  return row;
}

bool is_probe(const run::Frame& frame) {
  const std::size_t name = frame.module.rfind('/') + 1;  // npos + 1 is 0
  return frame.module.compare(name, 14, "libcamprobe.so") == 0;
}

// The stack as it would be without the probe: a hook between a program's call and libc's function is left out. Where
// the probe itself was at work, the hook's own name stays as the leaf, so that what the probe costs shows.
void leave_out_probe(std::vector<run::Frame>& leaf_first) {
  std::size_t at_leaf = 0;
  while (at_leaf < leaf_first.size() && is_probe(leaf_first[at_leaf])) ++at_leaf;
  if (at_leaf == leaf_first.size()) return;
  if (at_leaf > 1) leaf_first.erase(leaf_first.begin(), leaf_first.begin() + static_cast<std::ptrdiff_t>(at_leaf) - 1);
  leaf_first.erase(std::remove_if(leaf_first.begin() + (at_leaf > 0 ? 1 : 0), leaf_first.end(), is_probe),
                   leaf_first.end());
}

}  // namespace

Symbolizer::Symbolizer() : state_(std::make_unique<State>()) {
  state_->thread = std::thread([state = state_.get()] { state->work(); });
}

Symbolizer::~Symbolizer() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->is_ending = true;
    state_->has_job.notify_one();
  }
  state_->thread.join();
}

std::size_t Symbolizer::add_process(pid_t pid, uid_t uid) {
  State* state = state_.get();
  state->post([state, pid, uid] {
    state->targets.push_back(
        std::make_unique<symbols::ProcessSymbols>(state->modules, symbols::TargetProcess{.pid = pid, .uid = uid}));
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
    state->targets[process]->add_module(std::move(recorded), module.opened_ns);
  });
}

void Symbolizer::close_module(std::size_t process, std::size_t number, std::uint64_t closed_ns) {
  State* state = state_.get();
  state->post([=] { state->targets[process]->close_module(number, closed_ns); });
}

void Symbolizer::resolve(std::size_t process, run::StackId stack, std::vector<std::uint64_t> leaf_first,
                         bool leaf_is_exact, std::uint64_t taken_ns) {
  State* state = state_.get();
  state->post([=, addresses = std::move(leaf_first)] {
    if (state->targets[process] == nullptr) return;
    Resolved resolved;
    resolved.stack = stack;
    const std::vector<symbols::Frame> frames = state->targets[process]->resolve(
        {.addresses = addresses, .leaf_is_exact = leaf_is_exact, .taken_ns = taken_ns});
    resolved.leaf_first.reserve(frames.size());
    for (const symbols::Frame& frame : frames) resolved.leaf_first.push_back(as_row(frame));
    leave_out_probe(resolved.leaf_first);
    const std::lock_guard lock(state->mutex);
    state->resolved.push_back(std::move(resolved));
  });
}

void Symbolizer::end_process(std::size_t process) {
  constexpr std::size_t kMostProblems = 200;
  State* state = state_.get();
  state->post([=] {
    const std::vector<std::string> problems = state->targets[process]->problems();
    state->targets[process].reset();
    const std::lock_guard lock(state->mutex);
    for (const std::string& problem : problems) {
      if (state->problems.size() < kMostProblems) state->problems.insert(problem);
    }
  });
}

std::vector<Symbolizer::Resolved> Symbolizer::take() {
  const std::lock_guard lock(state_->mutex);
  return std::exchange(state_->resolved, {});
}

std::size_t Symbolizer::waiting() const {
  const std::lock_guard lock(state_->mutex);
  return state_->jobs.size() + (state_->is_busy ? 1 : 0);
}

bool Symbolizer::finish(std::chrono::milliseconds limit) {
  std::unique_lock lock(state_->mutex);
  return state_->is_idle.wait_for(lock, limit, [&] { return state_->jobs.empty() && !state_->is_busy; });
}

std::vector<std::string> Symbolizer::problems() {
  const std::lock_guard lock(state_->mutex);
  return {state_->problems.begin(), state_->problems.end()};
}

}  // namespace camprobe::drain
