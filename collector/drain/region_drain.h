// collector/drain/region_drain.h
//
// One region, from its rings and tables into the run: the same code for a process that runs and for what a dead one
// left.
//
//     RegionDrain drain(std::move(region), writer, symbolizer, clock, process);
//     every 100 ms   drain.drain()         rings
//     every second   drain.end_second(s)   tables and counters, booked on the second s that has ended
//     at the end     drain.finish(when)
//
// Rings are read one after the other. Spans are taken as they come (drain/spans.h); a round's other records, which are
// far fewer, are put in order of their times before they are used, and one whose span is not known yet waits one round
// for it.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "collector/drain/counters.h"
#include "collector/drain/descriptors.h"
#include "collector/drain/heap.h"
#include "collector/drain/region_context.h"
#include "collector/drain/settings.h"
#include "collector/drain/spans.h"
#include "collector/drain/threads.h"

namespace camprobe::drain {

class RegionDrain {
 public:
  RegionDrain(shm::RegionReader region, run::Writer& writer, Symbolizer& symbolizer, RunClock clock,
              run::ProcessId process);

  shm::RegionReader& region() { return region_; }
  // What the header said when it was last looked at.
  const shm::RegionStatus& status() const { return status_; }

  // Announces us to the probe, so that it leaves its region to us when the process ends, unless another collector that
  // lives has done so: asked for again every second, this takes over when that one has gone.
  void claim();
  // Lets it go, if it is ours.
  void release();
  // Before the first drain: this is a single look at what there is. What is young counts like what is old, spans that
  // are open become rows without an end, and what the rings held earlier is none of ours to miss.
  void look_once();

  // Goes on where a recording before this one was cut short, as the run it was written to says. Before the first drain.
  // False: the run does not say, and everything that the region holds is taken for new.
  bool restore(run::Reader& run);

  shm::DrainResult drain();
  void end_second(std::int64_t second);
  // The last of it. `died_ns`: when the process was seen to be dead, 0 where nobody saw it: then the region itself
  // says. Gives the time that was taken for its end.
  std::uint64_t finish(std::uint64_t died_ns);

 private:
  struct Taken {
    shm::ReadRecord record;
    std::uint32_t lane = 0;
    int rounds = 0;
  };
  void end_second_at(std::uint64_t now_ns, std::int64_t second, bool is_last);
  bool is_plausible(const shm::ReadRecord& record, std::uint64_t now_ns) const;
  bool wait_for_span(const Taken& taken);
  void use(const Taken& taken);
  void begin_settings();

  shm::RegionReader region_;
  shm::RegionStatus status_;
  RegionContext context_;
  HeapDrain heap_;
  DescriptorDrain descriptors_;
  SpanDrain spans_;
  ThreadDrain threads_;
  CounterDrain counters_;
  SettingDrain settings_;
  std::vector<Taken> taken_, waiting_;
  std::vector<std::pair<std::uint64_t, std::uint32_t>> order_;  // of taken_: time, index
  bool looks_once_ = false;
  std::uint32_t modules_used_ = 0;
  std::uint64_t second_count_ = 0;
  std::uint64_t last_record_ns_ = 0;
  bool has_begun_settings_ = false;
};

}  // namespace camprobe::drain
