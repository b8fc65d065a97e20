// exporters/chrome_trace.cc: see chrome_trace.h.
#include "exporters/chrome_trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "exporters/safe_text.h"
#include "exporters/span_attributes.h"
#include "exporters/stacks.h"
#include "exporters/timeline.h"

namespace camprobe::exporters {

namespace {

// Threads' further lanes need numbers that no thread has: the kernel's own end at 2^22.
constexpr std::int64_t kFirstLaneNumber = std::int64_t{1} << 23;
constexpr std::int64_t kLoadPid = std::int64_t{1} << 23;

class Trace {
 public:
  Trace(run::Reader& run, const Filter& filter, const Timeline& timeline, Output& out)
      : run_(run), filter_(filter), timeline_(timeline), stacks_(run), out_(out) {}

  void write() {
    out_.write("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n");
    names();
    spans();
    flows();
    counters();
    windows();
    instants();
    samples();
    const run::Meta meta = run_.meta();
    out_.write("\n],\"stackFrames\":{");
    stack_frames();
    out_.write(fmt::format("}},\"otherData\":{{\"run\":{},\"host\":{},\"camprobe\":{},\"started_unix_ns\":\"{}\"}}}}\n",
                           json_text(meta.run_id), json_text(meta.host), json_text(meta.camprobe_version),
                           meta.started_realtime_ns));
  }

 private:
  template <class... Values>
  void event(fmt::format_string<Values...> members, Values&&... values) {
    std::string& text = out_.gathered();
    text += is_first_ ? "{" : ",\n{";
    is_first_ = false;
    fmt::format_to(std::back_inserter(text), members, std::forward<Values>(values)...);
    text += '}';
    out_.pass_on();
  }

  static std::string micros(std::int64_t any_ns) {
    const std::int64_t ns = bounded_ns(any_ns);
    return fmt::format("{}{}.{:03}", ns < 0 ? "-" : "", std::abs(ns) / 1000, std::abs(ns) % 1000);
  }
  static std::string micros_between(std::int64_t from_ns, std::int64_t to_ns) {
    return micros(std::max<std::int64_t>(0, to_ns - from_ns));
  }

  std::int64_t pid_of(run::ProcessId id) const {
    const auto found = timeline_.processes.find(id);
    return found != timeline_.processes.end() ? found->second.pid : 0;
  }
  std::int64_t tid_of(std::uint32_t track) const {
    const SpanTrack& at = timeline_.spans.tracks[track];
    const auto found = timeline_.threads.find(at.thread);
    if (at.lane == 0 && found != timeline_.threads.end()) return found->second.tid;
    return kFirstLaneNumber + track;
  }

  void names() {
    std::set<std::int64_t> named;
    const auto process = [&](std::int64_t pid, const std::string& name) {
      if (!named.insert(pid).second) return;
      event(R"("ph":"M","name":"process_name","pid":{},"tid":0,"args":{{"name":{}}})", pid, json_text(name));
    };
    for (const auto& [id, row] : timeline_.processes) {
      if (id != run::kMachine) process(row.pid, process_label(row));
    }
    process(0, "machine");
    process(kLoadPid, "load");
    for (std::uint32_t track = 0; track < timeline_.spans.tracks.size(); ++track) {
      const SpanTrack& at = timeline_.spans.tracks[track];
      event(R"("ph":"M","name":"thread_name","pid":{},"tid":{},"args":{{"name":{}}})", pid_of(at.process),
            tid_of(track), json_text(track_name(timeline_.threads, at)));
      event(R"("ph":"M","name":"thread_sort_index","pid":{},"tid":{},"args":{{"sort_index":{}}})", pid_of(at.process),
            tid_of(track), track);
    }
  }

  void spans() {
    for (std::size_t i = 0; i < timeline_.spans.spans.size(); ++i) {
      const ChosenSpan& at = timeline_.spans.spans[i];
      const std::string& name = run_.name(at.name);
      std::string args;
      for (const SpanAttribute& attribute : attributes_of(run_.attributes_of(at.process, at.span))) {
        args += (args.empty() ? "" : ",") + json_text(attribute.key) + ":" + value_of(attribute);
      }
      if (!at.has_ended) args += std::string(args.empty() ? "" : ",") + R"("never ended":true)";
      event(R"("ph":"X","cat":"span","name":{},"pid":{},"tid":{},"ts":{},"dur":{},"args":{{{}}})",
            json_text(name.empty() ? "[unnamed span]" : name), pid_of(at.process), tid_of(timeline_.spans.track_of[i]),
            micros(at.began_ns), micros_between(at.began_ns, at.ended_ns), args);
    }
  }

  static std::string value_of(const SpanAttribute& attribute) {
    if (const auto* text = std::get_if<std::string>(&attribute.value)) return json_text(*text);
    if (const auto* flag = std::get_if<bool>(&attribute.value)) return *flag ? "true" : "false";
    const double number = std::get<double>(attribute.value);
    return std::isfinite(number) ? fmt::format("{}", number) : "null";
  }

  void flows() {
    std::size_t id = 1;
    for (const auto& [from, to] : timeline_.spans.flows) {
      const ChosenSpan& parent = timeline_.spans.spans[from];
      const ChosenSpan& child = timeline_.spans.spans[to];
      // The arrow leaves where the child begins, as long as the parent lasts that long.
      const std::int64_t leaves_ns = std::clamp(child.began_ns, parent.began_ns, parent.ended_ns);
      event(R"("ph":"s","cat":"flow","name":"inside","id":{},"pid":{},"tid":{},"ts":{})", id, pid_of(parent.process),
            tid_of(timeline_.spans.track_of[from]), micros(leaves_ns));
      event(R"("ph":"f","bp":"e","cat":"flow","name":"inside","id":{},"pid":{},"tid":{},"ts":{})", id++,
            pid_of(child.process), tid_of(timeline_.spans.track_of[to]), micros(child.began_ns));
    }
  }

  void counters() {
    each_counter(run_, filter_, [&](const Counter& counter) {
      const bool is_load = counter.name.starts_with("load ");
      for (const auto& [at_ns, value] : counter.points) {
        if (!std::isfinite(value)) continue;
        event(R"("ph":"C","name":{},"pid":{},"tid":0,"ts":{},"args":{{{}:{}}})", json_text(counter.name),
              is_load ? kLoadPid : pid_of(counter.process), micros(at_ns), json_text(counter.unit), value);
      }
    });
  }

  void windows() {
    for (const auto& [window, lane] : timeline_.windows) {
      event(R"("ph":"X","cat":"load","name":{},"pid":{},"tid":{},"ts":{},"dur":{},"args":{{"kind":{}}})",
            json_text(window.name.empty() ? window.kind : window.name), kLoadPid, lane + 1, micros(window.from_ns),
            micros_between(window.from_ns, window.to_ns), json_text(window.kind));
    }
  }

  void instants() {
    for (const Instant& instant : timeline_.instants) {
      const bool is_global = instant.process == run::kMachine;
      event(R"("ph":"i","s":"{}","cat":"mark","name":{},"pid":{},"tid":0,"ts":{})", is_global ? "g" : "p",
            json_text(instant.text), pid_of(instant.process), micros(instant.at_ns));
    }
  }

  // Sample events, not a `samples` array beside the events: those name no process, and speedscope then shows nothing
  // else.
  void samples() {
    each_cpu_sample(run_, filter_, timeline_.cpu, [&](const CpuSample& sample) {
      const auto thread = timeline_.threads.find(sample.thread);
      event(R"("ph":"P","cat":"cpu","name":"CPU","pid":{},"tid":{},"ts":{},"sf":"{}")", pid_of(sample.process),
            thread != timeline_.threads.end() ? thread->second.tid : 0, micros(sample.at_ns), leaf_of(sample.stack));
    });
  }

  // Frames by number; each knows its caller, so that stacks share what they have in common.
  std::size_t leaf_of(run::StackId stack) {
    const auto [known, is_new] = leaves_.try_emplace(stack, 0);
    if (!is_new) return known->second;
    std::size_t at = 0;
    for (const FrameIndex frame : stacks_.root_first(stack)) {
      const auto [found, is_first] = frame_numbers_.try_emplace({at, frame}, frame_numbers_.size() + 1);
      if (is_first) frames_.emplace_back(at, frame);
      at = found->second;
    }
    return leaves_[stack] = at;
  }
  void stack_frames() {
    for (std::size_t i = 0; i < frames_.size(); ++i) {
      const auto& [parent, index] = frames_[i];
      const Frame& frame = stacks_.frame(index);
      out_.write(fmt::format("{}\n\"{}\":{{\"name\":{},\"category\":{}{}}}", i == 0 ? "" : ",", i + 1,
                             json_text(frame.function), json_text(frame.module.empty() ? frame.kind : frame.module),
                             parent == 0 ? "" : fmt::format(",\"parent\":\"{}\"", parent)));
    }
  }

  run::Reader& run_;
  const Filter& filter_;
  const Timeline& timeline_;
  StackTable stacks_;
  Output& out_;
  std::map<std::pair<std::size_t, FrameIndex>, std::size_t> frame_numbers_;  // by the caller's number
  std::vector<std::pair<std::size_t, FrameIndex>> frames_;                   // number 1 first
  std::unordered_map<run::StackId, std::size_t> leaves_;
  bool is_first_ = true;
};

}  // namespace

void to_chrome_trace(run::Reader& run, const Filter& filter, const Timeline& timeline, Output& out) {
  Trace(run, filter, timeline, out).write();
}

}  // namespace camprobe::exporters
