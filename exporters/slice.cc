// exporters/slice.cc: see slice.h.
#include "exporters/slice.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

namespace camprobe::exporters {

Slice read_slice(run::Reader& run, What what, const Filter& filter, const SliceDetail& detail) {
  const Samples samples = read_samples(run, what, filter, {.all_columns = detail.all_columns});
  StackTable stacks(run, detail.lines);
  std::map<run::ProcessId, std::map<std::vector<FrameIndex>, Values>> sums;
  for (const Sample& row : samples.rows) {
    Values& sum = sums[row.process][path_of(stacks, samples, row)];
    for (std::size_t i = 0; i < samples.columns.size(); ++i) sum[i] += row.values[i];
  }
  // Where all columns are wanted, what has some of another is kept too: allocations of which nothing is alive.
  const auto is_empty = [&](const auto& entry) {
    const Values& values = entry.second;
    if (!detail.all_columns) return !(values[samples.main] > 0);
    return std::none_of(values.begin(), values.end(), [](double value) { return value > 0; });
  };
  for (auto& [process, paths] : sums) std::erase_if(paths, is_empty);
  std::erase_if(sums, [](const auto& entry) { return entry.second.empty(); });

  std::map<run::ProcessId, std::string> labels;
  for (const run::Process& process : run.processes()) labels.emplace(process.id, process_label(process));
  Slice slice;
  slice.what = what;
  slice.range = filter.outer();
  slice.notes = samples.notes;
  slice.columns = samples.columns;
  slice.main = samples.main;
  for (auto& [process, paths] : sums) {
    for (auto& [path, values] : paths) {
      WeightedStack stack{path, values[samples.main], 0, values};
      if (sums.size() > 1) {
        const auto label = labels.find(process);
        const std::string root =
            label != labels.end() ? label->second : fmt::format("process {}", run::number(process));
        stack.root_first.insert(stack.root_first.begin(), stacks.made_up(root));
      }
      slice.total += stack.weight;
      slice.stacks.push_back(std::move(stack));
    }
  }
  std::stable_sort(slice.stacks.begin(), slice.stacks.end(),
                   [](const WeightedStack& a, const WeightedStack& b) { return a.weight > b.weight; });
  slice.frames = stacks.frames();
  if (run.error()) throw SliceError(run.error()->sentence);
  return slice;
}

}  // namespace camprobe::exporters
