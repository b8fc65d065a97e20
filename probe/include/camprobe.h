/* camprobe.h: name intervals of your program's own work, so that the probe can time them.
 *
 * Works in C and C++, needs no linking: every function below is weak. Without libcamprobe.so in the process each call
 * is a test of a null pointer and returns at once; with it (LD_PRELOAD=libcamprobe.so), spans are timed, and the CPU,
 * heap and I/O samples taken inside a span carry it.
 *
 *     camprobe_span span = camprobe_begin("cam.arbitration");
 *     camprobe_set_text(span, "provider", "openai");
 *     camprobe_set_number(span, "cost", 0.0021);
 *     camprobe_end(span);
 *
 * A span begins on one thread as the child of that thread's innermost open span and becomes the innermost itself. It
 * may end on another thread: then it only stops being the innermost there where it began when that thread next begins
 * or ends a span. camprobe_enter() and camprobe_leave() make an open span the innermost one of another thread (a worker
 * that carries on a request). Ending span 0, or ending twice, does nothing.
 *
 * Names and keys must be string literals or live as long as the process. Texts are copied (at most 128 bytes).
 * At most 8 attributes a span are kept; the rest are counted as lost. The text "traceparent" (W3C Trace Context: what a
 * request came with, or a call goes out with) ties spans of several processes into one trace, and counts as three.
 */
#ifndef CAMPROBE_H
#define CAMPROBE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* An open span; 0 is "no span". Valid until ended. */
typedef uint64_t camprobe_span;

#define CAMPROBE_WEAK __attribute__((weak, visibility("default")))

/* The probe's side. Call the inline functions below instead. */
CAMPROBE_WEAK camprobe_span camprobe_v1_begin(const char* name, camprobe_span parent, int has_parent);
CAMPROBE_WEAK void camprobe_v1_end(camprobe_span span);
CAMPROBE_WEAK void camprobe_v1_set_text(camprobe_span span, const char* key, const char* text);
CAMPROBE_WEAK void camprobe_v1_set_number(camprobe_span span, const char* key, double number);
CAMPROBE_WEAK void camprobe_v1_enter(camprobe_span span);
CAMPROBE_WEAK void camprobe_v1_leave(camprobe_span span);
CAMPROBE_WEAK void camprobe_v1_mark(const char* text);

/* 1 where the probe is loaded, else 0. */
static inline int camprobe_is_loaded(void) {
  return camprobe_v1_begin ? 1 : 0;
}

/* Begins a span, child of this thread's innermost open span. Returns 0 without the probe or when its table is full. */
static inline camprobe_span camprobe_begin(const char* name) {
  return camprobe_v1_begin ? camprobe_v1_begin(name, 0, 0) : 0;
}
/* Begins a span under a given parent (0: a root), whatever this thread is in. */
static inline camprobe_span camprobe_begin_under(const char* name, camprobe_span parent) {
  return camprobe_v1_begin ? camprobe_v1_begin(name, parent, 1) : 0;
}
static inline void camprobe_end(camprobe_span span) {
  if (camprobe_v1_end && span != 0) camprobe_v1_end(span);
}
static inline void camprobe_set_text(camprobe_span span, const char* key, const char* text) {
  if (camprobe_v1_set_text && span != 0) camprobe_v1_set_text(span, key, text);
}
static inline void camprobe_set_number(camprobe_span span, const char* key, double number) {
  if (camprobe_v1_set_number && span != 0) camprobe_v1_set_number(span, key, number);
}
static inline void camprobe_enter(camprobe_span span) {
  if (camprobe_v1_enter && span != 0) camprobe_v1_enter(span);
}
static inline void camprobe_leave(camprobe_span span) {
  if (camprobe_v1_leave && span != 0) camprobe_v1_leave(span);
}
/* An instant on the run's timeline: "deployed", "failover". */
static inline void camprobe_mark(const char* text) {
  if (camprobe_v1_mark) camprobe_v1_mark(text);
}

#ifdef __cplusplus
} /* extern "C" */

namespace camprobe {

/* A span for the length of a C++ scope. Not copyable; release() hands it on to be ended elsewhere. */
class Span {
 public:
  explicit Span(const char* name) : span_(camprobe_begin(name)) {}
  Span(const char* name, camprobe_span parent) : span_(camprobe_begin_under(name, parent)) {}
  Span(const Span&) = delete;
  Span& operator=(const Span&) = delete;
  ~Span() { camprobe_end(span_); }
  void set(const char* key, const char* text) { camprobe_set_text(span_, key, text); }
  void set(const char* key, double number) { camprobe_set_number(span_, key, number); }
  camprobe_span id() const { return span_; }
  camprobe_span release() {
    camprobe_span span = span_;
    span_ = 0;
    return span;
  }

 private:
  camprobe_span span_;
};

}  // namespace camprobe
#endif
#endif
