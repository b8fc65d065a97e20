#include "collector/naming/stack_namer.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <utility>

namespace camprobe::naming {
namespace {

bool is_probe(const run::Frame& frame) {
  const std::size_t name = frame.module.rfind('/') + 1;  // npos + 1 is 0
  return frame.module.compare(name, 14, "libcamprobe.so") == 0;
}

// Times of the run as the symbols' unsigned ones; what was before the run began is negative.
std::uint64_t symbol_time(std::int64_t run_ns, std::int64_t started_monotonic_ns) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, run_ns + started_monotonic_ns));
}

// Rows of modules in the order they were opened, as the symbols want them.
std::unique_ptr<symbols::ProcessSymbols> from_run(symbols::ModuleSymbols& cache, run::Reader& reader,
                                                  run::ProcessId process, std::int64_t started_ns,
                                                  std::int64_t started_realtime_ns) {
  auto known = std::make_unique<symbols::ProcessSymbols>(cache, symbols::TargetProcess{});
  for (const run::Module& row : reader.modules(process)) {
    symbols::RecordedModule recorded;
    recorded.path = row.path;
    recorded.build_id = row.build_id;
    recorded.base = static_cast<std::uint64_t>(row.base);
    recorded.low = static_cast<std::uint64_t>(row.low);
    recorded.high = static_cast<std::uint64_t>(row.high);
    recorded.not_changed_after_ns = row.opened_ns + started_realtime_ns;
    const std::size_t number = known->add_module(std::move(recorded), symbol_time(row.opened_ns, started_ns));
    if (row.closed_ns) known->close_module(number, symbol_time(*row.closed_ns, started_ns));
  }
  return known;
}

}  // namespace

run::Frame as_row(const symbols::Frame& frame) {
  run::Frame row;
  row.function = frame.function;
  row.file = frame.file;
  if (frame.line != 0) row.line = frame.line;
  row.module = frame.module;
  row.address = static_cast<std::int64_t>(frame.address);
  row.kind = symbols::to_string(frame.kind);
  return row;
}

symbols::Frame from_row(const run::Frame& row) {
  symbols::Frame frame;
  frame.function = row.function;
  frame.file = row.file;
  frame.line = static_cast<std::uint32_t>(row.line.value_or(0));
  frame.module = row.module;
  frame.address = static_cast<std::uint64_t>(row.address.value_or(0));
  frame.kind = symbols::frame_kind_of(row.kind);
  return frame;
}

void leave_out_probe(std::vector<run::Frame>& leaf_first) {
  std::size_t at_leaf = 0;
  while (at_leaf < leaf_first.size() && is_probe(leaf_first[at_leaf])) ++at_leaf;
  if (at_leaf == leaf_first.size()) return;
  if (at_leaf > 1) leaf_first.erase(leaf_first.begin(), leaf_first.begin() + static_cast<std::ptrdiff_t>(at_leaf) - 1);
  leaf_first.erase(std::remove_if(leaf_first.begin() + (at_leaf > 0 ? 1 : 0), leaf_first.end(), is_probe),
                   leaf_first.end());
}

void StackNamer::name_all(run::Reader& reader, run::StacksOf which, const Take& take) {
  // Eight thousand stacks of a C++ server are twenty megabytes of addresses, and each time the files are read again.
  const std::size_t at_once = modules_.limits().resident_bytes != 0 ? 2048 : 8192;
  constexpr std::size_t kMostProblems = 200;
  // Of a stack of which no JIT said anything: it is not to be asked again now. Thousands share it.
  static const std::vector<std::optional<symbols::Frame>> kNoJit(256);
  const run::Meta meta = reader.meta();
  std::map<run::ProcessId, std::unique_ptr<symbols::ProcessSymbols>> from_rows;
  const auto symbols_of = [&](run::ProcessId process) -> symbols::ProcessSymbols& {
    if (symbols::ProcessSymbols* open = at_hand_ ? at_hand_(process) : nullptr) return *open;
    auto& known = from_rows[process];
    if (!known) known = from_run(modules_, reader, process, meta.started_monotonic_ns, meta.started_realtime_ns);
    return *known;
  };
  const auto note_problems = [&](const symbols::ProcessSymbols& process) {
    for (std::string& problem : process.problems()) {
      if (problems_.size() < kMostProblems) problems_.insert(std::move(problem));
    }
  };

  run::StackId after{};
  for (bool is_wanted = true; is_wanted;) {
    const std::vector<run::UnnamedStack> rows = reader.unnamed_stacks(after, at_once, which);
    if (rows.empty()) break;
    after = rows.back().stack;
    std::vector<std::vector<std::uint64_t>> addresses(rows.size());
    std::vector<std::vector<std::optional<symbols::Frame>>> jit(rows.size());
    std::vector<symbols::RawStack> stacks(rows.size());
    symbols::ModuleSymbols::AddressesByFile by_file;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::size_t depth_of_it = rows[i].leaf_first.size();
      const bool has_jit = std::any_of(rows[i].leaf_first.begin(), rows[i].leaf_first.end(),
                                       [](const run::UnnamedStack::Address& at) { return at.jit.has_value(); });
      if (has_jit || depth_of_it > kNoJit.size()) jit[i].resize(depth_of_it);
      for (std::size_t depth = 0; depth < depth_of_it; ++depth) {
        const auto& [address, frame] = rows[i].leaf_first[depth];
        addresses[i].push_back(address);
        if (frame) jit[i][depth] = from_row(reader.frame(*frame));
      }
      stacks[i] = {.addresses = addresses[i],
                   .leaf_is_exact = rows[i].leaf_is_exact,
                   .taken_ns = symbol_time(rows[i].taken_ns, meta.started_monotonic_ns),
                   .jit = jit[i].empty() ? std::span(kNoJit).first(depth_of_it) : std::span(std::as_const(jit[i]))};
      symbols_of(rows[i].process).collect({&stacks[i], 1}, by_file);
    }
    modules_.resolve_all(std::move(by_file));
    for (std::size_t i = 0; i < rows.size() && is_wanted; ++i) {
      symbols::ProcessSymbols& process = symbols_of(rows[i].process);
      std::vector<run::Frame> named;
      for (const symbols::Frame& frame : process.resolve(stacks[i])) named.push_back(as_row(frame));
      leave_out_probe(named);
      is_wanted = take(rows[i].stack, std::move(named));
      if (i + 1 == rows.size() || rows[i + 1].process != rows[i].process) note_problems(process);
    }
    // Short-lived processes by the thousand: what is kept of one costs more than to read it again.
    constexpr std::size_t kMostKept = 64;
    if (from_rows.size() > kMostKept) from_rows.clear();
  }
}

run::Result<run::Reader> open_named(const std::string& path, symbols::ModuleSymbols::Limits limits,
                                    run::StacksOf which) {
  auto opened = run::Reader::open(path);
  if (!opened) return opened;
  run::Reader& reader = *opened;
  symbols::ModuleSymbols modules(limits);
  StackNamer namer(modules);
  namer.name_all(reader, which, [&](run::StackId stack, const std::vector<run::Frame>& leaf_first) {
    reader.name_stack(stack, leaf_first);
    return true;
  });
  std::string lines;
  for (const std::string& problem : namer.problems()) lines += problem + "\n";
  reader.add_symbol_problems(lines);
  return opened;
}

}  // namespace camprobe::naming
