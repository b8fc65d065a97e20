// exporters/comparison.cc
#include "exporters/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <tuple>

#include "exporters/report_markdown.h"
#include "exporters/safe_text.h"
#include "run/units.h"

namespace camprobe::exporters {

using run::in_percent;
using run::in_unit;

namespace {

std::string what(const run::ComparedFigure& f) {
  return f.metric + (f.endpoint.empty() ? "" : " " + printable_utf8(f.endpoint));
}

std::string change_text(const run::ComparedFigure& f) {
  if (!f.change) return "-";
  const run::Estimate& c = *f.change;
  if (f.is_ratio) return fmt::format("{:+.1f} % ({:+.1f} to {:+.1f})", 100 * c.value, 100 * c.low, 100 * c.high);
  const auto signed_text = [&](double value) { return (value > 0 ? "+" : "") + in_unit(value, f.unit); };
  return fmt::format("{} ({} to {})", signed_text(c.value), signed_text(c.low), signed_text(c.high));
}

std::string value_text(const std::optional<run::Estimate>& e, const std::string& unit) {
  return e ? in_unit(e->value, unit) : "-";
}

std::string leaf_text(const run::ComparedStack& s) {
  std::string text = s.frames.empty() ? "[unknown]" : s.frames.back();
  if (s.frames.size() > 1) text += " < " + s.frames[s.frames.size() - 2];
  return text;
}

std::string padded(const std::string& text, std::size_t width) {
  const auto shown = static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
  return text + std::string(width > shown ? width - shown : 0, ' ');
}

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::toupper(c); });
  return text;
}

const char* colour_of(const std::string& verdict) {
  return verdict == "worse" ? "\x1b[1;31m" : verdict == "better" ? "\x1b[1;32m" : verdict == "same" ? "" : "\x1b[1;33m";
}

}  // namespace

std::string comparison_text(const run::Comparison& c, const TextStyle& style) {
  const auto painted = [&](const std::string& text, const std::string& verdict) {
    const char* colour = colour_of(verdict);
    return style.colour && *colour != '\0' ? colour + text + "\x1b[0m" : text;
  };
  std::string out = painted(upper(c.verdict), c.verdict) + "  " + printable_utf8(c.summary) + "\n";
  const auto side = [&](const char* name, const std::vector<run::ComparedRun>& runs) {
    for (const run::ComparedRun& r : runs) {
      out += fmt::format("  {}  {}, {}, {}/s, {}\n", name, printable_utf8(r.file), run::in_seconds(r.seconds),
                         run::in_count(r.requests_per_second), printable_utf8(r.host));
    }
  };
  side("base ", c.base);
  side("other", c.other);
  out += "  " + c.load + "\n\n";
  std::vector<std::vector<std::string>> rows = {{"", "metric", "base", "other", "change (95 %)"}};
  for (const run::ComparedFigure& f : c.figures) {
    rows.push_back({f.verdict, shortened(what(f), 48), value_text(f.base, f.unit), value_text(f.other, f.unit),
                    change_text(f) + (f.why.empty() ? "" : "  " + f.why)});
  }
  std::vector<std::size_t> widths(5, 0);
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const auto& row : rows) {
    std::string line = "  " + painted(padded(row[0], widths[0]), row[0]);
    for (std::size_t i = 1; i < 4; ++i) line += "  " + padded(row[i], widths[i]);
    line += "  " + row[4];
    while (line.back() == ' ') line.pop_back();
    out += line + "\n";
  }
  const auto stacks = [&](const char* title, const std::vector<run::ComparedStack>& list) {
    if (list.empty()) return;
    out += fmt::format("\n{}\n", title);
    for (const run::ComparedStack& s : list)
      out += fmt::format("  {}  {}  {}\n", padded(in_percent(s.share), 7), padded(s.kind, 5),
                         shortened(printable_utf8(leaf_text(s)), 100));
  };
  stacks("New stacks (share of samples)", c.new_stacks);
  stacks("Stacks that vanished", c.vanished_stacks);
  const auto findings = [&](const char* title, const std::vector<run::ComparedFinding>& list) {
    if (list.empty()) return;
    out += fmt::format("\n{}\n", title);
    for (const run::ComparedFinding& f : list) out += "  " + printable_utf8(f.title) + "\n";
  };
  findings("New findings", c.new_findings);
  findings("Findings that are gone", c.gone_findings);
  if (!c.notes.empty()) out += "\n";
  for (const std::string& note : c.notes) out += "  - " + note + "\n";
  return out;
}

std::string comparison_markdown(const run::Comparison& c) {
  MarkdownPage page;
  page.add(fmt::format("## {}: {}\n\n", upper(c.verdict), markdown_text(c.summary, 1500)));
  std::string sides = "| | run | length | load |\n|---|---|---:|---:|\n";
  const auto side = [&](const char* name, const std::vector<run::ComparedRun>& runs) {
    for (std::size_t i = 0; i < runs.size() && i < 20; ++i) {
      sides += fmt::format("| {} | {} | {} | {}/s |\n", name, markdown_code(runs[i].file, 80),
                           run::in_seconds(runs[i].seconds), run::in_count(runs[i].requests_per_second));
    }
  };
  side("base", c.base);
  side("other", c.other);
  page.add(sides + "\n" + markdown_text(c.load, 400) + "\n\n");
  const auto table = [&](bool is_same) {
    std::string rows;
    std::size_t listed = 0, more = 0;
    for (const run::ComparedFigure& f : c.figures) {
      if ((f.verdict == "same" || f.verdict == "cannot tell") != is_same) continue;
      if (++listed > 60) {
        ++more;
        continue;
      }
      const std::string metric =
          "<code>" + f.metric + "</code>" + (f.endpoint.empty() ? "" : " " + markdown_code(f.endpoint, 60));
      rows += fmt::format("| {} | {} | {} | {} | {}{} |\n", is_same ? f.verdict : "**" + f.verdict + "**", metric,
                          value_text(f.base, f.unit), value_text(f.other, f.unit), change_text(f),
                          f.why.empty() ? "" : "<br><sub>" + markdown_text(f.why, 120) + "</sub>");
    }
    if (rows.empty()) return std::string();
    if (more > 0) rows += fmt::format("| | {} more | | | |\n", more);
    return "| | metric | base | other | change (95 %) |\n|---|---|---:|---:|---|\n" + rows + "\n";
  };
  page.add(table(false));
  if (const std::string rest = table(true); !rest.empty())
    page.add("<details><summary>what is the same or could not be told</summary>\n\n" + rest + "</details>\n\n");
  const auto stacks = [&](const char* title, const std::vector<run::ComparedStack>& list) {
    if (list.empty()) return;
    std::string rows = fmt::format("### {}\n\n| share | of | function |\n|---:|---|---|\n", title);
    for (std::size_t i = 0; i < list.size() && i < 15; ++i)
      rows += fmt::format("| {} | {} | {} |\n", in_percent(list[i].share), list[i].kind,
                          markdown_code(leaf_text(list[i]), 160));
    page.add(rows + "\n");
  };
  stacks("New stacks", c.new_stacks);
  stacks("Stacks that vanished", c.vanished_stacks);
  const auto findings = [&](const char* title, const std::vector<run::ComparedFinding>& list) {
    if (list.empty()) return;
    std::string rows = fmt::format("### {}\n\n", title);
    for (std::size_t i = 0; i < list.size() && i < 15; ++i) rows += "- " + markdown_text(list[i].title, 300) + "\n";
    page.add(rows + "\n");
  };
  findings("New findings", c.new_findings);
  findings("Findings that are gone", c.gone_findings);
  std::string notes;
  for (const std::string& note : c.notes) notes += "- " + markdown_text(note, 400) + "\n";
  page.add(notes);
  return page.take();
}

std::string baseline_listing(const run::Comparison& c) {
  std::string out;
  for (const run::ComparedRun& r : c.base) {
    out += fmt::format("{}, {}, {}/s, {}, {}\n", printable_utf8(r.file), run::in_seconds(r.seconds),
                       run::in_count(r.requests_per_second), printable_utf8(r.host), r.started_at);
  }
  std::vector<const run::ComparedFigure*> figures;
  for (const run::ComparedFigure& f : c.figures) figures.push_back(&f);
  std::stable_sort(figures.begin(), figures.end(), [](const auto* a, const auto* b) {
    return std::tie(a->endpoint, a->metric) < std::tie(b->endpoint, b->metric);
  });
  for (const run::ComparedFigure* f : figures) {
    if (!f->base) continue;
    out += fmt::format("  {}  {} (95 %: {} to {})\n", padded(what(*f), 44), in_unit(f->base->value, f->unit),
                       in_unit(f->base->low, f->unit), in_unit(f->base->high, f->unit));
  }
  return out;
}

std::string comparison_json(const run::Comparison& comparison, int indent) {
  return run::to_json(comparison).dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace camprobe::exporters
