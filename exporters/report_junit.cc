// exporters/report_junit.cc
//
// The elements and attributes that Jenkins' schema (jenkins-junit.xsd) and the Ant task's have in common, in their
// order; a test validates against a schema.
#include "exporters/report_junit.h"

#include <fmt/format.h>

#include <vector>

#include "exporters/safe_text.h"
#include "run/units.h"

namespace camprobe::exporters {

namespace {

struct Case {
  std::string name;
  std::string failure, skipped;  // messages; both empty: passed
  std::string type;              // of the failure
  std::vector<std::string> details;
};

std::vector<Case> gate_cases(const run::Report& report) {
  std::vector<Case> cases;
  for (const run::ReportGate& gate : report.gates) {
    Case one{gate.name, "", "", gate.state, {gate.text}};
    if (!gate.passed) {
      one.failure = gate.text;
    } else if (gate.state == "missing") {
      one.skipped = gate.text;
    }
    cases.push_back(std::move(one));
  }
  return cases;
}

std::vector<Case> finding_cases(const run::Report& report) {
  std::vector<Case> cases;
  for (const run::Finding& f : report.findings) {
    Case one{f.title, "", "", f.kind, {}};
    if (f.confirmed) {
      one.failure = f.title;
      for (const run::ReportFrame& frame : f.where.stack) {
        one.details.push_back("at " + frame.function +
                              (frame.file.empty()
                                   ? ""
                                   : " (" + frame.file + (frame.line ? ":" + std::to_string(*frame.line) : "") + ")"));
      }
      if (f.per_1000_requests) {
        const run::Estimate& e = *f.per_1000_requests;
        one.details.push_back(fmt::format("{} per 1,000 requests (95 %: {} to {})", run::in_unit(e.value, e.unit),
                                          run::in_unit(e.low, e.unit), run::in_unit(e.high, e.unit)));
      }
      for (const run::ReportEvidence& e : f.evidence) one.details.push_back(e.text);
      if (!f.advice.empty()) one.details.push_back(f.advice);
    } else if (f.verdict == "inconclusive") {
      one.skipped = f.needs_seconds ? fmt::format("could not be told; a run of {} under the same load would tell",
                                                  run::in_seconds(*f.needs_seconds))
                                    : "could not be told";
    }
    cases.push_back(std::move(one));
  }
  const auto any_against = [&](bool leaks) {
    for (const run::Finding& f : report.findings) {
      if (f.confirmed && (f.kind == "leak") == leaks) return true;
    }
    return false;
  };
  // So that a run without findings has cases too, and passing means something.
  if (!any_against(true)) {
    Case none{"no leak", "", "", "leak", {}};
    if (!report.analysis.leaks_judged) none.skipped = "the run could not be judged for leaks";
    cases.push_back(none);
  }
  if (!any_against(false)) {
    Case none{"no degradation", "", "", "degradation", {}};
    if (!report.analysis.degradation_judged) none.skipped = "the run could not be judged for degradation";
    cases.push_back(none);
  }
  return cases;
}

std::string suite(const std::string& name, const std::vector<Case>& cases, const run::Report& report, int id) {
  std::size_t failures = 0, skipped = 0;
  for (const Case& one : cases) failures += !one.failure.empty(), skipped += !one.skipped.empty();
  // The schemas want a time without a zone.
  const std::string started =
      report.run.started_at.empty() ? "1970-01-01T00:00:00" : report.run.started_at.substr(0, 19);
  std::string out = fmt::format(
      "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\" time=\"{:.3f}\" "
      "timestamp=\"{}\" hostname=\"{}\" id=\"{}\" package=\"camprobe\">\n    <properties>\n"
      "      <property name=\"run\" value=\"{}\"/>\n    </properties>\n",
      xml_text(name), cases.size(), failures, skipped, report.run.seconds, xml_text(started),
      xml_text(report.run.host.empty() ? "localhost" : report.run.host), id, xml_text(report.run.file));
  for (const Case& one : cases) {
    out += fmt::format("    <testcase name=\"{}\" classname=\"{}\" time=\"0.000\"", xml_text(shortened(one.name, 400)),
                       xml_text(name));
    std::string inside;
    if (!one.failure.empty()) {
      inside = fmt::format("      <failure message=\"{}\" type=\"{}\">", xml_text(one.failure), xml_text(one.type));
      for (const std::string& line : one.details) inside += xml_text(line) + "\n";
      inside += "</failure>\n";
    } else if (!one.skipped.empty()) {
      inside = fmt::format("      <skipped message=\"{}\"/>\n", xml_text(one.skipped));
    }
    out += inside.empty() ? "/>\n" : ">\n" + inside + "    </testcase>\n";
  }
  return out + "    <system-out>" + xml_text(report.summary) +
         "</system-out>\n    <system-err></system-err>\n  </testsuite>\n";
}

constexpr const char* kHead = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n";
constexpr const char* kFoot = "</testsuites>\n";

}  // namespace

std::string report_junit(const run::Report& report) {
  std::string out = kHead;
  int id = 0;
  if (!report.gates.empty()) out += suite("camprobe.gates", gate_cases(report), report, id++);
  return out + suite("camprobe.findings", finding_cases(report), report, id) + kFoot;
}

std::string gates_junit(const run::Report& report) {
  return kHead + suite("camprobe.gates", gate_cases(report), report, 0) + kFoot;
}

}  // namespace camprobe::exporters
