// collector/gates/nearest_name.cc
#include "collector/gates/nearest_name.h"

#include <algorithm>
#include <cstddef>

namespace camprobe::gates {

namespace {

constexpr std::size_t kStep = 4, kSwap = 3;  // of two names at one step, that with two letters swapped is meant

// Optimal string alignment: Levenshtein's distance with swaps of neighbours.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), now(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = kStep * j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    now[0] = kStep * i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      now[j] = std::min({last[j] + kStep, now[j - 1] + kStep, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : kStep)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        now[j] = std::min(now[j], before[j - 2] + kSwap);
    }
    std::swap(before, last);
    std::swap(last, now);
  }
  return last[b.size()];
}

}  // namespace

std::string_view nearest_name(std::string_view written, const std::vector<std::string_view>& known) {
  written = written.substr(0, 100);  // a stranger's text
  std::string_view nearest;
  std::size_t least = kStep * std::max<std::size_t>(2, written.size() / 3) + 1;
  for (const std::string_view name : known) {
    // What was begun and not ended ("latency_p95"), or ended otherwise ("maximum"), is meant more likely than what
    // differs.
    const bool is_beginning =
        (written.size() >= 3 && name.starts_with(written)) || (name.size() >= 3 && written.starts_with(name));
    const std::size_t steps = is_beginning ? 1 : distance(written, name);
    if (steps < least) least = steps, nearest = name;
  }
  return nearest;
}

}  // namespace camprobe::gates
