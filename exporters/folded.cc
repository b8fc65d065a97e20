// exporters/folded.cc: see folded.h.
#include "exporters/folded.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <vector>

#include "exporters/safe_text.h"
#include "exporters/whole_numbers.h"

namespace camprobe::exporters {

namespace {

std::string folded_name(const std::string& function) {
  std::string name = printable_utf8(function);
  std::replace(name.begin(), name.end(), ';', ':');
  const std::size_t first = name.find_first_not_of(' ');
  if (first == std::string::npos) return "[unknown]";
  return name.substr(first, name.find_last_not_of(' ') - first + 1);
}

}  // namespace

std::string to_folded(const Slice& slice) {
  std::map<std::string, double> lines;  // names may become equal once made safe
  for (const WeightedStack& stack : slice.stacks) {
    std::string line;
    for (const FrameIndex frame : stack.root_first) {
      if (!line.empty()) line += ';';
      line += folded_name(slice.frames[frame].function);
    }
    lines[line] += stack.weight;
  }

  std::vector<double> weights;
  for (const auto& [line, weight] : lines) weights.push_back(weight);
  const std::vector<std::int64_t> whole = whole_numbers(weights);
  std::string out;
  std::size_t at = 0;
  for (const auto& [line, weight] : lines) {
    if (whole[at] > 0) out += fmt::format("{} {}\n", line, whole[at]);
    ++at;
  }
  return out;
}

}  // namespace camprobe::exporters
