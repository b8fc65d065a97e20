// viewer/page_stack_tree.h
//
// The tree that all stacks of a page share (`nodes` and `frames` of viewer/app/src/data.ts).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "exporters/stacks.h"
#include "run/reader.h"

namespace camprobe::viewer {

class StackTree {
 public:
  StackTree(run::Reader& run, std::size_t most_nodes);

  // Several processes stand side by side at the root, each under its name.
  void show_processes() { shows_processes_ = true; }

  // To be called heaviest stack first: the first ones get nodes of their own, whatever comes when those are used up
  // ends in the deepest caller it shares with them. `leaf`, where not 0, stands below the stack.
  void insert(run::ProcessId process, run::StackId stack, exporters::FrameIndex leaf);

  // The node that stack ends in; nothing where it was not inserted.
  [[nodiscard]] std::optional<std::uint32_t> end_of(run::ProcessId process, run::StackId stack,
                                                    exporters::FrameIndex leaf) const;

  exporters::StackTable& table() { return table_; }
  [[nodiscard]] std::size_t folded() const { return folded_; }  // stacks that are not shown whole

  [[nodiscard]] nlohmann::json nodes_json() const { return {{"parent", parent_}, {"frame", frame_}}; }
  [[nodiscard]] nlohmann::json frames_json() const;

 private:
  exporters::FrameIndex process_frame(run::ProcessId process);

  exporters::StackTable table_;
  std::size_t most_nodes_;
  bool shows_processes_ = false;
  std::map<run::ProcessId, std::string> labels_;
  std::vector<std::uint32_t> parent_{0};
  std::vector<exporters::FrameIndex> frame_{0};
  std::unordered_map<std::uint64_t, std::uint32_t> children_;
  std::map<std::tuple<run::ProcessId, run::StackId, exporters::FrameIndex>, std::uint32_t> ends_;
  std::size_t folded_ = 0;
};

}  // namespace camprobe::viewer
