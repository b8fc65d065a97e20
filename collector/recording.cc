#include "collector/recording.h"

#include <fmt/format.h>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "collector/attach/node_log.h"
#include "collector/metrics.h"
#include "collector/recording_target.h"
#include "collector/version.h"

namespace camprobe {

using drain::clock_ns;
using drain::kSecondNs;

namespace {

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

// A target can say something new each second: a few such sentences are enough, and the row is written with each.
void add_note(std::string& notes, const std::string& note) {
  constexpr std::size_t kMostBytes = 2048;
  if (notes.find(note) != std::string::npos || notes.size() + note.size() > kMostBytes) return;
  notes += (notes.empty() ? "" : "; ") + note;
}

// The program of a region: its first module.
std::string executable_of(const shm::RegionReader& region) {
  const auto modules = region.modules();
  return modules.empty() ? std::string() : region.name(modules.front().path).value_or("");
}

bool is_node(const std::string& executable) {
  return executable.ends_with("/node") || executable.ends_with("/nodejs");
}

run::Meta with_machine(run::Meta meta) {
  if (meta.started_monotonic_ns == 0) {
    meta.started_monotonic_ns = drain::to_integer(clock_ns(CLOCK_MONOTONIC));
    meta.started_realtime_ns = drain::to_integer(clock_ns(CLOCK_REALTIME));
  }
  meta.camprobe_version = kVersion;
  meta.heap_object_min_age_ns = static_cast<std::int64_t>(drain::HeapDrain::kMinAgeNs);
  struct utsname names {};
  if (::uname(&names) == 0) {
    meta.host = names.nodename;
    meta.kernel = fmt::format("{} {} {}", names.sysname, names.release, names.machine);
  }
  meta.cpus = ::sysconf(_SC_NPROCESSORS_ONLN);
  struct sysinfo memory {};
  if (::sysinfo(&memory) == 0) meta.memory_bytes = static_cast<std::int64_t>(memory.totalram) * memory.mem_unit;
  meta.all["collector_pid"] = std::to_string(::getpid());
  meta.all["boot_id"] = boot_id();
  return meta;
}

}  // namespace

run::Result<std::unique_ptr<Recording>> Recording::create(const std::string& path, run::Meta meta) {
  meta = with_machine(std::move(meta));
  auto writer = run::Writer::create(path, meta);
  if (!writer) return run::Error{writer.error()};
  return std::unique_ptr<Recording>(
      new Recording(std::move(*writer), drain::RunClock{static_cast<std::uint64_t>(meta.started_monotonic_ns)}));
}

Recording::Recording(run::Writer writer, drain::RunClock clock) : writer_(std::move(writer)), clock_(clock) {
  // Reading DWARF takes and frees blocks of megabytes. glibc takes that for a habit, and would then keep as much free
  // at the top of each thread's arena for ever, which malloc_trim() does not give back either.
  ::mallopt(M_TRIM_THRESHOLD, 256 << 10);
}
Recording::~Recording() = default;

void Recording::follow_run() {
  follows_run_ = true;
  note_what_is_followed();
}
void Recording::follow(pid_t pid) {
  followed_.insert(pid);
  note_what_is_followed();
}
void Recording::follow_all() {
  follows_all_ = true;
  note_what_is_followed();
}

void Recording::observe_all() {
  only_observes_ = true;
  follow_all();
}

void Recording::observe(pid_t pid) {
  observed_ = pid;
  observe_all();
}

Recording::Target& Recording::add_target(pid_t pid, std::uint64_t start_ticks, std::uint32_t image) {
  auto target = std::make_unique<Target>();
  target->seen_ns = clock_ns(CLOCK_MONOTONIC);
  target->row.pid = pid;
  if (start_ticks != 0) target->row.start_ticks = drain::to_integer(start_ticks);
  target->row.image = image;
  target->row.began_ns = std::max<std::int64_t>(0, clock_.run_ns(target->seen_ns));
  target->row.ended_how = "running";
  target->row.probe_state = "none";
  targets_.push_back(std::move(target));
  has_seen_process_ = true;
  return *targets_.back();
}

// What /proc says of it, while it is there.
void Recording::describe(Target& target) {
  auto files = proc::ProcessFiles::open(static_cast<pid_t>(target.row.pid),
                                        static_cast<std::uint64_t>(target.row.start_ticks.value_or(0)));
  if (!files) return;
  target.row.start_ticks = drain::to_integer(files->start_ticks());
  if (const auto stat = files->stat()) target.row.parent_pid = stat->parent_pid;
  if (const std::string executable = files->executable(); !executable.empty()) target.row.executable = executable;
  if (const auto command = files->command(); !command.empty()) target.row.command = joined(command);
  if (is_node(target.row.executable)) target.directory = files->directory();
  if (const auto limit = proc::memory_limit(*files)) target.row.memory_limit_bytes = drain::to_integer(*limit);
  if (!target.out_of_memory) target.out_of_memory.emplace(*files);
  if (!target.series) target.series.emplace(std::move(*files));
}

void Recording::follow_child(pid_t pid, const std::string& executable, const std::string& command) {
  Target& target = add_target(pid, 0, 0);
  target.is_our_child = true;
  target.row.executable = executable;
  target.row.command = command;
  describe(target);
  target.row.id = writer_.add(target.row);
}

void Recording::child_ended(pid_t pid, int wait_status) {
  Target* last = nullptr;  // the last image of that process
  for (const auto& target : targets_) {
    if (target->row.pid == pid && target->is_our_child) last = target.get();
  }
  if (last == nullptr) return;
  // A region that came up and ended between two looks is still there.
  discover();
  for (const auto& target : targets_) {
    if (target->row.pid == pid && target->is_our_child) last = target.get();
  }
  if (!last->has_ended) end_target(*last, clock_ns(CLOCK_MONOTONIC), false);
  last->row.ended_how = WIFSIGNALED(wait_status) ? "killed" : "exited";
  last->row.exit_status = WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
  writer_.update(last->row);
}

bool Recording::belongs(const shm::RegionInfo& info) const {
  if (observed_) return static_cast<pid_t>(info.pid) == *observed_;
  if (follows_all_) return true;
  if (follows_run_ && info.run_id == run_id()) return true;
  if (followed_.count(static_cast<pid_t>(info.pid)) != 0) return true;
  return followed_.count(static_cast<pid_t>(info.parent_pid)) != 0;
}

void Recording::discover() {
  constexpr int kPatience = 50;  // rounds until a file without a header is taken for rubbish
  must_look_again_ = false;
  std::set<std::string> still_there;
  const auto is_known = [&](const std::string& path) {
    const bool known = known_paths_.count(path) != 0;
    if (known) still_there.insert(path);
    return known;
  };
  const std::vector<attach::RegionFile> files = attach::find_regions(::geteuid(), shm::kRegionDirectory, is_known);
  known_paths_ = std::move(still_there);  // programs come and go for days: what is gone is forgotten
  for (const attach::RegionFile& file : files) {
    std::string why;
    auto region = shm::RegionReader::open(file.path, &why);
    const auto status = region ? region->status() : std::nullopt;
    if (!status || status->state == shm::RegionState::kCreating) {
      if (++not_ready_[file.path] >= kPatience || !file.is_alive) {
        known_paths_.insert(file.path);
        not_ready_.erase(file.path);
      } else {
        must_look_again_ = true;
      }
      continue;
    }
    not_ready_.erase(file.path);
    // Descendants are told by their parent, who may be found after them in this very listing: look again next time.
    if (!belongs(region->info())) {
      if (followed_.empty()) known_paths_.insert(file.path);
      continue;
    }
    if (!file.is_alive && !(follows_run_ && region->info().run_id == run_id()) &&
        followed_.count(static_cast<pid_t>(file.name.pid)) == 0) {
      continue;  // a dead process of another run
    }
    must_look_again_ |= !followed_.empty();
    Target& target = adopt(std::move(*region), file.path, file.is_alive);
    if (!only_observes_) target.region->claim();
  }
}

void Recording::discover_if_changed() {
  if (region_directory_.may_have_changed() || must_look_again_) discover();
}

Recording::Target& Recording::adopt(shm::RegionReader region, const std::string& path, bool is_alive) {
  const shm::RegionInfo info = region.info();
  known_paths_.insert(path);
  if (!followed_.empty()) followed_.insert(static_cast<pid_t>(info.pid));
  // The process may be known already: our child before its probe came up, or the earlier image of an exec.
  Target* target = nullptr;
  for (const auto& known : targets_) {
    if (known->row.pid == static_cast<std::int64_t>(info.pid) &&
        known->row.start_ticks.value_or(0) == drain::to_integer(info.start_ticks)) {
      target = known.get();
    }
  }
  bool is_our_child = false;
  if (target != nullptr && target->region != nullptr) {
    is_our_child = target->is_our_child;
    if (!target->has_ended) end_target(*target, info.created_ns, true);
    // end_target() made a row for what comes after the exec.
    target = targets_.back()->region == nullptr && targets_.back()->row.pid == static_cast<std::int64_t>(info.pid)
                 ? targets_.back().get()
                 : nullptr;
  }
  const bool is_taken_up = target == nullptr && (target = take_up(info)) != nullptr;
  const bool is_new = target == nullptr;
  if (is_new) target = &add_target(static_cast<pid_t>(info.pid), info.start_ticks, info.image);
  target->is_our_child |= is_our_child;
  target->row.image = info.image;
  target->row.parent_pid = info.parent_pid;
  target->row.began_ns = std::max<std::int64_t>(0, clock_.run_ns(info.created_ns));
  target->region_path = path;
  // An image that has been replaced already is not what /proc shows.
  const auto status = region.status();
  if (is_alive && status && status->state != shm::RegionState::kExec) describe(*target);
  if (const std::string executable = executable_of(region); !executable.empty()) target->row.executable = executable;
  if (is_new) target->row.id = writer_.add(target->row);
  target->region =
      std::make_unique<drain::RegionDrain>(std::move(region), writer_, symbolizer_, clock_, target->row.id);
  if (is_taken_up) target->region->restore(*earlier_);
  note_probe_state(*target);
  writer_.update(target->row);
  return *target;
}

void Recording::note_probe_state(Target& target) {
  const run::Process before = target.row;
  if (target.region != nullptr) {
    const shm::RegionStatus& status = target.region->status();
    target.row.probe_state = status.state == shm::RegionState::kOff ? "off" : "sampling";
    if (!status.message.empty()) add_note(target.row.note, status.message);
  } else if (clock_ns(CLOCK_MONOTONIC) - target.seen_ns > 2 * static_cast<std::uint64_t>(kSecondNs)) {
    add_note(target.row.note, "the probe did not come up in this process");
  }
  if (target.series) {
    for (; target.notes_told < target.series->notes().size(); ++target.notes_told) {
      add_note(target.row.note, target.series->notes()[target.notes_told]);
    }
  }
  if (target.row.probe_state != before.probe_state || target.row.note != before.note) writer_.update(target.row);
}

void Recording::end_target(Target& target, std::uint64_t died_ns, bool has_execed) {
  target.has_ended = true;
  std::uint64_t ended_ns = died_ns;
  if (target.region != nullptr) {
    ended_ns = target.region->finish(died_ns);
    const shm::RegionStatus& status = target.region->status();
    if (status.state == shm::RegionState::kExec) has_execed = true;
    if (has_execed) {
      target.row.ended_how = "exec";
    } else if (status.state == shm::RegionState::kExited) {
      target.row.ended_how = "exited";
      if (status.exit_status >= 0) target.row.exit_status = status.exit_status & 0xff;
    } else {
      target.row.ended_how = "killed";
    }
    note_probe_state(target);
  } else {
    target.row.ended_how = has_execed ? "exec" : "lost";
  }
  if (follows_run_ && !target.directory.empty() && !has_execed) {
    attach::remove_v8_logs(target.directory, static_cast<pid_t>(target.row.pid));
  }
  if (target.row.ended_how == "killed" && target.out_of_memory && target.out_of_memory->has_struck()) {
    add_note(target.row.note, "ended by the kernel's out-of-memory killer");
  }
  target.row.ended_ns = std::max(target.row.began_ns, clock_.run_ns(ended_ns));
  writer_.update(target.row);
  if (target.region != nullptr) {
    // Everything in it is in the run now.
    writer_.put_drain_state(target.row.id, {});
    if (!only_observes_ && ::unlink(target.region_path.c_str()) == 0) known_paths_.erase(target.region_path);
    target.region.reset();
  }
  last_end_ns_ = std::max(last_end_ns_, *target.row.ended_ns);
  constexpr std::size_t kMostUnprobed = 10;
  if (target.row.probe_state != "sampling" && !has_execed && unprobed_.size() < kMostUnprobed) {
    unprobed_.push_back(fmt::format("pid {} ({}): {}", target.row.pid,
                                    target.row.executable.empty() ? target.row.command : target.row.executable,
                                    target.row.note.empty() ? "it ended before the probe came up" : target.row.note));
  }
  if (!has_execed) {
    target.series.reset();
    return;
  }
  auto series = std::exchange(target.series, std::nullopt);
  const bool is_our_child = target.is_our_child;
  Target& next =
      add_target(static_cast<pid_t>(target.row.pid), static_cast<std::uint64_t>(target.row.start_ticks.value_or(0)),
                 static_cast<std::uint32_t>(target.row.image) + 1);
  next.is_our_child = is_our_child;
  next.series = std::move(series);
  describe(next);
  next.row.id = writer_.add(next.row);
}

run::Result<void> Recording::take_dead(const attach::RegionFile& file) {
  std::string why;
  auto region = shm::RegionReader::open(file.path, &why);
  if (!region) return run::Error{why};
  Target& target = adopt(std::move(*region), file.path, false);
  target.region->drain();
  end_target(target, 0, false);
  return {};
}

void Recording::take_snapshot(shm::RegionReader region) {
  const std::string path = region.path();
  Target& target = adopt(std::move(region), path, true);
  target.region->look_once();
  target.region->drain();
}

void Recording::write_stacks() {
  drain::Symbolizer::Results results = symbolizer_.take();
  has_unnamed_ |= !results.unnamed.empty();
  drain::write(results, clock_, writer_);
  // The naming thread made these in an arena of its own, where what we free lies between what goes on: without this the
  // arena grows to what all stacks of some minutes took.
  constexpr std::size_t kWorthATrim = 256;
  stacks_since_trim_ += results.unnamed.size() + results.named.size();
  const bool is_named = !results.named.empty();
  results = {};
  if (!is_named && stacks_since_trim_ < kWorthATrim) return;
  stacks_since_trim_ = 0;
  ::malloc_trim(0);
}

// A long recording gets its names while it goes on, as often as that takes a five-hundredth of a core at most: a viewer
// has names to show, and if the collector is killed little is left to name from files that may be gone by then.
void Recording::name_stacks(run::StacksOf which) {
  if (!has_unnamed_ || symbolizer_.is_naming()) return;
  if (which == run::StacksOf::kEverything) has_unnamed_ = false;
  last_naming_ = symbolizer_.naming_time();
  symbolizer_.name_all(writer_.path(), which);
}

void Recording::name_stacks_where_affordable(std::uint64_t now_ns) {
  constexpr std::int64_t kShare = 500;
  constexpr std::chrono::seconds kGuess{1};  // the first time
  if (!has_unnamed_ || symbolizer_.is_naming()) return;
  const std::chrono::nanoseconds taken = symbolizer_.naming_time();
  const std::chrono::nanoseconds next = std::max<std::chrono::nanoseconds>(kGuess, taken - last_naming_);
  if ((taken + next).count() > clock_.run_ns(now_ns) / kShare) return;
  name_stacks(run::StacksOf::kEverything);
}

// What has gathered during a second, written once it is over.
void Recording::end_second(std::int64_t second) {
  for (std::size_t i = 0; i < targets_.size(); ++i) {
    Target& target = *targets_[i];
    if (target.has_ended) continue;
    if (target.region != nullptr) target.region->end_second(second);
    if (target.series) target.series->sample(writer_, target.row.id, second);
    note_probe_state(target);
  }
  machine_.sample(writer_, second);
  writer_.point(metrics::kCollectorRecords, run::kMachine, second, static_cast<double>(records_));
  struct rusage usage {};
  if (::getrusage(RUSAGE_SELF, &usage) == 0) {
    const auto ns = [](const timeval& time) {
      return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_usec) * 1e3;
    };
    writer_.point(metrics::kCollectorCpu, run::kMachine, second, ns(usage.ru_utime) + ns(usage.ru_stime));
    if (const auto statm = proc::read_file("/proc/self/statm")) {
      if (const auto parsed = proc::parse_statm(*statm)) {
        writer_.point(metrics::kCollectorResident, run::kMachine, second,
                      static_cast<double>(parsed->resident_pages) * static_cast<double>(::sysconf(_SC_PAGESIZE)));
      }
    }
  }
  write_stacks();
  if (const auto flushed = writer_.flush(); !flushed && !has_failed_) {
    has_failed_ = true;
    error_ = flushed.error();
  }
  name_stacks_where_affordable(clock_ns(CLOCK_MONOTONIC));
}

std::chrono::milliseconds Recording::poll() {
  constexpr std::uint64_t kEveryNs = std::chrono::nanoseconds(kDrainEvery).count();
  const std::uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);
  if (now_ns >= next_look_ns_) {
    next_look_ns_ = now_ns + kEveryNs;
    discover_if_changed();
    if (earlier_) take_up_what_has_no_region();
  }
  std::uint64_t next_ns = next_look_ns_;
  for (std::size_t i = 0; i < targets_.size(); ++i) {  // grows when a process execs
    Target& target = *targets_[i];
    if (target.has_ended) continue;
    if (now_ns >= target.next_drain_ns) look_at(target, now_ns);
    next_ns = std::min(next_ns, target.next_drain_ns);
  }
  // A server that forks for every request makes many of them. Our own child stays: its exit code is to come.
  std::erase_if(targets_, [](const auto& target) { return target->has_ended && !target->is_our_child; });
  const std::int64_t second = clock_.now_ns() / kSecondNs;
  if (second != last_second_) {
    if (second > 0) end_second(second - 1);
    last_second_ = second;
  }
  const std::uint64_t after_ns = clock_ns(CLOCK_MONOTONIC);
  return next_ns > after_ns ? std::chrono::ceil<std::chrono::milliseconds>(std::chrono::nanoseconds(next_ns - after_ns))
                            : std::chrono::milliseconds{0};
}

// Drains it, and sees whether it is still there.
void Recording::look_at(Target& target, std::uint64_t now_ns) {
  target.next_drain_ns = now_ns + std::chrono::nanoseconds(kDrainEvery).count();
  const bool has_died = target.series
                            ? target.series->files().is_dead()
                            : !attach::is_alive(static_cast<pid_t>(target.row.pid),
                                                static_cast<std::uint64_t>(target.row.start_ticks.value_or(0)));
  // Its region may have come up after we looked, as after an exec that was followed by a quick end.
  if (has_died && target.region == nullptr) discover();
  if (target.has_ended) return;
  if (target.region != nullptr) {
    if (!only_observes_) target.region->claim();
    const shm::DrainResult drained = target.region->drain();
    records_ += drained.records;
    target.next_drain_ns = now_ns + target.pace.after(drained.fullest_per_1024);
    if (target.region->status().state == shm::RegionState::kExec) {
      end_target(target, now_ns, true);
      return;
    }
  }
  if (has_died) end_target(target, now_ns, false);
}

bool Recording::has_live_process() const {
  return std::any_of(targets_.begin(), targets_.end(), [](const auto& target) { return !target->has_ended; });
}

bool Recording::is_listening() const {
  return std::any_of(targets_.begin(), targets_.end(), [](const auto& target) {
    return !target->has_ended && target->series && proc::is_listening(target->series->files());
  });
}

std::vector<pid_t> Recording::roots() const {
  std::set<std::int64_t> living;
  for (const auto& target : targets_) {
    if (!target->has_ended) living.insert(target->row.pid);
  }
  std::vector<pid_t> roots;
  for (const auto& target : targets_) {
    if (!target->has_ended && living.count(target->row.parent_pid.value_or(0)) == 0) {
      roots.push_back(static_cast<pid_t>(target->row.pid));
    }
  }
  return roots;
}

std::optional<std::string> Recording::take_error() {
  return std::exchange(error_, std::nullopt);
}

run::Result<void> Recording::finish(std::string_view state, const std::function<void()>& progress) {
  const std::uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);
  std::int64_t ended_ns = last_end_ns_;
  if (state != run::kPostMortem) {
    ended_ns = clock_.run_ns(now_ns);
    end_second(std::max<std::int64_t>(0, ended_ns / kSecondNs));
  }
  for (const auto& target : targets_) {
    if (target->has_ended) continue;
    if (target->region != nullptr) {
      target->region->finish(now_ns);
      if (state != kSnapshot && !only_observes_)
        target->region->release();
      else
        writer_.put_drain_state(target->row.id, {});
      target->region.reset();
    }
    target->row.ended_how = "running";
    writer_.update(target->row);
  }
  // The last stacks' JIT code, and what is being looked up.
  constexpr std::chrono::milliseconds kStep{250};
  constexpr int kSteps = 4 * 300;
  bool is_idle = false;
  for (int step = 0; step < kSteps && !is_idle; ++step) {
    is_idle = symbolizer_.finish(kStep);
    write_stacks();
    if (const auto flushed = writer_.flush(); !flushed) return flushed;
  }
  // Large programs' debug information takes a while; the file is complete but for names meanwhile, and stays readable.
  if (progress) progress();
  constexpr std::size_t kEvery = 1000;
  std::size_t named = 0;
  run::Result<void> flushed{};
  const auto take = [&](const drain::Symbolizer::Named& stack) {
    writer_.set_frames(stack.stack, stack.leaf_first);
    if (++named % kEvery == 0) flushed = writer_.flush();
    return flushed.ok();
  };
  if (is_idle) symbolizer_.name_all_now(writer_.path(), take);
  if (!flushed) return flushed;
  std::string problems;
  for (const std::string& problem : symbolizer_.problems()) problems += problem + "\n";
  if (!problems.empty()) writer_.set_meta("symbol_problems", problems);
  return writer_.finish(ended_ns, state);
}

}  // namespace camprobe
