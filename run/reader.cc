// run/reader.cc
//
// What a run is made of: its facts, processes, threads, modules, texts, stacks and series.
#include "run/reader.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "run/reader_state.h"
#include "run/unnamed_stack.h"

namespace camprobe::run {

Meta Reader::meta() {
  Meta meta;
  state_->each("SELECT key, value FROM meta", kBindNothing, [&](Statement& s) {
    std::string key = s.text();
    meta.all[std::move(key)] = s.text();
  });
  if (!state_->symbol_problems.empty()) meta.all["symbol_problems"] += state_->symbol_problems;
  const auto text = [&](const char* key) {
    const auto found = meta.all.find(key);
    return found != meta.all.end() ? found->second : std::string();
  };
  const auto integer = [&](const char* key) -> std::optional<std::int64_t> {
    const std::string value = text(key);
    char* end = nullptr;
    errno = 0;
    const long long parsed = std::strtoll(value.c_str(), &end, 10);
    if (value.empty() || *end != '\0' || errno != 0) return std::nullopt;
    return parsed;
  };
  meta.run_id = text("run_id");
  meta.camprobe_version = text("camprobe_version");
  meta.started_realtime_ns = integer("started_realtime_ns").value_or(0);
  meta.started_monotonic_ns = integer("started_monotonic_ns").value_or(0);
  meta.ended_ns = integer("ended_ns");
  meta.host = text("host");
  meta.kernel = text("kernel");
  meta.cpus = integer("cpus").value_or(0);
  meta.memory_bytes = integer("memory_bytes").value_or(0);
  meta.state = text("state");
  meta.load_command = text("load_command");
  meta.heap_object_min_age_ns = integer("heap_object_min_age_ns").value_or(meta.heap_object_min_age_ns);
  const auto command = nlohmann::json::parse(text("command"), nullptr, false);
  if (command.is_array()) {
    for (const auto& argument : command) {
      if (argument.is_string()) meta.command.push_back(argument.get<std::string>());
    }
  }
  return meta;
}

std::int64_t Reader::duration_ns() {
  if (const auto ended = meta().ended_ns) return *ended;
  std::int64_t seconds = 0;
  for (const char* sql :
       {"SELECT max(second + width) FROM point", "SELECT max(second) + 1 FROM cpu", "SELECT max(second) + 1 FROM io"}) {
    state_->each(sql, kBindNothing, [&](Statement& s) { seconds = std::max(seconds, s.integer()); });
  }
  return std::min(seconds, kEver / kSecond) * kSecond;
}

std::vector<Process> Reader::processes() {
  return state_->all<Process>(
      "SELECT id, pid, parent_pid, start_ticks, image, executable, command, began_ns, ended_ns, ended_how, "
      "exit_status, "
      "probe_state, memory_limit_bytes, note FROM process ORDER BY id",
      kBindNothing, [](Statement& s) {
        Process row;
        row.id = s.id<ProcessId>();
        row.pid = s.integer();
        row.parent_pid = s.optional_integer();
        row.start_ticks = s.optional_integer();
        row.image = s.integer();
        row.executable = s.text();
        row.command = s.text();
        row.began_ns = s.integer();
        row.ended_ns = s.optional_integer();
        row.ended_how = s.text();
        row.exit_status = s.optional_integer();
        row.probe_state = s.text();
        row.memory_limit_bytes = s.optional_integer();
        row.note = s.text();
        return row;
      });
}

std::vector<Thread> Reader::threads(std::optional<ProcessId> process) {
  const ProcessFilter filter{process};
  return state_->all<Thread>("SELECT id, process, tid, name, began_ns, ended_ns, stack, " +
                                 state_->column_or("thread", "kept_of", "1") + " FROM thread" + filter.where() +
                                 " ORDER BY id",
                             filter, [](Statement& s) {
                               Thread row;
                               row.id = s.id<ThreadId>();
                               row.process = s.id<ProcessId>();
                               row.tid = s.integer();
                               row.name = s.text();
                               row.began_ns = s.integer();
                               row.ended_ns = s.optional_integer();
                               row.stack = s.id<StackId>();
                               row.kept_of = s.integer();
                               return row;
                             });
}

std::vector<Module> Reader::modules(std::optional<ProcessId> process) {
  const ProcessFilter filter{process};
  return state_->all<Module>("SELECT id, process, path, build_id, base, low, high, opened_ns, closed_ns FROM module" +
                                 filter.where() + " ORDER BY id",
                             filter, [](Statement& s) {
                               Module row;
                               row.id = s.integer();
                               row.process = s.id<ProcessId>();
                               row.path = s.text();
                               row.build_id = s.text();
                               row.base = s.integer();
                               row.low = s.integer();
                               row.high = s.integer();
                               row.opened_ns = s.integer();
                               row.closed_ns = s.optional_integer();
                               return row;
                             });
}

const std::string& Reader::name(NameId id) {
  const auto added = state_->names.try_emplace(id);
  std::string& text = added.first->second;
  if (added.second && id != kNoName) {
    state_->each(
        "SELECT text FROM name WHERE id = ?", [&](Statement& s) { s.bind(id); },
        [&](Statement& s) { text = s.text(); });
  }
  return text;
}

std::optional<NameId> Reader::find_name(std::string_view text) {
  if (text.empty()) return kNoName;
  std::optional<NameId> id;
  state_->each(
      "SELECT id FROM name WHERE text = ?", [&](Statement& s) { s.bind(text); },
      [&](Statement& s) { id = s.id<NameId>(); });
  return id;
}

const Stack& Reader::stack(StackId id) {
  auto [found, is_new] = state_->stacks.try_emplace(id);
  Stack& stack = found->second;
  if (!is_new) return stack;
  stack.id = id;
  state_->each(
      "SELECT process, truncated FROM stack WHERE id = ?", [&](Statement& s) { s.bind(id); },
      [&](Statement& s) {
        stack.process = s.id<ProcessId>();
        stack.truncated = s.integer() != 0;
      });
  state_->each(
      "SELECT frame FROM stack_frame WHERE stack = ? ORDER BY depth", [&](Statement& s) { s.bind(id); },
      [&](Statement& s) { stack.frames.push_back(s.id<FrameId>()); });
  return stack;
}

const Frame& Reader::frame(FrameId id) {
  auto [found, is_new] = state_->frames.try_emplace(id);
  Frame& frame = found->second;
  if (!is_new) return frame;
  frame.id = id;
  state_->each(
      "SELECT function, file, line, module, address, kind FROM frame WHERE id = ?", [&](Statement& s) { s.bind(id); },
      [&](Statement& s) {
        frame.function = s.text();
        frame.file = s.text();
        frame.line = s.optional_integer();
        frame.module = s.text();
        frame.address = s.optional_integer();
        frame.kind = s.text();
      });
  return frame;
}

std::vector<UnnamedStack> Reader::unnamed_stacks(StackId after, std::size_t most, StacksOf which) {
  if (!state_->is_current) return {};
  std::string query =
      "SELECT u.stack, s.process, u.taken_ns, u.leaf_is_exact, u.addresses FROM unnamed_stack u JOIN stack s ON "
      "s.id = u.stack WHERE u.stack > ?";
  if (which == StacksOf::kWhatIsJudged) {
    query +=
        " AND u.stack IN (SELECT stack FROM heap_object UNION SELECT stack FROM descriptor UNION SELECT stack FROM "
        "thread UNION SELECT stack FROM mapping)";
  }
  query += " ORDER BY u.stack LIMIT ?";
  return state_->all<UnnamedStack>(
      query.c_str(), [&](Statement& s) { s.bind(after).bind(static_cast<std::int64_t>(most)); },
      [](Statement& s) {
        UnnamedStack row;
        row.stack = s.id<StackId>();
        row.process = s.id<ProcessId>();
        row.taken_ns = s.integer();
        row.leaf_is_exact = s.integer() != 0;
        row.leaf_first = from_blob(s.blob());
        return row;
      });
}

void Reader::name_stack(StackId id, const std::vector<Frame>& leaf_first) {
  stack(id);
  Stack& named = state_->stacks[id];
  named.frames.clear();
  for (const Frame& frame : leaf_first) {
    // Ids that no file has, one for each distinct frame, as in a file.
    const auto [known, is_new] =
        state_->own_frames.try_emplace({frame.function, frame.file, frame.line.value_or(-1), frame.module, frame.kind},
                                       FrameId{-1 - static_cast<std::int64_t>(state_->own_frames.size())});
    named.frames.push_back(known->second);
    if (!is_new) continue;
    Frame& kept = state_->frames[known->second];
    kept = frame;
    kept.id = known->second;
  }
}

void Reader::add_symbol_problems(const std::string& lines) {
  state_->symbol_problems += lines;
}

std::optional<std::string> Reader::drain_state(ProcessId process) {
  std::optional<std::string> state;
  if (!state_->is_current) return state;
  state_->each(
      "SELECT state FROM drain_state WHERE process = ?", [&](Statement& s) { s.bind(process); },
      [&](Statement& s) { state = s.text(); });
  return state;
}

std::vector<std::pair<RegionStack, StackId>> Reader::region_stacks(ProcessId process) {
  std::vector<std::pair<RegionStack, StackId>> stacks;
  if (!state_->is_current) return stacks;
  state_->each(
      "SELECT region_id, instruction, id FROM stack WHERE process = ? AND region_id IS NOT NULL AND (EXISTS (SELECT 1 "
      "FROM "
      "stack_frame WHERE stack = id) OR EXISTS (SELECT 1 FROM unnamed_stack WHERE stack = id))",
      [&](Statement& s) { s.bind(process); },
      [&](Statement& s) {
        RegionStack in_region;
        in_region.id = s.integer();
        in_region.instruction = s.optional_integer();
        stacks.emplace_back(in_region, s.id<StackId>());
      });
  return stacks;
}

std::vector<Metric> Reader::metrics() {
  return state_->all<Metric>("SELECT id, name, unit, kind FROM metric ORDER BY id", kBindNothing, [](Statement& s) {
    Metric row;
    row.id = s.integer();
    row.name = s.text();
    row.unit = s.text();
    row.kind = s.text();
    return row;
  });
}

std::vector<Point> Reader::series(std::string_view metric, std::optional<ProcessId> process) {
  std::string sql = fmt::format(
      "SELECT process, second, width, value, {} FROM point WHERE metric = (SELECT id FROM metric WHERE name = ?)",
      state_->is_current ? "coalesce(peak, value)" : "value");
  if (process) sql += " AND process = ?";
  sql += " ORDER BY process, second";
  return state_->all<Point>(
      sql,
      [&](Statement& s) {
        s.bind(metric);
        if (process) s.bind(*process);
      },
      [](Statement& s) {
        Point row;
        row.process = s.id<ProcessId>();
        row.second = s.integer();
        row.width = s.integer();
        row.value = s.real();
        row.peak = s.real();
        return row;
      });
}

}  // namespace camprobe::run
