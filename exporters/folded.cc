// exporters/folded.cc: see folded.h.
#include "exporters/folded.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <numeric>
#include <vector>

#include "exporters/safe_text.h"

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

  struct Share {
    const std::string* line;
    std::int64_t whole;
    double rest;
  };
  std::vector<Share> shares;
  double exact = 0;
  std::int64_t given = 0;
  for (const auto& [line, weight] : lines) {
    const double whole = std::floor(weight);
    shares.push_back({&line, static_cast<std::int64_t>(whole), weight - whole});
    exact += weight;
    given += shares.back().whole;
  }
  // Largest remainder first: the units lost to rounding down go where most was lost.
  std::vector<std::size_t> order(shares.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return shares[a].rest > shares[b].rest; });
  std::int64_t missing = std::llround(exact) - given;
  for (std::size_t i = 0; i < order.size() && missing > 0; ++i, --missing) ++shares[order[i]].whole;

  std::string out;
  for (const Share& share : shares) {
    if (share.whole > 0) out += fmt::format("{} {}\n", *share.line, share.whole);
  }
  return out;
}

}  // namespace camprobe::exporters
