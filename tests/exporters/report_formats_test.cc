// tests/exporters/report_formats_test.cc: Markdown, JUnit XML and CSV, each opened with a real reader of its format,
// and each made of what no one should trust.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "exporters/report_json.h"
#include "exporters/report_junit.h"
#include "exporters/report_markdown.h"
#include "exporters/series_csv.h"
#include "tests/exporters/synthetic_run.h"
#include "tests/run/scratch.h"

namespace camprobe::exporters {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

run::ReportGate gate(const std::string& name, const std::string& state, bool passed) {
  run::ReportGate g;
  g.name = name, g.state = state, g.passed = passed;
  g.metric = "latency_p95_ms", g.unit = "ms", g.max = 100;
  g.text = name + " is told here";
  if (state != "missing") g.value = passed ? 80 : 120;
  return g;
}

run::Finding finding(const std::string& title, bool confirmed) {
  run::Finding f;
  f.id = "x", f.kind = "leak", f.resource = "heap", f.verdict = confirmed ? "leaks" : "inconclusive";
  f.confirmed = confirmed, f.title = title;
  f.where.stack = {{"cam::remember()", "leak.cc", 23, "/srv/cam"}};
  f.per_1000_requests = run::Estimate{2048, 1024, 4096, "bytes"};
  f.evidence = {{"survivors", "40 of 40 still live", 40}};
  f.advice = "look at cam::remember()";
  if (!confirmed) f.needs_seconds = 600;
  return f;
}

run::Report usual() {
  run::Report r;
  r.verdict = "fail", r.summary = "1 leak: it grows.";
  r.run.command = {"cam-server"}, r.run.seconds = 60, r.run.host = "bench",
  r.run.started_at = "2026-11-24T10:00:00.000Z";
  r.run.file = "a.camrun";
  r.gates = {gate("fast enough", "passed", true), gate("too slow", "crossed", false),
             gate("not known", "missing", false), gate("let pass", "missing", true)};
  r.findings = {finding("it grows", true), finding("it may grow", false)};
  r.load.requests = 1000;
  r.analysis.leaks_judged = r.analysis.degradation_judged = true;
  return r;
}

// Everything a stranger could put into a name, and a lot of it.
run::Report hostile() {
  run::Report r = usual();
  for (int round = 0; round < 40; ++round) {
    for (const std::string& name : tests::hostile_names()) {
      run::Finding f = finding(name, true);
      f.advice = name, f.evidence = {{"x", name, {}}};
      f.where.stack.assign(50, {name, name, 3, name});
      r.findings.push_back(f);
      r.gates.push_back(gate(name, "crossed", false));
      r.load.endpoints.push_back({name, 3, 1, {}});
      r.load.windows.push_back({name, name, 0, 1, 3, 1, {}});
      r.analysis.not_judged.push_back(name);
      r.summary += name;
    }
  }
  return r;
}

class Formats : public testing::Test {
 protected:
  bool is_valid_junit(const std::string& xml) {
    std::ofstream(scratch_ / "junit.xml") << xml;
    const std::string command = "xmllint --noout --huge --schema '" + std::string(CAMPROBE_SOURCE_DIR) +
                                "/tests/exporters/junit.xsd' '" + (scratch_ / "junit.xml") + "' >'" +
                                (scratch_ / "log") + "' 2>&1";
    const bool valid = std::system(command.c_str()) == 0;
    std::ifstream log(scratch_ / "log");
    log_.assign(std::istreambuf_iterator<char>(log), {});
    return valid;
  }
  run::Scratch scratch_;
  std::string log_;
};

TEST_F(Formats, JunitIsValidAndCountsItsCases) {
  const std::string xml = report_junit(usual());
  EXPECT_TRUE(is_valid_junit(xml)) << log_;
  EXPECT_THAT(xml,
              AllOf(HasSubstr("name=\"camprobe.gates\" tests=\"4\" failures=\"2\" errors=\"0\" skipped=\"1\""),
                    // A leak, one that could not be told, and that there is no degradation.
                    HasSubstr("name=\"camprobe.findings\" tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"1\"")));
  EXPECT_THAT(xml, AllOf(HasSubstr("at cam::remember() (leak.cc:23)"), HasSubstr("name=\"no degradation\"")));
  EXPECT_TRUE(is_valid_junit(gates_junit(usual()))) << log_;
  EXPECT_THAT(gates_junit(usual()), Not(HasSubstr("camprobe.findings")));
  EXPECT_TRUE(is_valid_junit(report_junit(run::Report{}))) << log_;
  EXPECT_TRUE(is_valid_junit(report_junit(hostile()))) << log_.substr(0, 2000);
}

TEST_F(Formats, TheSchemaTheyAreHeldAgainstRefusesWhatIsWrong) {
  std::string xml = report_junit(usual());
  xml.replace(xml.find("classname="), 10, "clssname=");
  EXPECT_FALSE(is_valid_junit(xml));
}

TEST_F(Formats, JunitSkipsWhatCouldNotBeJudged) {
  run::Report r = usual();
  r.findings.clear();
  r.analysis.leaks_judged = false;
  EXPECT_THAT(report_junit(r), HasSubstr("the run could not be judged for leaks"));
}

TEST_F(Formats, MarkdownSaysGatesFindingsAndLoad) {
  const std::string text = report_markdown(usual());
  EXPECT_THAT(
      text, AllOf(HasSubstr("## FAIL: 1 leak: it grows."), HasSubstr("| **FAIL** | too slow | 120 ms | &le; 100 ms |"),
                  HasSubstr("| pass | fast enough | 80 ms |"), HasSubstr("leak: it grows"),
                  HasSubstr("2 KiB (95 %: 1 KiB to 4 KiB)"), HasSubstr("cam::remember()  leak.cc:23")));
  // Failed gates come first.
  EXPECT_LT(text.find("too slow"), text.find("fast enough"));
  EXPECT_THAT(gates_markdown(usual()), HasSubstr("## FAIL: 2 of 4 gates not passed"));
}

TEST_F(Formats, MarkdownFitsAndStaysItselfWhateverTheNames) {
  const run::Report r = hostile();
  for (const std::string& text : {report_markdown(r), gates_markdown(r)}) {
    EXPECT_LT(text.size(), 65'000u);
    EXPECT_THAT(text, AllOf(Not(HasSubstr("<script")), Not(HasSubstr("<img")), HasSubstr("more ")));
    // Every row of a table has as many cells as its head: no name ended one.
    std::istringstream lines(text);
    std::size_t cells = 0;
    for (std::string line; std::getline(lines, line);) {
      if (line.empty() || line.front() != '|') {
        cells = 0;
        continue;
      }
      std::size_t bars = 0;
      for (std::size_t i = 0; i < line.size(); ++i) bars += line[i] == '|' && (i == 0 || line[i - 1] != '\\');
      if (cells == 0) cells = bars;
      EXPECT_EQ(bars, cells) << line;
    }
  }
}

TEST_F(Formats, MarkdownTextMentionsNobodyAndOpensNothing) {
  EXPECT_EQ(markdown_text("a|b <i>@team `x` *y* _z_ [l](u) #1 &amp;\nq"),
            "a\\|b &lt;i&gt;&#64;team \\`x\\` \\*y\\* \\_z\\_ \\[l\\](u) \\#1 &amp;amp; q");
}

std::string csv_of(run::Reader& run, const Filter& filter) {
  std::string text;
  Output out([&](std::string_view piece) { text += piece; });
  series_csv(run, filter, out);
  out.finish();
  return text;
}

TEST_F(Formats, CsvHoldsEverySeriesAndEvent) {
  tests::server_run(scratch_ / "server.camrun");
  auto run = run::Reader::open(scratch_ / "server.camrun");
  ASSERT_TRUE(run);
  std::ofstream(scratch_ / "all.csv") << csv_of(*run, TimeRange{0, run->duration_ns()});
  // Python's csv module reads it; every metric, bucket and event of the file is there.
  std::ofstream(scratch_ / "check.py") << R"(
import collections, csv, sqlite3, sys
rows = list(csv.DictReader(open(sys.argv[1], newline="")))
database = sqlite3.connect(sys.argv[2])
count = lambda query: database.execute(query).fetchone()[0]
kinds = collections.Counter(row["kind"] for row in rows)
assert kinds["gauge"] + kinds["counter"] == count("SELECT COUNT(*) FROM point"), kinds
assert sum(row["kind"] == "load" and row["name"] == "requests" for row in rows) == count("SELECT COUNT(*) FROM load_bucket")
assert sum(float(row["value"]) for row in rows if row["kind"] == "load" and row["name"] == "requests" and row["of"] == "") == count(
    "SELECT SUM(requests) FROM load_bucket WHERE endpoint = ''")
assert sum(row["name"] == "mark" for row in rows) == count("SELECT COUNT(*) FROM mark")
assert sum(row["name"] == "process began" for row in rows) == count("SELECT COUNT(*) FROM process WHERE id <> 0")
assert sum(row["kind"] == "io" and row["name"] == "bytes" for row in rows) == count("SELECT COUNT(*) FROM io")
assert sum(row["kind"] == "span" and row["name"] == "spans" for row in rows) == count("SELECT COUNT(*) FROM span_stat")
assert all(None not in row and None not in row.values() for row in rows)
for row in rows:
    float(row["time_s"])
    if row["value"]:
        float(row["value"])
rss = [float(row["value"]) for row in rows if row["name"] == "process_resident_bytes"]
assert max(rss) == count("SELECT MAX(value) FROM point JOIN metric ON metric.id = metric WHERE name = 'process_resident_bytes'")
)";
  const std::string command = "python3 -B '" + (scratch_ / "check.py") + "' '" + (scratch_ / "all.csv") + "' '" +
                              (scratch_ / "server.camrun") + "' >'" + (scratch_ / "log") + "' 2>&1";
  const int status = std::system(command.c_str());
  std::ifstream log(scratch_ / "log");
  EXPECT_EQ(status, 0) << std::string(std::istreambuf_iterator<char>(log), {});

  const std::string part = csv_of(*run, filter_of(*run, {.from = "60", .to = "61", .process = "4711"}));
  std::istringstream lines(part);
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line)) EXPECT_EQ(line.substr(0, 2), "60") << line;
  EXPECT_THROW(filter_of(*run, {.process = "1"}), SliceError);
}

TEST_F(Formats, CsvOfHostileNamesStaysATable) {
  tests::hostile_run(scratch_ / "hostile.camrun");
  auto run = run::Reader::open(scratch_ / "hostile.camrun");
  ASSERT_TRUE(run);
  std::ofstream(scratch_ / "all.csv") << csv_of(*run, TimeRange{0, run->duration_ns()});
  const std::string command =
      "python3 -c 'import csv, sys; rows = list(csv.reader(open(sys.argv[1], newline=\"\"), strict=True)); "
      "assert rows and all(len(row) == 9 for row in rows)' '" +
      (scratch_ / "all.csv") + "'";
  EXPECT_EQ(std::system(command.c_str()), 0);
}

TEST_F(Formats, GatesAsJsonAreThoseOfTheReport) {
  const auto gates = nlohmann::json::parse(gates_json(usual()));
  EXPECT_EQ(gates["schema"], "camprobe.gates-result/1");
  EXPECT_EQ(gates["passed"], false);
  EXPECT_EQ(gates["gates"], nlohmann::json::parse(report_json(usual()))["gates"]);
  EXPECT_TRUE(gates["gates"][2]["value"].is_null());
}

}  // namespace
}  // namespace camprobe::exporters
