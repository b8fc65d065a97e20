// tests/analysis/recorded_run.cc
#include "tests/analysis/recorded_run.h"

#include <cmath>
#include <stdexcept>

#include "collector/metrics.h"
#include "run/histogram.h"
#include "run/writer.h"

namespace camprobe::ground_truth {

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr double kStart = 2;  // seconds until the load begins

std::int64_t ns(double seconds) {
  return static_cast<std::int64_t>(std::llround(seconds * 1e9));
}

run::Frame frame(const char* function, const char* file = "", int line = 0, const char* module = "/srv/cam-server") {
  run::Frame f;
  f.function = function;
  f.file = file;
  if (line > 0) f.line = line;
  f.module = module;
  f.address = 0x1000 + line;
  f.kind = "native";
  return f;
}

const run::Frame kNew = frame("operator new(unsigned long)", "", 0, "/usr/lib/libstdc++.so.6");
const run::Frame kVector =
    frame("std::vector<char, std::allocator<char> >::vector(unsigned long)", "stl_vector.h", 551);
const run::Frame kWorker = frame("cam::Worker::run()", "server/worker.cc", 61);
const run::Frame kThread = frame("start_thread", "nptl/pthread_create.c", 442, "/usr/lib/libc.so.6");

}  // namespace

Recorded record_run(const std::string& path, const Recording& r) {
  Random random(r.seed);
  // Sampled as densely as it ever is; samples of the wider interval are a share of them.
  const double wider = r.later_interval > 0 ? std::max(r.interval, r.later_interval) : r.interval;
  const double denser = r.later_interval > 0 ? std::min(r.interval, r.later_interval) : r.interval;
  const double kObject = 2048;
  const double kept_by_wider = std::expm1(-kObject / wider) / std::expm1(-kObject / denser);
  const Scenario scenario = demonstration(r.seconds, r.requests_per_second, denser, r.onset, r.with_leaks, random);
  run::Meta meta;
  meta.command = {"cam-server", "--port", "8080"};
  meta.host = "bench";
  meta.kernel = "6.1.0";
  meta.cpus = 2;
  meta.memory_bytes = std::int64_t{8} << 30;
  meta.started_realtime_ns = 1795453200123000000;
  meta.camprobe_version = "0.1.0";
  auto created = run::Writer::create(path, meta);
  if (!created) throw std::runtime_error(created.error());
  run::Writer& writer = *created;

  const double load_end = kStart + r.seconds, stop = load_end + 1;
  run::Process process;
  process.pid = 4100;
  process.executable = "/srv/cam-server";
  process.command = "cam-server --port 8080";
  process.probe_state = "sampling";
  process.memory_limit_bytes = std::int64_t{2} << 30;
  process.ended_ns = ns(stop + 0.4);
  process.ended_how = "exited";
  process.exit_status = 0;
  const run::ProcessId server = writer.add(process);

  const auto stack = [&](const std::vector<run::Frame>& leaf_first) {
    const run::StackId id = writer.add_stack(server, false);
    writer.set_frames(id, leaf_first);
    return id;
  };
  const auto heap_stack = [&](const char* function, const char* file, int line, const char* caller) {
    return stack(
        {kNew, kVector, frame(function, file, line), frame(caller, "server/endpoints.cc", 88), kWorker, kThread});
  };
  // In the order of demonstration(). The leak is reached from two endpoints, two requests of one for one of the other.
  std::vector<run::StackId> stacks;
  run::StackId second_way{};
  if (r.with_leaks) {
    stacks.push_back(
        heap_stack("cam::remember_forever(unsigned long)", "faults/heap_leak.cc", 23, "cam::chat(cam::Exchange&)"));
    second_way =
        heap_stack("cam::remember_forever(unsigned long)", "faults/heap_leak.cc", 23, "cam::complete(cam::Exchange&)");
    stacks.push_back(
        stack({frame("socket", "", 0, "/usr/lib/libc.so.6"),
               frame("boost::asio::detail::socket_ops::socket(int, int, int)", "socket_ops.ipp", 1760),
               frame("cam::open_and_forget(boost::asio::io_context&)", "faults/unclosed_connections.cc", 19),
               frame("cam::ProviderCall::start()", "server/provider_call.cc", 70), kWorker, kThread}));
  }
  stacks.push_back(heap_stack("cam::parse(std::string_view)", "server/parse.cc", 12, "cam::chat(cam::Exchange&)"));
  stacks.push_back(heap_stack("cam::Session::open()", "server/session.cc", 40, "cam::chat(cam::Exchange&)"));
  stacks.push_back(heap_stack("cam::Catalog::learn(int)", "server/catalog.cc", 77, "cam::chat(cam::Exchange&)"));
  stacks.push_back(heap_stack("cam::AnswerCache::put(int)", "server/answer_cache.cc", 31, "cam::chat(cam::Exchange&)"));
  stacks.push_back(heap_stack("cam::Arena::take(unsigned long)", "server/arena.cc", 15, "cam::chat(cam::Exchange&)"));
  stacks.push_back(heap_stack("cam::build_tables()", "server/tables.cc", 9, "cam::start()"));
  stacks.push_back(stack({frame("accept4", "", 0, "/usr/lib/libc.so.6"),
                          frame("cam::HttpServer::accept()", "server/http_server.cc", 55), kThread}));
  stacks.push_back(stack({frame("socket", "", 0, "/usr/lib/libc.so.6"),
                          frame("cam::ConnectionPool::borrow()", "server/connection_pool.cc", 33), kWorker, kThread}));

  std::vector<double> live(static_cast<std::size_t>(stop) + 2, 0.0), fds(live.size(), 12.0);
  std::int64_t sample = 0, fd = 10;
  for (std::size_t i = 0; i < scenario.populations.size(); ++i) {
    const analysis::Population& p = scenario.populations[i];
    for (const analysis::Life& life : p.lives) {
      const double born = kStart + life.born;
      // Alive at the end of the load: freed, or closed, as the server shuts down.
      const double died = life.died == analysis::kAlive ? stop + 0.2 : kStart + life.died;
      auto& series = p.resource == analysis::Resource::kHeap ? live : fds;
      for (auto s = static_cast<std::size_t>(std::ceil(born)); s < series.size() && static_cast<double>(s) < died; ++s)
        series[s] += life.amount;
      if (p.resource == analysis::Resource::kHeap) {
        const double interval = r.later_interval > 0 && life.born > 0.7 * r.seconds ? r.later_interval : r.interval;
        if (interval > denser && std::uniform_real_distribution<double>()(random) >= kept_by_wider) continue;
        const double weight = kObject / -std::expm1(-kObject / interval);
        run::HeapObject object;
        object.process = server;
        object.sample = ++sample;
        object.stack = r.with_leaks && i == 0 && sample % 3 == 0 ? second_way : stacks[i];
        object.size = 2048;
        object.interval = static_cast<std::int64_t>(interval);
        object.bytes = weight;
        object.objects = weight / kObject;
        object.born_ns = ns(born);
        object.died_ns = ns(died);
        writer.put(object);
        run::AllocRow alloc;
        alloc.process = server;
        alloc.second = static_cast<std::int64_t>(born);
        alloc.stack = object.stack;
        alloc.samples = 1;
        alloc.objects = object.objects;
        alloc.bytes = weight;
        writer.count(alloc);
      } else {
        run::Descriptor d;
        d.process = server;
        d.fd = ++fd;
        const bool accepted = stacks[i] == stacks[stacks.size() - 2];
        d.kind = accepted ? "accept" : "connect";
        d.peer = accepted ? "127.0.0.1:" + std::to_string(40000 + fd) : "127.0.0.1:9001";
        d.stack = stacks[i];
        d.opened_ns = ns(born);
        d.closed_ns = ns(died);
        d.read_ops = 3, d.read_bytes = 3000, d.write_ops = 3, d.write_bytes = 900;
        writer.add(d);
      }
    }
  }

  run::LoadSource source;
  source.tool = "h2load";
  source.latency_basis = "sent";
  source.requests = static_cast<std::int64_t>(r.seconds * r.requests_per_second);
  const run::SourceId load = r.with_load_results ? writer.add(source) : run::SourceId{};
  if (r.with_load_results) {
    run::LoadWindow window;
    window.source = load;
    window.name = "steady";
    window.kind = "steady";
    window.from_ns = ns(kStart), window.to_ns = ns(load_end);
    writer.put(window);
  }
  const run::NameId request = writer.name("cam.request"), arbitration = writer.name("cam.arbitration"),
                    provider = writer.name("provider"), cost = writer.name("cost"),
                    baseline = writer.name("baseline_cost"), consensus = writer.name("cam.consensus");
  const run::StackId scan = stack({frame("cam::scan_history(int)", "faults/slow_scan.cc", 21),
                                   frame("cam::chat(cam::Exchange&)", "server/endpoints.cc", 90), kWorker, kThread});
  const run::StackId other = stack({frame("cam::parse(std::string_view)", "server/parse.cc", 14),
                                    frame("cam::chat(cam::Exchange&)", "server/endpoints.cc", 86), kWorker, kThread});
  std::normal_distribution<double> normal;
  double cpu_total = 0;
  std::int64_t span_id = 0;
  for (int s = 0; s < static_cast<int>(stop); ++s) {
    const double x = (s - kStart) / r.seconds;
    const bool under_load = s >= static_cast<int>(kStart) && s < static_cast<int>(load_end);
    const double slower = x > r.onset ? 1 + (r.slower - 1) * (x - r.onset) / (1 - r.onset) : 1;
    writer.point(metrics::kResidentBytes, server, s, 40e6 + 1.05 * live[static_cast<std::size_t>(s)]);
    writer.point(metrics::kHeapLiveBytes, server, s, live[static_cast<std::size_t>(s)]);
    writer.point(metrics::kOpenFds, server, s, fds[static_cast<std::size_t>(s)]);
    if (under_load) {
      const auto requests = static_cast<std::int64_t>(r.requests_per_second);
      run::LoadBucket bucket;
      bucket.source = load;
      bucket.second = s;
      bucket.requests = requests;
      run::Histogram histogram;
      const double level = 3e6 * slower * std::exp(0.04 * normal(random));
      for (int i = 0; i < 300; ++i)
        histogram.record(static_cast<std::uint64_t>(level * std::exp(0.4 * normal(random))),
                         static_cast<std::uint64_t>(requests) / 300);
      bucket.latency = histogram.to_json();
      bucket.users = 64;
      if (r.with_load_results) {
        writer.put(bucket);
        bucket.endpoint = "/chat";
        writer.put(bucket);
      }
      histogram.each_bucket([&](std::uint32_t b, std::uint64_t count) {
        for (std::uint64_t i = 0; i < count; ++i)
          writer.count(
              run::Writer::SpanEnd{server, s, request, static_cast<std::int64_t>(run::Histogram::bucket_low(b))});
      });
      for (int i = 0; i < requests; ++i) writer.count(run::Writer::SpanEnd{server, s, arbitration, 40'000 + i * 10});
      for (int i = 0; i < 5; ++i) writer.count(run::Writer::SpanEnd{server, s, consensus, 12'000'000});
      const auto attribute = [&](run::NameId key, const char* text, std::int64_t spans, double sum,
                                 std::int64_t changes) {
        run::SpanAttribute a;
        a.process = server, a.second = s, a.name = arbitration, a.key = key, a.text = text, a.spans = spans,
        a.sum = sum, a.changes = changes;
        writer.count(a);
      };
      attribute(provider, "alpha", requests * 2 / 3, 0, requests / 10);
      attribute(provider, "beta", requests - requests * 2 / 3, 0, requests / 10);
      attribute(cost, "", requests, 0.002 * static_cast<double>(requests), 0);
      attribute(baseline, "", requests, 0.005 * static_cast<double>(requests), 0);
      run::Span span;
      span.process = server, span.span = ++span_id, span.name = request, span.began_ns = s * kSecond,
      span.ended_ns = s * kSecond + 3'000'000;
      writer.put(span);
      const double own = 200e3 * static_cast<double>(requests) * std::exp(0.03 * normal(random));
      const double scanning = own * (0.1 + slower - 1);
      cpu_total += own + scanning;
      run::CpuRow cpu;
      cpu.process = server, cpu.second = s, cpu.stack = other, cpu.samples = 20, cpu.weight_ns = own;
      writer.count(cpu);
      cpu.stack = scan, cpu.weight_ns = scanning;
      writer.count(cpu);
    }
    writer.point(metrics::kCpuUser, server, s, cpu_total);
    writer.point(metrics::kCpuSystem, server, s, 0);
  }
  run::Setting setting;
  setting.process = server, setting.name = "heap_interval_bytes", setting.value = r.interval;
  writer.put(setting);
  if (r.later_interval > 0) {
    setting.at_ns = ns(kStart + 0.7 * r.seconds), setting.value = r.later_interval;
    writer.put(setting);
  }
  if (auto done = writer.finish(ns(stop + 1), run::kComplete); !done) throw std::runtime_error(done.error());

  Recorded truth;
  truth.onset_s = kStart + scenario.truth.since;
  truth.leaked_bytes_per_request = scenario.truth.bytes_per_request;
  truth.leaked_descriptors_per_request = 1.0 / 200;
  return truth;
}

}  // namespace camprobe::ground_truth
