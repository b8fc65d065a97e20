// probe/span.cc
//
// The probe's half of camprobe.h: spans begin and end, carry attributes, and are the innermost one of a thread
// meanwhile.
//
// An open span is a slot in shared memory, so that after SIGKILL one sees which spans were under way. Its handle holds
// the slot's number and a serial, so a handle that was ended once finds nothing any more. Which spans are open around a
// thread is kept in thread-local storage, innermost last; a span that another thread ended is dropped from it when this
// thread next begins or ends one.
//
// Called by the program, not in signal context. The time between the clock's two readings is the span; writing its
// record comes after the second.
#include <string.h>

#include "probe/include/camprobe.h"
#include "probe/real.h"
#include "probe/span.h"
#include "sampler/control.h"
#include "sampler/thread_lane.h"
#include "shm/region.h"
#include "shm/trace_context.h"

namespace {

using namespace camprobe;
using sampler::PlainProbeScope;
using shm::AttributeType;
using shm::SpanId;
using shm::SpanSlot;

constexpr std::uint32_t kNesting = 32;
constexpr std::uint32_t kTextBytes = shm::kMaxTextBytes;
// A slot whose span is being ended: no handle looks like that, since a slot number is below kSpans.
constexpr SpanId kEnding = 0xffff;

struct OpenAroundThread {
  std::uint32_t depth;
  std::uint32_t next_slot;  // where to look for a free one
  SpanId span[kNesting];
};
constinit thread_local OpenAroundThread t_open = {};

// ---------------------------------------------------------------------------------------------------- names

// Names and keys are literals, so their address stands for their text; a small direct-mapped cache spares the hashing.
// An entry's key is stored last and read again after its id, so a reader never takes one literal's id for another's.
struct CachedName {
  std::atomic<std::uint64_t> key;
  std::atomic<shm::NameId> id;
};
constexpr std::uint32_t kCachedNames = 256;
constinit CachedName g_names[kCachedNames] = {};

shm::NameId literal_name(const char* text) {
  if (text == nullptr) return 0;
  shm::Region& region = sampler::region();
  // A new region after fork has other ids: its birth is part of the key.
  const std::uint64_t key = reinterpret_cast<std::uintptr_t>(text) ^ (region.header()->created_ns << 16);
  CachedName& entry = g_names[(reinterpret_cast<std::uintptr_t>(text) * 0x9e3779b97f4a7c15ull) >> 56];
  if (entry.key.load(std::memory_order_acquire) == key) {
    const shm::NameId id = entry.id.load(std::memory_order_acquire);
    if (entry.key.load(std::memory_order_acquire) == key) return id;
  }
  const shm::NameId id = region.intern_name(text, static_cast<std::uint32_t>(strnlen(text, 1024)));
  if (id != 0) {
    entry.key.store(0, std::memory_order_release);
    entry.id.store(id, std::memory_order_release);
    entry.key.store(key, std::memory_order_release);
  }
  return id;
}

// ---------------------------------------------------------------------------------------------------- nesting

void show_innermost(sampler::ThreadLane& thread) {
  const SpanId innermost = t_open.depth == 0 ? 0 : t_open.span[t_open.depth - 1];
  thread.lane->current_span.store(innermost, std::memory_order_relaxed);
}

void drop_ended() {
  while (t_open.depth > 0 && sampler::region().span(t_open.span[t_open.depth - 1]) == nullptr) --t_open.depth;
}

void push(sampler::ThreadLane& thread, SpanId span) {
  if (t_open.depth < kNesting) t_open.span[t_open.depth++] = span;
  show_innermost(thread);
}

void remove(sampler::ThreadLane& thread, SpanId span) {
  for (std::uint32_t i = t_open.depth; i > 0; --i) {
    if (t_open.span[i - 1] != span) continue;
    for (std::uint32_t above = i; above < t_open.depth; ++above) t_open.span[above - 1] = t_open.span[above];
    --t_open.depth;
    break;
  }
  drop_ended();
  show_innermost(thread);
}

// ---------------------------------------------------------------------------------------------------- records

// A SpanPayload as the ring takes it. Put together in registers: a struct written in halves and read back whole at once
// stalls the processor, for a tenth of what a span costs.
struct SpanWords {
  std::uint64_t word[4];
};
SpanWords words_of(SpanId parent, std::uint64_t begin_ns, shm::NameId name, std::uint32_t begin_tid,
                   std::uint32_t end_tid, std::uint32_t attributes) {
  static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
  static_assert(offsetof(shm::SpanPayload, name) == 16 && offsetof(shm::SpanPayload, begin_tid) == 20);
  static_assert(offsetof(shm::SpanPayload, end_tid) == 24 && offsetof(shm::SpanPayload, attributes) == 28);
  return {{parent, begin_ns, name | std::uint64_t{begin_tid} << 32, end_tid | std::uint64_t{attributes} << 32}};
}

// ---------------------------------------------------------------------------------------------------- attributes

struct AttributeValue {
  AttributeType type;
  std::uint64_t value;
};

// Sets an attribute of an open span, of as many parts as its kind has; a key set before gets the new value.
void set_attribute(SpanId span, const char* key, const AttributeValue* parts, std::uint32_t size) {
  SpanSlot* slot = sampler::region().span(span);
  if (slot == nullptr) return;
  const shm::NameId name = literal_name(key);
  if (name == 0) return;
  const std::uint32_t count = slot->attributes.load(std::memory_order_relaxed);
  std::uint32_t at = 0;
  while (at < count && at < shm::kSpanAttributes && slot->attribute[at].key != name) ++at;
  // A key keeps its number of parts.
  if (at < count && (slot->attribute[at].type == AttributeType::kTraceHigh) != (size > 1)) return;
  if (at + size > shm::kSpanAttributes) {
    sampler::region().count_loss(shm::Loss::kAttributeFull);
    return;
  }
  for (std::uint32_t i = 0; i < size; ++i) slot->attribute[at + i] = {name, parts[i].type, parts[i].value};
  if (at == count) slot->attributes.store(count + size, std::memory_order_release);
}

bool is_traceparent(const char* key) {
  return key != nullptr && strncmp(key, "traceparent", sizeof "traceparent") == 0;
}

void set_traceparent(SpanId span, const char* key, const char* text) {
  shm::TraceContext context;
  if (!shm::read_traceparent(text, static_cast<unsigned>(strnlen(text, kTextBytes)), context)) return;
  const AttributeValue parts[] = {
      {AttributeType::kTraceHigh, context.trace_high},
      {AttributeType::kTraceLow, context.trace_low},
      {context.is_sampled ? AttributeType::kTraceSpanSampled : AttributeType::kTraceSpan, context.span}};
  set_attribute(span, key, parts, 3);
}

}  // namespace

// The header declares these weak, for programs; here they are the definitions.
CAMPROBE_HOOK camprobe_span camprobe_v1_begin(const char* name, camprobe_span parent, int has_parent) {
  if (!sampler::enabled(shm::Family::kSpan)) {
    sampler::look_at_control();
    return 0;
  }
  PlainProbeScope scope;
  if (!scope) return 0;
  drop_ended();
  SpanId id = 0;
  SpanSlot* slot = sampler::region().claim_span(t_open.next_slot == 0 ? scope->tid * 64 : t_open.next_slot, &id);
  if (slot == nullptr) return 0;
  t_open.next_slot = static_cast<std::uint32_t>(id & 0xffff);  // the slot behind this one; never 0
  slot->parent = has_parent != 0 ? parent : t_open.depth == 0 ? 0 : t_open.span[t_open.depth - 1];
  slot->name = literal_name(name);
  slot->begin_tid = scope->tid;
  slot->begin_ns = sampler::now_ns();
  slot->id.store(id, std::memory_order_release);
  push(*scope, id);
  return id;
}

CAMPROBE_HOOK void camprobe_v1_end(camprobe_span span) {
  const std::uint64_t now = sampler::now_ns();
  PlainProbeScope scope;
  // In a vfork child the slot is the parent's. Elsewhere, also where nothing can be recorded now, the slot must go
  // back, or the table would fill.
  if (sampler::t_lane.mode == sampler::LaneMode::kDetached) return;
  SpanSlot* slot = sampler::region().span(span);
  if (slot == nullptr) return;
  SpanId expected = span;
  if (!slot->id.compare_exchange_strong(expected, kEnding, std::memory_order_acq_rel))
    return;  // ended by another thread
  if (scope) {
    const std::uint64_t begin_ns = slot->begin_ns < now ? slot->begin_ns : now;  // begun on another thread's anchor
    const std::uint32_t count = slot->attributes.load(std::memory_order_acquire);
    scope->ring.write(now, shm::RecordKind::kSpan, 0, 0, span,
                      words_of(slot->parent, begin_ns, slot->name, slot->begin_tid, scope->tid, count).word);
    for (std::uint32_t i = 0; i < count; i += 2) {
      shm::AttributesPayload pair = {};
      pair.attribute[0] = slot->attribute[i];
      if (i + 1 < count) pair.attribute[1] = slot->attribute[i + 1];
      scope->ring.write(now, shm::RecordKind::kSpanAttributes, 0, 0, span, pair);
    }
  }
  slot->id.store(0, std::memory_order_release);
  if (scope) remove(*scope, span);
}

CAMPROBE_HOOK void camprobe_v1_set_text(camprobe_span span, const char* key, const char* text) {
  PlainProbeScope scope;
  if (!scope || text == nullptr) return;
  if (is_traceparent(key)) return set_traceparent(span, key, text);
  const shm::NameId value = sampler::region().intern_name(text, static_cast<std::uint32_t>(strnlen(text, kTextBytes)));
  const AttributeValue part = {AttributeType::kText, value};
  if (value != 0) set_attribute(span, key, &part, 1);
}

CAMPROBE_HOOK void camprobe_v1_set_number(camprobe_span span, const char* key, double number) {
  PlainProbeScope scope;
  if (!scope) return;
  AttributeValue part = {AttributeType::kNumber, 0};
  memcpy(&part.value, &number, sizeof part.value);
  set_attribute(span, key, &part, 1);
}

CAMPROBE_HOOK void camprobe_v1_enter(camprobe_span span) {
  PlainProbeScope scope;
  if (!scope || sampler::region().span(span) == nullptr) return;
  drop_ended();
  push(*scope, span);
}

CAMPROBE_HOOK void camprobe_v1_leave(camprobe_span span) {
  PlainProbeScope scope;
  if (scope) remove(*scope, span);
}

CAMPROBE_HOOK void camprobe_v1_mark(const char* text) {
  PlainProbeScope scope;
  if (!scope || text == nullptr) return;
  shm::MarkPayload payload = {};
  payload.text = sampler::region().intern_name(text, static_cast<std::uint32_t>(strnlen(text, 1024)));
  sampler::write_record(*scope, shm::RecordKind::kMark, 0, payload);
}

namespace camprobe::probe {

void forget_spans() {
  t_open = {};
}

}  // namespace camprobe::probe
