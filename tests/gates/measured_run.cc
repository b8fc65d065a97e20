// tests/gates/measured_run.cc
#include "tests/gates/measured_run.h"

#include <cmath>
#include <random>
#include <stdexcept>

#include "collector/metrics.h"
#include "run/histogram.h"
#include "run/writer.h"

namespace camprobe::tests {

namespace {

constexpr int kBegin = 2;

run::Frame frame(const std::string& function) {
  run::Frame f;
  f.function = function;
  f.file = "server.cc";
  f.line = 10;
  f.module = "/srv/server";
  f.kind = "native";
  return f;
}

run::Histogram latencies(std::int64_t requests, double factor) {
  run::Histogram histogram;
  const std::int64_t slow = requests * 8 / 100, slowest = requests * 2 / 100;
  const auto at = [&](double ms) { return static_cast<std::uint64_t>(ms * 1e6 * factor); };
  if (requests > slow + slowest) histogram.record(at(10), static_cast<std::uint64_t>(requests - slow - slowest));
  if (slow > 0) histogram.record(at(80), static_cast<std::uint64_t>(slow));
  if (slowest > 0) histogram.record(at(200), static_cast<std::uint64_t>(slowest));
  return histogram;
}

}  // namespace

void measured_run(const std::string& path, const MeasuredRun& r) {
  run::Meta meta;
  meta.command = {"server"};
  meta.host = "bench";
  meta.cpus = 4;
  meta.started_realtime_ns = 1795453200000000000;
  meta.camprobe_version = "0.1.0";
  auto created = run::Writer::create(path, meta);
  if (!created) throw std::runtime_error(created.error());
  run::Writer& writer = *created;
  const int end = kBegin + r.seconds;
  run::Process process;
  process.pid = 4100;
  process.executable = "/srv/server";
  process.probe_state = "sampling";
  process.ended_ns = (end + 1) * std::int64_t{1'000'000'000};
  process.ended_how = "exited";
  const run::ProcessId server = writer.add(process);
  const auto stack = [&](const char* leaf) {
    const run::StackId id = writer.add_stack(server, false);
    writer.set_frames(id, {frame(leaf), frame("handle()"), frame("main")});
    return id;
  };
  const run::StackId parse = stack("parse()"), answer = stack("answer()"), audit = stack("audit()");

  run::LoadSource source;
  source.tool = "k6";
  source.latency_basis = "intended";
  const run::SourceId load = r.with_load_results ? writer.add(source) : run::SourceId{};
  if (r.with_load_results) {
    const int steady = kBegin + r.seconds / 10;
    const auto window = [&](const char* name, const char* kind, int from, int to) {
      run::LoadWindow w;
      w.source = load, w.name = name, w.kind = kind;
      w.from_ns = from * std::int64_t{1'000'000'000}, w.to_ns = to * std::int64_t{1'000'000'000};
      writer.put(w);
    };
    window("warming", "ramp", kBegin, steady);
    window("body", "steady", steady, end);
  }
  const run::NameId arbitration = writer.name("cam.arbitration"), consensus = writer.name("cam.consensus"),
                    provider = writer.name("provider"), cost = writer.name("cost"),
                    baseline = writer.name("baseline_cost"), request = writer.name("cam.request");
  std::mt19937_64 random(r.seed);
  std::normal_distribution<double> normal;
  double latency_noise = 0, cpu_noise = 0, cpu_ns = 0, allocated = 0;
  std::int64_t sent = 0;
  for (int s = 0; s <= end; ++s) {
    const bool loaded = s >= kBegin && s < end;
    const int middle = kBegin + r.seconds / 2;
    const bool is_out = s >= middle && s < middle + r.outage_seconds;
    const auto requests = loaded && !is_out ? static_cast<std::int64_t>(r.requests_per_second) : 0;
    latency_noise = 0.5 * latency_noise + std::sqrt(0.75) * normal(random);
    cpu_noise = 0.5 * cpu_noise + std::sqrt(0.75) * normal(random);
    const double slower = r.slower * std::exp(r.level + r.noise * latency_noise);
    if (requests > 0 && r.with_load_results) {
      const auto bucket = [&](const std::string& endpoint, std::int64_t n, std::int64_t errors) {
        run::LoadBucket b;
        b.source = load, b.second = s, b.endpoint = endpoint, b.requests = n, b.errors = errors;
        b.users = 16;
        const run::Histogram histogram = latencies(n, slower);
        if (r.only_quantiles) {
          b.p50_ms = 10 * slower, b.p95_ms = 80 * slower, b.p99_ms = 200 * slower;
        } else {
          b.latency = histogram.to_json();
        }
        writer.put(b);
      };
      const std::int64_t before = sent;
      sent += requests;
      const std::int64_t errors = sent / 1000 - before / 1000;
      bucket("", requests, errors);
      bucket("/chat", requests * 4 / 5, errors);
      bucket("/complete", requests - requests * 4 / 5, 0);
    }
    for (std::int64_t i = 0; i < requests; ++i) {
      writer.count(run::Writer::SpanEnd{server, s, arbitration, i % 10 == 0 ? 4'000'000 : 1'000'000});
      if (i % 10 == 0) writer.count(run::Writer::SpanEnd{server, s, consensus, 20'000'000});
      if (!r.with_load_results) writer.count(run::Writer::SpanEnd{server, s, request, 10'000'000});
    }
    if (requests > 0) {
      const auto attribute = [&](run::NameId key, const char* text, std::int64_t n, double sum, std::int64_t changes) {
        run::SpanAttribute a;
        a.process = server, a.second = s, a.name = arbitration, a.key = key, a.text = text, a.spans = n, a.sum = sum,
        a.changes = changes;
        writer.count(a);
      };
      attribute(provider, "alpha", requests, 0, requests / 10);
      attribute(cost, "", requests, 2.0 * static_cast<double>(requests), 0);
      attribute(baseline, "", requests, 5.0 * static_cast<double>(requests), 0);
      if (!r.with_load_results) {
        run::Span span;
        span.process = server, span.span = s + 1, span.name = request, span.began_ns = s * std::int64_t{1'000'000'000},
        span.ended_ns = span.began_ns + 10'000'000;
        writer.put(span);
      }
    }
    const bool is_peak = r.with_burst && s >= kBegin + r.seconds * 6 / 10 && s < kBegin + r.seconds * 6 / 10 + 5;
    const double work = static_cast<double>(requests) * 5e6 * r.cpu_factor * std::exp(r.level + r.noise * cpu_noise);
    const double spent = is_peak ? 2e9 : work;
    // Sampled 99 times a second of CPU, and unevenly as sampling is.
    const auto sampled = [&](run::StackId id, double ns) {
      const int samples = std::poisson_distribution<int>(std::max(0.0, ns / 1e9 * 99))(random);
      if (samples == 0) return;
      run::CpuRow row;
      row.process = server, row.second = s, row.stack = id, row.samples = samples, row.weight_ns = samples * 1e9 / 99;
      writer.count(row);
    };
    sampled(parse, 0.4 * spent);
    sampled(answer, (r.with_new_stack ? 0.5 : 0.6) * spent);
    if (r.with_new_stack) sampled(audit, 0.1 * spent);
    cpu_ns += spent;
    allocated += r.allocations * static_cast<double>(requests);
    writer.point(metrics::kCpuUser, server, s, cpu_ns);
    writer.point(metrics::kCpuSystem, server, s, 0);
    writer.point(metrics::kResidentBytes, server, s, 100e6 + r.rss_per_second * s);
    writer.point(metrics::kHeapLiveBytes, server, s, 40e6);
    writer.point(metrics::kOpenFds, server, s, 20);
    writer.point(metrics::kThreads, server, s, 8);
    writer.point(metrics::kHeapAllocations, server, s, allocated);
    writer.point(metrics::kHeapAllocatedBytes, server, s, 64 * allocated);
  }
  run::Setting setting;
  setting.process = server, setting.name = "heap_interval_bytes", setting.value = 16384;
  writer.put(setting);
  if (auto done = writer.finish((end + 1) * std::int64_t{1'000'000'000}, run::kComplete); !done)
    throw std::runtime_error(done.error());
}

}  // namespace camprobe::tests
