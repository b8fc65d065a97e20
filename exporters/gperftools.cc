// exporters/gperftools.cc: see gperftools.h.
#include "exporters/gperftools.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>
#include <string_view>

#include "exporters/safe_text.h"
#include "exporters/whole_numbers.h"

namespace camprobe::exporters {

namespace {

// Not 0, which ends a CPU profile, and apart by more than the byte that readers of plain profiles take off a caller.
std::uint64_t address_of(FrameIndex frame) {
  return 0x10000 + std::uint64_t{frame} * 16;
}

std::string symbols(const Slice& slice, const std::string& program) {
  std::string out = "--- symbol\nbinary=" + printable_utf8(program) + "\n";
  std::set<FrameIndex> used;
  for (const WeightedStack& stack : slice.stacks) used.insert(stack.root_first.begin(), stack.root_first.end());
  for (const FrameIndex frame : used) {
    std::string name = slice.frames[frame].function;
    // "--" would be read as the border between a function and what is inlined into it.
    for (std::size_t at = 0; (at = name.find("--", at)) != std::string::npos;) name.replace(at, 2, "- -");
    out += fmt::format("{:#x} {}\n", address_of(frame), name);
  }
  return out + "---\n";
}

std::vector<std::int64_t> column(const Slice& slice, std::string_view name, double divided_by = 1) {
  std::vector<double> figures(slice.stacks.size(), 0);
  for (std::size_t i = 0; i < slice.columns.size(); ++i) {
    if (slice.columns[i].name != name) continue;
    for (std::size_t stack = 0; stack < figures.size(); ++stack)
      figures[stack] = std::max(0.0, slice.stacks[stack].values[i]) / divided_by;
  }
  return whole_numbers(figures);
}

std::string heap_profile(const Slice& slice) {
  const bool is_whole = slice.what == What::kLive || slice.what == What::kAlloc;
  const std::string kind = is_whole ? "inuse" : std::string(name_of(slice.what));
  const auto objects = column(slice, kind + "_objects"), bytes = column(slice, kind + "_space");
  const auto allocated_objects = column(slice, "alloc_objects"), allocated_bytes = column(slice, "alloc_space");
  const auto line = [](std::int64_t n1, std::int64_t s1, std::int64_t n2, std::int64_t s2) {
    return fmt::format("{:6}: {:8} [{:6}: {:8}] @", n1, s1, n2, s2);
  };
  const auto sum = [](const std::vector<std::int64_t>& numbers) {
    std::int64_t all = 0;
    for (const std::int64_t number : numbers) all += number;
    return all;
  };
  // "heapprofile": the figures are estimates of all there was, and a reader must not weigh them again.
  std::string out = "heap profile: " + line(sum(objects), sum(bytes), sum(allocated_objects), sum(allocated_bytes)) +
                    " heapprofile\n";
  for (std::size_t i = 0; i < slice.stacks.size(); ++i) {
    if (objects[i] == 0 && bytes[i] == 0 && allocated_objects[i] == 0 && allocated_bytes[i] == 0) continue;
    out += line(objects[i], bytes[i], allocated_objects[i], allocated_bytes[i]);
    const std::vector<FrameIndex>& path = slice.stacks[i].root_first;
    for (auto frame = path.rbegin(); frame != path.rend(); ++frame) out += fmt::format(" {:#x}", address_of(*frame));
    out += '\n';
  }
  return out + "\nMAPPED_LIBRARIES:\n";
}

void put_word(std::string& out, std::uint64_t word) {
  char bytes[sizeof word];
  std::memcpy(bytes, &word, sizeof word);
  out.append(bytes, sizeof word);
}

// Header, samples (count, depth, addresses leaf first), trailer; each a machine word.
std::string cpu_profile(const Slice& slice) {
  double samples = 0;
  for (const WeightedStack& stack : slice.stacks) samples += stack.values[1];
  const double period_ns = samples > 0 ? std::max(1000.0, slice.total / samples) : 1e6;
  const auto counts = column(slice, slice.columns[slice.main].name, period_ns);
  std::string out = "--- profile\n";
  for (const std::uint64_t word : {std::uint64_t{0}, std::uint64_t{3}, std::uint64_t{0},
                                   static_cast<std::uint64_t>(period_ns / 1000), std::uint64_t{0}})
    put_word(out, word);
  for (std::size_t i = 0; i < slice.stacks.size(); ++i) {
    const std::vector<FrameIndex>& path = slice.stacks[i].root_first;
    if (counts[i] <= 0 || path.empty()) continue;
    put_word(out, static_cast<std::uint64_t>(counts[i]));
    put_word(out, path.size());
    for (auto frame = path.rbegin(); frame != path.rend(); ++frame) put_word(out, address_of(*frame));
  }
  for (const std::uint64_t word : {0, 1, 0}) put_word(out, word);
  return out;
}

}  // namespace

bool gperftools_holds(What what) {
  return what == What::kCpu || what == What::kWait || what == What::kAlloc || what == What::kLive ||
         what == What::kGrowth || what == What::kRetained;
}

std::string to_gperftools(const Slice& slice, const std::string& program) {
  const bool is_time = unit_of(slice.what) == Unit::kNanoseconds;
  return symbols(slice, program) + (is_time ? cpu_profile(slice) : heap_profile(slice));
}

}  // namespace camprobe::exporters
