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
#include "exporters/safe_text.h"
#include "run/reader.h"
#include "tests/exporters/export_runs.h"
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

json quantiles(std::int64_t count, double p50, double p95, double p99, double max) {
  return {{"count", count}, {"p50", p50}, {"p95", p95}, {"p99", p99}, {"max", max}};
}

json report_of(const std::string& verdict, const std::string& summary, json findings) {
  return {{"schema", "camprobe.report/1"},
          {"verdict", verdict},
          {"summary", summary},
          {"load",
           {{"tool", "k6"},
            {"counted_by", "load tool"},
            {"requests", 311000},
            {"errors", 540},
            {"latency_ms", quantiles(311000, 8.4, 19.1, 31.6, 214)}}},
          {"findings", std::move(findings)},
          {"cam",
           {{"arbitration_ms", nullptr},
            {"consensus_ms", nullptr},
            {"provider_switch_rate", nullptr},
            {"cost_optimization_rate", nullptr},
            {"providers", json::object()}}},
          {"gates", json::array()},
          {"analysis", {{"smallest_leak_per_1000_requests", nullptr}, {"not_judged", json::array()}}}};
}

json finding(const std::string& kind, const std::string& resource, const std::string& verdict, const std::string& title,
             double confidence, const std::string& advice) {
  return {
      {"id", resource + "-1"},
      {"kind", kind},
      {"resource", resource},
      {"verdict", verdict},
      {"confirmed", verdict == "leaks"},
      {"title", title},
      {"where",
       {{"stack", json::array()}, {"process", nullptr}, {"span", nullptr}, {"endpoint", nullptr}, {"peer", nullptr}}},
      {"since", nullptr},
      {"per_1000_requests", nullptr},
      {"per_hour", nullptr},
      {"before", nullptr},
      {"after", nullptr},
      {"forecast", nullptr},
      {"confidence", confidence},
      {"needs_seconds", nullptr},
      {"evidence", json::array()},
      {"advice", advice}};
}

json frame(const std::string& function, const std::string& file, int line) {
  return {{"function", function}, {"file", file}, {"line", line}, {"module", "/srv/bin/cam-server"}};
}

json estimate(double value, double low, double high, const std::string& unit) {
  return {{"value", value}, {"low", low}, {"high", high}, {"unit", unit}};
}

json since(double at, double low, double high) {
  return {{"at_s", at},          {"low_s", low},       {"high_s", high},
          {"from_start", false}, {"until_s", nullptr}, {"window", "steady 500/s"}};
}

json server_report() {
  json heap = finding("leak", "heap", "leaks", "Heap memory leaks in cam::RequestLog::remember", 0.996,
                      "Bound the request log: nothing ever takes from the deque that remember() appends to.");
  heap["where"]["stack"] = {frame("cam::RequestLog::remember(cam::Request const&)", "src/request_log.cc", 57),
                            frame("cam::ArbitrateHandler::handle(cam::Request const&)", "src/arbitrate.cc", 88),
                            frame("cam::HttpServer::serve(cam::Connection&)", "src/http_server.cc", 118),
                            frame("boost::asio::io_context::run()", "boost/asio/impl/io_context.ipp", 63)};
  heap["since"] = since(241, 236, 247);
  heap["per_1000_requests"] = estimate(1480000, 1421000, 1540000, "bytes");
  heap["per_hour"] = estimate(2664000000, 2560000000, 2770000000, "bytes");
  heap["forecast"] = {{"text", "reaches the limit of 4 GiB in 1 h 24 min at this load"}};
  heap["evidence"] = {{{"what", "survivors"},
                       {"text", "358 of 360 sampled objects born since 4:00 are still alive."},
                       {"value", nullptr}}};

  json fd = finding("leak", "fd", "leaks", "Connections leak in cam::ConnectionPool::dial", 0.98,
                    "Connections to 10.0.3.17:8443 are opened and never closed.");
  fd["where"]["stack"] = {
      frame("cam::ConnectionPool::dial(cam::Endpoint const&)", "src/connection_pool.cc", 97),
      frame("cam::ProviderCall::send(cam::Provider&, std::string_view)", "src/provider_call.cc", 141)};
  fd["where"]["peer"] = "10.0.3.17:8443";
  fd["since"] = since(240, 239, 244);
  fd["per_1000_requests"] = estimate(0.96, 0.84, 1.09, "count");

  json latency = finding("degradation", "latency", "step", "Latency of POST /arbitrate rose: p99 19.6 ms to 22.4 ms",
                         0.91, "Look at what the pool does once a provider is gone.");
  latency["where"]["endpoint"] = "POST /arbitrate";
  latency["since"] = since(300, 298, 305);
  latency["before"] = estimate(19.6, 19.1, 20.2, "ms");
  latency["after"] = estimate(22.4, 21.7, 23.2, "ms");

  json cache = finding("leak", "heap", "saturating", "Heap memory levels off in cam::AnswerCache::store", 0.95,
                       "A cache that fills: it holds steady since 4:10.");
  cache["where"]["stack"] = {frame("cam::AnswerCache::store(cam::Key const&, cam::Answer)", "src/answer_cache.cc", 51)};
  json threads = finding("leak", "thread", "inconclusive", "Threads cannot be judged yet", 0.4,
                         "Too few threads were started to tell.");
  threads["needs_seconds"] = 1800;

  json report = report_of("fail", "2 leaks and 1 degradation", {heap, fd, latency, cache, threads});
  report["cam"] = {{"arbitration_ms", quantiles(24000, 0.417, 0.956, 1.36, 3.2)},
                   {"consensus_ms", quantiles(3600, 3.13, 7.29, 10.3, 19)},
                   {"provider_switch_rate", 0.175},
                   {"cost_optimization_rate", 0.366},
                   {"providers", {{"atlas", 12600}, {"borealis", 7800}, {"cumulus", 3600}}}};
  report["analysis"] = {{"smallest_leak_per_1000_requests", estimate(11000, 9000, 13000, "bytes")},
                        {"not_judged", {"CPU per request: the load changed by more than a third."}}};
  return report;
}

json figure(const std::string& metric, const std::string& unit, const std::string& verdict, const json& base,
            const json& other, const json& change) {
  return {{"metric", metric}, {"endpoint", nullptr}, {"unit", unit},     {"verdict", verdict},
          {"base", base},     {"other", other},      {"change", change}, {"change_is", "relative"},
          {"minimum", 0.05},  {"why", nullptr}};
}

json past_run(const std::string& file, const std::string& started_at, double p99, std::int64_t findings) {
  return {{"file", file},
          {"started_at", started_at},
          {"requests_per_second", 500},
          {"confirmed_findings", findings},
          {"figures",
           {{{"metric", "latency_p99_ms"}, {"unit", "ms"}, {"value", p99}, {"low", p99 * 0.97}, {"high", p99 * 1.03}},
            {{"metric", "rss_peak_bytes"}, {"unit", "bytes"}, {"value", 4e8}, {"low", 4e8}, {"high", 4e8}}}}};
}

camprobe::viewer::PageContext server_context() {
  camprobe::viewer::PageContext context;
  context.comparison = {
      {"schema", "camprobe.comparison/1"},
      {"verdict", "worse"},
      {"summary", "Worse: p99 by 14.3 %."},
      {"base", {{{"file", "main.camrun"}, {"started_at", nullptr}, {"seconds", 600}, {"requests_per_second", 500}}}},
      {"load", {{"same", true}, {"text", "The load was the same: 500 requests a second."}}},
      {"figures",
       {figure("latency_p99_ms", "ms", "worse", estimate(27.6, 27, 28, "ms"), estimate(31.6, 31, 32, "ms"),
               estimate(0.143, 0.09, 0.2, "ratio")),
        figure("error_rate", "ratio", "same", estimate(0.001, 0, 0.002, "ratio"), estimate(0.001, 0, 0.002, "ratio"),
               estimate(0, -0.01, 0.01, "ratio"))}},
      {"findings",
       {{"new", {{{"id", "heap-1"}, {"title", "Heap memory leaks in cam::RequestLog::remember"}}}},
        {"gone", json::array()}}},
      {"notes", json::array()}};
  context.history = {past_run("a.camrun", "2026-01-05T10:00:00Z", 26.9, 0),
                     past_run("b.camrun", "2026-01-12T10:00:00Z", 27.6, 0),
                     past_run("server.camrun", "2026-01-19T10:00:00Z", 31.6, 2)};
  return context;
}

// Every text of a report may hold a name out of the run.
json hostile_report() {
  json findings = json::array();
  for (const std::string& name : tests::hostile_names()) {
    json one = finding("leak", "heap", "leaks", name, 0.9, name);
    one["where"] = {{"stack", {frame(name, name, 1), frame(name, name, 2)}},
                    {"process", nullptr},
                    {"span", name},
                    {"endpoint", name},
                    {"peer", name}};
    one["since"] = since(3, 2, 4);
    one["since"]["window"] = name;
    one["forecast"] = {{"text", name}};
    one["per_hour"] = estimate(1, 0, 2, name);
    one["evidence"] = {{{"what", name}, {"text", name}, {"value", nullptr}}};
    findings.push_back(one);
  }
  json report = report_of("fail", tests::hostile_names()[0], findings);
  report["gates"] = {{{"name", tests::hostile_names()[1]}, {"passed", false}, {"text", tests::hostile_names()[0]}}};
  report["analysis"]["not_judged"] = tests::hostile_names();
  report["cam"]["provider_switch_rate"] = 0.5;
  for (const std::string& name : tests::hostile_names())
    report["cam"]["providers"][camprobe::exporters::printable_utf8(name)] = 1;
  return report;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "make_pages: name the directory to write to\n";
    return 2;
  }
  const std::filesystem::path directory = argv[1];
  std::filesystem::create_directories(directory);
  const auto page = [&](const std::string& name, const json& report,
                        const camprobe::viewer::PageContext& context = {}) {
    const auto began = std::chrono::steady_clock::now();
    camprobe::run::Reader run = opened(directory / (name + ".camrun"));
    const json data = camprobe::viewer::page_data(run, report, {}, context);
    const std::string html = camprobe::viewer::self_contained_page(data);
    write(directory / (name + ".html"), html);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    std::cout << fmt::format("{}: {} KiB in {:.2f} s, notes {}\n", name, html.size() / 1024, took.count(),
                             data["notes"].dump(-1, ' ', false, json::error_handler_t::replace));
    return data;
  };
  const auto svg = [&](const std::string& name, camprobe::exporters::What what) {
    camprobe::run::Reader run = opened(directory / (name + ".camrun"));
    write(directory / fmt::format("{}.{}.svg", name, camprobe::exporters::name_of(what)),
          camprobe::exporters::to_flamegraph_svg(
              camprobe::exporters::read_slice(run, what, camprobe::exporters::TimeRange{0, run.duration_ns()})));
  };
  tests::server_run(directory / "server.camrun");
  const json served = page("server", server_report(), server_context());
  write(directory / "served.html", camprobe::viewer::served_page());
  write(directory / "page.json", served.dump());
  tests::empty_run(directory / "empty.camrun");
  page("empty", nullptr);
  tests::hostile_run(directory / "hostile.camrun");
  page("hostile", hostile_report());
  tests::mesh_run(directory / "mesh.camrun");
  page("mesh", nullptr);
  tests::large_run(directory / "large.camrun");
  page("large", report_of("pass", "No leak and no degradation found", json::array()));
  svg("server", camprobe::exporters::What::kCpu);
  svg("server", camprobe::exporters::What::kLive);
  svg("hostile", camprobe::exporters::What::kCpu);
  svg("large", camprobe::exporters::What::kCpu);
  return 0;
}
