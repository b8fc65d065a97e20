// exporters/stacks.cc: see stacks.h.
#include "exporters/stacks.h"

#include <algorithm>
#include <utility>

#include "exporters/safe_text.h"

namespace camprobe::exporters {

StackTable::StackTable(const RunFile& run)
    : stack_frames_(run.query("SELECT frame FROM stack_frame WHERE stack = ? ORDER BY depth DESC")),
      frame_row_(run.query("SELECT function, file, line, module, kind FROM frame WHERE id = ?")),
      truncated_(run.query("SELECT truncated FROM stack WHERE id = ?")) {}

FrameIndex StackTable::add(Frame frame) {
  frame.function = printable_utf8(frame.function);
  if (frame.function.find_first_not_of(' ') == std::string::npos) frame.function = "[unknown]";
  frame.file = printable_utf8(frame.file);
  frame.module = printable_utf8(frame.module);
  const std::string identity = frame.function + '\0' + frame.module + '\0' + frame.kind;
  const auto [found, is_new] = by_identity_.try_emplace(identity, static_cast<FrameIndex>(frames_.size()));
  if (is_new) {
    frames_.push_back(std::move(frame));
  } else if (frames_[found->second].file.empty() && !frame.file.empty()) {
    frames_[found->second].file = std::move(frame.file);
    frames_[found->second].line = frame.line;
  }
  return found->second;
}

FrameIndex StackTable::made_up(const std::string& name) { return add(Frame{name, "", 0, "", "camprobe"}); }

FrameIndex StackTable::load_frame(std::int64_t id) {
  if (const auto found = by_id_.find(id); found != by_id_.end()) return found->second;
  frame_row_.rewind();
  frame_row_.bind(1, id);
  const FrameIndex index = frame_row_.next()
                               ? add(Frame{frame_row_.text(0), frame_row_.text(1), std::max<std::int64_t>(0, frame_row_.integer(2)),
                                           frame_row_.text(3), frame_row_.text(4)})
                               : made_up("[unknown]");
  by_id_.emplace(id, index);
  return index;
}

const std::vector<FrameIndex>& StackTable::root_first(std::int64_t stack) {
  if (const auto found = stacks_.find(stack); found != stacks_.end()) return found->second;
  std::vector<FrameIndex> frames;
  if (stack != 0) {
    truncated_.rewind();
    truncated_.bind(1, stack);
    if (truncated_.next() && truncated_.integer(0) != 0) frames.push_back(made_up("[truncated]"));
    std::vector<std::int64_t> ids;
    stack_frames_.rewind();
    stack_frames_.bind(1, stack);
    while (stack_frames_.next()) ids.push_back(stack_frames_.integer(0));
    for (const std::int64_t id : ids) frames.push_back(load_frame(id));
  }
  if (frames.empty()) frames.push_back(made_up("[unknown stack]"));
  return stacks_.emplace(stack, std::move(frames)).first->second;
}

}  // namespace camprobe::exporters
