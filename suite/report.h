// suite/report.h
//
// A suite's report. The JSON (camprobe.suite-report/1, docs/suite-report.schema.json) is the contract and holds all;
// text, Markdown, HTML and JUnit are pictures of it, so that `camprobe suite report DIR` can draw them again.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "run/result.h"
#include "suite/document.h"

namespace camprobe::suite {

inline constexpr const char* kReportSchema = "camprobe.suite-report/1";

Document document_of(const nlohmann::ordered_json& report);
std::string junit_of(const nlohmann::ordered_json& report);

// format: text | json | md | html | junit | csv.
std::string pictured(const nlohmann::ordered_json& report, const std::string& format);
// report.json, .txt, .md, .html, .xml and .csv in `directory`. The error names the file.
run::Result<void> write_report(const nlohmann::ordered_json& report, const std::string& directory);
run::Result<nlohmann::ordered_json> read_report(const std::string& directory);

}  // namespace camprobe::suite
