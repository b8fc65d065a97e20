// exporters/difference.cc
#include "exporters/difference.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <unordered_map>

#include "exporters/folded.h"

namespace camprobe::exporters {

Slice difference_of(const std::vector<Slice>& before, const std::vector<Slice>& after, double scale_before) {
  Slice out;
  out.is_difference = true;
  out.what = after.front().what;
  out.range = after.front().range;
  double total_before = 0, total_after = 0;
  for (const Slice& slice : before) total_before += slice.total;
  for (const Slice& slice : after) total_after += slice.total;
  if (scale_before <= 0) scale_before = total_before > 0 ? total_after / total_before : 1;

  std::unordered_map<std::string, FrameIndex> frames;
  struct Weights {
    double before = 0, after = 0;
  };
  std::map<std::vector<FrameIndex>, Weights> stacks;
  const auto add = [&](const std::vector<Slice>& side, double scale, double Weights::*weight) {
    for (const Slice& slice : side) {
      std::vector<FrameIndex> numbers;
      for (const Frame& frame : slice.frames) {
        const auto [found, is_new] = frames.try_emplace(frame.function + '\0' + frame.module + '\0' + frame.kind,
                                                        static_cast<FrameIndex>(out.frames.size()));
        if (is_new) out.frames.push_back(frame);
        numbers.push_back(found->second);
      }
      for (const WeightedStack& stack : slice.stacks) {
        std::vector<FrameIndex> root_first;
        for (const FrameIndex frame : stack.root_first) root_first.push_back(numbers[frame]);
        stacks[std::move(root_first)].*weight += scale * stack.weight;
      }
    }
  };
  add(before, scale_before, &Weights::before);
  add(after, 1, &Weights::after);
  for (const auto& [root_first, weights] : stacks) {
    const double mean = 0.5 * (weights.before + weights.after);
    if (mean <= 0) continue;
    out.stacks.push_back({root_first, mean, weights.before});
    out.total += mean;
  }
  std::stable_sort(out.stacks.begin(), out.stacks.end(),
                   [](const WeightedStack& a, const WeightedStack& b) { return a.weight > b.weight; });
  out.notes.push_back(fmt::format("red grew, blue fell; widths are the mean of before ({} {}) and after", before.size(),
                                  before.size() == 1 ? "run" : "runs"));
  return out;
}

std::string to_folded_difference(const Slice& difference) {
  // Two columns of whole numbers; each is rounded as a folded file of its own would be.
  const auto column = [&](bool is_before) {
    Slice side = difference;
    for (WeightedStack& stack : side.stacks) stack.weight = is_before ? stack.before : 2 * stack.weight - stack.before;
    std::map<std::string, std::string> numbers;
    const std::string folded = to_folded(side);
    for (std::size_t at = 0; at < folded.size();) {
      const std::size_t end = folded.find('\n', at);
      const std::size_t space = folded.rfind(' ', end);
      numbers[folded.substr(at, space - at)] = folded.substr(space + 1, end - space - 1);
      at = end + 1;
    }
    return numbers;
  };
  const auto before = column(true), after = column(false);
  std::map<std::string, std::pair<std::string, std::string>> lines;
  for (const auto& [stack, number] : before) lines[stack] = {number, "0"};
  for (const auto& [stack, number] : after) lines.try_emplace(stack, "0", "").first->second.second = number;
  std::string out;
  for (const auto& [stack, numbers] : lines) out += fmt::format("{} {} {}\n", stack, numbers.first, numbers.second);
  return out;
}

}  // namespace camprobe::exporters
