// exporters/slice.h
//
// A part of a run as weighted stacks with every stack once: what flame graphs and whatever else adds samples up by
// function are made of. samples.h says what each `what` is.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "exporters/filter.h"
#include "exporters/samples.h"
#include "exporters/stacks.h"
#include "run/reader.h"

namespace camprobe::exporters {

struct WeightedStack {
  std::vector<FrameIndex> root_first;  // into Slice::frames
  double weight = 0;                   // of a difference: the mean of before and after
  double before = 0;                   // of a difference only (difference.h)
  Values values{};                     // of every column, where all were asked for; the main one is the weight
};

struct Slice {
  What what = What::kCpu;
  bool is_difference = false;
  TimeRange range;
  std::vector<Frame> frames;
  std::vector<WeightedStack> stacks;  // heaviest first, equal stacks merged, every weight above zero
  double total = 0;
  std::vector<std::string> notes;  // what a reader should know about these figures, a sentence each
  std::vector<Column> columns;     // of WeightedStack::values
  std::size_t main = 0;
};

struct SliceDetail {
  bool all_columns = false;
  Lines lines = Lines::kTogether;
};

// Throws SliceError as read_samples() does. The process stands at the root only where several are in the slice.
Slice read_slice(run::Reader& run, What what, const Filter& filter, const SliceDetail& detail = {});

}  // namespace camprobe::exporters
