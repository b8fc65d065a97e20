// collector/status_line.h
//
// The one line on a terminal that says how things stand, written over again and again. Everything else that goes there
// while it stands must be announced by erase(), or it would end up behind it.
//
// Only where standard error is a terminal that can erase a line (TERM is set, and not "dumb"): elsewhere nothing is
// written, so that logs hold no control characters. It has no colours, so NO_COLOR has nothing to forbid.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace camprobe {

// A part of the line, and how dear it is: where the terminal is too narrow the parts of the highest `rank` go first.
struct StatusPart {
  std::string text;
  int rank = 0;
};

// The parts in their order with " | " between, in at most `columns`: without what there is no room for, and the last
// one cut with "..." where it alone is too long.
std::string status_text(std::vector<StatusPart> parts, std::size_t columns);

class StatusLine {
 public:
  explicit StatusLine(bool is_wanted);
  ~StatusLine() { erase(); }
  StatusLine(const StatusLine&) = delete;
  StatusLine& operator=(const StatusLine&) = delete;

  bool is_possible() const { return is_possible_; }
  // Fits it to the terminal as it is now: it may have been resized.
  void show(std::vector<StatusPart> parts);
  void erase();

  // Of the line that stands there at the moment, whoever's it is.
  static void erase_current();

 private:
  bool is_possible_ = false;
  std::size_t shown_ = 0;  // columns; 0: nothing stands there
};

}  // namespace camprobe
