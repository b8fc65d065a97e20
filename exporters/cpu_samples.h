// exporters/cpu_samples.h
//
// Samples of CPU time one by one, for a timeline. A run counts them by thread, stack and second (later ten seconds, or
// a minute), so when in it each was taken is not known: they are spread evenly over it, those of a stack beside each
// other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "exporters/filter.h"
#include "run/reader.h"

namespace camprobe::exporters {

struct CpuSample {
  run::ProcessId process{};
  run::ThreadId thread{};
  run::StackId stack{};
  std::int64_t at_ns = 0;
};

struct CpuSampling {
  std::uint64_t taken = 0;
  std::uint64_t one_of = 1;  // each that is shown stands for so many that were taken
};

// Those of the filter's time, processes, threads and spans; of more than `most` every so-manieth is shown.
CpuSampling cpu_sampling(run::Reader& run, const Filter& filter, std::size_t most = 500'000);

// One after the other, as the run has them: by process and second, and within a second by thread.
void each_cpu_sample(run::Reader& run, const Filter& filter, const CpuSampling& sampling,
                     const std::function<void(const CpuSample&)>& use);

}  // namespace camprobe::exporters
