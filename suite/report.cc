#include "suite/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "run/text.h"
#include "run/units.h"
#include "suite/child.h"
#include "suite/markup.h"
#include "suite/report_figures.h"

namespace camprobe::suite {
namespace {

using Json = nlohmann::ordered_json;

std::string text(const Json& json, const char* key) {
  return json.contains(key) && json[key].is_string() ? json[key].get<std::string>() : "";
}
std::string in(const Json& json, const char* key, const char* unit) {
  return json.contains(key) && json[key].is_number() ? run::in_unit(json[key].get<double>(), unit) : "-";
}

std::vector<std::string> strings(const Json& list) {
  std::vector<std::string> out;
  for (const Json& item : list) {
    if (item.is_string()) out.push_back(item);
  }
  return out;
}

// A list by spaces, a group by its members: JSON has no place to break a line at.
std::string in_words(const Json& value) {
  std::string out;
  if (value.is_array()) {
    for (const Json& item : value) out += (out.empty() ? "" : " ") + in_words(item);
  } else if (value.is_object()) {
    for (const auto& [key, item] : value.items())
      out += fmt::format("{}{}: {}", out.empty() ? "" : ", ", key, in_words(item));
  } else {
    out = value.is_string() ? value.get<std::string>() : value.dump();
  }
  return out;
}

void executive_summary(Document& page, const Json& report) {
  page.heading(fmt::format("{}: {}", text(report, "suite"), text(report, "verdict")));
  page.text(text(report, "summary"));
  if (!text(report, "description").empty()) page.text(text(report, "description"));
  if (report["time_scale"] != 1.0)
    page.text(fmt::format("All times of this suite were scaled by {}: a quick look, not the suite's own measurement.",
                          report["time_scale"].get<double>()));
  for (const Json& override_ : report["overrides"])
    page.text("Changed on the command line: " + override_.get<std::string>());
  std::vector<std::vector<std::string>> rows;
  for (const Json& run : report["runs"]) {
    const Json& load = run["load"];
    const Json& latency = load["latency_ms"];
    rows.push_back({text(run, "name"), text(run, "state"), in(load, "requests", "count"),
                    in(load, "throughput_rps", "per second"), latency.is_object() ? in(latency, "p50", "ms") : "-",
                    latency.is_object() ? in(latency, "p95", "ms") : "-",
                    latency.is_object() ? in(latency, "p99", "ms") : "-", in(load, "error_rate", "ratio"),
                    run.contains("metrics") ? in(run["metrics"], "availability", "ratio") : "-"});
  }
  page.table("Runs", {"run", "ended", "requests", "throughput", "p50", "p95", "p99", "errors", "availability"}, rows);
  what_it_took(page, report);
  std::vector<std::vector<std::string>> failed;
  for (const Json& run : report["runs"]) {
    for (const Json& gate : run["gates"])
      failed.push_back({gate["passed"] == true ? "passed" : gate["state"].get<std::string>(), text(gate, "text")});
  }
  page.table("Gates", {"gate", "what was measured"}, failed);
}

void recommendations(Document& page, const Json& report) {
  constexpr std::size_t kMost = 12;
  std::vector<std::vector<std::string>> rows;
  std::size_t left_out = 0;
  for (const Json& run : report["runs"]) {
    for (const Json& found : run["diagnosis"]) {
      std::string evidence;
      for (const Json& one : found["evidence"]) evidence += (evidence.empty() ? "" : "; ") + one.get<std::string>();
      if (rows.size() == kMost)
        ++left_out;
      else
        rows.push_back(
            {text(run, "name"), text(found, "symptom"), text(found, "cause"), evidence, text(found, "advice")});
    }
  }
  if (rows.empty()) return;
  page.subheading("What explains it, and what to do");
  page.table("", {"run", "symptom", "cause", "evidence", "advice"}, rows);
  if (left_out > 0) page.text(fmt::format("And {} more, of the same kinds of runs: report.json has them.", left_out));
}

void analyses(Document& page, const Json& report) {
  const Json& found = report["analyses"];
  for (const Json& section : found) {
    page.subheading(text(section, "title"));
    for (const std::string& sentence : strings(section.value("text", Json::array()))) page.text(sentence);
    if (section.contains("table")) {
      std::vector<std::vector<std::string>> rows;
      for (const Json& row : section["table"]["rows"]) rows.push_back(strings(row));
      page.table("", strings(section["table"]["head"]), rows);
    }
    for (const Json& chart : section.value("charts", Json::array())) {
      std::vector<Line> lines;
      for (const Json& line : chart["lines"]) {
        Line made{text(line, "name"), {}, line.value("points_only", false)};
        for (const Json& point : line["points"])
          made.points.emplace_back(point[0].get<double>(), point[1].get<double>());
        lines.push_back(std::move(made));
      }
      page.chart(text(chart, "title"), text(chart, "x"), text(chart, "y"), std::move(lines));
    }
  }
}

void details(Document& page, const Json& run) {
  page.subheading("Run " + text(run, "name"));
  if (!text(run, "why").empty())
    page.text(fmt::format("It ended before its time ({}): {}.", text(run, "state"), text(run, "why")));
  if (!text(run, "post_mortem").empty()) page.text("Post-mortem: " + text(run, "post_mortem") + ".");
  if (!text(run, "summary").empty()) page.text(text(run, "summary"));
  std::vector<std::vector<std::string>> phases;
  for (const Json& phase : run["phases"])
    phases.push_back({text(phase, "name"), text(phase, "kind"), in(phase, "users", "count"),
                      in(phase, "asked_rps", "per second"), in(phase, "throughput_rps", "per second"),
                      in(phase, "latency_p50_ms", "ms"), in(phase, "latency_p95_ms", "ms"),
                      in(phase, "latency_p99_ms", "ms"), in(phase, "errors", "count"),
                      in(phase, "cpu_average_cores", "cores"), in(phase, "cpu_peak_cores", "cores"),
                      in(phase, "rss_peak_bytes", "bytes"), in(phase, "fds_peak", "count")});
  page.table("Phases",
             {"phase", "kind", "users", "asked", "throughput", "p50", "p95", "p99", "errors", "CPU", "CPU peak", "RSS",
              "descriptors"},
             phases);
  const Json& load = run["load"];
  Line rate{"requests/s", {}, false}, p95{"p95, ms", {}, false};
  for (const Json& second : load["by_second"]) {
    rate.points.emplace_back(second["at_s"].get<double>(), second["rps"].get<double>());
    if (second["p95_ms"].is_number())
      p95.points.emplace_back(second["at_s"].get<double>(), second["p95_ms"].get<double>());
  }
  page.chart("Throughput", "seconds", "requests/s", {rate});
  page.chart("Latency", "seconds", "ms", {p95});
  if (load["heat"].is_object()) {
    std::vector<std::vector<double>> cells = load["heat"]["columns"];
    std::vector<std::string> names;
    const double lowest = load["heat"]["lowest_ms"];
    for (std::size_t i = 0; i < (cells.empty() ? 0 : cells.front().size()); ++i)
      names.push_back(fmt::format("{:.4g} ms", i == 0 ? 0 : lowest * std::exp2(static_cast<double>(i) - 1)));
    // Rows above and below all requests are left out; one that is empty between others says something.
    const auto is_empty = [&](std::size_t row) {
      return std::all_of(cells.begin(), cells.end(), [&](const auto& column) { return !(column[row] > 0); });
    };
    while (names.size() > 1 && is_empty(names.size() - 1)) {
      names.pop_back();
      for (auto& column : cells) column.pop_back();
    }
    while (names.size() > 1 && is_empty(0)) {
      names.erase(names.begin());
      for (auto& column : cells) column.erase(column.begin());
    }
    page.heat("Where requests lie: latency (from this much up) over time, the darker the more", std::move(cells),
              std::move(names), load["heat"].value("from_s", 0.0), load["heat"]["seconds_a_column"]);
  }
  if (run["recovery"].is_array()) {
    for (const Json& one : run["recovery"])
      page.text(fmt::format("Surge {}: {}.", text(one, "phase"), text(one, "text")));
  }
  if (load.contains("error_kinds") && !load["error_kinds"].empty()) {
    std::string kinds;
    for (const Json& kind : load["error_kinds"])
      kinds += fmt::format("{}{} times {}", kinds.empty() ? "" : ", ", run::in_count(kind["count"].get<double>()),
                           text(kind, "kind"));
    page.text("Errors by kind: " + kinds + ".");
  }
  const Json& counts = run["counts"];
  const auto count = [&](const char* key) {
    return counts[key].is_number() ? run::in_count(counts[key].get<double>()) : std::string("not known");
  };
  const char* verdict = counts["reconciled"].is_null()  ? "There is nothing to compare."
                        : counts["reconciled"] != true  ? "They do not agree:"
                        : counts["differences"].empty() ? "They agree."
                                                        : "Each difference has its reason:";
  page.text(fmt::format(
      "Requests as counted by the load tool: {}; by the server: {}; by the probe: {} (the suite's own {} left out). {}",
      count("load_tool"), count("server"), count("probe"), counts["suite_itself"].get<std::int64_t>(), verdict));
  page.list(strings(counts["differences"]));
  page.text("Load generator: " + text(run["generator"], "text") + ".");
  figures_of_run(page, run);
  std::vector<std::string> findings, checks, events;
  for (const Json& finding : run["findings"])
    findings.push_back(fmt::format("{}: {}", text(finding, "verdict"), text(finding, "title")));
  if (!findings.empty()) page.text("Findings:");
  page.list(findings);
  for (const Json& check : run["checks"])
    checks.push_back(text(check, "name") + (check["passed"] == true ? ": holds" : ": " + text(check, "text")));
  if (!checks.empty()) page.text("Checks:");
  page.list(checks);
  for (const Json& event : run["events"])
    events.push_back(fmt::format("{}: {}", run::at_time(event["at_s"].get<double>()), text(event, "what")));
  if (!events.empty()) page.text("What happened meanwhile:");
  page.list(events);
  if (!run["notes"].empty()) page.text("To know when reading these figures:");
  page.list(strings(run["notes"]));
  if (!text(run, "log_tail").empty()) page.text("The last words: " + text(run, "log_tail"));
}

std::string xml(const std::string& from) {
  std::string shown;
  for (const char c : run::valid_utf8(from)) {
    if (static_cast<unsigned char>(c) >= 32 || c == '\n' || c == '\t') shown += c;
  }
  return with_entities(shown);
}

}  // namespace

Document document_of(const Json& report) {
  Document page;
  executive_summary(page, report);
  recommendations(page, report);
  analyses(page, report);
  for (const Json& run : report["runs"]) details(page, run);
  page.subheading("Made on and with");
  std::vector<std::vector<std::string>> rows;
  for (const char* part : {"machine", "versions"}) {
    for (const auto& [key, value] : report[part].items()) rows.push_back({key, in_words(value)});
  }
  rows.push_back({"started", text(report, "started_at")});
  rows.push_back({"seed of the order of runs", report["seed"].dump()});
  page.table("", {"what", "value"}, rows);
  return page;
}

std::string junit_of(const Json& report) {
  std::string cases;
  int tests = 0, failures = 0, skipped = 0;
  const auto add = [&](const std::string& where, const std::string& name, bool passed, bool is_skipped,
                       const std::string& why) {
    ++tests;
    cases += fmt::format("  <testcase classname=\"{}\" name=\"{}\">", xml(where), xml(name));
    if (!passed) {
      ++failures;
      cases += fmt::format("<failure message=\"{}\"/>", xml(why));
    } else if (is_skipped) {
      ++skipped;
      cases += fmt::format("<skipped message=\"{}\"/>", xml(why));
    }
    cases += "</testcase>\n";
  };
  for (const Json& run : report["runs"]) {
    const std::string where = text(report, "suite") + "." + text(run, "name"), state = text(run, "state");
    add(where, "run", state == "complete" || state == "decided" || state == "interrupted", state == "interrupted",
        text(run, "why"));
    for (const Json& gate : run["gates"])
      add(where, text(gate, "name"), gate["passed"] == true, gate["state"] == "missing", text(gate, "text"));
    for (const Json& check : run["checks"])
      add(where, text(check, "name"), check["passed"] == true, false, text(check, "text"));
    for (const Json& finding : run["findings"])
      add(where, text(finding, "title"), finding.value("confirmed", false) == false,
          text(finding, "verdict") == "inconclusive", text(finding, "title"));
    if (run["counts"]["reconciled"].is_boolean()) {
      std::string why;
      for (const Json& difference : run["counts"]["differences"]) why += difference.get<std::string>() + "; ";
      add(where, "no request is lost silently", run["counts"]["reconciled"] == true, false, why);
    }
  }
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\" "
      "time=\"{:.3f}\">\n{}</testsuite>\n",
      xml(text(report, "suite")), tests, failures, skipped, report.value("seconds", 0.0), cases);
}

std::string pictured(const Json& report, const std::string& format) {
  if (format == "json") return report.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
  if (format == "junit") return junit_of(report);
  if (format == "csv") return csv_of(report);
  const Document page = document_of(report);
  if (format == "md") return page.as_markdown();
  if (format == "html") return page.as_html("camprobe suite " + text(report, "suite"));
  return page.as_text();
}

run::Result<void> write_report(const Json& report, const std::string& directory) {
  for (const auto& [format, name] : {std::pair{"json", "report.json"},
                                     {"text", "report.txt"},
                                     {"md", "report.md"},
                                     {"html", "report.html"},
                                     {"csv", "report.csv"},
                                     {"junit", "report.xml"}}) {
    const std::string path = directory + "/" + name;
    if (!write_all(path, pictured(report, format))) return run::Error{path + " cannot be written"};
  }
  return {};
}

run::Result<Json> read_report(const std::string& directory) {
  const std::string path = directory + "/report.json";
  if (!std::filesystem::exists(path))
    return run::Error{
        fmt::format("{}: there is no report.json; name a directory that camprobe suite run made", directory)};
  Json report = Json::parse(read_all(path), nullptr, false);
  if (report.is_discarded() || text(report, "schema") != kReportSchema)
    return run::Error{fmt::format("{}: is no report of a suite ({})", path, kReportSchema)};
  return report;
}

}  // namespace camprobe::suite
