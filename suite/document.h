// suite/document.h
//
// A report as a list of blocks, and its pictures: text for a terminal, Markdown for a pull request, one HTML page that
// needs no network. What is said is decided once (report.cc); how it looks is here.
#pragma once

#include <string>
#include <vector>

namespace camprobe::suite {

struct Line {
  std::string name;
  std::vector<std::pair<double, double>> points;
  bool points_only = false;  // several of one x: no line through them
};

struct Block {
  enum class Kind { kHeading, kSubheading, kText, kList, kTable, kChart, kHeat } kind = Kind::kText;
  std::string text;                            // of a heading, a text, the title of a table or chart
  std::vector<std::string> items;              // of a list; the head of a table
  std::vector<std::vector<std::string>> rows;  // of a table
  std::string x_label, y_label;                // of a chart
  std::vector<Line> lines;
  std::vector<std::vector<double>> cells;  // of a heat map: columns of rows, lowest first
  std::vector<std::string> row_names;
  double from_s = 0, seconds_a_column = 1;  // of a heat map
};

class Document {
 public:
  void heading(const std::string& text);
  void subheading(const std::string& text);
  void text(const std::string& text);
  void list(std::vector<std::string> items);
  void table(const std::string& title, std::vector<std::string> head, std::vector<std::vector<std::string>> rows);
  void chart(const std::string& title, const std::string& x_label, const std::string& y_label, std::vector<Line> lines);
  void heat(const std::string& title, std::vector<std::vector<double>> cells, std::vector<std::string> row_names,
            double from_s, double seconds_a_column);

  std::string as_text() const;
  std::string as_markdown() const;  // shorter than 65,000 bytes
  std::string as_html(const std::string& title) const;

 private:
  std::vector<Block> blocks_;
};

}  // namespace camprobe::suite
