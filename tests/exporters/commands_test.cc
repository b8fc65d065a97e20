// tests/exporters/commands_test.cc: `camprobe export` and `camprobe report` as their bodies: what they write where, and
// one clear line and exit code 2 for what cannot be done.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "cli/export.h"
#include "cli/output.h"
#include "cli/report.h"
#include "tests/exporters/synthetic_run.h"

namespace camprobe::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class CommandsTest : public testing::Test {
 protected:
  CommandsTest()
      : directory_(std::filesystem::temp_directory_path() / ("camprobe-commands-" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(directory_);
    run_ = (directory_ / "server.camrun").string();
    if (!std::filesystem::exists(run_)) tests::server_run(run_);
  }
  static void TearDownTestSuite() {
    std::filesystem::remove_all(std::filesystem::temp_directory_path() /
                                ("camprobe-commands-" + std::to_string(::getpid())));
  }

  template <class Body>
  int call(const Body& body) {
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const int code = body();
    out_ = testing::internal::GetCapturedStdout();
    error_ = testing::internal::GetCapturedStderr();
    return code;
  }
  std::string content(const std::string& path) const {
    std::ifstream file(path, std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  std::string at(const std::string& name) const { return (directory_ / name).string(); }

  std::filesystem::path directory_;
  std::string run_, out_, error_;
};

TEST_F(CommandsTest, AFileAppearsWholeOrNotAtAllAlsoWhenItsWriterIsKilled) {
  const std::string directory = at("whole"), path = directory + "/a.json", beside = path + ".part";
  std::filesystem::create_directories(directory);
  std::ofstream(beside) << "somebody else's";
  const std::string piece(100'000, 'x');
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    OutputFile file(path);
    for (int i = 0; i < 10; ++i) (void)file.write(piece);
    ::kill(::getpid(), SIGKILL);
  }
  ::waitpid(child, nullptr, 0);
  const auto files = [&] { return std::distance(std::filesystem::directory_iterator(directory), {}); };
  EXPECT_EQ(files(), 1);
  for (const char* text : {"first", "second"}) {
    OutputFile file(path);
    ASSERT_TRUE(file.write(text));
    EXPECT_NE(content(path), text) << "not before it is complete";
    ASSERT_TRUE(file.finish());
    EXPECT_EQ(content(path), text);
  }
  {
    OutputFile given_up(path);
    ASSERT_TRUE(given_up.write("third"));
  }
  EXPECT_EQ(content(path), "second");
  EXPECT_EQ(content(beside), "somebody else's");
  EXPECT_EQ(files(), 2);
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  const mode_t mask = ::umask(0);
  ::umask(mask);
  EXPECT_EQ(status.st_mode & 0777, 0666 & ~mask);
}

TEST_F(CommandsTest, ExportWritesFoldedStacksToStandardOutput) {
  EXPECT_EQ(call([&] { return run_export({.run = run_}); }), 0);
  EXPECT_THAT(out_, HasSubstr("start_thread;cam::Worker::run();boost::asio::io_context::run();"));
  EXPECT_EQ(error_, "");
}

TEST_F(CommandsTest, ExportTakesEachSliceAndFormat) {
  for (const char* what : {"cpu", "alloc", "live", "growth", "retained", "temporary", "wait", "io", "spans"}) {
    EXPECT_EQ(
        call([&] {
          return run_export(
              {.run = run_, .request = {.format = "folded", .what = what, .filter = {.from = "10%", .to = "100%"}}});
        }),
        0)
        << what << error_;
    EXPECT_THAT(out_, HasSubstr(" ")) << what;
    EXPECT_EQ(
        call([&] {
          return run_export(
              {.run = run_,
               .request = {.format = "svg", .what = what, .filter = {.from = "1m", .to = "9m30s", .process = "4711"}},
               .output = at("x.svg")});
        }),
        0)
        << what << error_;
    EXPECT_THAT(content(at("x.svg")), AllOf(StartsWith("<?xml"), HasSubstr("</svg>")));
    EXPECT_EQ(out_, "");
  }
}

TEST_F(CommandsTest, WhatCannotBeExportedIsOneLineAndExitCode2) {
  std::ofstream(at("text.camrun")) << "this is no database, but it is long enough to be looked at as one\n"
                                   << std::string(4096, 'x');
  tests::empty_run(at("empty.camrun"));
  const std::vector<std::pair<ExportOptions, std::string>> wrong{
      {{.run = at("none.camrun")}, "none.camrun"},
      {{.run = at("text.camrun")}, "text.camrun"},
      {{.run = directory_.string()}, directory_.string()},
      {{.run = run_, .request = {.what = "memory"}}, "--what memory: no such slice; choose one of cpu, alloc, live"},
      {{.run = run_, .request = {.format = "png"}}, "--format png"},
      {{.run = run_, .request = {.format = "svg", .filter = {.from = "9m", .to = "1m"}}},
       "--from 9m comes after --to 1m"},
      {{.run = run_, .request = {.filter = {.from = "soon"}}}, "--from soon: not a time"},
      {{.run = run_, .request = {.filter = {.to = "2h"}}}, "beyond the end of the run, which lasted 600 s"},
      {{.run = run_, .request = {.filter = {.process = "1"}}}, "--process 1: no such process"},
      {{.run = run_, .request = {.format = "svg"}, .output = at("no/such/directory/x.svg")}, "cannot be written"},
      {{.run = at("empty.camrun")},
       "nothing to export for cpu between 0 s and 5 s of the run: no CPU sample was taken"},
  };
  for (const auto& [options, part] : wrong) {
    EXPECT_EQ(call([&, &chosen = options] { return run_export(chosen); }), 2) << part;
    EXPECT_EQ(out_, "");
    EXPECT_THAT(error_, AllOf(StartsWith("camprobe export: "), HasSubstr(part)));
    EXPECT_EQ(std::count(error_.begin(), error_.end(), '\n'), 1) << error_;
  }
}

TEST_F(CommandsTest, AFileThatCannotBeFinishedIsNotLeftHalfWritten) {
  std::ofstream(at("old.svg")) << "old";
  EXPECT_EQ(call([&] { return run_export({.run = run_, .request = {.format = "svg"}, .output = at("old.svg")}); }), 0);
  EXPECT_THAT(content(at("old.svg")), StartsWith("<?xml"));
  EXPECT_FALSE(std::filesystem::exists(at("old.svg.part")));
  if (std::filesystem::exists("/dev/full")) {
    EXPECT_EQ(call([&] { return run_export({.run = run_, .request = {.format = "svg"}, .output = "/dev/full"}); }), 2);
    EXPECT_THAT(error_, HasSubstr("/dev/full: cannot be written"));
  }
}

TEST_F(CommandsTest, ReportIsTextJsonOrAPageByTheNameOfItsFile) {
  EXPECT_EQ(call([&] { return run_report({.run = run_, .format = ""}); }), 0) << error_;
  EXPECT_THAT(out_, AllOf(HasSubstr("RequestLog::remember"), Not(HasSubstr("\x1b["))));
  EXPECT_EQ(call([&] { return run_report({.run = run_, .format = "json"}); }), 0);
  nlohmann::json report = nlohmann::json::parse(out_);
  EXPECT_EQ(report["schema"], "camprobe.report/1");
  report.erase("top");  // which the page shows as flame graphs

  EXPECT_EQ(call([&] {
              return run_report({.run = run_, .output = at("report.html"), .base = {run_}, .past = {run_, run_}});
            }),
            0);
  const std::string page = content(at("report.html"));
  EXPECT_THAT(page, StartsWith("<!doctype html>"));
  const std::size_t begin = page.find("id=\"camprobe-data\">") + 19;
  const nlohmann::json data = nlohmann::json::parse(page.substr(begin, page.find("</script>", begin) - begin));
  EXPECT_EQ(data["report"], report);  // the page pictures the very report that JSON gives
}

TEST_F(CommandsTest, APdfIsPrintedByTheBrowserOfTheMachine) {
  const int code = call([&] { return run_report({.run = run_, .output = at("report.pdf")}); });
  if (error_.find("install chromium") != std::string::npos) GTEST_SKIP() << error_;
  EXPECT_EQ(code, 0) << error_;
  const std::string pdf = content(at("report.pdf"));
  EXPECT_THAT(pdf, StartsWith("%PDF-"));
  EXPECT_THAT(pdf, HasSubstr("%%EOF"));
  EXPECT_GT(pdf.size(), 50'000u);  // text, tables and charts
}

TEST_F(CommandsTest, WhatCannotBeReportedIsOneLineAndExitCode2) {
  const std::vector<std::pair<ReportOptions, std::string>> wrong{
      {{.run = at("none.camrun"), .format = ""}, "none.camrun"},
      {{.run = run_, .format = "docx"}, "--format docx: no such format; choose text, json, html, pdf, md or junit"},
      {{.run = run_, .format = "md", .base = {run_}}, "--base and --past belong to html and pdf, not to md"},
      {{.run = run_, .format = "html", .output = at("x.html"), .past = {at("none.camrun")}}, "none.camrun"},
      {{.run = run_, .format = "html", .output = at("no/such/x.html")}, "cannot be written"},
  };
  for (const auto& [options, part] : wrong) {
    EXPECT_EQ(call([&, &chosen = options] { return run_report(chosen); }), 2) << part;
    EXPECT_EQ(out_, "");
    EXPECT_THAT(error_, AllOf(StartsWith("camprobe report: "), HasSubstr(part)));
    EXPECT_EQ(std::count(error_.begin(), error_.end(), '\n'), 1) << error_;
  }
}

TEST_F(CommandsTest, EmptyAndHostileRunsAreReportedToo) {
  tests::empty_run(at("empty.camrun"));
  tests::hostile_run(at("hostile.camrun"));
  for (const char* run : {"empty.camrun", "hostile.camrun"}) {
    for (const char* format : {"text", "json", "html"}) {
      EXPECT_EQ(call([&] { return run_report({.run = at(run), .format = format, .output = at("out")}); }), 0)
          << run << format << error_;
      EXPECT_GT(std::filesystem::file_size(at("out")), 100u);
    }
  }
}

}  // namespace
}  // namespace camprobe::cli
