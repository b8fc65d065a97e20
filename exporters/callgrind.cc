// exporters/callgrind.cc: see callgrind.h.
#include "exporters/callgrind.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "exporters/safe_text.h"
#include "exporters/whole_numbers.h"

namespace camprobe::exporters {

namespace {

using Costs = std::array<std::int64_t, kMostColumns>;
using FunctionId = std::size_t;

struct Function {
  std::string object, file, name;
  std::map<std::int64_t, Costs> self;                          // by line
  std::map<std::pair<std::int64_t, FunctionId>, Costs> calls;  // by line and callee
};

void add(Costs& sum, const Costs& costs) {
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += costs[i];
}

// "(3) name" the first time, "(3)" afterwards, as the format allows.
class Names {
 public:
  std::string operator()(const std::string& name) {
    const auto [found, is_new] = numbers_.try_emplace(name, numbers_.size() + 1);
    return is_new ? fmt::format("({}) {}", found->second, name) : fmt::format("({})", found->second);
  }

 private:
  std::map<std::string, std::size_t> numbers_;
};

class Graph {
 public:
  explicit Graph(const Slice& slice) : slice_(slice) {
    std::map<std::tuple<std::string, std::string, std::string>, FunctionId> known;
    for (const Frame& frame : slice.frames) {
      const std::string object = frame.module.empty() ? "???" : frame.module;
      const std::string file = frame.file.empty() ? "???" : frame.file;
      const auto [found, is_new] = known.try_emplace({object, file, frame.function}, functions_.size());
      if (is_new) functions_.push_back({object, file, frame.function, {}, {}});
      function_of_.push_back(found->second);
    }
    std::vector<Costs> costs(slice.stacks.size());
    for (std::size_t column = 0; column < slice.columns.size(); ++column) {
      std::vector<double> figures;
      for (const WeightedStack& stack : slice.stacks) figures.push_back(stack.values[column]);
      const std::vector<std::int64_t> whole = whole_numbers(figures);
      for (std::size_t i = 0; i < whole.size(); ++i) costs[i][column] = whole[i];
    }
    for (std::size_t i = 0; i < costs.size(); ++i) put(slice.stacks[i].root_first, costs[i]);
  }

  std::string write(const std::string& command) {
    std::string out =
        fmt::format("# callgrind format\nversion: 1\ncreator: camprobe\ncmd: {}\npart: 1\n", printable_utf8(command));
    for (const std::string& note : slice_.notes) out += fmt::format("desc: Note: {}\n", printable_utf8(note));
    out += "positions: line\nevents:";
    for (const Column& column : slice_.columns) out += fmt::format(" {}_{}", column.name, name_of(column.unit));
    out += "\nsummary:" + numbers(total_) + "\n\n";
    Names objects, files, names;
    for (const Function& function : functions_) {
      if (function.self.empty() && function.calls.empty()) continue;
      out += fmt::format("ob={}\nfl={}\nfn={}\n", objects(function.object), files(function.file), names(function.name));
      for (const auto& [line, costs] : function.self) out += fmt::format("{}{}\n", line, numbers(costs));
      for (const auto& [call, costs] : function.calls) {
        const Function& callee = functions_[call.second];
        // How often it was called is not known: the stacks say only what it cost.
        out += fmt::format("cob={}\ncfi={}\ncfn={}\ncalls=1 {}\n{}{}\n", objects(callee.object), files(callee.file),
                           names(callee.name), first_line(callee), call.first, numbers(costs));
      }
      out += '\n';
    }
    out += "totals:" + numbers(total_) + "\n";
    return out;
  }

 private:
  void put(const std::vector<FrameIndex>& path, const Costs& costs) {
    add(total_, costs);
    if (path.empty()) return;
    add(functions_[function_of_[path.back()]].self[slice_.frames[path.back()].line], costs);
    std::set<std::tuple<FunctionId, std::int64_t, FunctionId>> counted;
    for (std::size_t i = 0; i + 1 < path.size(); ++i) {
      const FunctionId caller = function_of_[path[i]], callee = function_of_[path[i + 1]];
      const std::int64_t line = slice_.frames[path[i]].line;
      if (counted.emplace(caller, line, callee).second) add(functions_[caller].calls[{line, callee}], costs);
    }
  }

  std::string numbers(const Costs& costs) const {
    std::string text;
    for (std::size_t i = 0; i < slice_.columns.size(); ++i) text += fmt::format(" {}", costs[i]);
    return text;
  }

  static std::int64_t first_line(const Function& function) {
    std::int64_t first = function.self.empty() ? function.calls.begin()->first.first : function.self.begin()->first;
    if (!function.calls.empty()) first = std::min(first, function.calls.begin()->first.first);
    return first;
  }

  const Slice& slice_;
  std::vector<Function> functions_;
  std::vector<FunctionId> function_of_;  // by frame
  Costs total_{};
};

}  // namespace

std::string to_callgrind(const Slice& slice, const std::string& command) {
  return Graph(slice).write(command);
}

}  // namespace camprobe::exporters
