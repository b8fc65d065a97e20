// viewer/page_stack_tree.cc: see page_stack_tree.h.
#include "viewer/page_stack_tree.h"

#include <fmt/format.h>

#include "exporters/safe_text.h"

namespace camprobe::viewer {

using exporters::FrameIndex;
using exporters::printable_utf8;
using nlohmann::json;
using run::number;

namespace {

constexpr std::size_t kDeepest = 250;  // no screen is higher, and the page walks the tree by recursion
constexpr std::size_t kLongestPath = 2000;

// Names of deeply templated code run to thousands of letters. Beyond what anyone reads, template arguments become
// "<…>".
std::string readable_name(const std::string& function) {
  constexpr std::size_t kLongestWhole = 400;
  constexpr std::size_t kLongest = 2000;
  if (function.size() <= kLongestWhole) return function;
  std::string out;
  int depth = 0;
  for (std::size_t i = 0; i < function.size(); ++i) {
    const char c = function[i];
    const bool is_operator = out.ends_with("operator") || out.ends_with("operator<") || out.ends_with("operator>");
    if (c == '<' && !(depth == 0 && is_operator)) {
      if (depth++ == 0) out += "<\xE2\x80\xA6";
    } else if (c == '>' && depth > 0 && function[i - 1] != '-') {
      if (--depth == 0) out += '>';
    } else if (depth == 0) {
      out += c;
    }
  }
  return exporters::shortened(depth == 0 ? out : function, kLongest);
}

}  // namespace

StackTree::StackTree(run::Reader& run, std::size_t most_nodes) : table_(run), most_nodes_(most_nodes) {
  table_.made_up("all");  // frame 0: the root, and "no leaf of its own"
  for (const run::Process& process : run.processes()) labels_.emplace(process.id, exporters::process_label(process));
}

void StackTree::insert(run::ProcessId process, run::StackId stack, FrameIndex leaf) {
  const auto [end, is_new] = ends_.try_emplace({process, stack, leaf}, 0);
  if (!is_new) return;
  std::uint32_t node = 0;
  const std::vector<FrameIndex>& path = table_.root_first(stack);
  const auto step = [&](FrameIndex frame) {
    const std::uint64_t key = (static_cast<std::uint64_t>(node) << 32) | frame;
    if (const auto found = children_.find(key); found != children_.end()) {
      node = found->second;
      return true;
    }
    if (parent_.size() >= most_nodes_) return false;
    const auto made = static_cast<std::uint32_t>(parent_.size());
    parent_.push_back(node);
    frame_.push_back(frame);
    children_.emplace(key, made);
    node = made;
    return true;
  };
  bool whole = !shows_processes_ || step(process_frame(process));
  for (std::size_t i = 0; whole && i < path.size() && i < kDeepest; ++i) whole = step(path[i]);
  if (whole && leaf != 0 && table_.frame(frame_[node]).function != table_.frame(leaf).function) whole = step(leaf);
  if (!whole || path.size() > kDeepest) ++folded_;
  end->second = node;
}

std::optional<std::uint32_t> StackTree::end_of(run::ProcessId process, run::StackId stack, FrameIndex leaf) const {
  const auto found = ends_.find({process, stack, leaf});
  return found == ends_.end() ? std::nullopt : std::optional(found->second);
}

json StackTree::frames_json() const {
  std::unordered_map<std::string, std::size_t> index{{"", 0}};
  json strings = json::array({""});
  const auto intern = [&](const std::string& text) {
    const auto [found, is_new] = index.try_emplace(text, strings.size());
    if (is_new) strings.push_back(text);
    return found->second;
  };
  json function = json::array(), file = json::array(), line = json::array(), module = json::array(),
       kind = json::array();
  for (const exporters::Frame& frame : table_.frames()) {
    function.push_back(readable_name(frame.function));
    file.push_back(intern(exporters::shortened(frame.file, kLongestPath)));
    line.push_back(frame.line);
    module.push_back(intern(exporters::shortened(frame.module, kLongestPath)));
    kind.push_back(printable_utf8(frame.kind));
  }
  return {{"strings", strings}, {"function", function}, {"file", file},
          {"line", line},       {"module", module},     {"kind", kind}};
}

FrameIndex StackTree::process_frame(run::ProcessId process) {
  const auto found = labels_.find(process);
  return table_.made_up(found == labels_.end() ? fmt::format("process {}", number(process)) : found->second);
}

}  // namespace camprobe::viewer
