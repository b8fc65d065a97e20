#include "collector/drain/symbolizer.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <set>
#include <span>
#include <thread>

#include "collector/symbols/process_symbols.h"

namespace camprobe::drain {

namespace {

// A stack to be named, or anything else that has to happen in its order among them.
struct Job {
  std::function<void()> other;
  std::size_t process = 0;
  run::StackId stack{};
  std::vector<std::uint64_t> leaf_first{};
  bool leaf_is_exact = false;
  std::uint64_t taken_ns = 0;
};

// What the collector as a whole may take while names are looked up: less than it promises, for what a single look-up
// may add (the lines and functions of one large compilation unit).
constexpr std::size_t kResidentBytes = std::size_t{48} << 20;

}  // namespace

struct Symbolizer::State {
  // Shared.
  mutable std::mutex mutex;
  std::condition_variable has_job, is_idle;
  std::deque<Job> jobs;
  std::vector<Resolved> resolved;
  std::set<std::string> problems;
  std::size_t busy_with = 0;  // jobs
  bool is_ending = false;
  bool is_urgent = true;  // not to be put off: something else than a stack is to be done, or somebody waits
  std::size_t processes = 0;

  // The thread's own.
  symbols::ModuleSymbols modules{symbols::ModuleSymbols::Limits{.resident_bytes = kResidentBytes}};
  std::vector<std::unique_ptr<symbols::ProcessSymbols>> targets;

  std::thread thread;

  void post(std::function<void()> other) {
    Job job;
    job.other = std::move(other);
    post(std::move(job));
  }
  void post(Job job) {
    const std::lock_guard lock(mutex);
    is_urgent |= job.other != nullptr;
    jobs.push_back(std::move(job));
    has_job.notify_one();
  }

  void work();
  std::vector<Job> take_batch();
  void name(std::span<const Job> batch);  // of one process
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

void Symbolizer::State::work() {
  // Names come in bursts, when a program starts or does something new. Between them nothing is kept that can be read
  // again.
  constexpr std::chrono::seconds kIdle{5};
  // A few new stacks a second go on coming for long. They are gathered, as each batch may have to read large files
  // again; not for longer, as JIT code moves and programs end.
  constexpr std::chrono::seconds kGather{5};
  constexpr std::size_t kMany = 1024;
  auto next = std::chrono::steady_clock::now();
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), 10);
  bool has_loaded = false;
  std::unique_lock lock(mutex);
  for (;;) {
    const auto is_due = [&] { return is_ending || !jobs.empty(); };
    if (!has_loaded) {
      has_job.wait(lock, is_due);
    } else if (!has_job.wait_for(lock, kIdle, is_due)) {
      has_loaded = false;
      lock.unlock();
      modules.unload_all();
      lock.lock();
      continue;
    }
    has_job.wait_until(lock, next, [&] { return is_ending || is_urgent || jobs.size() >= kMany; });
    if (is_ending) return;
    std::vector<Job> batch = take_batch();
    if (jobs.empty()) is_urgent = false;
    busy_with = batch.size();
    lock.unlock();
    if (batch.front().other) {
      batch.front().other();
    } else {
      for (std::span<const Job> left = batch; !left.empty();) {
        std::size_t of_one = 1;
        while (of_one < left.size() && left[of_one].process == left.front().process) ++of_one;
        name(left.first(of_one));
        left = left.subspan(of_one);
      }
      has_loaded = true;
      next = std::chrono::steady_clock::now() + kGather;
    }
    batch.clear();
    lock.lock();
    busy_with = 0;
    if (jobs.empty()) is_idle.notify_all();
  }
}

// The next job; with it, all stacks that stand behind it before anything else does. Each process's are in their order,
// so nothing is named with modules that were opened or closed later.
std::vector<Job> Symbolizer::State::take_batch() {
  constexpr std::size_t kMost = 2048;
  std::vector<Job> batch;
  do {
    batch.push_back(std::move(jobs.front()));
    jobs.pop_front();
  } while (!batch.front().other && batch.size() < kMost && !jobs.empty() && !jobs.front().other);
  std::stable_sort(batch.begin(), batch.end(), [](const Job& a, const Job& b) { return a.process < b.process; });
  return batch;
}

void Symbolizer::State::name(std::span<const Job> batch) {
  symbols::ProcessSymbols* process = targets[batch.front().process].get();
  if (process == nullptr) return;
  std::vector<symbols::RawStack> stacks;
  stacks.reserve(batch.size());
  for (const Job& job : batch)
    stacks.push_back({.addresses = job.leaf_first, .leaf_is_exact = job.leaf_is_exact, .taken_ns = job.taken_ns});
  process->look_up(stacks);
  for (std::size_t i = 0; i < batch.size(); ++i) {
    Resolved named;
    named.stack = batch[i].stack;
    const std::vector<symbols::Frame> frames = process->resolve(stacks[i]);
    named.leaf_first.reserve(frames.size());
    for (const symbols::Frame& frame : frames) named.leaf_first.push_back(as_row(frame));
    leave_out_probe(named.leaf_first);
    const std::lock_guard lock(mutex);
    resolved.push_back(std::move(named));
  }
}

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
  state_->post(Job{.other = {},
                   .process = process,
                   .stack = stack,
                   .leaf_first = std::move(leaf_first),
                   .leaf_is_exact = leaf_is_exact,
                   .taken_ns = taken_ns});
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
  return state_->jobs.size() + state_->busy_with;
}

bool Symbolizer::finish(std::chrono::milliseconds limit) {
  std::unique_lock lock(state_->mutex);
  state_->is_urgent = true;
  state_->has_job.notify_one();
  return state_->is_idle.wait_for(lock, limit, [&] { return state_->jobs.empty() && state_->busy_with == 0; });
}

std::vector<std::string> Symbolizer::problems() {
  const std::lock_guard lock(state_->mutex);
  return {state_->problems.begin(), state_->problems.end()};
}

}  // namespace camprobe::drain
