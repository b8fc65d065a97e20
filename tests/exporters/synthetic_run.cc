// tests/exporters/synthetic_run.cc: see synthetic_run.h.
#include "tests/exporters/synthetic_run.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>

#include "run/histogram.h"

namespace camprobe::tests {

namespace {

const TestFrame kStart{"start_thread", "/usr/lib/libc.so.6", "nptl/pthread_create.c", 442};

std::vector<TestFrame> under_worker(std::vector<TestFrame> rest) {
  std::vector<TestFrame> frames{
      kStart,
      {"cam::Worker::run()", "/srv/bin/cam-server", "src/worker.cc", 61},
      {"boost::asio::io_context::run()", "/srv/bin/cam-server", "boost/asio/impl/io_context.ipp", 63},
      {"cam::HttpServer::serve(cam::Connection&)", "/srv/bin/cam-server", "src/http_server.cc", 118}};
  frames.insert(frames.end(), rest.begin(), rest.end());
  return frames;
}

std::string latency_histogram(std::mt19937_64& random, int requests, double median_ms) {
  std::lognormal_distribution<double> ms(std::log(median_ms), 0.42);
  run::Histogram histogram;
  for (int i = 0; i < requests; ++i) histogram.record(static_cast<std::uint64_t>(ms(random) * 1e6));
  return histogram.to_json();
}

}  // namespace

ServerRun server_run(const std::filesystem::path& path) {
  ServerRun facts;
  std::mt19937_64 random(7);
  RunBuilder run(path);
  run.meta("started_realtime_ns", "1795453200000000000");
  run.meta("started_monotonic_ns", "1000000000");
  run.meta("ended_ns", std::to_string(facts.duration_s * kSecondNs));
  run.meta("command", R"(["/srv/bin/cam-server", "--port", "8080", "--providers", "providers.json"])");
  run.meta("host", "bench-3");
  run.meta("kernel", "6.1.0-27-amd64");
  run.meta("cpus", "8");
  run.meta("memory_bytes", "33554432000");
  run.meta("state", "complete");
  const std::int64_t server = run.process(4711, "/srv/bin/cam-server");

  const std::string libc = "/usr/lib/libc.so.6";
  const std::string libssl = "/usr/lib/libssl.so.3";
  const std::string app = "/srv/bin/cam-server";
  const TestFrame handle{"cam::ArbitrateHandler::handle(cam::Request const&)", app, "src/arbitrate.cc", 88};
  const TestFrame choose{"cam::Arbiter::choose(cam::Request const&, cam::Deadline)", app, "src/arbiter.cc", 85};
  const TestFrame call{"cam::ProviderCall::send(cam::Provider&, std::string_view)", app, "src/provider_call.cc", 141};
  const TestFrame consensus{"cam::Consensus::round(std::span<cam::Agent*>)", app, "src/collaborate.cc", 132};
  const TestFrame remember{facts.leaking_function, app, "src/request_log.cc", 57};
  const TestFrame new_{"operator new(unsigned long)", "/usr/lib/libstdc++.so.6", "", 0};
  const TestFrame malloc_{"malloc", libc, "malloc/malloc.c", 3287};
  const auto at = [&](std::vector<TestFrame> rest) { return run.stack(server, under_worker(std::move(rest))); };

  struct Hot {
    std::int64_t stack;
    double share;
  };
  std::vector<Hot> cpu{
      {at({{"cam::HttpParser::feed(std::string_view)", app, "src/http_parser.cc", 40}}), 9},
      {at({{"cam::HttpParser::feed(std::string_view)", app, "src/http_parser.cc", 40},
           {"cam::HttpParser::header(char const*, unsigned long)", app, "src/http_parser.cc", 112}}),
       6},
      {at({handle,
           {"nlohmann::json::parse(std::string_view)", app, "nlohmann/json.hpp", 20871, "inlined"},
           {"nlohmann::detail::lexer::scan()", app, "nlohmann/json.hpp", 8420}}),
       13},
      {at({handle,
           choose,
           {"cam::Catalog::eligible(cam::Request const&)", app, "src/catalog.cc", 70},
           {"std::__introsort_loop<cam::Decision*>", app, "bits/stl_algo.h", 1905}}),
       8},
      {at({handle,
           choose,
           {"cam::Catalog::eligible(cam::Request const&)", app, "src/catalog.cc", 70},
           {"__memcmp_avx2_movbe", libc, "", 0}}),
       4},
      {at({handle,
           choose,
           {"cam::score(cam::Provider const&)", app, "src/arbiter.cc", 44, "inlined"},
           {"__exp1", "/usr/lib/libm.so.6", "", 0}}),
       5},
      {at({handle,
           call,
           {"cam::ConnectionPool::acquire(cam::Endpoint const&)", app, "src/connection_pool.cc", 52},
           {"connect", libc, "", 0},
           {"[kernel] tcp_v4_connect", "[kernel]", "", 0, "kernel"}}),
       3},
      {at({handle, call, {"SSL_write", libssl, "", 0}, {"aes_gcm_encrypt", "/usr/lib/libcrypto.so.3", "", 0}}), 9},
      {at({handle, call, {"send", libc, "", 0}, {"[kernel] tcp_sendmsg", "[kernel]", "", 0, "kernel"}}), 7},
      {at({handle, call, {"recv", libc, "", 0}}), 4},
      {at({handle,
           {"cam::AnswerCache::find(cam::Key const&)", app, "src/answer_cache.cc", 33},
           {"XXH3_64bits", app, "xxhash.h", 5520, "inlined"}}),
       5},
      {at({handle,
           consensus,
           {"cam::Agent::vote(cam::Proposal const&)", app, "src/agent.cc", 64},
           {"cam::Proposal::distance(cam::Proposal const&) const", app, "src/agent.cc", 21, "inlined"}}),
       11},
      {at({handle,
           remember,
           {"std::deque<cam::Request>::push_back(cam::Request const&)", app, "bits/stl_deque.h", 1515, "inlined"},
           new_,
           malloc_}),
       2.5},
      {at({handle,
           {"nlohmann::json::dump() const", app, "nlohmann/json.hpp", 21014},
           {"nlohmann::detail::serializer::dump_escaped", app, "nlohmann/json.hpp", 18090}}),
       7},
      {run.stack(server, {{"_start", app},
                          {"main", app, "src/main.cc", 120},
                          {"cam::MetricsLoop::tick()", app, "src/metrics.cc", 29}}),
       1},
  };
  for (int i = 0; i < 60; ++i) {  // the long tail every profile has
    std::vector<TestFrame> tail{handle, {"cam::Middleware::apply(cam::Request&)", app, "src/middleware.cc", 31}};
    for (int depth = 0; depth < 2 + i % 7; ++depth) {
      tail.push_back({"cam::plugin_" + std::to_string((i * 7 + depth * 3) % 23) + "::step(cam::Context&)",
                      "/srv/lib/libcamplugins.so", "plugins/step.cc", 10 + depth});
    }
    cpu.push_back({at(tail), 0.05 + 0.4 / (1 + i)});
  }
  double shares = 0;
  for (const Hot& hot : cpu) shares += hot.share;

  std::vector<Hot> churn{
      {at({handle,
           {"nlohmann::json::parse(std::string_view)", app, "nlohmann/json.hpp", 20871, "inlined"},
           new_,
           malloc_}),
       40},
      {at({handle,
           {"nlohmann::json::dump() const", app, "nlohmann/json.hpp", 21014},
           {"std::string::_M_mutate", "/usr/lib/libstdc++.so.6", "", 0},
           new_,
           malloc_}),
       24},
      {at({handle,
           choose,
           {"std::vector<cam::Decision>::reserve(unsigned long)", app, "bits/vector.tcc", 79, "inlined"},
           new_,
           malloc_}),
       12},
      {at({handle,
           consensus,
           {"cam::Proposal::Proposal(cam::Proposal const&)", app, "src/agent.cc", 12},
           new_,
           malloc_}),
       9},
      {at({handle,
           call,
           {"cam::Buffer::grow(unsigned long)", app, "src/buffer.cc", 18},
           {"realloc", libc, "malloc/malloc.c", 3434}}),
       11},
  };
  const std::int64_t leak =
      at({handle,
          remember,
          {"std::deque<cam::Request>::push_back(cam::Request const&)", app, "bits/stl_deque.h", 1515, "inlined"},
          new_,
          malloc_});
  const std::int64_t cache =
      at({handle,
          {"cam::AnswerCache::store(cam::Key const&, cam::Answer)", app, "src/answer_cache.cc", 51},
          new_,
          malloc_});
  const std::int64_t tables =
      run.stack(server, {{"_start", app},
                         {"main", app, "src/main.cc", 61},
                         {"cam::Catalog::load(std::filesystem::path const&)", app, "src/catalog.cc", 25},
                         new_,
                         malloc_});
  const std::int64_t dialled =
      at({handle,
          call,
          {"cam::ConnectionPool::dial(cam::Endpoint const&)", app, "src/connection_pool.cc", 97},
          {"connect", libc, "", 0}});
  const std::int64_t accepted =
      run.stack(server, {kStart, {"cam::Acceptor::loop()", app, "src/http_server.cc", 40}, {"accept4", libc, "", 0}});
  const std::int64_t idle =
      run.stack(server, {kStart,
                         {"cam::Worker::run()", app, "src/worker.cc", 61},
                         {"boost::asio::detail::epoll_reactor::run(long)", app, "epoll_reactor.ipp", 501}});

  const std::int64_t rss = run.metric("process_resident_bytes", "bytes", "gauge");
  const std::int64_t pss = run.metric("process_pss_bytes", "bytes", "gauge");
  const std::int64_t live = run.metric("heap_live_bytes", "bytes", "gauge");
  const std::int64_t fds = run.metric("process_open_fds", "count", "gauge");
  const std::int64_t threads = run.metric("process_threads", "count", "gauge");
  const std::int64_t user = run.metric("process_cpu_user_ns", "ns", "counter");
  const std::int64_t system = run.metric("process_cpu_system_ns", "ns", "counter");
  const std::int64_t switches = run.metric("process_context_switches_voluntary", "count", "counter");
  const std::int64_t machine_cpu = run.metric("machine_cpu_user_ns", "ns", "counter");

  run.insert("load_source", {std::int64_t{1}, "k6", "k6.json", std::int64_t{0}, std::int64_t{0}, std::int64_t{0},
                             std::int64_t{3}, "not JSON", "sent"});
  const auto rate_at = [](std::int64_t s) {
    return s < 60 ? 20 + 480.0 * static_cast<double>(s) / 60 : s >= 480 && s < 540 ? 900.0 : 500.0;
  };
  std::normal_distribution<double> noise(0, 1);
  std::exponential_distribution<double> lasts(1.0 / 40);
  std::uniform_real_distribution<double> uniform(0, 1);
  double user_ns = 0, system_ns = 0, cached = 0, switched = 0;
  std::int64_t requests = 0, errors = 0, open_connections = 0;
  for (std::int64_t s = 0; s < facts.duration_s; ++s) {
    const double rate = rate_at(s);
    const int sent = static_cast<int>(rate + 6 * noise(random));
    const int failed = s >= 300 && s < 306 ? sent / 6 : uniform(random) < 0.05 ? 1 : 0;
    const double median = (s < 60 ? 9 : 7.5) * (rate > 800 ? 1.9 : 1) * (s >= 300 && s < 306 ? 4 : 1) *
                          (1 + 0.0006 * static_cast<double>(std::max<std::int64_t>(0, s - 240)));
    run.insert("load_bucket", {std::int64_t{1}, s, std::int64_t{1}, "", std::int64_t{sent}, std::int64_t{failed},
                               latency_histogram(random, sent, median), nullptr, nullptr, nullptr, nullptr, rate / 12});
    requests += sent;
    errors += failed;

    const double cores = rate / 500 * 1.6 + 0.05 * noise(random);
    user_ns += cores * 0.72e9;
    system_ns += cores * 0.28e9;
    switched += rate * 3.1;
    run.point(user, server, s, user_ns);
    run.point(system, server, s, system_ns);
    run.point(switches, server, s, switched);
    run.point(machine_cpu, 0, s, user_ns * 1.4);
    for (const Hot& hot : cpu) {
      const double mean = cores * 99 * hot.share / shares;
      const std::int64_t samples = std::poisson_distribution<std::int64_t>(std::max(0.001, mean))(random);
      if (samples > 0) run.cpu(server, s, hot.stack, samples, static_cast<double>(samples) * 1e9 / 99);
    }
    for (const Hot& hot : churn)
      run.alloc(server, s, hot.stack, std::max(1.0, rate * hot.share * 220 * (1 + 0.05 * noise(random))),
                rate * hot.share / 60);
    run.insert("wait", {server, s, std::int64_t{1}, idle, run.name("epoll_wait"), std::int64_t{99},
                        std::max(1.0, 8 - cores) * 1e9});

    for (int i = 0; i < 3; ++i) {
      const std::int64_t born = s * kSecondNs + i * 300'000'000;
      const double life = 1 + lasts(random);
      const auto died = born + static_cast<std::int64_t>(life * 1e9);
      if (cached < 48e6 || i == 0)
        run.object(server, cache, 150'000, born,
                   died < facts.duration_s * kSecondNs ? std::optional(died) : std::nullopt);
    }
    cached = std::min(48e6, cached + 200'000);
    if (s == 0) run.object(server, tables, 22'000'000, 400'000'000, std::nullopt);
    double leaked = 0;
    if (s >= facts.onset_s) {
      leaked = rate * 1480 * (1 + 0.03 * noise(random));
      run.object(server, leak, leaked, s * kSecondNs + 100'000'000, std::nullopt);
      run.alloc(server, s, leak, leaked);
      facts.leaked_bytes += leaked;
      if (s % 2 == 0) {
        ++open_connections;
        run.insert("descriptor",
                   {10'000 + s, server, 60 + open_connections, std::int64_t{1}, "connect", "10.0.3.17:8443", dialled,
                    s * kSecondNs, nullptr, std::int64_t{4}, std::int64_t{9216}, std::int64_t{3}, std::int64_t{2100},
                    std::int64_t{1}, std::int64_t{1}});
      }
    }
    const double heap = 22e6 + cached * 0.36 + facts.leaked_bytes;
    run.point(live, server, s, heap);
    run.point(rss, server, s, heap * 1.12 + 34e6 + 1e5 * noise(random));
    run.point(pss, server, s, heap * 1.1 + 30e6);
    run.point(fds, server, s, 58 + static_cast<double>(open_connections) + std::floor(4 * uniform(random)));
    run.point(threads, server, s, s < 5 ? 4 : 18);
    run.insert("descriptor_sum", {server, s, "accept", "10.0.0.9:" + std::to_string(40000 + s % 5), accepted,
                                  std::int64_t{2}, std::int64_t{2}, std::int64_t{sent}, std::int64_t{sent} * 412,
                                  std::int64_t{sent}, std::int64_t{sent} * 1893});
    run.insert("descriptor_sum", {server, s, "connect", s % 3 == 0 ? "10.0.3.18:8443" : "10.0.3.19:8443", dialled,
                                  std::int64_t{1}, std::int64_t{1}, std::int64_t{sent} / 3, std::int64_t{sent} * 900,
                                  std::int64_t{sent} / 3, std::int64_t{sent} * 300});

    const auto span = [&](const char* called, int count, double ms) {
      run::Histogram histogram;
      std::lognormal_distribution<double> spread(std::log(ms), 0.5);
      std::uint64_t longest = 0;
      for (int i = 0; i < count; ++i) {
        const auto ns = static_cast<std::uint64_t>(spread(random) * 1e6);
        longest = std::max(longest, ns);
        histogram.record(ns);
      }
      run.insert("span_stat",
                 {server, s, run.name(called), std::int64_t{count}, static_cast<std::int64_t>(histogram.sum()),
                  static_cast<std::int64_t>(longest), histogram.to_json()});
    };
    span("cam.request", 40, median * 0.9);
    span("cam.arbitration", 40, 0.42);
    span("cam.provider_call", 34, median * 0.7);
    span("cam.consensus", 6, 3.1);
    for (const auto& [provider, part] : {std::pair{"atlas", 21}, std::pair{"borealis", 13}, std::pair{"cumulus", 6}}) {
      run.insert("span_attribute", {server, s, run.name("cam.arbitration"), run.name("provider"), provider,
                                    std::int64_t{part}, 0.0, std::int64_t{part / 5}});
    }
    run.insert("span_attribute",
               {server, s, run.name("cam.arbitration"), run.name("cost"), "", std::int64_t{40}, 0.71, std::int64_t{0}});
    run.insert("span_attribute", {server, s, run.name("cam.arbitration"), run.name("baseline_cost"), "",
                                  std::int64_t{40}, 1.12, std::int64_t{0}});
  }
  for (std::int64_t i = 0; i < 50; ++i) {  // requests of 10 ms with an arbitration of 2 ms and a call of 5 ms inside
    const std::int64_t began = (100 + i) * kSecondNs;
    run.insert("span", {server, i * 10 + 1, std::int64_t{0}, run.name("cam.request"), began, began + 10'000'000,
                        std::int64_t{1}, std::int64_t{1}, "{}"});
    run.insert("span", {server, i * 10 + 2, i * 10 + 1, run.name("cam.arbitration"), began + 1'000'000,
                        began + 3'000'000, std::int64_t{1}, std::int64_t{1}, "{}"});
    run.insert("span", {server, i * 10 + 3, i * 10 + 1, run.name("cam.provider_call"), began + 4'000'000,
                        began + 9'000'000, std::int64_t{1}, std::int64_t{2}, "{}"});
  }
  const std::vector<std::tuple<const char*, const char*, std::int64_t, std::int64_t>> windows{
      {"ramp to 500/s", "ramp", 0, 60},
      {"steady 500/s", "steady", 60, 480},
      {"spike 900/s", "spike", 480, 540},
      {"steady after", "steady", 540, 600}};
  for (const auto& [window, kind, from, to] : windows)
    run.insert("load_window",
               {run.name(window) + 1000, std::int64_t{1}, window, kind, from * kSecondNs, to * kSecondNs});
  run.insert("mark", {std::int64_t{1}, 300 * kSecondNs, "failover of atlas", "user"});
  run.insert("mark", {std::int64_t{2}, 236 * kSecondNs, "request log on", "program"});
  run.insert("lost", {server, std::int64_t{481}, "io", std::int64_t{212}});
  run.finish();
  return facts;
}

void empty_run(const std::filesystem::path& path) {
  RunBuilder run(path);
  run.meta("ended_ns", "5000000000");
  run.meta("command", R"(["true"])");
  run.meta("state", "complete");
  run.finish();
}

std::vector<std::string> hostile_names() {
  return {
      "</script><script>window.hacked = 1</script>",
      "<img src=x onerror=\"window.hacked = 1\">",
      "\"quoted\" 'single' & <b>bold</b> ]]> --><!--",
      "\xE2\x80\xAE"
      "desrever txet",  // right-to-left override
      "\xD7\xA9\xD7\x9C\xD7\x95\xD7\x9D::\xD9\x85\xD8\xB1\xD8\xAD\xD8\xA8\xD8\xA7",
      "semi;colon new\nline tab\there  ",
      "broken \xFF\xC3( utf-8 \xED\xA0\x80 \xF5",
      "{{camprobe-data}} {{camprobe-connect}} [[script]] $& $1",
      "javascript:alert(1)",
      std::string(10'000, 'N'),
      std::string("nul\0byte", 8),
      "\xE2\x80\xA8line separator\xE2\x80\xA9",
      "__proto__",
      "constructor",
  };
}

void hostile_run(const std::filesystem::path& path) {
  RunBuilder run(path);
  run.meta("started_realtime_ns", "1795453200000000000");
  run.meta("ended_ns", "60000000000");
  run.meta("command", R"(["</script><script>window.hacked = 1</script>", "<img src=x onerror='window.hacked=1'>"])");
  run.meta("host", "<script>window.hacked = 1</script>");
  run.meta("kernel", "</style>");
  run.meta("state", "complete");
  const std::vector<std::string> names = hostile_names();
  const std::int64_t process = run.process(7, "/tmp/<script>window.hacked=1</script>");
  const std::int64_t other = run.process(8, "/tmp/\" onload=\"window.hacked=1");
  const std::int64_t metric = run.metric("<img src=x onerror=window.hacked=1>", "</b>", "gauge");
  run.insert("load_source", {std::int64_t{1}, names[0], nullptr, std::int64_t{1}, std::int64_t{0}, nullptr,
                             std::int64_t{0}, nullptr, "none"});
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto s = static_cast<std::int64_t>(i);
    const std::int64_t stack = run.stack(i % 2 == 0 ? process : other,
                                         {{"main", "/tmp/m"},
                                          {names[i], names[(i + 1) % names.size()], names[(i + 2) % names.size()], 3},
                                          {names[(i + 5) % names.size()], "/tmp/m"}});
    run.cpu(i % 2 == 0 ? process : other, s, stack, 10, 1e8);
    run.alloc(i % 2 == 0 ? process : other, s, stack, 1e6, 5);
    run.object(process, stack, 1e6, s * kSecondNs, std::nullopt);
    run.insert("descriptor",
               {s + 1, process, s, std::int64_t{1}, "connect", names[i], stack, s * kSecondNs, nullptr, std::int64_t{1},
                std::int64_t{10}, std::int64_t{1}, std::int64_t{20}, std::int64_t{1}, std::int64_t{1}});
    run.insert("span_stat", {process, s, run.name(names[i]), std::int64_t{3}, std::int64_t{3000000},
                             std::int64_t{2000000}, R"({"900":3})"});
    run.insert("load_window", {s + 1, std::int64_t{1}, names[i], "steady", s * 4 * kSecondNs, (s * 4 + 4) * kSecondNs});
    run.insert("mark", {s + 1, s * 4 * kSecondNs, names[i], "user"});
    run.point(metric, process, s, static_cast<double>(i));
    run.insert("lost", {process, s, names[i], std::int64_t{1}});
  }
  run.finish();
}

void large_run(const std::filesystem::path& path, int stacks, int hours) {
  std::mt19937_64 random(11);
  RunBuilder run(path);
  run.meta("started_realtime_ns", "1795453200000000000");
  run.meta("ended_ns", std::to_string(static_cast<std::int64_t>(hours) * 3600 * kSecondNs));
  run.meta("command", R"(["/srv/bin/cam-server"])");
  run.meta("state", "complete");
  const std::int64_t server = run.process(99, "/srv/bin/cam-server");
  std::vector<std::int64_t> ids;
  for (int i = 0; i < stacks; ++i) {
    std::vector<TestFrame> frames{kStart, {"cam::Worker::run()"}};
    const int depth = 8 + static_cast<int>(random() % 40);
    std::uint64_t state = static_cast<std::uint64_t>(i) % 37;
    for (int d = 0; d < depth; ++d) {
      // Shared towards the root, all their own towards the leaf.
      state = d < depth / 2 ? (state * 31 + static_cast<std::uint64_t>(d)) % 53 : random() % 4000;
      frames.push_back({"cam::module" + std::to_string(state % 97) + "::function_" + std::to_string(state) +
                            "(cam::Context&, unsigned long)",
                        "/srv/lib/lib" + std::to_string(state % 9) + ".so", "src/f.cc", static_cast<int>(state)});
    }
    ids.push_back(run.stack(server, frames));
  }
  const std::int64_t rss = run.metric("process_resident_bytes", "bytes", "gauge");
  const std::int64_t user = run.metric("process_cpu_user_ns", "ns", "counter");
  std::discrete_distribution<std::size_t> heavy([&] {
    std::vector<double> weights;
    for (int i = 0; i < stacks; ++i) weights.push_back(1.0 / (1 + i));
    return std::discrete_distribution<std::size_t>(weights.begin(), weights.end());
  }());
  run.insert("load_source",
             {std::int64_t{1}, "k6", nullptr, nullptr, nullptr, nullptr, std::int64_t{0}, nullptr, "sent"});
  std::size_t next = 0;
  for (std::int64_t minute = 0; minute < hours * 60; ++minute) {
    const std::int64_t s = minute * 60;
    run.point(rss, server, s, 2e8 + 1e4 * static_cast<double>(minute), 60);
    run.point(user, server, s, 30e9 * static_cast<double>(minute), 60);
    run.insert("load_bucket", {std::int64_t{1}, s, std::int64_t{60}, "", std::int64_t{30000}, std::int64_t{1}, nullptr,
                               5.0, 9.0, 20.0, 40.0, nullptr});
    std::map<std::int64_t, int> seen;
    for (int i = 0; i < 90; ++i) ++seen[ids[heavy(random)]];
    for (int i = 0; i < 10; ++i) ++seen[ids[next++ % ids.size()]];
    for (const auto& [stack, samples] : seen) {
      run.cpu(server, s, stack, samples, samples * 1e9 / 99);
      run.alloc(server, s, stack, samples * 65536.0);
    }
    const std::int64_t born = s * kSecondNs;
    for (int i = 0; i < 20; ++i) {
      const auto died = born + static_cast<std::int64_t>(random() % (3600 * 1'000'000'000ull)) + kSecondNs;
      run.object(server, ids[heavy(random)], 65536, born + i, i == 0 ? std::nullopt : std::optional(died));
    }
  }
  run.finish();
}

}  // namespace camprobe::tests
