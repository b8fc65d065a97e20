// exporters/samples.h
//
// A part of a run as weighed stacks with what is known beside each: thread, span, load window, peer, provider. The one
// place where `--what` becomes rows; every profile format is made of it.
//
//   cpu        nanoseconds on a CPU in the range
//   alloc      bytes allocated in the range, whatever became of them
//   live       bytes alive at the end of the range
//   growth     bytes alive at the end less those alive at the beginning, of stacks that grew
//   retained   bytes allocated in the range and not freed by its end
//   temporary  objects allocated in the range and freed before their thread's next allocation
//   wait       nanoseconds waiting in the range, the call waited in as the leaf
//   io         bytes read and written by descriptors opened in the range, under the stack that opened them
//   spans      nanoseconds of spans begun in the range, less those of the spans inside them
//
// live, growth and retained know objects that lived at least a second (the run keeps no others). Of a filter with
// several ranges (load windows) each is looked at by itself and the figures are added; live is as it was at the end of
// the last.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "exporters/filter.h"
#include "exporters/stacks.h"
#include "run/reader.h"

namespace camprobe::exporters {

enum class What { kCpu, kAlloc, kLive, kGrowth, kRetained, kTemporary, kWait, kIo, kSpans };

std::optional<What> what_named(std::string_view name);
std::string_view name_of(What what);
std::string_view all_names_of_what();  // "cpu, alloc, ..." for messages and --help

enum class Unit { kNanoseconds, kBytes, kObjects, kCount };
Unit unit_of(What what);
std::string_view name_of(Unit unit);  // "nanoseconds", "bytes", "objects", "count"

// One kind of figure that samples carry: "inuse_space" in bytes.
struct Column {
  std::string_view name;
  Unit unit = Unit::kCount;
};
inline constexpr std::size_t kMostColumns = 4;
using Values = std::array<double, kMostColumns>;

using Labels = std::vector<std::pair<std::string, std::string>>;  // "peer" and such; printable UTF-8

struct Sample {
  run::ProcessId process{};
  run::ThreadId thread = run::kNoThread;
  run::NameId span = run::kNoName;
  std::uint32_t window = 0;             // in Samples::windows; 0: in none
  std::int64_t step = 0;                // number of the time step, where steps were asked for
  std::optional<run::StackId> stack{};  // none: only what is added
  std::uint32_t added = 0;              // frames below the stack's leaf: in Samples::added
  std::uint32_t labels = 0;             // in Samples::labels
  Values values{};
};

// What to keep apart. What is not asked for is added up, so that the rows stay few.
struct Detail {
  bool all_columns = false;  // else only the main one: what the slice is about
  bool threads = false;
  bool spans = false;
  bool windows = false;
  bool labels = false;
  std::int64_t step_s = 0;  // length of a time step; 0: no steps
};

struct Samples {
  What what = What::kCpu;
  Filter filter;
  std::vector<Column> columns;
  std::size_t main = 0;      // the column that `what` is about
  std::vector<Sample> rows;  // by process, step and stack; single values may be below zero for growth
  std::vector<std::vector<std::string>> added;  // root first; [0] is empty
  std::vector<Labels> labels;                   // [0] is empty
  std::vector<std::string> windows;             // [0] is ""
  std::vector<std::string> notes;               // what a reader should know about these figures, a sentence each
};

// Throws SliceError where there is nothing, saying why as far as the run tells, and where what is asked for is not
// recorded by thread or span as the filter wants it.
Samples read_samples(run::Reader& run, What what, const Filter& filter, const Detail& detail = {});

// Root first, the added frames included.
std::vector<FrameIndex> path_of(StackTable& stacks, const Samples& samples, const Sample& sample);

}  // namespace camprobe::exporters
