// examples/cam-server/trace_context.h
//
// Which trace a request is of (W3C Trace Context, the header `traceparent`): the caller's, or a new one. What a request
// came with is set on its span, and what a call goes out with on the call's, as camprobe.h asks; so a recorded request
// shows as one tree over the processes it went through.
//
// Costs a request 55 bytes copied and eight random ones; no lock, no allocation.
#pragma once

#include <array>
#include <string_view>

namespace cam {

class TraceContext {
 public:
  static constexpr std::size_t kBytes = 55;   // "00-<trace id, 32 digits>-<span id, 16>-<flags, 2>"
  using Text = std::array<char, kBytes + 1>;  // ends with a zero

  TraceContext() = default;  // of no trace

  // The one that `header` names; a new one where it is none.
  static TraceContext of(std::string_view header);

  // What it came with; null where the trace is new.
  const char* received() const { return received_ ? text_.data() : nullptr; }
  // For one call: of the same trace, with a span id of its own.
  Text for_a_call() const;

 private:
  Text text_{};
  bool received_ = false;
};

}  // namespace cam
