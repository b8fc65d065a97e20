// tests/exporters/export_runs.cc: see export_runs.h.
#include "tests/exporters/export_runs.h"

#include <string>
#include <tuple>

#include "tests/exporters/synthetic_run.h"

namespace camprobe::tests {

namespace {

constexpr std::int64_t kMillisecond = 1'000'000;

using Value = RunBuilder::Value;

Value maybe(std::int64_t value) {
  return value == 0 ? Value(nullptr) : Value(value);
}

}  // namespace

void mesh_run(const std::filesystem::path& path) {
  RunBuilder run(path);
  run.meta("started_realtime_ns", "1795453200000000000");
  run.meta("started_monotonic_ns", "5000000000");
  run.meta("ended_ns", "10000000000");
  run.meta("command", R"(["/srv/bin/gateway", "--port", "8080"])");
  run.meta("host", "bench-3");
  run.meta("state", "complete");
  const std::int64_t gateway = run.process(100, "/srv/bin/gateway");
  const std::int64_t provider = run.process(200, "/srv/bin/provider");

  // Threads 1 and 2 are the gateway's, 3 the provider's.
  const auto thread = [&](std::int64_t id, std::int64_t process, std::int64_t tid, const char* name) {
    run.insert("thread", {id, process, tid, name, std::int64_t{0}, nullptr, std::int64_t{0}, std::int64_t{1}});
  };
  thread(1, gateway, 101, "loop");
  thread(2, gateway, 102, "worker");
  thread(3, provider, 201, "serve");
  const auto module = [&](std::int64_t id, std::int64_t process, const char* file, const char* build_id,
                          std::int64_t base) {
    run.insert("module", {id, process, file, build_id, base, base, base + 0x100000, std::int64_t{0}, nullptr});
  };
  module(1, gateway, "/srv/bin/gateway", "00aa11bb22cc33dd44ee55ff0011223344556677", 0x555500000000);
  module(2, gateway, "/usr/lib/libc.so.6", "8899aabbccddeeff00112233445566778899aabb", 0x7fff10000000);
  module(3, provider, "/srv/bin/provider", "ffeeddccbbaa99887766554433221100ffeeddcc", 0x555600000000);

  const std::string app = "/srv/bin/gateway", libc = "/usr/lib/libc.so.6";
  const TestFrame main_{"main", app, "src/main.cc", 10}, loop{"cam::Loop::run()", app, "src/loop.cc", 20};
  // parse() is inlined into handle(), scan() into parse(): one address, three functions.
  const TestFrame handle{"cam::handle(cam::Request const&)", app, "src/handle.cc", 30};
  const TestFrame parse{"cam::parse(std::string_view)", app, "src/parse.h", 40, "inlined"};
  const TestFrame scan{"cam::scan(char const*)", app, "src/scan.h", 50, "inlined"};
  const TestFrame compute{"cam::compute(int)", app, "src/compute.cc", 60};
  const TestFrame other_line{"cam::compute(int)", app, "src/compute.cc", 61};
  const TestFrame memcpy_{"memcpy", libc, "", 0};
  const TestFrame js{"renderBubble app.js:7", "[jit]", "app.js", 7, "js"};
  const TestFrame odd{"a;b -- \"c\"\n<d> \xC3\xA9\xE6\xBC\xA2", app, "src/odd;name.cc", 70};
  const std::int64_t inlined = run.stack(gateway, {main_, loop, handle, parse, scan});
  const std::int64_t copying = run.stack(gateway, {main_, loop, handle, memcpy_});
  const std::int64_t computing = run.stack(gateway, {main_, compute});
  const std::int64_t computing_on = run.stack(gateway, {main_, other_line});
  const std::int64_t scripted = run.stack(gateway, {main_, js});
  const std::int64_t strange = run.stack(gateway, {main_, odd});
  const std::int64_t recursive = run.stack(gateway, {main_, compute, compute, memcpy_});
  const TestFrame answer{"answer()", "/srv/bin/provider", "src/answer.cc", 80};
  const std::int64_t answering = run.stack(provider, {{"main", "/srv/bin/provider", "src/main.cc", 5}, answer});
  const std::int64_t request = run.name("cam.request"), arbitration = run.name("cam.arbitration"),
                     call = run.name("cam.provider_call"), serve = run.name("provider.answer");

  // process, second, thread, stack, span, samples, ns
  const auto cpu = [&](std::int64_t process, std::int64_t second, std::int64_t in_thread, std::int64_t stack,
                       std::int64_t span, std::int64_t samples) {
    run.insert("cpu", {process, second, in_thread, stack, span, samples, static_cast<double>(samples) * 10e6});
  };
  for (std::int64_t s = 0; s < 10; ++s) {
    cpu(gateway, s, 1, inlined, request, 7);
    cpu(gateway, s, 1, copying, 0, 3);
    cpu(gateway, s, 2, computing, arbitration, s < 5 ? 2 : 12);
    cpu(gateway, s, 2, computing_on, arbitration, 1);
    cpu(provider, s, 3, answering, serve, 4);
  }
  cpu(gateway, 4, 1, scripted, 0, 5);
  cpu(gateway, 5, 1, strange, 0, 6);
  cpu(gateway, 6, 2, recursive, 0, 8);
  run.insert("wait", {gateway, std::int64_t{2}, std::int64_t{1}, run.stack(gateway, {main_, loop}),
                      run.name("epoll_wait"), std::int64_t{50}, 1.5e9});
  run.insert("wait", {gateway, std::int64_t{3}, std::int64_t{2}, computing, run.name("futex"), std::int64_t{20}, 4e8});

  // process, second, stack, span, samples, objects, bytes, temporary
  const auto alloc = [&](std::int64_t second, std::int64_t stack, std::int64_t span, double objects, double bytes,
                         double temporary) {
    run.insert("alloc", {gateway, second, stack, span, std::int64_t{1}, objects, bytes, temporary});
  };
  for (std::int64_t s = 0; s < 10; ++s) alloc(s, inlined, request, 100.5, 1000.25, 40);
  alloc(3, computing, arbitration, 10, 50000, 0);
  const auto object = [&](std::int64_t sample, std::int64_t stack, std::int64_t in_thread, std::int64_t span,
                          double bytes, double objects, std::int64_t born_s, std::int64_t died_s) {
    run.insert("heap_object", {gateway, sample, stack, in_thread, span, std::int64_t{64}, std::int64_t{4096}, bytes,
                               objects, born_s * kSecondNs, maybe(died_s * kSecondNs)});
  };
  object(1, inlined, 1, request, 3000.5, 30, 1, 0);
  object(2, inlined, 1, request, 2000, 20, 2, 6);
  object(3, computing, 2, arbitration, 50000, 10, 3, 0);
  object(4, copying, 1, 0, 700, 7, 8, 0);

  run.insert("descriptor", {std::int64_t{1}, gateway, std::int64_t{7}, std::int64_t{1}, "connect", "10.0.0.1:443",
                            copying, 2 * kSecondNs, 8 * kSecondNs, std::int64_t{4}, std::int64_t{4096}, std::int64_t{5},
                            std::int64_t{512}, std::int64_t{1}, std::int64_t{1}});

  // A request of 100 ms on the loop, its arbitration beside it on the worker, a call to the provider that names itself
  // in its traceparent, and the provider's span that was called with that.
  const std::string trace = "4bf92f3577b34da6a3ce929d0e0e4736";
  const auto span = [&](std::int64_t process, std::int64_t id, std::int64_t parent, std::int64_t name,
                        std::int64_t from_ms, std::int64_t to_ms, std::int64_t in_thread,
                        const std::string& attributes) {
    run.insert("span", {process, id, parent, name, from_ms * kMillisecond, maybe(to_ms * kMillisecond), in_thread,
                        to_ms == 0 ? Value(nullptr) : Value(in_thread), attributes});
  };
  span(gateway, 1, 0, request, 1000, 1100, 1,
       R"({"traceparent":"00-)" + trace + R"(-00f067aa0ba902b7-01","cached":false})");
  span(gateway, 2, 1, arbitration, 1010, 1030, 2, R"({"provider":"atlas","cost":0.25,"tokens":120})");
  span(gateway, 3, 1, call, 1040, 1090, 1,
       R"({"provider":"atlas","traceparent":"00-)" + trace + R"(-aaaabbbbccccdddd-01"})");
  span(provider, 1, 0, serve, 1050, 1080, 3, R"({"traceparent":"00-)" + trace + R"(-aaaabbbbccccdddd-01"})");
  // Two requests at the same time on one thread, which do not nest; the second never ends.
  span(gateway, 4, 0, request, 2000, 2500, 1, "{}");
  span(gateway, 5, 0, request, 2100, 2900, 1, "{}");
  span(gateway, 6, 5, call, 2200, 2800, 1, R"({"provider":"borealis"})");
  span(gateway, 7, 0, request, 9000, 0, 1, "{}");
  for (const auto& [process, name, count, total_ms] :
       {std::tuple{gateway, request, 3, 1400}, std::tuple{gateway, arbitration, 1, 20},
        std::tuple{gateway, call, 2, 650}, std::tuple{provider, serve, 1, 30}}) {
    run.insert("span_stat", {process, std::int64_t{2}, name, std::int64_t{count}, total_ms * kMillisecond,
                             800 * kMillisecond, R"({"900":1})"});
  }

  const std::int64_t rss = run.metric("process_resident_bytes", "bytes", "gauge");
  const std::int64_t live = run.metric("heap_live_bytes", "bytes", "gauge");
  const std::int64_t fds = run.metric("process_open_fds", "count", "gauge");
  const std::int64_t user = run.metric("process_cpu_user_ns", "ns", "counter");
  const std::int64_t gc = run.metric("js_gc_ns", "ns", "counter");
  for (std::int64_t s = 0; s < 10; ++s) {
    run.point(rss, gateway, s, 1e6 + 1e5 * static_cast<double>(s));
    run.point(live, gateway, s, 5e5 + 1e4 * static_cast<double>(s));
    run.point(fds, gateway, s, 20 + static_cast<double>(s));
    run.point(user, gateway, s, 2.5e8 * static_cast<double>(s));  // a quarter of a core
    run.point(gc, gateway, s, 1e7 * static_cast<double>(s));
  }
  run.insert("load_source", {std::int64_t{1}, "k6", "k6.json", std::int64_t{100}, std::int64_t{1}, std::int64_t{0},
                             std::int64_t{0}, nullptr, "sent"});
  for (std::int64_t s = 0; s < 10; ++s) {
    run.insert("load_bucket", {std::int64_t{1}, s, std::int64_t{1}, "", std::int64_t{10}, std::int64_t{s == 7}, nullptr,
                               5.0, 9.0, 20.0, 40.0, 3.0});
  }
  run.insert("load_window", {std::int64_t{1}, std::int64_t{1}, "warm-up", "ramp", std::int64_t{0}, 3 * kSecondNs});
  run.insert("load_window", {std::int64_t{2}, std::int64_t{1}, "steady 10/s", "steady", 3 * kSecondNs, 6 * kSecondNs});
  run.insert("load_window",
             {std::int64_t{3}, std::int64_t{1}, "steady again", "steady", 8 * kSecondNs, 10 * kSecondNs});
  run.insert("mark", {std::int64_t{1}, 7 * kSecondNs, "failover of \"atlas\"", "user"});
  run.finish();
}

void long_spans_run(const std::filesystem::path& path, int hours) {
  RunBuilder run(path);
  run.meta("started_realtime_ns", "1795453200000000000");
  run.meta("ended_ns", std::to_string(static_cast<std::int64_t>(hours) * 3600 * kSecondNs));
  run.meta("command", R"(["/srv/bin/cam-server"])");
  run.meta("state", "complete");
  const std::int64_t server = run.process(99, "/srv/bin/cam-server");
  for (std::int64_t t = 1; t <= 4; ++t)
    run.insert("thread", {t, server, 100 + t, "worker", std::int64_t{0}, nullptr, std::int64_t{0}, std::int64_t{1}});
  const std::int64_t rss = run.metric("process_resident_bytes", "bytes", "gauge");
  std::int64_t id = 1;
  for (std::int64_t s = 0; s < std::int64_t{hours} * 3600; ++s) {
    run.point(rss, server, s, 1e8 + static_cast<double>(s));
    for (std::int64_t i = 0; i < 15; ++i) {
      const std::int64_t began = s * kSecondNs + i * 60 * kMillisecond, thread = 1 + i % 4, parent = id;
      for (const auto& [name, from, to] :
           {std::tuple{"cam.request", 0, 12}, std::tuple{"cam.arbitration", 1, 3},
            std::tuple{"cam.provider_call", 3, 10}, std::tuple{"cam.consensus", 10, 11}}) {
        const bool is_request = id == parent;
        run.insert("span", {server, id++, is_request ? std::int64_t{0} : parent, run.name(name),
                            began + from * kMillisecond, began + to * kMillisecond, thread, thread,
                            is_request ? R"({"cached":true})" : R"({"provider":"atlas","cost":0.002})"});
      }
    }
  }
  run.finish();
}

}  // namespace camprobe::tests
