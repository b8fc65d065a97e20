// exporters/stacks.cc: see stacks.h.
#include "exporters/stacks.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "exporters/safe_text.h"

namespace camprobe::exporters {

FrameIndex StackTable::add(Frame frame) {
  frame.function = printable_utf8(frame.function);
  if (frame.function.find_first_not_of(' ') == std::string::npos) frame.function = "[unknown]";
  frame.file = printable_utf8(frame.file);
  frame.module = printable_utf8(frame.module);
  std::string identity = frame.function + '\0' + frame.module + '\0' + frame.kind;
  if (lines_ == Lines::kApart) identity += '\0' + frame.file + '\0' + std::to_string(frame.line);
  const auto [found, is_new] = by_identity_.try_emplace(identity, static_cast<FrameIndex>(frames_.size()));
  if (is_new) {
    frames_.push_back(std::move(frame));
  } else if (frames_[found->second].file.empty() && !frame.file.empty()) {
    frames_[found->second].file = std::move(frame.file);
    frames_[found->second].line = frame.line;
  }
  return found->second;
}

FrameIndex StackTable::made_up(const std::string& name) {
  return add(Frame{name, "", 0, "", "camprobe"});
}

FrameIndex StackTable::index_of(run::FrameId id) {
  if (const auto found = by_id_.find(id); found != by_id_.end()) return found->second;
  const run::Frame& row = run_.frame(id);
  const FrameIndex index =
      add(Frame{row.function, row.file, std::max<std::int64_t>(0, row.line.value_or(0)), row.module, row.kind});
  by_id_.emplace(id, index);
  return index;
}

const std::vector<FrameIndex>& StackTable::root_first(run::StackId id) {
  if (const auto found = stacks_.find(id); found != stacks_.end()) return found->second;
  std::vector<FrameIndex> frames;
  const run::Stack& stack = run_.stack(id);
  if (stack.truncated) frames.push_back(made_up("[truncated]"));
  for (auto frame = stack.frames.rbegin(); frame != stack.frames.rend(); ++frame) frames.push_back(index_of(*frame));
  if (frames.empty()) frames.push_back(made_up("[unknown stack]"));
  return stacks_.emplace(id, std::move(frames)).first->second;
}

std::string process_label(const run::Process& process) {
  const std::string name = process.executable.substr(process.executable.rfind('/') + 1);
  return fmt::format("{} (pid {})", name.empty() ? "process" : name, process.pid);
}

}  // namespace camprobe::exporters
