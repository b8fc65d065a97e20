#include "suite/document.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>

#include "exporters/report_markdown.h"
#include "suite/document_style.h"
#include "suite/markup.h"

namespace camprobe::suite {
namespace {

std::string html(const std::string& text) {
  std::string shown;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) >= 32 || c == '\n') shown += c;
  }
  return with_entities(shown);
}

// What a terminal would obey is no text.
std::string plain(const std::string& text) {
  std::string out = text;
  std::replace_if(
      out.begin(), out.end(), [](char c) { return static_cast<unsigned char>(c) < 32 || c == 127; }, ' ');
  return out;
}

std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

// Numbers are read by their ends, words by their beginnings.
bool is_of_numbers(const Block& block, std::size_t column) {
  const auto is_number = [&](const std::vector<std::string>& row) {
    if (column >= row.size() || row[column].empty()) return true;
    const char c = row[column][0];
    return (std::isdigit(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '<') && row[column].size() < 24;
  };
  return std::all_of(block.rows.begin(), block.rows.end(), is_number);
}

// A table too wide for a terminal: a paragraph for each row.
std::string rows_as_text(const Block& block) {
  std::string out = block.text.empty() ? "" : plain(block.text) + "\n";
  for (const auto& row : block.rows) {
    for (std::size_t i = 0; i < std::min(row.size(), block.items.size()); ++i) {
      if (row[i].empty() || row[i] == "-") continue;
      // Of what and its value the head says nothing more.
      const std::string head = block.items.size() == 2 ? "" : plain(block.items[i]) + " ";
      out += (i == 0 ? "  - " + plain(row[i]) : (i == 1 ? ": " : "; ") + head + plain(row[i]));
    }
    out += "\n";
  }
  return out;
}

std::string table_text(const Block& block) {
  std::vector<std::size_t> widths(block.items.size());
  std::vector<std::vector<std::string>> rows{block.items};
  rows.insert(rows.end(), block.rows.begin(), block.rows.end());
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < std::min(row.size(), widths.size()); ++i)
      widths[i] = std::max(widths[i], width_of(row[i]));
  }
  constexpr std::size_t kWidest = 170;
  std::size_t all = 1;
  for (const std::size_t width : widths) all += width + 2;
  if (all > kWidest) return rows_as_text(block);
  std::string out = block.text.empty() ? "" : plain(block.text) + "\n";
  for (const auto& row : rows) {
    std::string line = " ";
    for (std::size_t i = 0; i < std::min(row.size(), widths.size()); ++i) {
      const std::string pad(widths[i] - width_of(row[i]), ' ');
      line += " " + (is_of_numbers(block, i) ? pad + plain(row[i]) : plain(row[i]) + pad) + " ";
    }
    out += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return out;
}

// A chart where nothing can be drawn: its points, at most twelve a line.
std::string chart_text(const Block& block) {
  std::string out = plain(block.text) + fmt::format(" ({} by {})\n", block.y_label, block.x_label);
  for (const Line& line : block.lines) {
    out += "  " + plain(line.name) + ":";
    const std::size_t step = std::max<std::size_t>(1, (line.points.size() + 11) / 12);
    for (std::size_t i = 0; i < line.points.size(); i += step)
      out += fmt::format(" {:.4g}->{:.4g}", line.points[i].first, line.points[i].second);
    out += "\n";
  }
  return out;
}

// Round numbers from `from` to `to`, about four steps apart: 1, 2 or 5 times a power of ten.
std::vector<double> round_ticks(double from, double to) {
  const double rough = (to - from) / 4, power = std::pow(10, std::floor(std::log10(rough))), share = rough / power;
  const double step = power * (share < 1.5 ? 1 : share < 3.5 ? 2 : share < 7.5 ? 5 : 10);
  std::vector<double> ticks;
  for (double n = std::ceil(from / step - 1e-9); n * step <= to + 1e-9 * step && ticks.size() < 20; ++n)
    ticks.push_back(n * step + 0.0);  // not -0
  return ticks;
}

std::string chart_svg(const Block& block) {
  constexpr double kWidth = 720, kHeight = 240, kLeft = 60, kBottom = 34, kTop = 12, kRight = 150;
  static constexpr const char* kColours[] = {"#2a6fb0", "#c8553d", "#3a8f5c", "#8a5fb0", "#b0892a", "#5c6b73"};
  double x0 = HUGE_VAL, x1 = -HUGE_VAL, y1 = 0;
  for (const Line& line : block.lines) {
    for (const auto& [x, y] : line.points) {
      x0 = std::min(x0, x);
      x1 = std::max(x1, x);
      y1 = std::max(y1, y);
    }
  }
  if (!(x1 > x0)) x1 = x0 + 1;
  if (!(y1 > 0)) y1 = 1;
  y1 *= 1.05;
  const auto px = [&](double x) { return kLeft + (x - x0) / (x1 - x0) * (kWidth - kLeft - kRight); };
  const auto py = [&](double y) { return kHeight - kBottom - y / y1 * (kHeight - kBottom - kTop); };
  std::string svg =
      fmt::format("<figure><figcaption>{}</figcaption><svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">",
                  html(block.text), kWidth, kHeight, html(block.text));
  for (const double y : round_ticks(0, y1))
    svg += fmt::format(
        "<line class=\"grid\" x1=\"{0}\" x2=\"{1}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"/><text x=\"{3}\" y=\"{4:.1f}\" "
        "text-anchor=\"end\">{5:g}</text>",
        kLeft, kWidth - kRight, py(y), kLeft - 6, py(y) + 4, y);
  for (const double x : round_ticks(x0, x1))
    svg +=
        fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{:g}</text>", px(x), kHeight - kBottom + 16, x);
  svg += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>", (kLeft + kWidth - kRight) / 2,
                     kHeight - 2, html(block.x_label));
  for (std::size_t i = 0; i < block.lines.size(); ++i) {
    const char* colour = kColours[i % std::size(kColours)];
    std::string path;
    for (const auto& [x, y] : block.lines[i].points)
      path += fmt::format("{}{:.1f},{:.1f}", path.empty() ? "" : " ", px(x), py(y));
    if (!block.lines[i].points_only)
      svg += fmt::format("<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"1.6\" points=\"{}\"/>", colour, path);
    if (block.lines[i].points.size() <= 40 || block.lines[i].points_only) {
      for (const auto& [x, y] : block.lines[i].points)
        svg += fmt::format(
            "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.5\" fill=\"{}\"><title>{:.6g}: {:.6g} {}</title></circle>",
            px(x), py(y), colour, x, y, html(block.y_label));
    }
    svg += fmt::format("<text x=\"{}\" y=\"{}\" fill=\"{}\">{}</text>", kWidth - kRight + 10, kTop + 14 + 16 * i,
                       colour, html(block.lines[i].name));
  }
  return svg + "</svg></figure>\n";
}

std::string heat_svg(const Block& block) {
  const double columns = static_cast<double>(block.cells.size()), rows = static_cast<double>(block.row_names.size());
  constexpr double kLeft = 70, kWidth = 720, kRow = 13;
  double most = 1;
  for (const auto& column : block.cells) {
    for (const double value : column) most = std::max(most, value);
  }
  std::string svg =
      fmt::format("<figure><figcaption>{0}</figcaption><svg viewBox=\"0 0 {1} {2}\" role=\"img\" aria-label=\"{0}\">",
                  html(block.text), kWidth + 16, rows * kRow + 36);
  const double width = (kWidth - kLeft) / std::max(1.0, columns);
  for (std::size_t r = 0; r < block.row_names.size(); ++r) {
    const double y = (rows - 1 - static_cast<double>(r)) * kRow;
    svg += fmt::format("<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>", kLeft - 6, y + kRow - 3,
                       html(block.row_names[r]));
    for (std::size_t c = 0; c < block.cells.size(); ++c) {
      const double value = r < block.cells[c].size() ? block.cells[c][r] : 0;
      if (value <= 0) continue;
      svg += fmt::format(
          "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.2f}\" height=\"{}\" fill=\"#2a6fb0\" "
          "fill-opacity=\"{:.2f}\"><title>{:.0f} requests</title></rect>",
          kLeft + static_cast<double>(c) * width, y, width + 0.2, kRow - 1,
          0.12 + 0.88 * std::log1p(value) / std::log1p(most), value);
    }
  }
  // Columns begin where their seconds do.
  const double seconds = columns * block.seconds_a_column;
  for (const double x : round_ticks(std::max(0.0, block.from_s), block.from_s + std::max(seconds, 1e-9)))
    svg += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{:g}</text>",
                       kLeft + (x - block.from_s) / block.seconds_a_column * width, rows * kRow + 16, x);
  svg += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">seconds</text>", (kLeft + kWidth) / 2,
                     rows * kRow + 31);
  return svg + "</svg></figure>\n";
}

}  // namespace

void Document::heading(const std::string& text) {
  blocks_.push_back({Block::Kind::kHeading, text, {}, {}, "", "", {}, {}, {}});
}
void Document::subheading(const std::string& text) {
  blocks_.push_back({Block::Kind::kSubheading, text, {}, {}, "", "", {}, {}, {}});
}
void Document::text(const std::string& text) {
  blocks_.push_back({Block::Kind::kText, text, {}, {}, "", "", {}, {}, {}});
}
void Document::list(std::vector<std::string> items) {
  if (!items.empty()) blocks_.push_back({Block::Kind::kList, "", std::move(items), {}, "", "", {}, {}, {}});
}
void Document::table(const std::string& title, std::vector<std::string> head,
                     std::vector<std::vector<std::string>> rows) {
  if (!rows.empty())
    blocks_.push_back({Block::Kind::kTable, title, std::move(head), std::move(rows), "", "", {}, {}, {}});
}
void Document::chart(const std::string& title, const std::string& x_label, const std::string& y_label,
                     std::vector<Line> lines) {
  std::erase_if(lines, [](const Line& line) { return line.points.empty(); });
  if (!lines.empty())
    blocks_.push_back({Block::Kind::kChart, title, {}, {}, x_label, y_label, std::move(lines), {}, {}});
}
void Document::heat(const std::string& title, std::vector<std::vector<double>> cells,
                    std::vector<std::string> row_names, double from_s, double seconds_a_column) {
  if (!cells.empty())
    blocks_.push_back({Block::Kind::kHeat,
                       title,
                       {},
                       {},
                       "",
                       "",
                       {},
                       std::move(cells),
                       std::move(row_names),
                       from_s,
                       seconds_a_column});
}

std::string Document::as_text() const {
  std::string out;
  for (const Block& block : blocks_) {
    switch (block.kind) {
      case Block::Kind::kHeading:
        out += (out.empty() ? "" : "\n") + plain(block.text) + "\n" + std::string(width_of(block.text), '=') + "\n";
        break;
      case Block::Kind::kSubheading:
        out += "\n" + plain(block.text) + "\n";
        break;
      case Block::Kind::kText:
        out += plain(block.text) + "\n";
        break;
      case Block::Kind::kList:
        for (const std::string& item : block.items) out += "  - " + plain(item) + "\n";
        break;
      case Block::Kind::kTable:
        out += "\n" + table_text(block);
        break;
      case Block::Kind::kChart:
        out += "\n" + chart_text(block);
        break;
      case Block::Kind::kHeat:
        break;  // a picture only
    }
  }
  return out;
}

std::string Document::as_markdown() const {
  exporters::MarkdownPage page;
  const auto cell = [](const std::string& text) { return exporters::markdown_text(text, 500); };
  for (const Block& block : blocks_) {
    std::string out;
    switch (block.kind) {
      case Block::Kind::kHeading:
        out = "\n## " + cell(block.text) + "\n\n";
        break;
      case Block::Kind::kSubheading:
        out = "\n### " + cell(block.text) + "\n\n";
        break;
      case Block::Kind::kText:
        out = cell(block.text) + "\n\n";
        break;
      case Block::Kind::kList:
        for (const std::string& item : block.items) out += "- " + cell(item) + "\n";
        out += "\n";
        break;
      case Block::Kind::kTable: {
        if (!block.text.empty()) out += "**" + cell(block.text) + "**\n\n";
        for (const std::string& name : block.items) out += "| " + cell(name) + " ";
        out += "|\n";
        for (std::size_t i = 0; i < block.items.size(); ++i) out += is_of_numbers(block, i) ? "|---:" : "|---";
        out += "|\n";
        for (const auto& row : block.rows) {
          for (const std::string& text : row) out += "| " + cell(text) + " ";
          out += "|\n";
        }
        out += "\n";
        break;
      }
      case Block::Kind::kChart:
      case Block::Kind::kHeat:
        break;  // the HTML report has them
    }
    if (!out.empty()) page.add(out);
  }
  return page.take();
}

std::string Document::as_html(const std::string& title) const {
  std::string out = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta "
      "charset=\"utf-8\"><title>{}</title><style>{}</style></head><body>\n",
      html(title), kDocumentStyle);
  for (const Block& block : blocks_) {
    switch (block.kind) {
      case Block::Kind::kHeading:
        out += "<h1>" + html(block.text) + "</h1>\n";
        break;
      case Block::Kind::kSubheading:
        out += "<h2>" + html(block.text) + "</h2>\n";
        break;
      case Block::Kind::kText:
        out += "<p>" + html(block.text) + "</p>\n";
        break;
      case Block::Kind::kList:
        out += "<ul>";
        for (const std::string& item : block.items) out += "<li>" + html(item) + "</li>";
        out += "</ul>\n";
        break;
      case Block::Kind::kTable: {
        out += "<table>";
        if (!block.text.empty()) out += "<caption>" + html(block.text) + "</caption>";
        out += "<thead><tr>";
        std::vector<const char*> styles;
        for (std::size_t i = 0; i < block.items.size(); ++i)
          styles.push_back(is_of_numbers(block, i) ? " class=\"n\"" : "");
        for (std::size_t i = 0; i < block.items.size(); ++i)
          out += fmt::format("<th{}>{}</th>", styles[i], html(block.items[i]));
        out += "</tr></thead><tbody>";
        for (const auto& row : block.rows) {
          out += "<tr>";
          for (std::size_t i = 0; i < row.size(); ++i)
            out += fmt::format("<td{}>{}</td>", i < styles.size() ? styles[i] : "", html(row[i]));
          out += "</tr>";
        }
        out += "</tbody></table>\n";
        break;
      }
      case Block::Kind::kChart:
        out += chart_svg(block);
        break;
      case Block::Kind::kHeat:
        out += heat_svg(block);
        break;
    }
  }
  return out + "</body></html>\n";
}

}  // namespace camprobe::suite
