// exporters/pprof.cc: see pprof.h.
#include "exporters/pprof.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "exporters/gzip.h"
#include "exporters/profile.pb.h"
#include "exporters/safe_text.h"
#include "exporters/whole_numbers.h"

namespace camprobe::exporters {

namespace {

class Builder {
 public:
  Builder(run::Reader& run, const Samples& samples, bool has_process_label)
      : run_(run), samples_(samples), has_process_label_(has_process_label) {
    text("");
    for (const run::Module& module : run.modules()) modules_[{module.process, module.path}].push_back(module);
    for (const run::Process& process : run.processes()) processes_[process.id] = process_label(process);
    for (const run::Thread& thread : run.threads())
      threads_[thread.id] = thread.name.empty() ? fmt::format("{}", thread.tid)
                                                : fmt::format("{} ({})", printable_utf8(thread.name), thread.tid);
  }

  std::string finish() {
    std::vector<std::vector<std::int64_t>> columns;
    for (std::size_t i = 0; i < samples_.columns.size(); ++i) {
      std::vector<double> figures;
      for (const Sample& row : samples_.rows) figures.push_back(row.values[i]);
      columns.push_back(whole_numbers(figures));
      auto* type = profile_.add_sample_type();
      type->set_type(text(std::string(samples_.columns[i].name)));
      type->set_unit(text(unit_in_pprof(samples_.columns[i].unit)));
    }
    profile_.set_default_sample_type(profile_.sample_type(static_cast<int>(samples_.main)).type());
    for (std::size_t row = 0; row < samples_.rows.size(); ++row) {
      if (std::all_of(columns.begin(), columns.end(), [&](const auto& column) { return column[row] == 0; })) continue;
      auto* sample = profile_.add_sample();
      for (const auto& column : columns) sample->add_value(column[row]);
      locations_of(samples_.rows[row], *sample);
      labels_of(samples_.rows[row], *sample);
    }
    const TimeRange range = samples_.filter.outer();
    profile_.set_time_nanos(bounded_ns(run_.meta().started_realtime_ns) + bounded_ns(range.from_ns));
    std::int64_t duration_ns = 0;
    for (const TimeRange& part : samples_.filter.ranges)
      duration_ns += bounded_ns(part.to_ns) - bounded_ns(part.from_ns);
    profile_.set_duration_nanos(duration_ns);
    period();
    profile_.add_comment(text(fmt::format("camprobe {} {} of {}", name_of(samples_.what), samples_.filter.words,
                                          printable_utf8(run_.path()))));
    for (const std::string& note : samples_.notes) profile_.add_comment(text(note));
    return profile_.SerializeAsString();
  }

 private:
  static std::string unit_in_pprof(Unit unit) {
    return std::string(name_of(unit == Unit::kObjects ? Unit::kCount : unit));
  }

  std::int64_t text(const std::string& words) {
    const auto [found, is_new] = texts_.try_emplace(words, static_cast<std::int64_t>(texts_.size()));
    if (is_new) profile_.add_string_table(words);
    return found->second;
  }

  // A CPU profile says how far its samples are apart; of the heap the distance moves, and each sample carries its own.
  void period() {
    if (samples_.what != What::kCpu && samples_.what != What::kWait) return;
    double weight = 0, count = 0;
    for (const Sample& row : samples_.rows) weight += row.values[0], count += row.values[1];
    profile_.mutable_period_type()->set_type(text(std::string(samples_.columns[0].name)));
    profile_.mutable_period_type()->set_unit(text("nanoseconds"));
    if (count > 0) profile_.set_period(std::llround(weight / count));
  }

  void labels_of(const Sample& row, pprof::Sample& sample) {
    const auto add = [&](const std::string& key, const std::string& value) {
      if (value.empty()) return;
      auto* label = sample.add_label();
      label->set_key(text(key));
      label->set_str(text(value));
    };
    if (has_process_label_) add("process", processes_[row.process]);
    if (row.thread != run::kNoThread) add("thread", threads_[row.thread]);
    if (row.span != run::kNoName) add("span", printable_utf8(run_.name(row.span)));
    for (const auto& [key, value] : samples_.labels[row.labels]) add(key, value);
    add("window", samples_.windows[row.window]);
  }

  void locations_of(const Sample& row, pprof::Sample& sample) {
    const std::vector<std::string>& added = samples_.added[row.added];
    for (auto name = added.rbegin(); name != added.rend(); ++name) sample.add_location_id(named_location(*name));
    if (!row.stack) return;
    auto [found, is_new] = stacks_.try_emplace(*row.stack);
    if (is_new) {
      const run::Stack& stack = run_.stack(*row.stack);
      std::vector<run::FrameId> inlined;
      for (const run::FrameId id : stack.frames) {
        inlined.push_back(id);
        if (run_.frame(id).kind == "inlined") continue;
        found->second.push_back(location(row.process, inlined));
        inlined.clear();
      }
      if (!inlined.empty()) found->second.push_back(location(row.process, inlined));
      if (stack.truncated) found->second.push_back(named_location("[truncated]"));
      if (found->second.empty()) found->second.push_back(named_location("[unknown stack]"));
    }
    for (const std::uint64_t id : found->second) sample.add_location_id(id);
  }

  // Frames of one address, innermost first.
  std::uint64_t location(run::ProcessId process, const std::vector<run::FrameId>& frames) {
    const auto [found, is_new] = locations_.try_emplace({process, frames}, next_location_);
    if (!is_new) return found->second;
    auto* location = profile_.add_location();
    location->set_id(next_location_++);
    const run::Frame& outermost = run_.frame(frames.back());
    if (const run::Module* module = module_of(process, outermost)) {
      location->set_mapping_id(mapping(*module));
      location->set_address(static_cast<std::uint64_t>(module->base) +
                            static_cast<std::uint64_t>(outermost.address.value_or(0)));
    } else if (outermost.module == "[jit]" || outermost.module.empty()) {
      location->set_address(static_cast<std::uint64_t>(outermost.address.value_or(0)));
    } else {
      run::Module nameless;  // the run has its name only
      nameless.process = process;
      nameless.path = outermost.module;
      location->set_mapping_id(mapping(nameless));
    }
    for (const run::FrameId id : frames) {
      const run::Frame& frame = run_.frame(id);
      auto* line = location->add_line();
      line->set_function_id(function(frame.function, frame.file));
      line->set_line(std::max<std::int64_t>(0, frame.line.value_or(0)));
    }
    return location->id();
  }

  // A frame that is none of the program's: a call waited in, a descriptor, a span.
  std::uint64_t named_location(const std::string& name) {
    const auto [found, is_new] = named_.try_emplace(name, next_location_);
    if (!is_new) return found->second;
    auto* location = profile_.add_location();
    location->set_id(next_location_++);
    location->add_line()->set_function_id(function(name, ""));
    return location->id();
  }

  // The module that the frame lies in; the address says which, where a path was loaded more than once.
  const run::Module* module_of(run::ProcessId process, const run::Frame& frame) {
    const auto found = modules_.find({process, frame.module});
    if (found == modules_.end()) return nullptr;
    for (const run::Module& module : found->second) {
      const std::uint64_t address =
          static_cast<std::uint64_t>(module.base) + static_cast<std::uint64_t>(frame.address.value_or(0));
      if (address >= static_cast<std::uint64_t>(module.low) && address < static_cast<std::uint64_t>(module.high))
        return &module;
    }
    return nullptr;
  }

  std::uint64_t mapping(const run::Module& module) {
    const auto [found, is_new] = mappings_.try_emplace({module.process, module.id, module.path}, next_mapping_);
    if (!is_new) return found->second;
    auto* mapping = profile_.add_mapping();
    mapping->set_id(next_mapping_++);
    mapping->set_memory_start(static_cast<std::uint64_t>(module.low));
    mapping->set_memory_limit(static_cast<std::uint64_t>(module.high));
    mapping->set_filename(text(printable_utf8(module.path)));
    mapping->set_build_id(text(printable_utf8(module.build_id)));
    // Named already: a reader need not look for the file.
    mapping->set_has_functions(true);
    mapping->set_has_filenames(true);
    mapping->set_has_line_numbers(true);
    mapping->set_has_inline_frames(true);
    return mapping->id();
  }

  std::uint64_t function(const std::string& name, const std::string& file) {
    std::string safe = printable_utf8(name);
    if (safe.find_first_not_of(' ') == std::string::npos) safe = "[unknown]";
    const std::int64_t name_text = text(safe), file_text = text(printable_utf8(file));
    const auto [found, is_new] = functions_.try_emplace({name_text, file_text}, next_function_);
    if (is_new) {
      auto* function = profile_.add_function();
      function->set_id(next_function_++);
      function->set_name(name_text);
      function->set_system_name(name_text);
      function->set_filename(file_text);
    }
    return found->second;
  }

  run::Reader& run_;
  const Samples& samples_;
  const bool has_process_label_;
  pprof::Profile profile_;
  std::unordered_map<std::string, std::int64_t> texts_;
  std::map<std::pair<run::ProcessId, std::string>, std::vector<run::Module>> modules_;
  std::map<run::ProcessId, std::string> processes_;
  std::map<run::ThreadId, std::string> threads_;
  std::map<run::StackId, std::vector<std::uint64_t>> stacks_;
  std::map<std::pair<run::ProcessId, std::vector<run::FrameId>>, std::uint64_t> locations_;
  std::map<std::string, std::uint64_t> named_;
  std::map<std::tuple<run::ProcessId, std::int64_t, std::string>, std::uint64_t> mappings_;
  std::map<std::pair<std::int64_t, std::int64_t>, std::uint64_t> functions_;
  std::uint64_t next_location_ = 1, next_mapping_ = 1, next_function_ = 1;
};

std::string pprof_of(run::Reader& run, const Samples& samples, bool has_process_label,
                     std::vector<std::string>& notes) {
  std::string profile = Builder(run, samples, has_process_label).finish();
  if (run.error()) throw SliceError(run.error()->sentence);
  notes.insert(notes.end(), samples.notes.begin(), samples.notes.end());
  return gzipped(profile);
}

}  // namespace

std::string to_pprof(run::Reader& run, What what, const Filter& filter, std::vector<std::string>& notes) {
  const Samples samples = read_samples(
      run, what, filter, {.all_columns = true, .threads = true, .spans = true, .windows = true, .labels = true});
  return pprof_of(run, samples, true, notes);
}

std::string to_pprof_by_span(run::Reader& run, What what, const Filter& filter, std::vector<std::string>& notes) {
  return pprof_of(run, read_samples(run, what, filter, {.all_columns = true, .spans = true}), false, notes);
}

}  // namespace camprobe::exporters
