// exporters/stacks.h
//
// The stacks and frames of a run as pictures show them. Two frames are one where a reader sees one: the same function
// in the same module, whatever the line, so that a function is not split by its call sites; unless lines are asked for.
// Names are made safe to print.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "run/reader.h"

namespace camprobe::exporters {

struct Frame {
  std::string function;   // never empty, printable UTF-8
  std::string file;       // empty where unknown
  std::int64_t line = 0;  // 0 where unknown; of the first call site seen
  std::string module;
  std::string kind;  // as in the run, or "camprobe": made here
};

using FrameIndex = std::uint32_t;

enum class Lines { kTogether, kApart };  // whether a function's lines are one frame or one each

// `run` must outlive it.
class StackTable {
 public:
  explicit StackTable(run::Reader& run, Lines lines = Lines::kTogether) : run_(run), lines_(lines) {}

  // Root first. Stack 0, and any the run does not describe, is the one frame "[unknown stack]"; a stack that was cut
  // off begins with "[truncated]". Stays valid as long as the table.
  const std::vector<FrameIndex>& root_first(run::StackId stack);

  // A frame that is none of the program's: "epoll_wait", "nginx (pid 7)", "connect 10.0.0.1:443".
  FrameIndex made_up(const std::string& name);

  [[nodiscard]] const Frame& frame(FrameIndex index) const { return frames_[index]; }
  [[nodiscard]] const std::vector<Frame>& frames() const { return frames_; }

 private:
  FrameIndex add(Frame frame);
  FrameIndex index_of(run::FrameId id);

  run::Reader& run_;
  Lines lines_;
  std::vector<Frame> frames_;
  std::unordered_map<std::string, FrameIndex> by_identity_;
  std::unordered_map<run::FrameId, FrameIndex> by_id_;
  std::unordered_map<run::StackId, std::vector<FrameIndex>> stacks_;
};

// What a process is called at the root of a graph that shows several: "nginx (pid 7)".
std::string process_label(const run::Process& process);

}  // namespace camprobe::exporters
