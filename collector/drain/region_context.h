// collector/drain/region_context.h
//
// What the parts of a region's draining share: where they read from, where they write to, and how the region's ids (of
// stacks, names, threads) become the run's. A region's memory belongs to the target: an id that leads nowhere becomes
// "unknown", and nothing read here is used as an index or a size before it was checked.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "collector/drain/drain_state.h"
#include "collector/drain/run_clock.h"
#include "collector/drain/symbolizer.h"
#include "collector/drain/two_generations.h"
#include "run/reader.h"
#include "run/writer.h"
#include "shm/region_reader.h"

namespace camprobe::drain {

class RegionContext {
 public:
  RegionContext(shm::RegionReader& region, run::Writer& writer, Symbolizer& symbolizer, RunClock clock,
                run::ProcessId process, std::size_t symbol_process)
      : region(region),
        writer(writer),
        symbolizer(symbolizer),
        clock(clock),
        process(process),
        symbol_process_(symbol_process) {}

  shm::RegionReader& region;
  run::Writer& writer;
  Symbolizer& symbolizer;
  const RunClock clock;
  const run::ProcessId process;

  // The run's stack of a region's stack; on first sight it goes to the symbolizer.
  run::StackId stack(shm::StackId id, std::uint64_t taken_ns);
  // The same of a CPU sample, with the interrupted instruction as its leaf.
  run::StackId stack_of_sample(const shm::ReadRecord& record);
  // A target can write new stacks and names over old ones for ever; of more than its tables hold none is taken.
  run::NameId name(shm::NameId id);
  // What is interned under an id, as UTF-8; "" where there is nothing. Interned texts never change, so each is read
  // once. The reference holds until the next forget_texts().
  const std::string& text(shm::NameId id);
  // Once a second: what a target has us keep is bounded.
  void forget_texts();

  // Which thread had a lane at an instant.
  void lane_begins(std::uint32_t lane, std::uint64_t began_ns, run::ThreadId thread);
  run::ThreadId thread_of(std::uint32_t lane, std::uint64_t at_ns) const;
  run::ThreadId thread_with_tid(std::uint32_t tid) const;
  void tid_is(std::uint32_t tid, run::ThreadId thread);

  // Where the region names an instant that is yet to come, this one.
  std::uint64_t not_after_now(std::uint64_t at_ns) const { return std::min(at_ns, now_ns); }
  std::uint64_t now_ns = 0;  // of the present round

  // Nothing more will be named.
  void end_symbols() { symbolizer.end_process(symbol_process_); }

  void save(DrainState& state) const;
  // Before anything else: the rows that a recording before this one made of the region.
  void restore(const DrainState& state, run::Reader& run);

  // New modules must be known to the symbolizer before the stacks through them.
  void read_modules(std::uint32_t modules_used);

 private:
  struct Tenant {
    std::uint64_t began_ns = 0;
    run::ThreadId thread{};
  };
  struct KnownModule {
    run::Module row;
    std::size_t symbol_number = 0;
  };
  void tell_symbolizer(KnownModule& known, std::uint64_t opened_ns);

  std::size_t symbol_process_;
  std::size_t symbol_modules_ = 0;
  std::unordered_map<shm::StackId, run::StackId> stacks_, stacks_before_;  // since addresses_reused_ns_, and before
  std::size_t stacks_made_ = 0;
  // CPU samples' stacks, of which there are new ones as long as a program runs: by caller's stack and instruction, and,
  // since the region forgets them and gives the same stack another id then, by what they are. What is met again after
  // it was forgotten here as well is a stack of the run's a second time, with the same frames.
  struct Instruction {
    shm::StackId callers = 0;
    std::uint64_t program_counter = 0;
    bool operator==(const Instruction&) const = default;
  };
  struct HashOfInstruction {
    std::size_t operator()(const Instruction& key) const {
      return (key.program_counter ^ (std::uint64_t{key.callers} << 40)) * 0x9e3779b97f4a7c15u >> 16;
    }
  };
  static constexpr std::size_t kSampleStacksAGeneration = 1 << 13;
  TwoGenerations<Instruction, run::StackId, HashOfInstruction> sample_stacks_{kSampleStacksAGeneration};
  TwoGenerations<std::uint64_t, run::StackId> same_stacks_{kSampleStacksAGeneration};  // by a hash of their frames
  std::size_t sample_stacks_made_ = 0;
  // The latest turn of the samples' depot that an id was of. Ids come round again in some months.
  std::uint32_t turn_ = 0;
  bool is_of_a_new_turn(shm::StackId id);
  // When a module was opened where another one had been: what was taken before has the same ids and other names.
  std::uint64_t addresses_reused_ns_ = 0;
  void note_reused_addresses(const KnownModule& opened, std::uint64_t opened_ns);
  std::unordered_map<shm::NameId, run::NameId> names_;
  std::unordered_map<shm::NameId, std::string> texts_;
  std::size_t text_bytes_ = 0;
  std::unordered_map<std::uint32_t, std::vector<Tenant>> tenants_;  // by lane, at most the last few
  std::unordered_map<std::uint32_t, run::ThreadId> by_tid_;
  std::unordered_map<std::uint32_t, KnownModule> modules_;  // by index in the region
};

}  // namespace camprobe::drain
