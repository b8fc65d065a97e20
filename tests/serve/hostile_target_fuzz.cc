// tests/serve/hostile_target_fuzz.cc
//
// A hostile region (tests/shm/hostile_region.h) that is served: drained over several rounds while it goes on lying, its
// tables read, its figures shown. Besides that nothing crashes, hangs or eats memory, whatever a region says
//
//   series  are bounded, and none is there twice: Prometheus would refuse the whole scrape
//   labels  are valid UTF-8 without control characters, and no longer than said
//   values  are finite and not negative; histograms' counts grow with their bounds
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>

#include "collector/serve/exposition.h"
#include "run/text.h"
#include "tests/shm/hostile_region.h"

namespace {

using namespace camprobe;

void check(bool holds, const std::string& what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz: %s\n", what.c_str());
  std::abort();
}

void check_value(double value, const std::string& name) {
  check(std::isfinite(value) || (std::isinf(value) && value > 0 && name == "camprobe_memory_limit_reached_seconds"),
        name + " is no number");
  check(value >= 0 || name == "camprobe_cost_saved", name + " is negative");
}

void check_families(const std::vector<prometheus::MetricFamily>& families) {
  std::size_t lines = 0;
  for (const auto& family : families) {
    std::set<std::vector<prometheus::ClientMetric::Label>> seen;
    for (const auto& metric : family.metric) {
      check(seen.insert(metric.label).second, family.name + " has a series twice");
      for (const auto& label : metric.label) {
        check(run::valid_utf8(label.value) == label.value, family.name + ": " + label.name + " is no UTF-8");
        check(label.value.size() <= 3 * 96, family.name + ": " + label.name + " is too long");
        for (const char c : label.value)
          check(static_cast<unsigned char>(c) >= ' ' && c != '\x7f', family.name + ": a control character");
      }
      lines += 1;
      if (family.type == prometheus::MetricType::Histogram) {
        std::uint64_t before = 0;
        for (const auto& bucket : metric.histogram.bucket) {
          check(bucket.cumulative_count >= before, family.name + " goes back");
          before = bucket.cumulative_count;
        }
        check(metric.histogram.sample_count >= before, family.name + ": the whole is less than a part");
        check_value(metric.histogram.sample_sum, family.name);
        lines += metric.histogram.bucket.size() + 2;
      } else {
        check_value(metric.counter.value, family.name);
        check_value(metric.gauge.value, family.name);
      }
    }
  }
  check(lines <= serve::kMostSeriesOfATarget + 16, "more series than a target may have");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  shm::HostileRegion& region = shm::HostileRegion::instance();
  const std::vector<shm::Edit> edits = shm::parse_edits(data, size);
  std::size_t next = 0;
  const auto edit_up_to_a_round = [&] {
    region.begin_round();
    while (next < edits.size() && edits[next].kind != shm::EditKind::kRound) region.apply(edits[next++]);
  };
  edit_up_to_a_round();
  std::string error;
  auto reader = shm::RegionReader::from_descriptor(region.open_reader(), region.path(), &error);
  auto files = proc::ProcessFiles::open(::getpid());  // the region's process does not exist; ours has all the files
  if (reader && files) {
    serve::Target target(std::move(*reader), std::move(*files));
    std::uint64_t now_ns = shm::HostileRegion::kCreatedNs + 1'000'000'000;
    const auto round = [&] {
      target.drain(now_ns);
      target.refresh(now_ns);
      target.read_heap(now_ns);
      now_ns += 1'500'000'000;
      check_families(serve::metric_families({&target}, {}));
    };
    round();
    for (int rounds = 0; next < edits.size() && rounds < 16; ++rounds) {
      ++next;
      edit_up_to_a_round();
      round();
    }
    round();
    round();
  }
  region.restore();
  return 0;
}
