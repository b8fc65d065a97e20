// collector/analysis/from_run.cc
#include "collector/analysis/from_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <set>
#include <string_view>

#include "collector/analysis/load_rises.h"
#include "collector/analysis/memory_split.h"
#include "collector/analysis/own_frame.h"
#include "collector/metrics.h"
#include "collector/proof_phases.h"
#include "run/units.h"

namespace camprobe::analysis {

namespace {

constexpr double kNs = 1e9;

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

std::uint64_t hash_of(std::string_view text) {  // FNV-1a: the same in every run, so that finding ids are
  std::uint64_t hash = 1469598103934665603ull;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  return hash | 1;  // 0 means unknown
}

class Input {
 public:
  Input(run::Reader& reader, const Thresholds& thresholds) : reader_(reader), k_(thresholds) {}

  RunInput read() {
    processes_ = reader_.processes();
    read_ends();
    read_clock();
    read_stretch();
    read_heap();
    read_descriptors();
    read_threads();
    read_mappings();
    read_memory();
    read_service();
    if (const auto meta = reader_.meta(); meta.all.contains("symbol_problems")) {
      const std::string& problems = meta.all.at("symbol_problems");
      input_.notes.push_back(
          fmt::format("Names: functions of {} could not be looked up: {}.",
                      run::in_count(static_cast<double>(std::count(problems.begin(), problems.end(), '\n'))) + " files",
                      problems.substr(0, problems.find('\n'))));
    }
    read_proof();
    return std::move(input_);
  }

 private:
  void read_ends() {
    run_end_ = seconds_of(reader_.duration_ns());
    for (const run::Process& p : processes_) {
      if (p.id == run::kMachine) continue;
      ends_[p.id] = p.ended_ns ? seconds_of(*p.ended_ns) : kAlive;
    }
  }

  // --- the clock ---

  static std::vector<WorkPoint> accumulate(const std::map<Seconds, double>& per_bucket_end, Seconds begin) {
    std::vector<WorkPoint> points = {{begin, 0}};
    double total = 0;
    for (const auto& [end, requests] : per_bucket_end) {
      total += requests;
      if (end > points.back().at)
        points.push_back({end, total});
      else
        points.back().total = total;
    }
    return points;
  }

  void read_clock() {
    std::map<Seconds, double> requests;
    Seconds begin = kAlive;
    const auto add = [&](std::int64_t second, std::int64_t width, double n) {
      const auto from = static_cast<double>(second),
                 to = static_cast<double>(second + std::max<std::int64_t>(width, 1));
      begin = std::min(begin, from);
      requests[from] += 0;  // nothing happened before it: the line must not run through a gap
      requests[to] += n;
    };
    const bool whole = load_results_cover_the_load();
    for (const run::LoadBucket& bucket : whole ? reader_.load_buckets("") : std::vector<run::LoadBucket>{})
      add(bucket.second, bucket.width, static_cast<double>(bucket.requests));
    if (!requests.empty()) {
      input_.clock = WorkClock(accumulate(requests, begin), WorkSource::kLoadTool);
      if (input_.clock.counts_requests()) return;
    }
    requests.clear(), begin = kAlive;
    if (const auto root = most_frequent_root_span()) {
      input_.work_span = reader_.name(*root);
      for (const run::SpanStat& stat : reader_.span_stats()) {
        if (stat.name == *root) add(stat.second, stat.width, static_cast<double>(stat.spans));
      }
      input_.clock = WorkClock(accumulate(requests, begin), WorkSource::kSpans);
      if (input_.clock.counts_requests()) {
        input_.notes.push_back("No load tool's results: requests are counted by the server's own spans \"" +
                               input_.work_span + "\".");
        return;
      }
    }
    requests.clear(), begin = kAlive;
    for (const run::IoRow& row : reader_.io()) {
      if (row.kind == "socket_read") add(row.second, row.width, static_cast<double>(row.ops));
    }
    if (!requests.empty()) input_.clock = WorkClock(accumulate(requests, begin), WorkSource::kSockets);
    if (input_.clock.counts_requests()) {
      input_.notes.push_back(
          "No load tool's results and no spans: the work done is counted in socket reads, so rates per 1,000 requests "
          "are per 1,000 reads.");
    } else {
      input_.notes.push_back(
          "No requests were seen at all: everything is judged by the clock on the wall, and a cache that fills with "
          "use may look like a leak.");
    }
  }

  // A script may start a load tool more than once, and the results be those of one of them: then the server goes on
  // reading from its sockets where the load tool saw nothing.
  bool load_results_cover_the_load() {
    std::int64_t begin = std::numeric_limits<std::int64_t>::max(), end = std::numeric_limits<std::int64_t>::min();
    for (const run::LoadBucket& bucket : reader_.load_buckets("")) {
      begin = std::min(begin, bucket.second);
      end = std::max(end, bucket.second + std::max<std::int64_t>(bucket.width, 1));
    }
    if (end <= begin) return true;
    double within = 0, all = 0;
    for (const run::IoRow& row : reader_.io()) {
      if (row.kind != "socket_read") continue;
      const auto ops = static_cast<double>(row.ops);
      all += ops;
      if (row.second >= begin - 2 && row.second <= end + 2) within += ops;
    }
    if (all - within <= k_.unseen_load_share * all) return true;
    input_.notes.push_back(fmt::format(
        "The load tool's results end at {}, the load does not ({} of all socket reads are elsewhere): they are set "
        "aside. Give one run of the load tool, or the file of all of it with --load-results.",
        run::at_time(static_cast<double>(end)), run::in_percent(1 - within / all)));
    load_results_kept_ = false;
    return false;
  }

  // Counted exactly per second under its name; which name is a root, the single spans that were kept tell.
  std::optional<run::NameId> most_frequent_root_span() {
    std::map<run::NameId, std::size_t> roots;
    for (const run::Span& span : reader_.spans()) {
      if (span.parent == 0) ++roots[span.name];
    }
    std::map<run::NameId, std::int64_t> counts;
    for (const run::SpanStat& stat : reader_.span_stats()) {
      if (roots.empty() || roots.contains(stat.name)) counts[stat.name] += stat.spans;
    }
    const auto most = std::max_element(counts.begin(), counts.end(),
                                       [](const auto& a, const auto& b) { return a.second < b.second; });
    return most == counts.end() ? std::nullopt : std::optional(most->first);
  }

  // To better than the second that a bucket is wide: a server is ended right behind its load, and what it frees then
  // must not count as deaths under load.
  Seconds end_of_load() {
    const Seconds end = input_.clock.body_end(), before = std::floor(end);
    if (input_.clock.source() == WorkSource::kLoadTool) {
      Seconds last = 0;
      for (const run::LoadWindow& window : reader_.load_windows()) last = std::max(last, seconds_of(window.to_ns));
      if (last >= before && last <= end + 1) return last;
    }
    return before > input_.clock.body_begin() ? before : end;  // a snapshot is shorter than a second
  }

  void read_stretch() {
    Stretch& s = input_.stretch;
    Seconds last_end = 0;
    bool any = false, all_ended = true;
    Seconds first_begin = kAlive;
    for (const run::Process& p : processes_) {
      if (p.id == run::kMachine) continue;
      any = true;
      first_begin = std::min(first_begin, seconds_of(p.began_ns));
      all_ended &= p.ended_ns.has_value();
      last_end = std::max(last_end, p.ended_ns ? seconds_of(*p.ended_ns) : run_end_);
    }
    if (!any) first_begin = 0, last_end = run_end_;
    if (input_.clock.counts_requests()) {
      s.begin = std::max(input_.clock.body_begin(), first_begin);
      s.end = std::min({input_.clock.body_end(), end_of_load(), last_end});
    } else {
      s.begin = first_begin;
      // What a program frees while it shuts down proves nothing.
      s.end = all_ended ? last_end - std::max(1.0, 0.02 * (last_end - first_begin)) : last_end;
    }
    s.end = std::max(s.end, s.begin);
    s.warm_up = s.begin + k_.warm_up_share * (s.end - s.begin);
    // What the load tool itself calls warm-up or ramp, where the run begins with it.
    for (const run::LoadWindow& window : reader_.load_windows()) {
      const bool starts =
          seconds_of(window.from_ns) <= s.warm_up && (window.kind == "warm-up" || window.kind == "ramp");
      const double until = seconds_of(window.to_ns);
      if (starts && until > s.warm_up && until <= s.begin + 0.4 * (s.end - s.begin)) s.warm_up = until;
    }
    for (const run::Process& p : processes_) {
      if (p.id == run::kMachine || !p.memory_limit_bytes || *p.memory_limit_bytes <= 0) continue;
      const auto limit = static_cast<double>(*p.memory_limit_bytes);
      s.memory_limit_bytes = s.memory_limit_bytes == 0 ? limit : std::min(s.memory_limit_bytes, limit);
    }
    s.rss_bytes = last_value(sum_of(metrics::kResidentBytes), s.end);
    s.descriptors = last_value(sum_of(metrics::kOpenFds), s.end);
  }

  // --- series ---

  // Of all processes together; a process counts while it lives.
  std::vector<GaugePoint> sum_of(const run::Metric& metric) {
    std::map<std::int64_t, double> seconds;
    for (const run::Point& p : reader_.series(metric.name)) {
      if (p.process == run::kMachine) continue;
      seconds[p.second] += p.value;
    }
    std::vector<GaugePoint> points;
    for (const auto& [second, value] : seconds) points.push_back({static_cast<double>(second), value});
    return points;
  }

  static double last_value(const std::vector<GaugePoint>& points, Seconds until) {
    double value = 0;
    for (const auto& p : points) {
      if (p.at <= until) value = p.value;
    }
    return value;
  }

  // What a cumulative counter rose by in each second, processes added up. Points stand for the seconds they begin.
  std::map<std::int64_t, double> rises_of(const std::vector<std::string>& names, bool machine) {
    std::map<std::int64_t, double> rises;
    for (const std::string& name : names) {
      std::map<run::ProcessId, run::Point> previous;
      for (const run::Point& p : reader_.series(name)) {
        if ((p.process == run::kMachine) != machine) continue;
        if (const auto before = previous.find(p.process); before != previous.end()) {
          // A bucket's value is the one of its last second.
          const auto last = [](const run::Point& point) { return point.second + point.width - 1; };
          const auto seconds = last(p) - last(before->second);
          const double rise = std::max(0.0, p.value - before->second.value);
          // Over a gap, or a bucket folded to more than a second, evenly.
          for (std::int64_t s = last(before->second) + 1; s <= last(p); ++s)
            rises[s] += rise / static_cast<double>(seconds);
        }
        previous[p.process] = p;
      }
    }
    return rises;
  }

  // --- things with a birth ---

  struct Key {
    run::ProcessId process;
    run::StackId stack;
    std::string kind;
    auto operator<=>(const Key&) const = default;
  };

  std::size_t population(std::map<Key, std::size_t>& known, const Key& key, Resource resource) {
    const auto [found, is_new] = known.try_emplace(key, input_.populations.size());
    if (!is_new) return found->second;
    Population p;
    p.resource = resource;
    describe(p, key.stack, key.kind);
    input_.populations.push_back(std::move(p));
    input_.origins.push_back({key.process, key.stack, key.kind, {}});
    return found->second;
  }

  void describe(Population& p, run::StackId id, const std::string& kind) {
    p.id = static_cast<std::uint64_t>(run::number(id));
    p.frames.clear();
    std::vector<run::Frame> frames;
    for (const run::FrameId frame : reader_.stack(id).frames) {
      p.frames.push_back(static_cast<std::uint32_t>(run::number(frame)));
      frames.push_back(reader_.frame(frame));
    }
    // Descriptors of unlike kinds that one function opens are not one leak.
    if (!frames.empty()) p.site = hash_of(frames[own_frame(frames)].function + kind);
  }

  Seconds death(run::ProcessId process, const std::optional<std::int64_t>& died_ns) const {
    const auto end = ends_.find(process);
    const Seconds process_end = end == ends_.end() ? kAlive : end->second;
    return died_ns ? std::min(seconds_of(*died_ns), process_end) : process_end;
  }

  // In at most a few hundred parts, however long the run.
  void be_active(std::size_t population, std::int64_t second, double objects) {
    constexpr double kParts = 480;
    Population& p = input_.populations[population];
    p.activity_width = std::max(1.0, std::ceil(run_end_ / kParts));
    const double part = static_cast<double>(second) / p.activity_width;
    if (part < 0 || part > kParts + 1) return;
    const auto i = static_cast<std::size_t>(part);
    if (p.activity.size() <= i) p.activity.resize(i + 1);
    p.activity[i] += objects;
  }

  // How likely an object of a population's usual size was sampled, as the interval moved.
  std::vector<SamplingDensity> density_of(const Population& p, run::ProcessId process) {
    if (!have_intervals_) {
      have_intervals_ = true;
      for (const run::Setting& s : reader_.settings()) {
        if (s.name == "heap_interval_bytes") intervals_[s.process].emplace_back(seconds_of(s.at_ns), s.value);
      }
      for (auto& [id, steps] : intervals_) std::sort(steps.begin(), steps.end());
    }
    double bytes = 0, objects = 0;
    for (const Life& life : p.lives) bytes += life.amount, objects += life.objects;
    if (objects <= 0) return {};
    std::vector<SamplingDensity> density;
    for (const auto& [at, interval] : intervals_[process]) {
      if (interval <= 0) return {};  // switched off for a while: nothing to even out by
      density.push_back({at, -std::expm1(-bytes / objects / interval)});
    }
    return density;
  }

  void read_heap() {
    std::map<Key, std::size_t> known;
    double intervals = 0, samples = 0;
    reader_.each_heap_object({}, [&](const run::HeapObject& o) {
      const std::size_t i = population(known, {o.process, o.stack, ""}, Resource::kHeap);
      // What its weight is above that of a sample of its size, it has from others that were folded.
      const double sampled =
          o.interval > 0 ? -std::expm1(-static_cast<double>(o.size) / static_cast<double>(o.interval)) : 1;
      const double kept_of = o.died_ns && o.objects * sampled > 1.001 ? o.objects * sampled : 1;
      input_.populations[i].lives.push_back(
          {seconds_of(o.born_ns), death(o.process, o.died_ns), o.bytes, o.objects, kept_of});
      intervals += static_cast<double>(o.interval);
      samples += 1;
    });
    for (const auto& [key, i] : known) input_.populations[i].density = density_of(input_.populations[i], key.process);
    // How busy a stack is matters only for stacks that keep something.
    reader_.each_alloc({}, [&](const run::AllocRow& row) {
      const auto found = known.find({row.process, row.stack, ""});
      if (found != known.end()) be_active(found->second, row.second, row.objects);
      samples += static_cast<double>(row.samples);
    });
    if (intervals > 0) {
      double objects = 0;
      for (const Population& p : input_.populations) objects += static_cast<double>(p.lives.size());
      input_.heap_interval = intervals / std::max(objects, 1.0);
    } else {
      for (const run::Setting& setting : reader_.settings()) {
        if (contains(setting.name, "heap_interval")) input_.heap_interval = setting.value;
      }
    }
    double lost = 0;
    for (const run::Lost& row : reader_.lost()) {
      if (contains(row.kind, "heap") || contains(row.kind, "alloc") || contains(row.kind, "live") ||
          row.kind == "lapped" || row.kind == "torn") {
        lost += static_cast<double>(row.records);
      }
    }
    input_.heap_lost_share = lost > 0 ? lost / (lost + samples) : 0;
  }

  // How likely openings of plain files were captured, part by part of the run: captures over what they stand for.
  class CapturedFiles {
   public:
    explicit CapturedFiles(double run_end) : width_(std::max(1.0, run_end / kParts)) {}

    void add(const run::Descriptor& d) {
      if (d.opened_ns < 0) return;
      Part& part = parts_[std::floor(seconds_of(d.opened_ns) / width_)];
      part.captured += 1;
      part.openings += static_cast<double>(d.stands_for);
      all_were_captured_ = all_were_captured_ && d.stands_for == 1;
    }

    std::vector<SamplingDensity> density() const {
      std::vector<SamplingDensity> density;
      if (all_were_captured_) return density;
      for (const auto& [at, part] : parts_) density.push_back({at * width_, part.captured / part.openings});
      return density;
    }

   private:
    static constexpr double kParts = 48;
    struct Part {
      double captured = 0, openings = 0;
    };
    double width_;
    bool all_were_captured_ = true;
    std::map<double, Part> parts_;
  };

  void read_descriptors() {
    double users = 0;
    std::map<run::SourceId, double> by_source;
    for (const run::LoadBucket& bucket : reader_.load_buckets("")) {
      if (bucket.users) by_source[bucket.source] = std::max(by_source[bucket.source], *bucket.users);
    }
    for (const auto& [source, n] : by_source) users += n;
    std::map<Key, std::size_t> known;
    std::map<run::ProcessId, CapturedFiles> files;
    std::map<run::ProcessId, std::vector<Life>> accepted;
    std::map<std::size_t, std::set<std::string>> peers;
    for (const run::Descriptor& d : reader_.descriptors()) {
      // Openings that were not captured are counted by those that were.
      if (d.kind == "listen" || d.stands_for == 0) continue;
      const std::size_t i = population(known, {d.process, d.stack, d.kind}, Resource::kDescriptors);
      Population& p = input_.populations[i];
      const Seconds died = death(d.process, d.closed_ns);
      const auto openings = static_cast<double>(d.stands_for);
      const auto kept_of = static_cast<double>(d.kept_of);
      p.lives.push_back({seconds_of(d.opened_ns), died, openings * kept_of, openings * kept_of, kept_of});
      be_active(i, d.opened_ns / 1'000'000'000, openings);
      if (d.kind == "file") files.try_emplace(d.process, run_end_).first->second.add(d);
      // As many accepted connections as the load has users are the load's, not the server's, to close.
      if (d.kind == "accept" && users > 0) p.bound = std::ceil(1.1 * users) + 2;
      if (d.kind == "accept") accepted[d.process].push_back(p.lives.back());
      if (d.kind == "connect") peers[i].insert(d.peer);
      if (died >= input_.stretch.end && d.opened_ns / kNs >= input_.stretch.warm_up) {
        ++input_.origins[i].peers[d.kind == "accept" ? d.peer.substr(0, d.peer.rfind(':')) : d.peer];
      }
    }
    for (const auto& [key, i] : known) {
      if (key.kind == "file") input_.populations[i].density = files.at(key.process).density();
    }
    for (const auto& [process, lives] : accepted) records_[process] = records_of(lives);
    for (const auto& [key, i] : known) {
      // Those accepted are the clients themselves: their own number explains nothing of them.
      if (key.kind != "accept") note_concurrency(key.process, i, std::max<std::size_t>(1, peers[i].size()));
    }
    for (const run::DescriptorSum& sum : reader_.descriptor_sums()) {
      const auto found = known.find({sum.process, sum.stack, sum.kind});
      if (found != known.end()) be_active(found->second, sum.second, static_cast<double>(sum.opened));
    }
  }

  // So much of it as there were clients at a time, to each peer, may have had a use at once.
  void note_concurrency(run::ProcessId process, std::size_t population, std::size_t peers) {
    const auto found = records_.find(process);
    if (found == records_.end() || found->second.empty()) return;
    Population& p = input_.populations[population];
    p.records = found->second;
    p.concurrency = std::ceil(1.1 * p.records.back().clients * static_cast<double>(peers)) + 2;
  }

  void read_threads() {
    std::map<Key, std::size_t> known;
    for (const run::Thread& t : reader_.threads()) {
      if (t.stack == run::kUnknownStack) continue;  // there before the probe was, or the main thread
      const std::size_t i = population(known, {t.process, t.stack, ""}, Resource::kThreads);
      const auto kept_of = static_cast<double>(t.kept_of);
      input_.populations[i].lives.push_back(
          {seconds_of(t.began_ns), death(t.process, t.ended_ns), kept_of, kept_of, kept_of});
    }
    for (const auto& [key, i] : known) note_concurrency(key.process, i, 1);
  }

  // The pages of V8's heap hold what all of a program's functions allocate, and are given back page by page, not stack
  // by stack: they are one population. It is named by the function that most often asked for a page that is still
  // there.
  void read_mappings() {
    std::map<Key, std::size_t> known, heaps;
    std::unordered_map<run::StackId, bool> v8;
    std::map<std::size_t, std::map<run::StackId, double>> kept;
    for (const run::Mapping& m : reader_.mappings()) {
      const auto [found, is_new] = v8.try_emplace(m.stack);
      if (is_new) {
        const std::vector<run::FrameId> frames = reader_.stack(m.stack).frames;
        found->second = std::any_of(frames.begin(), frames.begin() + std::min<std::ptrdiff_t>(4, std::ssize(frames)),
                                    [&](run::FrameId id) { return is_v8(reader_.frame(id).function); });
      }
      const Seconds born = seconds_of(m.mapped_ns), died = death(m.process, m.unmapped_ns);
      std::size_t i;
      if (found->second) {
        const auto [heap, first] = heaps.try_emplace({m.process, run::kUnknownStack, "v8"}, input_.populations.size());
        i = heap->second;
        if (first) population(known, {m.process, m.stack, "v8"}, Resource::kJsHeap);
        if (born >= input_.stretch.warm_up && died >= input_.stretch.end)
          kept[i][m.stack] += static_cast<double>(m.bytes);
      } else {
        i = population(known, {m.process, m.stack, ""}, Resource::kMappings);
      }
      const auto kept_of = static_cast<double>(m.kept_of);
      input_.populations[i].lives.push_back({born, died, static_cast<double>(m.bytes) * kept_of, kept_of, kept_of});
    }
    for (const auto& [i, stacks] : kept) {
      struct Asker {
        double bytes = 0, heaviest_bytes = 0;
        run::StackId heaviest = run::kUnknownStack;
      };
      std::map<std::uint64_t, Asker> askers;
      for (const auto& [stack, bytes] : stacks) {
        describe(input_.populations[i], stack, "v8");
        Asker& asker = askers[input_.populations[i].site];
        asker.bytes += bytes;
        if (bytes > asker.heaviest_bytes) asker.heaviest_bytes = bytes, asker.heaviest = stack;
      }
      const auto most = std::max_element(askers.begin(), askers.end(),
                                         [](const auto& a, const auto& b) { return a.second.bytes < b.second.bytes; });
      describe(input_.populations[i], most->second.heaviest, "v8");
      input_.origins[i].stack = most->second.heaviest;
    }
  }

  // --- levels ---

  void read_memory() {
    input_.memory.rss = {metrics::kResidentBytes.name, "bytes", sum_of(metrics::kResidentBytes)};
    input_.memory.live_heap = {metrics::kHeapLiveBytes.name, "bytes", sum_of(metrics::kHeapLiveBytes)};
    input_.memory.mappings = {metrics::kMappedBytes.name, "bytes", sum_of(metrics::kMappedBytes)};
    input_.memory.retained = {"retained by the allocator", "bytes", retained_by_allocators(reader_)};
    const double live = last_value(input_.memory.live_heap.points, input_.stretch.end);
    input_.memory.live_heap_error =
        std::sqrt(std::max(0.0, live * input_.heap_interval));  // T/B of B, squared (Poisson)
  }

  // --- service ---

  static LatencyPoint latency_point(const run::LoadBucket& b) {
    LatencyPoint p;
    p.at = static_cast<double>(b.second);
    p.width = static_cast<double>(std::max<std::int64_t>(b.width, 1));
    p.requests = static_cast<double>(b.requests);
    p.errors = static_cast<double>(b.errors);
    if (b.latency) {
      if (auto histogram = run::Histogram::from_json(*b.latency)) p.latency = std::move(*histogram);
    }
    p.p50_ms = b.p50_ms.value_or(0);
    p.p95_ms = b.p95_ms.value_or(0);
    p.p99_ms = b.p99_ms.value_or(0);
    return p;
  }

  static void add_to(std::map<Seconds, LatencyPoint>& series, LatencyPoint p) {
    const auto [found, is_new] = series.try_emplace(p.at, p);
    if (is_new) return;
    found->second.requests += p.requests;
    found->second.errors += p.errors;
    found->second.latency.merge(p.latency);
  }

  static LatencySeries series_of(const std::string& name, std::map<Seconds, LatencyPoint>&& points) {
    LatencySeries series{name, {}};
    for (auto& [at, p] : points) series.points.push_back(std::move(p));
    return series;
  }

  // Only a proof that got to its end proves anything.
  void read_proof() {
    std::map<std::string, Seconds> at;
    for (const run::Mark& mark : reader_.marks()) {
      if (mark.source == proof::kSource) at[mark.text] = seconds_of(mark.at_ns);
    }
    const bool ended = at.contains(proof::kFirstLoad) && at.contains(proof::kFirstIdle) &&
                       at.contains(proof::kSecondLoad) && at.contains(proof::kSecondIdle) && at.contains(proof::kEnd);
    if (!ended) return;
    input_.proof = ProofPhases{{at[proof::kFirstLoad], at[proof::kFirstIdle]},
                               {at[proof::kFirstIdle], at[proof::kSecondLoad]},
                               {at[proof::kSecondLoad], at[proof::kSecondIdle]},
                               {at[proof::kSecondIdle], at[proof::kEnd]}};
  }

  void read_service() {
    std::map<std::string, std::map<Seconds, LatencyPoint>> endpoints;
    for (const run::LoadBucket& bucket : load_results_kept_ ? reader_.load_buckets() : std::vector<run::LoadBucket>{})
      add_to(endpoints[bucket.endpoint], latency_point(bucket));
    if (!endpoints.empty()) {
      input_.latency_from = "load tool";
    } else if (input_.clock.source() == WorkSource::kSpans) {
      input_.latency_from = "spans";
      for (const run::SpanStat& stat : reader_.span_stats()) {
        if (reader_.name(stat.name) != input_.work_span) continue;
        LatencyPoint p;
        p.at = static_cast<double>(stat.second);
        p.width = static_cast<double>(stat.width);
        p.requests = static_cast<double>(stat.spans);
        if (auto histogram = run::Histogram::from_json(stat.latency)) p.latency = std::move(*histogram);
        add_to(endpoints[""], std::move(p));
      }
    }
    for (auto& [name, points] : endpoints) {
      LatencySeries series = series_of(name, std::move(points));
      if (name.empty())
        input_.service.all = std::move(series);
      else
        input_.service.endpoints.push_back(std::move(series));
    }
    for (const auto& [second, ns] : rises_of({metrics::kCpuUser.name, metrics::kCpuSystem.name}, false)) {
      input_.service.cpu.push_back({static_cast<double>(second), ns});
    }
    read_frames();
    read_neighbours();
  }

  // CPU by function with what it calls, for the functions that carry it. Cut into at most a few hundred stretches of
  // time, so that a run of days is no larger than one of minutes.
  void read_frames() {
    const Stretch& s = input_.stretch;
    const double width = std::max(1.0, std::ceil((s.end - s.begin) / 240));
    std::unordered_map<std::uint64_t, std::map<std::int64_t, double>> by_function;
    struct Function {
      std::string name;
      bool of_library;
    };
    std::unordered_map<std::uint64_t, Function> names;
    std::unordered_map<run::StackId, std::vector<std::uint64_t>> functions;
    const run::Slice slice{
        static_cast<std::int64_t>(s.begin * kNs), static_cast<std::int64_t>(std::ceil(s.end) * kNs), {}, {}, {}};
    reader_.each_cpu(slice, [&](const run::CpuRow& row) {
      auto [found, is_new] = functions.try_emplace(row.stack);
      if (is_new) {
        std::set<std::uint64_t> seen;  // recursion counts once
        for (const run::FrameId id : reader_.stack(row.stack).frames) {
          const run::Frame& frame = reader_.frame(id);
          const std::string& name = frame.function;
          const std::uint64_t key = hash_of(name);
          if (seen.insert(key).second) {
            found->second.push_back(key);
            names.try_emplace(key, Function{name, is_library_frame(frame)});
          }
        }
      }
      const auto part = static_cast<std::int64_t>(static_cast<double>(row.second) / width);
      for (const std::uint64_t key : found->second) by_function[key][part] += row.weight_ns;
    });
    std::vector<std::pair<double, std::uint64_t>> heaviest;
    for (const auto& [key, parts] : by_function) {
      double sum = 0;
      for (const auto& [part, ns] : parts) sum += ns;
      heaviest.emplace_back(sum, key);
    }
    std::sort(heaviest.rbegin(), heaviest.rend());
    if (heaviest.size() > 300) heaviest.resize(300);
    for (const auto& [sum, key] : heaviest) {
      const Function& function = names.at(key);
      CpuSeries series{key, function.name, {}, function.of_library};
      for (const auto& [part, ns] : by_function[key])
        series.nanoseconds.push_back({static_cast<double>(part) * width, ns});
      input_.service.frames.push_back(std::move(series));
    }
  }

  // Processor time that went to programs other than the recorded ones, and what a hypervisor took, as a share of the
  // machine: late less early.
  void read_neighbours() {
    const auto busy =
        rises_of({metrics::kMachineCpuUser.name, metrics::kMachineCpuSystem.name, metrics::kMachineSteal.name}, true);
    const auto idle = rises_of({metrics::kMachineIdle.name, metrics::kMachineIoWait.name}, true);
    if (busy.empty() || idle.empty()) return;
    std::map<std::int64_t, double> ours;
    for (const auto& p : input_.service.cpu) ours[static_cast<std::int64_t>(p.at)] = p.value;
    const Stretch& s = input_.stretch;
    const double third = (s.end - s.warm_up) / 3;
    double worked = 0, rested = 0;
    for (const auto& [second, ns] : busy) worked += static_cast<double>(second) >= s.end - third ? ns : 0;
    for (const auto& [second, ns] : idle) rested += static_cast<double>(second) >= s.end - third ? ns : 0;
    if (worked + rested > 0) input_.idle = rested / (worked + rested);
    const auto share = [&](Seconds from, Seconds to) {
      double others = 0, all = 0;
      for (const auto& [second, ns] : busy) {
        const auto at = static_cast<double>(second);
        if (at < from || at >= to) continue;
        const auto mine = ours.find(second);
        const auto rest = idle.find(second);
        others += std::max(0.0, ns - (mine == ours.end() ? 0 : mine->second));
        all += ns + (rest == idle.end() ? 0 : rest->second);
      }
      return all > 0 ? others / all : 0;
    };
    input_.neighbours = share(s.end - third, s.end) - share(s.warm_up, s.warm_up + third);
  }

  run::Reader& reader_;
  const Thresholds& k_;
  RunInput input_;
  std::vector<run::Process> processes_;
  std::map<run::ProcessId, Seconds> ends_;
  std::map<run::ProcessId, std::vector<ClientRecord>> records_;  // by accepted connections
  Seconds run_end_ = 0;
  bool load_results_kept_ = true;
  bool have_intervals_ = false;
  std::map<run::ProcessId, std::vector<std::pair<Seconds, double>>> intervals_;
};

}  // namespace

RunInput input_from(run::Reader& reader, const Thresholds& thresholds) {
  return Input(reader, thresholds).read();
}

}  // namespace camprobe::analysis
