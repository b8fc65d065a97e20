// collector/gates/measure.h
//
// The metrics of metric.h, measured: of a whole run, of one endpoint, of a load window. A figure that the run cannot
// give is none, with the reason; it is never guessed.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "collector/analysis/from_run.h"
#include "collector/gates/metric.h"
#include "run/reader.h"
#include "run/report.h"

namespace camprobe::gates {

struct Scope {
  std::string endpoint;  // "" = all together
  std::string window;    // by its name or kind, windows of one name together; "" = the whole load
  auto operator<=>(const Scope&) const = default;
};

struct Measured {
  std::optional<double> value;
  std::optional<analysis::Interval> interval;  // 95 %, of what is estimated
  std::string why;                             // where there is no value
};

using TimeSpans = std::vector<std::pair<analysis::Seconds, analysis::Seconds>>;

// All of them outlive it.
class Measurements {
 public:
  Measurements(run::Reader& reader, const analysis::RunInput& input, const run::Report& report);

  Measured measure(const Metric& metric, const Scope& scope = {});

  std::vector<std::string> endpoints() const;
  std::vector<std::string> windows() const;  // names; a kind is one too
  // When the window was; empty where there is none of that name.
  TimeSpans spans_of(const std::string& window) const;
  // The same to the nanosecond: spans_of() has whole seconds, with what neighbours have of them.
  TimeSpans exact_spans_of(const std::string& window) const;
  // Those of the scope: of the load's body for the whole.
  TimeSpans load_spans(const Scope& scope) const;
  // A level of all processes together, second by second.
  const std::vector<analysis::GaugePoint>& level(const run::Metric& metric);
  // What a cumulative counter of all processes rose by between two instants; nothing where it was not recorded.
  std::optional<double> rise(const run::Metric& counter, analysis::Seconds from, analysis::Seconds to);

 private:
  struct Sum;
  std::vector<run::LoadWindow> windows_named(const std::string& window) const;
  const analysis::LatencySeries* series_of(const std::string& endpoint) const;
  // What the scope's window was sent, where that is known apart from its neighbours'; nothing: seconds tell.
  const std::optional<analysis::LatencySeries>& own_load(const Scope& scope);
  Sum sum_of(const Scope& scope);
  Measured latency(std::string_view name, const Scope& scope);
  Measured of_requests(std::string_view name, const Scope& scope);
  Measured availability(const Scope& scope) const;
  Measured processor(std::string_view name, const Scope& scope) const;
  Measured peak(const run::Metric& metric, const Scope& scope);
  Measured growth(const run::Metric& metric, const Scope& scope);
  Measured per_request(const run::Metric& counter, const Scope& scope);
  Measured findings(bool leaks) const;
  Measured cam(std::string_view name, const Scope& scope);

  run::Reader& reader_;
  const analysis::RunInput& input_;
  const run::Report& report_;
  std::vector<run::LoadWindow> load_windows_;
  std::map<Scope, std::optional<analysis::LatencySeries>> own_loads_;
  std::map<std::string, std::vector<analysis::GaugePoint>> levels_;
  std::map<std::string, std::vector<run::Point>> counters_;
};

}  // namespace camprobe::gates
