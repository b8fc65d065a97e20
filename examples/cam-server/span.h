// examples/cam-server/span.h
//
// Spans in a server whose requests hop between threads.
//
// A request is carried by callbacks: it waits on no thread, and the next handler may run on any of them. So a span that
// lives longer than one handler begins, is taken off the thread it began on, and each handler that works for it enters
// it for as long as the handler runs. At any instant, a thread's innermost span is then the work it is really doing.
//
// A span that begins and ends within one handler needs none of this: that is camprobe::Span.
#pragma once

#include <utility>

#include "camprobe.h"  // the one header of the probe this server knows

namespace cam {

using camprobe::Span;

// A span that outlives the handler that began it. Ends when destroyed, at the latest; may end on any thread.
class AsyncSpan {
 public:
  AsyncSpan() = default;
  AsyncSpan(const char* name, camprobe_span parent) : id_(camprobe_begin_under(name, parent)) { camprobe_leave(id_); }
  AsyncSpan(AsyncSpan&& other) noexcept : id_(std::exchange(other.id_, 0)) {}
  AsyncSpan& operator=(AsyncSpan&& other) noexcept {
    if (this != &other) {
      end();
      id_ = std::exchange(other.id_, 0);
    }
    return *this;
  }
  ~AsyncSpan() { end(); }

  void set(const char* key, const char* text) const { camprobe_set_text(id_, key, text); }
  void set(const char* key, double number) const { camprobe_set_number(id_, key, number); }
  void end() { camprobe_end(std::exchange(id_, 0)); }
  camprobe_span id() const { return id_; }

 private:
  camprobe_span id_ = 0;
};

// This thread works for `span` until the end of the scope. The span must not end before the scope does.
class InSpan {
 public:
  explicit InSpan(camprobe_span span) : span_(span) { camprobe_enter(span_); }
  InSpan(const InSpan&) = delete;
  InSpan& operator=(const InSpan&) = delete;
  ~InSpan() { camprobe_leave(span_); }

 private:
  camprobe_span span_;
};

}  // namespace cam
