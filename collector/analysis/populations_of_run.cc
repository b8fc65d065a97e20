#include "collector/analysis/populations_of_run.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string_view>

#include "collector/analysis/load_rises.h"
#include "collector/analysis/own_frame.h"

namespace camprobe::analysis {
namespace {

constexpr double kNs = 1e9;

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

class Populations {
 public:
  Populations(run::Reader& reader, RunInput& input)
      : reader_(reader), input_(input), run_end_(seconds_of(reader.duration_ns())) {
    for (const run::Process& p : reader.processes()) {
      if (p.id != run::kMachine) ends_[p.id] = p.ended_ns ? seconds_of(*p.ended_ns) : kAlive;
    }
    for (std::size_t i = 0; i < input_.own.size(); ++i) {
      for (const run::ProcessId process : input_.own[i].processes) stretches_[process] = i + 1;
    }
  }

  void read() {
    read_heap();
    read_descriptors();
    read_threads();
    read_mappings();
  }

 private:
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
    p.stretch = number_of(key.process);
    describe(p, key.stack, key.kind);
    input_.populations.push_back(std::move(p));
    input_.origins.push_back({key.process, key.stack, key.kind, {}});
    return found->second;
  }

  std::size_t number_of(run::ProcessId process) const {
    const auto own = stretches_.find(process);
    return own == stretches_.end() ? 0 : own->second;
  }

  const Stretch& stretch_of(run::ProcessId process) const { return stretch_number(input_, number_of(process)); }

  void describe(Population& p, run::StackId id, const std::string& kind) {
    p.id = static_cast<std::uint64_t>(run::number(id));
    p.frames.clear();
    std::vector<run::Frame> frames;
    for (const run::FrameId frame : reader_.stack(id).frames) {
      p.frames.push_back(static_cast<std::uint32_t>(run::number(frame)));
      frames.push_back(reader_.frame(frame));
    }
    // Descriptors of unlike kinds that one function opens are not one leak.
    if (!frames.empty()) p.site = hash_of_name(frames[own_frame(frames)].function + kind);
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
      const Stretch& stretch = stretch_of(d.process);
      if (died >= stretch.end && d.opened_ns / kNs >= stretch.warm_up) {
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
        const Stretch& stretch = stretch_of(m.process);
        if (born >= stretch.warm_up && died >= stretch.end) kept[i][m.stack] += static_cast<double>(m.bytes);
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

  run::Reader& reader_;
  RunInput& input_;
  const Seconds run_end_;
  std::map<run::ProcessId, Seconds> ends_;
  std::map<run::ProcessId, std::size_t> stretches_;              // numbers of those that are not the run's
  std::map<run::ProcessId, std::vector<ClientRecord>> records_;  // by accepted connections
  bool have_intervals_ = false;
  std::map<run::ProcessId, std::vector<std::pair<Seconds, double>>> intervals_;
};

}  // namespace

void read_populations(run::Reader& reader, RunInput& input) {
  Populations(reader, input).read();
}

}  // namespace camprobe::analysis
