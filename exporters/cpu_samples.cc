// exporters/cpu_samples.cc: see cpu_samples.h.
#include "exporters/cpu_samples.h"

#include <algorithm>
#include <vector>

namespace camprobe::exporters {

namespace {

constexpr std::int64_t kSecondNs = 1'000'000'000;

class Spreader {
 public:
  Spreader(std::uint64_t one_of, const std::function<void(const CpuSample&)>& use) : one_of_(one_of), use_(use) {}

  void add(const run::CpuRow& row, std::uint64_t count) {
    if (row.process != first_.process || row.second != first_.second || row.thread != first_.thread) spread();
    if (stacks_.empty()) first_ = row;
    stacks_.push_back({row.stack, count});
    count_ += count;
  }

  void spread() {
    const std::int64_t from_ns = ns_of_second(first_.second);
    const double each_ns = static_cast<double>(first_.width * kSecondNs) / static_cast<double>(count_);
    std::uint64_t at = 0;
    for (const auto& [stack, count] : stacks_) {
      for (std::uint64_t next = until_next_; next < count; next += one_of_) {
        const double middle = static_cast<double>(at + next) + 0.5;
        use_({first_.process, first_.thread, stack, from_ns + static_cast<std::int64_t>(middle * each_ns)});
        until_next_ = next + one_of_;
      }
      until_next_ -= std::min(until_next_, count);
      at += count;
    }
    stacks_.clear();
    count_ = 0;
  }

 private:
  struct Counted {
    run::StackId stack;
    std::uint64_t count;
  };
  const std::uint64_t one_of_;
  const std::function<void(const CpuSample&)>& use_;
  run::CpuRow first_;  // of those that are being gathered: one thread's in one second
  std::vector<Counted> stacks_;
  std::uint64_t count_ = 0;
  std::uint64_t until_next_ = 0;  // samples to leave out before the next one
};

void each_row(run::Reader& run, const Filter& filter,
              const std::function<void(const run::CpuRow&, std::uint64_t count)>& use) {
  const TimeRange outer = filter.outer();
  run.each_cpu({.from_ns = outer.from_ns, .to_ns = outer.to_ns}, [&](const run::CpuRow& row) {
    constexpr std::int64_t kMostOfARow = std::int64_t{1} << 32;  // a damaged run may say anything
    if (row.samples <= 0 || !filter.has(row.process) || !filter.has(row.thread) || !filter.has(row.span_name) ||
        !filter.has_time(ns_of_second(row.second)))
      return;
    use(row, static_cast<std::uint64_t>(std::min(row.samples, kMostOfARow)));
  });
}

}  // namespace

CpuSampling cpu_sampling(run::Reader& run, const Filter& filter, std::size_t most) {
  CpuSampling sampling;
  each_row(run, filter, [&](const run::CpuRow&, std::uint64_t count) { sampling.taken += count; });
  sampling.one_of = std::max<std::uint64_t>(1, (sampling.taken + most - 1) / std::max<std::size_t>(1, most));
  return sampling;
}

void each_cpu_sample(run::Reader& run, const Filter& filter, const CpuSampling& sampling,
                     const std::function<void(const CpuSample&)>& use) {
  Spreader spreader(sampling.one_of, use);
  each_row(run, filter, [&](const run::CpuRow& row, std::uint64_t count) { spreader.add(row, count); });
  spreader.spread();
}

}  // namespace camprobe::exporters
