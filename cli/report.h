// cli/report.h: `camprobe report RUN`: what a run shows, as text, JSON, Markdown, JUnit XML, a page in one HTML file or
// a PDF.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace camprobe::cli {

struct ReportOptions {
  std::string run;
  std::string format{};         // text | json | html | pdf | md | junit; "": told by the output's name, text otherwise
  std::string output{};         // "" or "-": standard output
  std::string tier{}, gates{};  // judged as well, and part of the report
  std::vector<std::string> base{}, past{};  // html and pdf: what to compare with; earlier runs to show beside
};

// Returns the exit code, whatever the verdict is: 0; 2 where the run cannot be read, after one line on standard error;
// 1 where it is damaged and the report is of what could be read.
int run_report(const ReportOptions& options);

// Adds the subcommand to `app`; when it is chosen, its exit code goes to `exit_code`.
void add_report_command(CLI::App& app, int& exit_code);

}  // namespace camprobe::cli
