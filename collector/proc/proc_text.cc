#include "collector/proc/proc_text.h"

#include <array>
#include <charconv>

namespace camprobe::proc {
namespace {

// Takes the next line off the front.
std::optional<std::string_view> next_line(std::string_view& text) {
  if (text.empty()) return std::nullopt;
  const std::size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

// Takes the next word off the front; empty at the end.
std::string_view next_word(std::string_view& line) {
  const std::size_t begin = line.find_first_not_of(" \t\n");
  if (begin == std::string_view::npos) return line = {};
  line.remove_prefix(begin);
  const std::string_view word = line.substr(0, line.find_first_of(" \t\n"));
  line.remove_prefix(word.size());
  return word;
}

template <class Number = std::uint64_t>
std::optional<Number> number(std::string_view word, int base = 10) {
  Number value{};
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value, base);
  if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
  return value;
}

// The number behind "Name:" on a line of its own; nothing if there is no such line.
std::optional<std::uint64_t> field(std::string_view text, std::string_view name) {
  while (auto line = next_line(text)) {
    if (line->size() <= name.size() || line->substr(0, name.size()) != name || (*line)[name.size()] != ':') continue;
    line->remove_prefix(name.size() + 1);
    return number(next_word(*line));
  }
  return std::nullopt;
}

}  // namespace

std::optional<ProcessStat> parse_stat(std::string_view text) {
  // The name may hold anything, also ") ": what counts is the last parenthesis.
  const std::size_t open = text.find('(');
  const std::size_t close = text.rfind(')');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open) return std::nullopt;
  ProcessStat stat;
  stat.name = text.substr(open + 1, close - open - 1);
  text.remove_prefix(close + 1);
  std::array<std::string_view, 20> fields;  // fields[0] is field 3, the state
  for (std::string_view& word : fields) {
    word = next_word(text);
    if (word.empty()) return std::nullopt;
  }
  const auto at = [&](int numbered) { return fields[static_cast<std::size_t>(numbered - 3)]; };
  const auto parent = number<std::int64_t>(at(4)), threads = number<std::int64_t>(at(20));
  const auto minor = number(at(10)), major = number(at(12)), user = number(at(14)), system = number(at(15));
  const auto start = number(at(22));
  if (!parent || !threads || !minor || !major || !user || !system || !start) return std::nullopt;
  stat.state = at(3)[0];
  stat.parent_pid = *parent;
  stat.minor_faults = *minor;
  stat.major_faults = *major;
  stat.user_ticks = *user;
  stat.system_ticks = *system;
  stat.threads = *threads;
  stat.start_ticks = *start;
  return stat;
}

std::optional<Statm> parse_statm(std::string_view text) {
  next_word(text);
  const auto resident = number(next_word(text)), shared = number(next_word(text));
  if (!resident || !shared) return std::nullopt;
  return Statm{*resident, *shared};
}

std::optional<MemoryParts> parse_memory_parts(std::string_view text) {
  const auto kib = [&](std::string_view name) { return field(text, name).value_or(0) * 1024; };
  if (!field(text, "RssAnon")) return std::nullopt;  // a kernel before 4.5, or a process without memory
  MemoryParts parts;
  parts.anonymous = kib("RssAnon");
  parts.file = kib("RssFile");
  parts.shared = kib("RssShmem");
  parts.swap = kib("VmSwap");
  parts.virtual_bytes = kib("VmSize");
  return parts;
}

std::optional<SmapsRollup> parse_smaps_rollup(std::string_view text) {
  const auto kib = [&](std::string_view name) { return field(text, name).value_or(0) * 1024; };
  if (!field(text, "Rss") || !field(text, "Pss")) return std::nullopt;
  SmapsRollup rollup;
  rollup.resident = kib("Rss");
  rollup.pss = kib("Pss");
  rollup.private_bytes = kib("Private_Clean") + kib("Private_Dirty") + kib("Private_Hugetlb");
  rollup.shared = kib("Shared_Clean") + kib("Shared_Dirty") + kib("Shared_Hugetlb");
  rollup.anonymous = kib("Anonymous");
  rollup.swap = kib("Swap");
  return rollup;
}

std::optional<std::uint64_t> parse_stack_bytes(std::string_view text) {
  constexpr std::uint64_t kLargestGuard = 64 << 10;
  if (!text.ends_with('\n')) return std::nullopt;
  std::uint64_t bytes = 0, guard_ends = 0;
  bool is_stack = false, is_any = false;
  while (auto line = next_line(text)) {
    if (line->starts_with("Rss:")) {
      if (is_stack) bytes += field(*line, "Rss").value_or(0) * 1024;
      continue;
    }
    std::string_view rest = *line;
    const std::string_view range = next_word(rest);
    const std::size_t dash = range.find('-');
    if (dash == std::string_view::npos || range.ends_with(':')) continue;  // a figure of the mapping above
    is_any = true;
    const auto begin = number(range.substr(0, dash), 16), end = number(range.substr(dash + 1), 16);
    if (!begin || !end) return std::nullopt;
    const std::string_view access = next_word(rest);
    next_word(rest);  // offset
    next_word(rest);  // device
    const bool has_file = next_word(rest) != "0";
    const std::string_view name = next_word(rest);  // "[anon: glibc: pthread stack: 123]": its first word
    const bool is_plain = !has_file && name.empty();
    is_stack = name == "[stack]" || line->find("[anon: glibc: pthread") != std::string_view::npos ||
               (is_plain && access == "rw-p" && *begin == guard_ends);
    guard_ends = is_plain && access == "---p" && *end - *begin <= kLargestGuard ? *end : 0;
  }
  return is_any ? std::optional(bytes) : std::nullopt;
}

std::optional<ProcessIo> parse_io(std::string_view text) {
  const auto read_chars = field(text, "rchar"), write_chars = field(text, "wchar");
  const auto read_bytes = field(text, "read_bytes"), write_bytes = field(text, "write_bytes");
  if (!read_chars || !write_chars || !read_bytes || !write_bytes) return std::nullopt;
  return ProcessIo{*read_chars, *write_chars, *read_bytes, *write_bytes};
}

std::optional<ContextSwitches> parse_context_switches(std::string_view text) {
  const auto voluntary = field(text, "voluntary_ctxt_switches");
  const auto involuntary = field(text, "nonvoluntary_ctxt_switches");
  if (!voluntary || !involuntary) return std::nullopt;
  return ContextSwitches{*voluntary, *involuntary};
}

std::optional<MemoryRlimits> parse_limits(std::string_view text) {
  MemoryRlimits limits;
  bool found = false;
  while (auto line = next_line(text)) {
    const auto soft_limit = [&](std::string_view name) -> std::optional<std::uint64_t> {
      line->remove_prefix(name.size());
      found = true;
      return number(next_word(*line));
    };
    if (line->starts_with("Max address space"))
      limits.address_space = soft_limit("Max address space");
    else if (line->starts_with("Max data size"))
      limits.data = soft_limit("Max data size");
  }
  return found ? std::optional(limits) : std::nullopt;
}

std::optional<std::uint64_t> parse_descriptor_limit(std::string_view text) {
  constexpr std::string_view kName = "Max open files";
  while (auto line = next_line(text)) {
    if (!line->starts_with(kName)) continue;
    line->remove_prefix(kName.size());
    return number(next_word(*line));
  }
  return std::nullopt;
}

CgroupPaths parse_cgroup(std::string_view text) {
  CgroupPaths paths;
  while (auto line = next_line(text)) {
    // "hierarchy:controllers:path"; the v2 tree is number 0 with no controllers. A path may hold colons.
    const std::size_t first = line->find(':');
    const std::size_t second = first == std::string_view::npos ? first : line->find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view path = line->substr(second + 1);
    if (!path.starts_with('/')) continue;
    const std::string controllers = "," + std::string(line->substr(first + 1, second - first - 1)) + ",";
    if (controllers == ",," && line->substr(0, first) == "0") paths.v2 = path;
    if (controllers.find(",memory,") != std::string::npos) paths.v1_memory = path;
  }
  return paths;
}

std::optional<std::uint64_t> parse_oom_kills(std::string_view text) {
  while (auto line = next_line(text)) {
    if (next_word(*line) == "oom_kill") return number(next_word(*line));
  }
  return std::nullopt;
}

std::optional<pid_t> parse_innermost_pid(std::string_view text) {
  while (auto line = next_line(text)) {
    if (next_word(*line) != "NSpid:") continue;
    std::optional<std::uint64_t> last;
    for (std::string_view word = next_word(*line); !word.empty(); word = next_word(*line)) last = number(word);
    return last ? std::optional(static_cast<pid_t>(*last)) : std::nullopt;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> parse_cgroup_bytes(std::string_view text) {
  const auto value = number(next_word(text));
  constexpr std::uint64_t kNoLimit = std::uint64_t{1} << 60;  // v1 says "none" with 2^63 rounded down to a page
  if (!value || *value >= kNoLimit) return std::nullopt;
  return value;
}

std::optional<MachineTicks> parse_machine_stat(std::string_view text) {
  auto line = next_line(text);
  if (!line || next_word(*line) != "cpu") return std::nullopt;
  std::array<std::uint64_t, 8> ticks{};  // user nice system idle iowait irq softirq steal
  for (std::uint64_t& tick : ticks) {
    const auto value = number(next_word(*line));
    if (!value) return std::nullopt;
    tick = *value;
  }
  return MachineTicks{ticks[0] + ticks[1], ticks[2] + ticks[5] + ticks[6], ticks[3], ticks[4], ticks[7]};
}

std::optional<MachineMemory> parse_meminfo(std::string_view text) {
  const auto total = field(text, "MemTotal"), available = field(text, "MemAvailable");
  if (!total || !available) return std::nullopt;
  return MachineMemory{*total * 1024, *available * 1024};
}

std::optional<Pressure> parse_pressure(std::string_view text) {
  Pressure pressure;
  bool found = false;
  while (auto line = next_line(text)) {
    const std::string_view kind = next_word(*line);
    const std::size_t total = line->find("total=");
    if (total == std::string_view::npos) continue;
    std::string_view rest = line->substr(total + 6);
    const auto value = number(next_word(rest));
    if (!value) continue;
    if (kind == "some") pressure.some_us = *value, found = true;
    if (kind == "full") pressure.full_us = *value;
  }
  return found ? std::optional(pressure) : std::nullopt;
}

std::vector<std::uint64_t> parse_listening_inodes(std::string_view text) {
  std::vector<std::uint64_t> inodes;
  next_line(text);  // the heading
  while (auto line = next_line(text)) {
    next_word(*line);                              // sl
    next_word(*line);                              // local address
    next_word(*line);                              // remote address
    if (next_word(*line) != "0A") continue;        // TCP_LISTEN
    for (int i = 0; i < 5; ++i) next_word(*line);  // queues, timer, retransmits, uid, timeout
    if (const auto inode = number(next_word(*line)); inode && *inode != 0) inodes.push_back(*inode);
  }
  return inodes;
}

}  // namespace camprobe::proc
