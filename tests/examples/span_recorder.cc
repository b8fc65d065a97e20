// tests/examples/span_recorder.cc
//
// A stand-in for the probe's side of camprobe.h: writes each call, in the order in which they happened, as a line of
// JSON to the file that SPAN_RECORDER names. Preloaded into a server, it shows what the server says about its own work.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <mutex>

#include "camprobe.h"

namespace {

std::mutex order;
std::uint64_t last_span = 0;

std::FILE* log_file() {
  static std::FILE* file = [] {
    const char* path = std::getenv("SPAN_RECORDER");
    std::FILE* opened = path != nullptr ? std::fopen(path, "a") : nullptr;
    return opened != nullptr ? opened : stderr;
  }();
  return file;
}

template <typename... Values>
void line(const char* format, Values... values) {
  std::fprintf(log_file(), format, values...);
  std::fflush(log_file());
}

}  // namespace

#define RECORD(...)                  \
  const std::lock_guard lock(order); \
  line(__VA_ARGS__)

extern "C" {

camprobe_span camprobe_v1_begin(const char* name, camprobe_span parent, int has_parent) {
  const std::lock_guard lock(order);
  const camprobe_span span = ++last_span;
  line("{\"call\":\"begin\",\"thread\":%d,\"span\":%lu,\"name\":\"%s\",\"parent\":%lu,\"has_parent\":%d}\n", gettid(),
       span, name, parent, has_parent);
  return span;
}
void camprobe_v1_end(camprobe_span span) {
  RECORD("{\"call\":\"end\",\"thread\":%d,\"span\":%lu}\n", gettid(), span);
}
void camprobe_v1_enter(camprobe_span span) {
  RECORD("{\"call\":\"enter\",\"thread\":%d,\"span\":%lu}\n", gettid(), span);
}
void camprobe_v1_leave(camprobe_span span) {
  RECORD("{\"call\":\"leave\",\"thread\":%d,\"span\":%lu}\n", gettid(), span);
}
void camprobe_v1_set_text(camprobe_span span, const char* key, const char* text) {
  RECORD("{\"call\":\"set\",\"thread\":%d,\"span\":%lu,\"key\":\"%s\",\"value\":\"%s\"}\n", gettid(), span, key, text);
}
void camprobe_v1_set_number(camprobe_span span, const char* key, double number) {
  RECORD("{\"call\":\"set\",\"thread\":%d,\"span\":%lu,\"key\":\"%s\",\"value\":%.17g}\n", gettid(), span, key, number);
}
void camprobe_v1_mark(const char* text) {
  RECORD("{\"call\":\"mark\",\"thread\":%d,\"text\":\"%s\"}\n", gettid(), text);
}

}  // extern "C"
