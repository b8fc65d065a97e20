// exporters/stacks.h
//
// The stacks and frames of a run, read when asked for and then kept. Two frames are one where a reader sees one: the
// same function in the same module, whatever the line, so that a function is not split by its call sites.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "exporters/query.h"

namespace camprobe::exporters {

struct Frame {
  std::string function;  // never empty, printable UTF-8
  std::string file;      // empty where unknown
  std::int64_t line = 0;  // 0 where unknown; of the first call site seen
  std::string module;
  std::string kind;  // native | inlined | js | python | java | kernel | unknown | lost, or camprobe: made here
};

using FrameIndex = std::uint32_t;

class StackTable {
 public:
  explicit StackTable(const RunFile& run);

  // Root first. Stack 0, and any the run does not describe, is the one frame "[unknown stack]"; a stack that was cut off
  // begins with "[truncated]". Stays valid until the table goes.
  const std::vector<FrameIndex>& root_first(std::int64_t stack);

  // A frame that is none of the program's: "epoll_wait", "nginx (pid 7)", "peer 10.0.0.1:443".
  FrameIndex made_up(const std::string& name);

  [[nodiscard]] const Frame& frame(FrameIndex index) const { return frames_[index]; }
  [[nodiscard]] const std::vector<Frame>& frames() const { return frames_; }

 private:
  FrameIndex add(Frame frame);
  FrameIndex load_frame(std::int64_t id);

  Query stack_frames_;
  Query frame_row_;
  Query truncated_;
  std::vector<Frame> frames_;
  std::unordered_map<std::string, FrameIndex> by_identity_;
  std::unordered_map<std::int64_t, FrameIndex> by_id_;
  std::unordered_map<std::int64_t, std::vector<FrameIndex>> stacks_;
};

}  // namespace camprobe::exporters
