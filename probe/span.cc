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
#include "sampler/add_at_once.h"
#include "sampler/control.h"
#include "sampler/thread_lane.h"
#include "shm/intern.h"
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

struct OpenAroundThread {
  std::uint32_t depth;
  std::uint32_t next_slot;  // where in the table to look for a free one
  SpanId span[kNesting];
};
constinit thread_local OpenAroundThread t_open = {};

// ---------------------------------------------------------------------------------------------------- names

// Names and keys are literals, so their address stands for their text; a small direct-mapped cache spares the hashing.
// Texts are hashed, but a cache of the ids spares the way through the table's index. An entry is one word, what is
// asked for and the id, so no reader takes one's id for another's. Ids are a region's: forget_spans() empties both in
// the child of a fork.
constexpr unsigned kIdBits = 16;
static_assert(shm::kNameArenaBytes / 8 <= std::uint64_t{1} << kIdBits);
constexpr std::uint32_t kCached = 256;
struct NameCaches {
  std::atomic<std::uint64_t> literal[kCached];  // address << 16 | id
  std::atomic<std::uint64_t> text[kCached];     // hash << 32 | id
};
alignas(shm::kPage) constinit NameCaches g_names = {};

[[gnu::hot]] shm::NameId literal_name(const char* text) {
  const auto address = reinterpret_cast<std::uintptr_t>(text);
  if (text == nullptr) return 0;
  std::atomic<std::uint64_t>& entry = g_names.literal[(address * 0x9e3779b97f4a7c15ull) >> 56];
  const std::uint64_t known = entry.load(std::memory_order_relaxed);
  if (known >> kIdBits == address) return static_cast<shm::NameId>(known & ((1u << kIdBits) - 1));
  const shm::NameId id = sampler::region().intern_name(text, static_cast<std::uint32_t>(strnlen(text, 1024)));
  if (id != 0 && address >> (64 - kIdBits) == 0) entry.store(address << kIdBits | id, std::memory_order_relaxed);
  return id;
}

[[gnu::hot]] shm::NameId text_name(const char* text) {
  std::uint32_t bytes = 0;
  while (bytes < kTextBytes && text[bytes] != '\0') ++bytes;
  const std::uint32_t hash = shm::intern_hash(text, bytes);
  std::atomic<std::uint64_t>& entry = g_names.text[hash % kCached];
  const std::uint64_t known = entry.load(std::memory_order_acquire);
  const auto known_id = static_cast<shm::NameId>(known);
  if (known >> 32 == hash && sampler::region().is_name(known_id, hash, text, bytes)) return known_id;
  const shm::NameId id = sampler::region().intern_name(text, bytes);
  if (id != 0) entry.store(std::uint64_t{hash} << 32 | id, std::memory_order_release);
  return id;
}

// ---------------------------------------------------------------------------------------------------- nesting

[[gnu::hot]] void show_innermost(sampler::ThreadLane& thread) {
  const SpanId innermost = t_open.depth == 0 ? 0 : t_open.span[t_open.depth - 1];
  thread.lane->current_span.store(innermost, std::memory_order_relaxed);
}

[[gnu::hot]] void drop_ended() {
  while (t_open.depth > 0 && sampler::region().span(t_open.span[t_open.depth - 1]) == nullptr) --t_open.depth;
}

[[gnu::hot]] void push(sampler::ThreadLane& thread, SpanId span) {
  if (t_open.depth < kNesting) t_open.span[t_open.depth++] = span;
  show_innermost(thread);
}

[[gnu::hot]] void remove(sampler::ThreadLane& thread, SpanId span) {
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

// Of all who end a span at once, one may. A lock on the bus is for other threads; against our own handlers one
// instruction will do.
bool take(SpanSlot& slot, SpanId span) {
  if (!sampler::g_has_threads.load(std::memory_order_relaxed))
    return sampler::exchange_at_once(&slot.id, span, shm::kSpanChanges);
  return slot.id.compare_exchange_strong(span, shm::kSpanChanges, std::memory_order_acq_rel);
}

// ---------------------------------------------------------------------------------------------------- attributes

// Sets an attribute of an open span; a key set before gets the new value.
[[gnu::hot]] void set_attribute(SpanId span, const char* key, AttributeType type, std::uint64_t value) {
  SpanSlot* slot = sampler::region().span(span);
  if (slot == nullptr) return;
  const shm::NameId name = literal_name(key);
  if (name == 0) return;
  const std::uint32_t count = slot->attributes.load(std::memory_order_relaxed);
  for (std::uint32_t i = 0; i < count && i < shm::kSpanAttributes; ++i) {
    if (slot->attribute[i].key == name) {
      slot->attribute[i] = {name, type, value};
      return;
    }
  }
  if (count >= shm::kSpanAttributes) {
    sampler::region().count_loss(shm::Loss::kAttributeFull);
    return;
  }
  slot->attribute[count] = {name, type, value};
  slot->attributes.store(count + 1, std::memory_order_release);
}

bool is_traceparent(const char* key) {
  return key != nullptr && key[0] == 't' && strcmp(key, "traceparent") == 0;
}

// A text that no other span has: three attributes of one key (shm/trace_context.h) instead of a name for ever.
[[gnu::noinline]] void set_traceparent(SpanId span, const char* key, const char* text) {
  shm::TraceContext context;
  if (!shm::read_traceparent(text, static_cast<unsigned>(strnlen(text, kTextBytes)), context)) return;
  SpanSlot* slot = sampler::region().span(span);
  if (slot == nullptr) return;
  const shm::NameId name = literal_name(key);
  if (name == 0) return;
  constexpr std::uint32_t kParts = 3;
  const std::uint32_t count = slot->attributes.load(std::memory_order_relaxed);
  std::uint32_t at = 0;
  while (at < count && at < shm::kSpanAttributes && slot->attribute[at].key != name) ++at;
  if (at < count && slot->attribute[at].type != AttributeType::kTraceHigh)
    return;  // a number of that key: keeps its place
  if (at + kParts > shm::kSpanAttributes) {
    sampler::region().count_loss(shm::Loss::kAttributeFull);
    return;
  }
  slot->attribute[at] = {name, AttributeType::kTraceHigh, context.trace_high};
  slot->attribute[at + 1] = {name, AttributeType::kTraceLow, context.trace_low};
  slot->attribute[at + 2] = {name, context.is_sampled ? AttributeType::kTraceSpanSampled : AttributeType::kTraceSpan,
                             context.span};
  if (at == count) slot->attributes.store(count + kParts, std::memory_order_release);
}

// ---------------------------------------------------------------------------------------------------- begin, end

// Gives the span's id, and its beginning, or 0.
[[gnu::always_inline]] inline SpanId begin(const char* name, SpanId parent, bool has_parent, std::uint64_t* now) {
  PlainProbeScope scope;
  if (!scope) return 0;
  drop_ended();
  SpanId id = 0;
  SpanSlot* slot = sampler::region().claim_kept_span(*scope->lane, &id);
  if (slot == nullptr) {
    slot = sampler::region().claim_span(t_open.next_slot == 0 ? scope->tid * 64 : t_open.next_slot, &id);
    if (slot == nullptr) return 0;
    t_open.next_slot = static_cast<std::uint32_t>(id & 0xffff);  // the slot behind this one; never 0
  }
  slot->parent = has_parent ? parent : t_open.depth == 0 ? 0 : t_open.span[t_open.depth - 1];
  slot->name = literal_name(name);
  slot->begin_tid = scope->tid;
  *now = sampler::now_ns();
  slot->begin_ns = *now;
  slot->id.store(id, std::memory_order_release);
  push(*scope, id);
  return id;
}

[[gnu::always_inline]] inline void end(SpanId span, std::uint64_t now) {
  PlainProbeScope scope;
  // In a vfork child the slot is the parent's. Elsewhere, also where nothing can be recorded now, the slot must go
  // back, or the table would fill.
  if (sampler::t_lane.mode == sampler::LaneMode::kDetached) return;
  SpanSlot* slot = sampler::region().span(span);
  if (slot == nullptr || !take(*slot, span)) return;
  if (!scope) return slot->id.store(0, std::memory_order_release);
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
  sampler::region().keep_span(scope->index, *scope->lane, *slot, span);
  remove(*scope, span);
}

}  // namespace

// The header declares these weak, for programs; here they are the definitions.
CAMPROBE_HOT_HOOK camprobe_span camprobe_v1_begin(const char* name, camprobe_span parent, int has_parent) {
  if (!sampler::enabled(shm::Family::kSpan)) {
    sampler::look_at_control();
    return 0;
  }
  std::uint64_t now = 0;
  const SpanId span = begin(name, parent, has_parent != 0, &now);
  if (span != 0) sampler::look_at_control_at(sampler::t_lane, now);
  return span;
}

CAMPROBE_HOT_HOOK void camprobe_v1_end(camprobe_span span) {
  const std::uint64_t now = sampler::now_ns();
  end(span, now);
  sampler::look_at_control_at(sampler::t_lane, now);
}

CAMPROBE_HOT_HOOK void camprobe_v1_set_text(camprobe_span span, const char* key, const char* text) {
  PlainProbeScope scope;
  if (!scope || text == nullptr) return;
  if (is_traceparent(key)) return set_traceparent(span, key, text);
  const shm::NameId value = text_name(text);
  if (value != 0) set_attribute(span, key, AttributeType::kText, value);
}

CAMPROBE_HOT_HOOK void camprobe_v1_set_number(camprobe_span span, const char* key, double number) {
  PlainProbeScope scope;
  if (!scope) return;
  std::uint64_t bits;
  memcpy(&bits, &number, sizeof bits);
  set_attribute(span, key, AttributeType::kNumber, bits);
}

CAMPROBE_HOT_HOOK void camprobe_v1_enter(camprobe_span span) {
  PlainProbeScope scope;
  if (!scope || sampler::region().span(span) == nullptr) return;
  drop_ended();
  push(*scope, span);
}

CAMPROBE_HOT_HOOK void camprobe_v1_leave(camprobe_span span) {
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
  for (std::uint32_t i = 0; i < kCached; ++i) {
    if (g_names.literal[i].load(std::memory_order_relaxed) != 0) g_names.literal[i].store(0, std::memory_order_relaxed);
    if (g_names.text[i].load(std::memory_order_relaxed) != 0) g_names.text[i].store(0, std::memory_order_relaxed);
  }
}

}  // namespace camprobe::probe
