// push/run_metrics.h
//
// A recorded run as the metrics that `camprobe serve` would have shown at each instant of it, by the same names and
// with the same meaning, so that dashboards and rules work on either (docs/pushing.md says which there are). What a run
// keeps by bucket (I/O, spans, losses, load) is added up into counters that begin with the run.
//
// Of a span's latencies a run has log-linear buckets; one counts below a bound where all of it lies below.
#pragma once

#include <prometheus/metric_family.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "collector/serve/family_set.h"
#include "run/reader.h"

namespace camprobe::push {

class RunMetrics {
 public:
  // Reads all it needs; what it met that was damaged stands in run.error().
  explicit RunMetrics(run::Reader& run);

  // How things stood `to_s` seconds into the run, of the processes that lived at some time after `from_s`. To be asked
  // in the order of time. Empty where there was nothing yet.
  std::vector<prometheus::MetricFamily> at(std::int64_t from_s, std::int64_t to_s);

 private:
  using Key = std::pair<run::ProcessId, std::string>;
  using Histogram = serve::WeightedHistogram;
  // What becomes of a number when its bucket has ended.
  struct Step {
    std::int64_t second = 0;
    std::optional<double>* number = nullptr;
    double value = 0;
    bool adds = false;
  };
  struct Durations {
    std::int64_t second = 0;
    Histogram* histogram = nullptr;
    double seconds = 0, count = 0, sum = 0;
  };
  void read_points(run::Reader& run);
  void read_sums(run::Reader& run);
  void add_latency(std::int64_t second, Histogram& histogram, const std::string& latency, double sum);
  std::optional<double> find(run::ProcessId process, const std::string& name) const;
  void add_process(serve::FamilySet& set, const run::Process& process) const;
  void add_sums(serve::FamilySet& set, const serve::Labels& labels, run::ProcessId process) const;

  std::vector<run::Process> processes_;
  double started_s_ = 0;                          // since the epoch
  std::map<Key, std::optional<double>> numbers_;  // by the run's own names; nothing until a bucket has ended
  std::map<Key, std::unique_ptr<Histogram>> spans_;
  std::unique_ptr<Histogram> load_latency_;
  std::vector<Step> steps_;
  std::vector<Durations> durations_;
  std::size_t next_step_ = 0, next_durations_ = 0;
};

}  // namespace camprobe::push
