// tests/gates/measure_test.cc: every metric on a run whose figures are known.
#include "collector/gates/measure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "run/histogram.h"
#include "run/writer.h"
#include "tests/gates/measured_run.h"
#include "tests/run/scratch.h"

namespace camprobe::gates {
namespace {

using testing::HasSubstr;
using tests::MeasuredRun;

class Measuring {
 public:
  explicit Measuring(const MeasuredRun& what)
      : Measuring("a.camrun", [&](const std::string& path) { tests::measured_run(path, what); }) {}
  Measuring(const std::string& name, const std::function<void(const std::string&)>& write) {
    write(scratch_ / name);
    auto opened = run::Reader::open(scratch_ / name);
    if (!opened) throw std::runtime_error(opened.error());
    reader_ = std::make_unique<run::Reader>(std::move(*opened));
    input_ = analysis::input_from(*reader_, {});
    report_ = analysis::analyse(*reader_, input_, {});
    measurements_ = std::make_unique<Measurements>(*reader_, input_, report_);
  }
  Measured operator()(const char* metric, const Scope& scope = {}) {
    return measurements_->measure(*metric_named(metric), scope);
  }
  Measurements& all() { return *measurements_; }

 private:
  run::Scratch scratch_;
  std::unique_ptr<run::Reader> reader_;
  analysis::RunInput input_;
  run::Report report_;
  std::unique_ptr<Measurements> measurements_;
};

TEST(Measurements, OfTheWholeRun) {
  Measuring measure({.rss_per_second = 1000});
  EXPECT_NEAR(*measure("latency_p50_ms").value, 10, 0.2);
  EXPECT_NEAR(*measure("latency_p95_ms").value, 80, 1.4);
  EXPECT_NEAR(*measure("latency_p99_ms").value, 200, 3.3);
  EXPECT_NEAR(*measure("latency_max_ms").value, 200, 3.3);
  EXPECT_EQ(*measure("requests").value, 10000);
  EXPECT_NEAR(*measure("throughput_rps").value, 100, 0.5);
  EXPECT_DOUBLE_EQ(*measure("error_rate").value, 0.001);
  EXPECT_EQ(*measure("availability").value, 1);
  // 95 seconds at half a processor and five at two.
  EXPECT_NEAR(*measure("cpu_average_cores").value, (95 * 0.5 + 5 * 2) / 100, 0.01);
  EXPECT_NEAR(*measure("cpu_peak_cores").value, 2, 1e-6);
  EXPECT_NEAR(*measure("cpu_per_request_ms").value, 5.75, 0.06);
  EXPECT_EQ(*measure("rss_peak_bytes").value, 100e6 + 1000 * 102);
  EXPECT_NEAR(*measure("rss_growth_bytes_per_hour").value, 3.6e6, 1);
  EXPECT_EQ(*measure("heap_peak_bytes").value, 40e6);
  EXPECT_EQ(*measure("heap_growth_bytes_per_hour").value, 0);
  EXPECT_EQ(*measure("fds_peak").value, 20);
  EXPECT_EQ(*measure("fds_growth_per_hour").value, 0);
  EXPECT_EQ(*measure("threads_peak").value, 8);
  EXPECT_EQ(*measure("threads_growth_per_hour").value, 0);
  EXPECT_NEAR(*measure("allocations_per_request").value, 50, 0.6);
  EXPECT_NEAR(*measure("allocated_bytes_per_request").value, 3200, 40);
  EXPECT_NEAR(*measure("arbitration_p50_ms").value, 1, 0.02);
  EXPECT_NEAR(*measure("arbitration_p95_ms").value, 4, 0.07);
  EXPECT_NEAR(*measure("consensus_p99_ms").value, 20, 0.4);
  EXPECT_NEAR(*measure("provider_switch_rate").value, 0.1, 0.001);
  EXPECT_NEAR(*measure("cost_optimization_rate").value, 0.6, 1e-9);
}

TEST(Measurements, OfAnEndpointAndOfAWindowByItsNameOrKind) {
  Measuring measure({});
  EXPECT_EQ(*measure("requests", {"/chat", ""}).value, 8000);
  EXPECT_NEAR(*measure("throughput_rps", {"/complete", ""}).value, 20, 0.1);
  EXPECT_EQ(*measure("error_rate", {"/complete", ""}).value, 0);
  EXPECT_EQ(*measure("requests", {"", "body"}).value, 9000);
  EXPECT_EQ(*measure("requests", {"", "steady"}).value, 9000);
  EXPECT_EQ(*measure("requests", {"/chat", "warming"}).value, 800);
  EXPECT_NEAR(*measure("cpu_peak_cores", {"", "warming"}).value, 0.5, 1e-6);
  EXPECT_NEAR(*measure("cpu_peak_cores", {"", "body"}).value, 2, 1e-6);
  EXPECT_NEAR(*measure("allocations_per_request", {"", "body"}).value, 50, 0.6);
  EXPECT_NEAR(*measure("arbitration_p50_ms", {"", "warming"}).value, 1, 0.02);
  EXPECT_THAT(measure("requests", {"/nowhere", ""}).why, HasSubstr("there is no endpoint /nowhere: there are /chat"));
  EXPECT_THAT(measure("requests", {"", "spike"}).why,
              HasSubstr("there is no load window spike: there are warming, body"));
}

// A calm of 100 requests/s at 10 ms, and from the middle of second 12 on a surge of 2,000 at 200 ms that fails by
// halves: each a load source of its own, or both one.
void calm_and_surge(const std::string& path, bool apart) {
  auto created = run::Writer::create(path, {});
  if (!created) throw std::runtime_error(created.error());
  run::Writer& writer = *created;
  run::Process process;
  process.pid = 4100;
  process.probe_state = "sampling";
  process.ended_ns = 30 * std::int64_t{1'000'000'000};
  writer.add(process);
  run::LoadSource source;
  source.tool = "h2load";
  source.latency_basis = "sent";
  const run::SourceId calm = writer.add(source), surge = apart ? writer.add(source) : calm;
  const auto window = [&](run::SourceId of, const char* name, const char* kind, double from, double to) {
    run::LoadWindow w;
    w.source = of, w.name = name, w.kind = kind;
    w.from_ns = static_cast<std::int64_t>(from * 1e9), w.to_ns = static_cast<std::int64_t>(to * 1e9);
    writer.put(w);
  };
  window(calm, "calm", "steady", 2, 12.5);
  window(surge, "surge", "spike", 12.5, 22.5);
  const auto put = [&](run::SourceId of, int second, std::int64_t slow, std::int64_t quick) {
    run::Histogram latency;
    if (quick > 0) latency.record(10'000'000, static_cast<std::uint64_t>(quick));
    if (slow > 0) latency.record(200'000'000, static_cast<std::uint64_t>(slow));
    run::LoadBucket b;
    b.source = of, b.second = second, b.requests = slow + quick, b.errors = slow / 2, b.latency = latency.to_json();
    writer.put(b);
  };
  for (int s = 2; s < 12; ++s) put(calm, s, 0, 100);
  if (apart)
    put(calm, 12, 0, 50), put(surge, 12, 1000, 0);
  else
    put(calm, 12, 1000, 50);
  for (int s = 13; s < 22; ++s) put(surge, s, 2000, 0);
  put(surge, 22, 1000, 0);
  if (auto done = writer.finish(30 * std::int64_t{1'000'000'000}, run::kComplete); !done)
    throw std::runtime_error(done.error());
}

TEST(Measurements, OfAWindowWithALoadSourceOfItsOwnHaveNothingOfItsNeighbours) {
  Measuring measure("surge.camrun", [](const std::string& path) { calm_and_surge(path, true); });
  EXPECT_EQ(*measure("requests", {"", "calm"}).value, 1050);
  EXPECT_EQ(*measure("requests", {"", "surge"}).value, 20000);
  EXPECT_DOUBLE_EQ(*measure("throughput_rps", {"", "calm"}).value, 100);
  EXPECT_DOUBLE_EQ(*measure("throughput_rps", {"", "surge"}).value, 2000);
  EXPECT_NEAR(*measure("latency_p99_ms", {"", "calm"}).value, 10, 0.2);
  EXPECT_NEAR(*measure("latency_p50_ms", {"", "surge"}).value, 200, 3.3);
  EXPECT_EQ(*measure("error_rate", {"", "calm"}).value, 0);
  EXPECT_NEAR(*measure("throughput_rps").value, 21050 / 20.5, 1e-9);
}

TEST(Measurements, OfAWindowThatSharesItsSourceHaveTheLatenciesOfItsWholeSeconds) {
  Measuring measure("surge.camrun", [](const std::string& path) { calm_and_surge(path, false); });
  EXPECT_NEAR(*measure("latency_p99_ms", {"", "calm"}).value, 10, 0.2);
  EXPECT_NEAR(*measure("latency_p50_ms", {"", "surge"}).value, 200, 3.3);
  EXPECT_GT(*measure("error_rate", {"", "calm"}).value, 0) << "no error is left out of both windows";
}

TEST(Measurements, AnOutageIsTimeWithoutAnswers) {
  Measuring measure({.outage_seconds = 5});
  EXPECT_NEAR(*measure("availability").value, 0.95, 1e-9);
  EXPECT_DOUBLE_EQ(*measure("error_rate").value, 9.0 / 9500);
}

TEST(Measurements, QuantilesByPeriodAreWeighedByRequests) {
  Measuring measure({.only_quantiles = true});
  EXPECT_NEAR(*measure("latency_p95_ms").value, 80, 1e-6);
  EXPECT_FALSE(measure("latency_max_ms").value.has_value());
}

TEST(Measurements, WhatTheRunCannotTellIsNoneWithTheReason) {
  Measuring measure({.with_load_results = false});
  EXPECT_NEAR(*measure("latency_p50_ms").value, 10, 0.2);  // from the spans
  EXPECT_NEAR(*measure("throughput_rps").value, 100, 0.5);
  EXPECT_THAT(measure("error_rate").why, HasSubstr("load tool"));
  EXPECT_THAT(measure("availability").why, HasSubstr("load tool"));
  Measuring brief({.seconds = 4});
  EXPECT_FALSE(brief("leaks").value.has_value());
  EXPECT_THAT(brief("leaks").why, HasSubstr("could not be judged"));
}

TEST(Measurements, EveryMetricIsMeasured) {
  Measuring measure({});
  for (const Metric& metric : all_metrics()) {
    const Measured m = measure.all().measure(metric);
    // A run this short and quiet is innocent or not judged; all other figures are there.
    EXPECT_TRUE(m.value.has_value() || metric.name == "leaks" || metric.name == "degradations") << metric.name << m.why;
    EXPECT_TRUE(m.value.has_value() || !m.why.empty()) << metric.name;
  }
}

}  // namespace
}  // namespace camprobe::gates
