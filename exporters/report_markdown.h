// exporters/report_markdown.h
//
// A report as GitHub's Markdown, for a pull request's comment and for $GITHUB_STEP_SUMMARY: always shorter than 65,000
// bytes (a comment may have 65,536 characters), whatever the run holds; what was left out is said. Names of strangers
// cannot end a table, open a tag or mention a user.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "run/report.h"

namespace camprobe::exporters {

inline constexpr std::size_t kMostMarkdownBytes = 65'000;

std::string report_markdown(const run::Report& report);
std::string gates_markdown(const run::Report& report);  // the gates alone

// Text that Markdown shows as it is, in one line, in a table's cell too.
std::string markdown_text(std::string_view text, std::size_t most_characters = 300);
// The same as code.
std::string markdown_code(std::string_view text, std::size_t most_characters = 200);

// Sections joined as long as all fits; the rest is dropped whole, and a last line says so.
class MarkdownPage {
 public:
  void add(const std::string& section);
  std::string take();

 private:
  std::string text_;
  std::size_t left_out_ = 0;
};

}  // namespace camprobe::exporters
