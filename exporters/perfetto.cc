// exporters/perfetto.cc: see perfetto.h.
#include "exporters/perfetto.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "exporters/safe_text.h"
#include "exporters/span_attributes.h"
#include "exporters/stacks.h"
#include "exporters/timeline.h"
#include "exporters/trace.pb.h"

namespace camprobe::exporters {

namespace {

constexpr std::uint32_t kRealtime = 1, kMonotonic = 3;         // BuiltinClock
constexpr int kBegin = 1, kEnd = 2, kInstant = 3, kCount = 4;  // TrackEvent.Type
constexpr std::uint32_t kCleared = 1, kNeedsInterned = 2;      // SequenceFlags
constexpr std::uint32_t kUser = 2, kKernel = 1;                // Profiling.CpuMode
constexpr int kUnitNs = 1, kUnitCount = 2, kUnitBytes = 3;     // CounterDescriptor.BuiltinCounterUnit

class Trace {
 public:
  Trace(run::Reader& run, const Filter& filter, const Timeline& timeline, Output& out)
      : run_(run), filter_(filter), timeline_(timeline), meta_(run.meta()), stacks_(run), out_(out) {}

  void write() {
    clocks();
    tracks();
    spans();
    windows();
    instants();
    counters();
    samples();
  }

 private:
  // One packet after the other, as field 1 of the trace: so no more than one is ever in memory as a message.
  void put() {
    packet_.set_trusted_packet_sequence_id(1);
    const std::size_t size = packet_.ByteSizeLong();
    std::string& bytes = out_.gathered();
    bytes += '\x0a';
    for (std::size_t rest = size;; rest >>= 7) {
      bytes += static_cast<char>((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
      if (rest <= 0x7f) break;
    }
    packet_.AppendToString(&bytes);
    packet_.Clear();
    out_.pass_on();
  }

  std::uint64_t at(std::int64_t ns) const {
    return static_cast<std::uint64_t>(bounded_ns(meta_.started_monotonic_ns) + bounded_ns(ns));
  }

  void clocks() {
    packet_.set_sequence_flags(kCleared);
    packet_.mutable_trace_packet_defaults()->set_timestamp_clock_id(kMonotonic);
    auto* snapshot = packet_.mutable_clock_snapshot();
    snapshot->set_primary_trace_clock(kMonotonic);
    for (const auto& [clock, ns] :
         {std::pair{kMonotonic, meta_.started_monotonic_ns}, std::pair{kRealtime, meta_.started_realtime_ns}}) {
      auto* row = snapshot->add_clocks();
      row->set_clock_id(clock);
      row->set_timestamp(static_cast<std::uint64_t>(ns));
    }
    put();
  }

  // Tracks are named before what lies on them.
  perfetto::TrackDescriptor& track(std::uint64_t uuid, std::uint64_t parent) {
    auto* descriptor = packet_.mutable_track_descriptor();
    descriptor->set_uuid(uuid);
    if (parent != 0) descriptor->set_parent_uuid(parent);
    return *descriptor;
  }

  void tracks() {
    for (const auto& [id, process] : timeline_.processes) {
      if (id == run::kMachine) continue;
      processes_[id] = next_uuid_;
      auto& descriptor = track(next_uuid_++, 0);
      descriptor.mutable_process()->set_pid(static_cast<std::int32_t>(process.pid));
      descriptor.mutable_process()->set_process_name(printable_utf8(process_label(process)));
      put();
    }
    std::map<std::pair<run::ProcessId, run::ThreadId>, std::uint64_t> threads;
    for (const SpanTrack& row : timeline_.spans.tracks) {
      const std::uint64_t uuid = next_uuid_++;
      span_tracks_.push_back(uuid);
      const auto thread = timeline_.threads.find(row.thread);
      const auto process = timeline_.processes.find(row.process);
      if (row.lane == 0 && thread != timeline_.threads.end() && process != timeline_.processes.end()) {
        auto& descriptor = track(uuid, processes_[row.process]);
        descriptor.mutable_thread()->set_pid(static_cast<std::int32_t>(process->second.pid));
        descriptor.mutable_thread()->set_tid(static_cast<std::int32_t>(thread->second.tid));
        descriptor.mutable_thread()->set_thread_name(track_name(timeline_.threads, row));
        threads[{row.process, row.thread}] = uuid;
      } else {
        const auto own = threads.find({row.process, row.thread});
        track(uuid, own != threads.end() ? own->second : processes_[row.process])
            .set_name(track_name(timeline_.threads, row));
      }
      put();
    }
  }

  // The number of what is interned. The first time it is asked for, `entry` adds to this packet's interned data what it
  // stands for, and `fill` says what that is; what that needs itself must have been interned before.
  template <class Known, class Key, class Entry, class Fill>
  std::uint64_t interned(Known& known, const Key& key, Entry entry, Fill fill) {
    const auto [found, is_new] = known.try_emplace(key, known.size() + 1);
    if (is_new) {
      auto* added = entry(*packet_.mutable_interned_data());
      added->set_iid(found->second);
      fill(*added);
    }
    return found->second;
  }
  template <class Entry>
  std::uint64_t interned_name(std::map<std::string, std::uint64_t>& known, const std::string& name, Entry entry) {
    return interned(known, name, entry, [&](auto& added) { added.set_name(name); });
  }
  template <class Entry>
  std::uint64_t interned_text(std::map<std::string, std::uint64_t>& known, const std::string& text, Entry entry) {
    return interned(known, text, entry, [&](auto& added) { added.set_str(text); });
  }

  perfetto::TrackEvent& event(int type, std::uint64_t track, std::int64_t ns) {
    packet_.set_timestamp(at(ns));
    auto* made = packet_.mutable_track_event();
    made->set_type(type);
    made->set_track_uuid(track);
    return *made;
  }
  perfetto::TrackEvent& named_event(int type, std::uint64_t track, std::int64_t ns, const std::string& name) {
    packet_.set_sequence_flags(kNeedsInterned);
    auto& made = event(type, track, ns);
    made.set_name_iid(interned_name(names_, name, [](auto& data) { return data.add_event_names(); }));
    return made;
  }

  // Spans of one track nest: what ended before one begins is closed in the reverse order.
  void spans() {
    std::vector<std::vector<std::int64_t>> open(span_tracks_.size());
    const auto close_before = [&](std::uint32_t track, std::int64_t ns) {
      for (; !open[track].empty() && open[track].back() <= ns; open[track].pop_back()) {
        event(kEnd, span_tracks_[track], open[track].back());
        put();
      }
    };
    // A flow's id is one more than its place. They are by child already; by parent:
    const auto& flows = timeline_.spans.flows;
    std::vector<std::uint32_t> leaving(flows.size());
    std::iota(leaving.begin(), leaving.end(), 0u);
    std::stable_sort(leaving.begin(), leaving.end(),
                     [&](std::uint32_t a, std::uint32_t b) { return flows[a].first < flows[b].first; });
    std::size_t left = 0, arrived = 0;
    for (std::size_t i = 0; i < timeline_.spans.spans.size(); ++i) {
      const ChosenSpan& row = timeline_.spans.spans[i];
      const std::uint32_t track = timeline_.spans.track_of[i];
      close_before(track, row.began_ns);
      const std::string name = printable_utf8(run_.name(row.name));
      auto& made = named_event(kBegin, span_tracks_[track], row.began_ns, name.empty() ? "[unnamed span]" : name);
      for (const SpanAttribute& attribute : attributes_of(run_.attributes_of(row.process, row.span)))
        annotate(made, attribute);
      if (!row.has_ended) annotate(made, {"never ended", true});
      for (; left < flows.size() && flows[leaving[left]].first == i; ++left) made.add_flow_ids(leaving[left] + 1u);
      for (; arrived < flows.size() && flows[arrived].second == i; ++arrived)
        made.add_terminating_flow_ids(arrived + 1);
      put();
      open[track].push_back(row.ended_ns);
    }
    for (std::uint32_t track = 0; track < open.size(); ++track)
      close_before(track, std::numeric_limits<std::int64_t>::max());
  }

  void annotate(perfetto::TrackEvent& event, const SpanAttribute& attribute) {
    auto* annotation = event.add_debug_annotations();
    annotation->set_name_iid(
        interned_name(keys_, attribute.key, [](auto& data) { return data.add_debug_annotation_names(); }));
    if (const auto* text = std::get_if<std::string>(&attribute.value)) annotation->set_string_value(*text);
    if (const auto* number = std::get_if<double>(&attribute.value)) annotation->set_double_value(*number);
    if (const auto* flag = std::get_if<bool>(&attribute.value)) annotation->set_bool_value(*flag);
  }

  std::uint64_t load() {
    if (load_ == 0) {
      load_ = next_uuid_++;
      track(load_, 0).set_name("load");
      put();
    }
    return load_;
  }
  std::uint64_t machine() {
    if (machine_ == 0) {
      machine_ = next_uuid_++;
      track(machine_, 0).set_name("machine");
      put();
    }
    return machine_;
  }

  void windows() {
    std::map<std::uint32_t, std::uint64_t> lanes;
    for (const auto& [window, lane] : timeline_.windows) {
      const auto [found, is_new] = lanes.try_emplace(lane, 0);
      if (is_new) {
        const std::uint64_t parent = load();
        found->second = next_uuid_++;
        track(found->second, parent).set_name("load windows");
        put();
      }
      const std::string name = printable_utf8(window.name.empty() ? window.kind : window.name);
      annotate(named_event(kBegin, found->second, window.from_ns, name), {"kind", printable_utf8(window.kind)});
      put();
      event(kEnd, found->second, window.to_ns);
      put();
    }
  }

  void instants() {
    std::uint64_t marks = 0;
    for (const Instant& instant : timeline_.instants) {
      const auto process = processes_.find(instant.process);
      std::uint64_t on = process != processes_.end() ? process->second : marks;
      if (on == 0) {
        on = marks = next_uuid_++;
        track(marks, 0).set_name("marks");
        put();
      }
      named_event(kInstant, on, instant.at_ns, instant.text);
      put();
    }
  }

  void counters() {
    each_counter(run_, filter_, [&](const Counter& counter) {
      const bool is_load = counter.name.starts_with("load ");
      const auto process = processes_.find(counter.process);
      const std::uint64_t parent = is_load ? load() : process != processes_.end() ? process->second : machine();
      const std::uint64_t uuid = next_uuid_++;
      auto& descriptor = track(uuid, parent);
      descriptor.set_name(counter.name);
      if (counter.unit == "bytes") {
        descriptor.mutable_counter()->set_unit(kUnitBytes);
      } else if (counter.unit == "ns") {
        descriptor.mutable_counter()->set_unit(kUnitNs);
      } else if (counter.unit == "count") {
        descriptor.mutable_counter()->set_unit(kUnitCount);
      } else {
        descriptor.mutable_counter()->set_unit_name(counter.unit);
      }
      put();
      for (const auto& [ns, value] : counter.points) {
        if (!std::isfinite(value)) continue;
        event(kCount, uuid, ns).set_double_counter_value(value);
        put();
      }
    });
  }

  void samples() {
    each_cpu_sample(run_, filter_, timeline_.cpu, [&](const CpuSample& sample) {
      const auto process = timeline_.processes.find(sample.process);
      const auto thread = timeline_.threads.find(sample.thread);
      packet_.set_timestamp(at(sample.at_ns));
      packet_.set_sequence_flags(kNeedsInterned);
      const std::vector<FrameIndex>& path = stacks_.root_first(sample.stack);
      const std::uint64_t callstack = interned_callstack(sample.stack, path);
      auto* made = packet_.mutable_perf_sample();
      if (process != timeline_.processes.end()) made->set_pid(static_cast<std::uint32_t>(process->second.pid));
      if (thread != timeline_.threads.end()) made->set_tid(static_cast<std::uint32_t>(thread->second.tid));
      made->set_cpu_mode(!path.empty() && stacks_.frame(path.back()).kind == "kernel" ? kKernel : kUser);
      made->set_callstack_iid(callstack);
      put();
    });
  }

  std::uint64_t interned_callstack(run::StackId stack, const std::vector<FrameIndex>& path) {
    if (const auto found = callstacks_.find(stack); found != callstacks_.end()) return found->second;
    std::vector<std::uint64_t> frames;
    for (const FrameIndex index : path) frames.push_back(interned_frame(index));
    return interned(
        callstacks_, stack, [](auto& data) { return data.add_callstacks(); },
        [&](auto& added) {
          for (const std::uint64_t frame : frames) added.add_frame_ids(frame);
        });
  }
  std::uint64_t interned_frame(FrameIndex index) {
    if (const auto found = frames_.find(index); found != frames_.end()) return found->second;
    const Frame& frame = stacks_.frame(index);
    const std::uint64_t function =
        interned_text(functions_, frame.function, [](auto& data) { return data.add_function_names(); });
    const std::uint64_t mapping = frame.module.empty() ? 0 : interned_mapping(frame.module);
    const std::uint64_t file =
        frame.file.empty() ? 0 : interned_text(files_, frame.file, [](auto& data) { return data.add_source_paths(); });
    return interned(
        frames_, index, [](auto& data) { return data.add_frames(); },
        [&](auto& added) {
          added.set_function_name_id(function);
          if (mapping != 0) {
            added.set_mapping_id(mapping);
            added.set_rel_pc(0);  // functions have their names, and no addresses
          }
          if (file != 0) added.set_source_path_iid(file);
          if (frame.line > 0) added.set_line_number(static_cast<std::uint32_t>(frame.line));
        });
  }
  std::uint64_t interned_mapping(const std::string& module) {
    const std::uint64_t path = interned_text(paths_, module, [](auto& data) { return data.add_mapping_paths(); });
    return interned(
        mappings_, module, [](auto& data) { return data.add_mappings(); },
        [&](auto& added) { added.add_path_string_ids(path); });
  }

  run::Reader& run_;
  const Filter& filter_;
  const Timeline& timeline_;
  const run::Meta meta_;
  StackTable stacks_;
  Output& out_;
  std::unordered_map<run::StackId, std::uint64_t> callstacks_;
  std::unordered_map<FrameIndex, std::uint64_t> frames_;
  std::map<std::string, std::uint64_t> functions_, mappings_, paths_, files_;
  perfetto::TracePacket packet_;
  std::uint64_t next_uuid_ = 1, load_ = 0, machine_ = 0;
  std::map<run::ProcessId, std::uint64_t> processes_;
  std::vector<std::uint64_t> span_tracks_;
  std::map<std::string, std::uint64_t> names_, keys_;
};

}  // namespace

void to_perfetto(run::Reader& run, const Filter& filter, const Timeline& timeline, Output& out) {
  Trace(run, filter, timeline, out).write();
}

}  // namespace camprobe::exporters
