// exporters/slice.h
//
// Which part of a run is asked for, and that part as weighted stacks: the one thing every flame graph format is made
// of.
//
//   cpu        nanoseconds on a CPU in [from, to)
//   alloc      bytes allocated in [from, to), whatever became of them
//   live       bytes alive at `to`
//   growth     bytes alive at `to` less those alive at `from`, of stacks that grew
//   retained   bytes allocated in [from, to) and not freed by `to`
//   temporary  objects allocated in [from, to) and freed before their thread's next allocation
//   wait       nanoseconds waiting in [from, to), the call waited in as the leaf
//   io         bytes read and written by descriptors opened in [from, to), under the stack that opened them
//   spans      nanoseconds of spans begun in [from, to), less those of the spans inside them
//
// live, growth and retained know objects that lived at least a second (the run keeps no others).
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "exporters/stacks.h"
#include "run/reader.h"

namespace camprobe::exporters {

// Asked for something a run cannot give: the text is the one line a user sees.
class SliceError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

enum class What { kCpu, kAlloc, kLive, kGrowth, kRetained, kTemporary, kWait, kIo, kSpans };

std::optional<What> what_named(std::string_view name);
std::string_view name_of(What what);
std::string_view all_names_of_what();  // "cpu, alloc, ..." for messages and --help

enum class Unit { kNanoseconds, kBytes, kObjects };
Unit unit_of(What what);
std::string_view name_of(Unit unit);  // "nanoseconds", "bytes", "objects"

struct TimeRange {
  std::int64_t from_ns = 0;
  std::int64_t to_ns = 0;
};

// An instant of a run as a user writes it: "90" and "90s" (seconds since the start), "1.5m", "1m30s", "2h", "250ms",
// "50%". Throws SliceError with a sentence that names `option` where it is none of them or lies outside the run.
std::int64_t instant_of(std::string_view text, std::int64_t duration_ns, std::string_view option);

// Both ends, each optional; throws SliceError where they are not in order.
TimeRange range_of(const std::optional<std::string>& from, const std::optional<std::string>& to,
                   std::int64_t duration_ns);

struct WeightedStack {
  std::vector<FrameIndex> root_first;  // into Slice::frames
  double weight = 0;                   // of a difference: the mean of before and after
  double before = 0;                   // of a difference only (difference.h)
};

struct Slice {
  What what = What::kCpu;
  bool is_difference = false;
  TimeRange range;
  std::vector<Frame> frames;
  std::vector<WeightedStack> stacks;  // heaviest first, equal stacks merged, every weight above zero
  double total = 0;
  std::vector<std::string> notes;  // what a reader should know about these figures, a sentence each
};

// Throws SliceError where the slice holds nothing, saying why as far as the run tells.
Slice read_slice(run::Reader& run, What what, TimeRange range, std::optional<std::int64_t> pid = std::nullopt);

}  // namespace camprobe::exporters
