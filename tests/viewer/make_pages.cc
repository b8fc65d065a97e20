// tests/viewer/make_pages.cc: writes the pages and flame graphs that browser.mjs opens, each from a synthetic run.
//
//   make_pages DIRECTORY
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "exporters/flamegraph_svg.h"
#include "run/reader.h"
#include "tests/exporters/synthetic_run.h"
#include "viewer/html.h"
#include "viewer/page_data.h"

namespace {

using nlohmann::json;
namespace tests = camprobe::tests;

void write(const std::filesystem::path& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text;
  if (!out.flush()) {
    std::cerr << "make_pages: cannot write " << path << '\n';
    std::exit(1);
  }
}

camprobe::run::Reader opened(const std::filesystem::path& path) {
  auto reader = camprobe::run::Reader::open(path.string());
  if (!reader) {
    std::cerr << "make_pages: " << reader.error() << '\n';
    std::exit(1);
  }
  return std::move(reader).value();
}

json server_report() {
  const json leak_stack = json::array({
      {{"function", "malloc"}, {"file", "malloc/malloc.c"}, {"line", 3287}, {"module", "/usr/lib/libc.so.6"}},
      {{"function", "operator new(unsigned long)"}, {"module", "/usr/lib/libstdc++.so.6"}},
      {{"function", "std::deque<cam::Request>::push_back(cam::Request const&)"}, {"file", "bits/stl_deque.h"}, {"line", 1515}},
      {{"function", "cam::RequestLog::remember(cam::Request const&)"}, {"file", "src/request_log.cc"}, {"line", 57}},
      {{"function", "cam::ArbitrateHandler::handle(cam::Request const&)"}, {"file", "src/arbitrate.cc"}, {"line", 88}},
      {{"function", "cam::HttpServer::serve(cam::Connection&)"}, {"file", "src/http_server.cc"}, {"line", 118}},
  });
  return {
      {"schema", "camprobe.report/1"},
      {"verdict", "fail"},
      {"load", {{"requests", 311000}, {"errors", 540}, {"latency_ms", {{"p50", 8.4}, {"p95", 19.1}, {"p99", 31.6}}}}},
      {"findings",
       json::array({
           {{"id", "heap-1"}, {"kind", "leak"}, {"resource", "heap"}, {"verdict", "leaks"}, {"where", {{"stack", leak_stack}}},
            {"since", {{"seconds", 241.0}}}, {"per_1000_requests", {{"value", 1480000}, {"low", 1421000}, {"high", 1540000}, {"unit", "bytes"}}},
            {"per_hour", {{"value", 2664000000}, {"low", 2560000000}, {"high", 2770000000}, {"unit", "bytes"}}},
            {"forecast", {{"text", "reaches the limit of 4 GiB in 1 h 24 min at this load"}}}, {"confidence", 0.996},
            {"evidence", json::array({"358 of 360 sampled objects born since 4:00 are still alive", "before 4:00 none was allocated here"})},
            {"advice", "Bound the request log: nothing ever takes from the deque that remember() appends to."}},
           {{"id", "fd-1"}, {"kind", "leak"}, {"resource", "fd"}, {"verdict", "leaks"},
            {"where", {{"stack", json::array({{{"function", "connect"}, {"module", "/usr/lib/libc.so.6"}}, {{"function", "cam::ConnectionPool::dial(cam::Endpoint const&)"}, {"file", "src/connection_pool.cc"}, {"line", 97}}, {{"function", "cam::ProviderCall::send(cam::Provider&, std::string_view)"}, {"file", "src/provider_call.cc"}, {"line", 141}}})}, {"peer", "10.0.3.17:8443"}}},
            {"since", {{"seconds", 240.0}}}, {"per_1000_requests", {{"value", 0.96}, {"low", 0.84}, {"high", 1.09}, {"unit", "count"}}}, {"confidence", 0.98},
            {"advice", "Connections to 10.0.3.17:8443 are opened and never closed."}},
           {{"id", "lat-1"}, {"kind", "degradation"}, {"resource", "latency"}, {"verdict", "step"}, {"where", {{"endpoint", "POST /arbitrate"}}},
            {"since", {{"seconds", 300.0}}}, {"confidence", 0.91}, {"advice", "p99 rose by 14 % at the failover and stayed; look at what the pool does once a provider is gone."}},
           {{"id", "heap-2"}, {"kind", "leak"}, {"resource", "heap"}, {"verdict", "saturating"},
            {"where", {{"stack", json::array({{{"function", "cam::AnswerCache::store(cam::Key const&, cam::Answer)"}, {"file", "src/answer_cache.cc"}, {"line", 51}}})}}},
            {"confidence", 0.95}, {"advice", "A cache that fills: it holds steady since 4:10."}},
           {{"id", "thread-1"}, {"kind", "leak"}, {"resource", "thread"}, {"verdict", "inconclusive"}, {"where", json::object()},
            {"advice", "Too few threads were started to tell; a run of 30 minutes would do."}},
       })},
  };
}

json hostile_report() {
  json findings = json::array();
  for (const std::string& name : tests::hostile_names()) {
    findings.push_back({{"kind", "leak"}, {"resource", "heap"}, {"verdict", "leaks"}, {"where", {{"stack", json::array({{{"function", name}, {"file", name}, {"line", 1}}, name})}}},
                        {"since", {{"seconds", 3}}}, {"advice", name}, {"evidence", json::array({name})}, {"forecast", {{"text", name}}}});
  }
  return {{"schema", "camprobe.report/1"}, {"verdict", "fail"}, {"summary", tests::hostile_names()[0]}, {"findings", findings}};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "make_pages: name the directory to write to\n";
    return 2;
  }
  const std::filesystem::path directory = argv[1];
  std::filesystem::create_directories(directory);
  const auto page = [&](const std::string& name, const json& report) {
    const auto began = std::chrono::steady_clock::now();
    camprobe::run::Reader run = opened(directory / (name + ".camrun"));
    const json data = camprobe::viewer::page_data(run, report);
    const std::string html = camprobe::viewer::self_contained_page(data);
    write(directory / (name + ".html"), html);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    std::cout << fmt::format("{}: {} KiB in {:.2f} s, notes {}\n", name, html.size() / 1024, took.count(), data["notes"].dump(-1, ' ', false, json::error_handler_t::replace));
    return data;
  };
  const auto svg = [&](const std::string& name, camprobe::exporters::What what) {
    camprobe::run::Reader run = opened(directory / (name + ".camrun"));
    write(directory / fmt::format("{}.{}.svg", name, camprobe::exporters::name_of(what)),
          camprobe::exporters::to_flamegraph_svg(camprobe::exporters::read_slice(run, what, {0, run.duration_ns()})));
  };
  tests::server_run(directory / "server.camrun");
  const json served = page("server", server_report());
  write(directory / "served.html", camprobe::viewer::served_page());
  write(directory / "page.json", served.dump());
  tests::empty_run(directory / "empty.camrun");
  page("empty", nullptr);
  tests::hostile_run(directory / "hostile.camrun");
  page("hostile", hostile_report());
  tests::large_run(directory / "large.camrun");
  page("large", {{"schema", "camprobe.report/1"}, {"verdict", "pass"}, {"findings", json::array()}});
  svg("server", camprobe::exporters::What::kCpu);
  svg("server", camprobe::exporters::What::kLive);
  svg("hostile", camprobe::exporters::What::kCpu);
  svg("large", camprobe::exporters::What::kCpu);
  return 0;
}
