#include "collector/analysis/sampling.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "collector/analysis/input.h"
#include "collector/metrics.h"
#include "run/units.h"
#include "shm/setting_text.h"

namespace camprobe::analysis {
namespace {

// An `auto` interval that moves every few seconds for days is told by its first stretches and a count.
constexpr std::size_t kMostStretches = 500;

// A counter's growth between the first and the last second in which two counters were both read; the second's too.
struct Growth {
  double first = 0, second = 0;
};
std::optional<Growth> growth_of(const std::map<std::int64_t, double>& one, const std::map<std::int64_t, double>& other,
                                bool from_zero) {
  std::optional<Growth> begin, end;
  for (const auto& [at, value] : one) {
    const auto same = other.find(at);
    if (same == other.end()) continue;
    if (!begin) begin = Growth{value, same->second};
    end = Growth{value, same->second};
  }
  if (!end) return std::nullopt;
  if (from_zero || begin->second >= end->second) return end;
  return Growth{end->first - begin->first, end->second - begin->second};
}

using Series = std::map<std::int64_t, std::map<std::int64_t, double>>;  // by process and second

Series read(run::Reader& reader, const std::string& name) {
  Series series;
  for (const run::Point& point : reader.series(name)) series[run::number(point.process)][point.second] = point.value;
  return series;
}

// Times in which a bit of the mask was 0.
void add_gaps(const std::vector<run::ReportStretch>& masks, std::vector<run::ReportGap>& gaps) {
  for (const shm::FamilyName& family : shm::kFamilyNames) {
    const auto bit = static_cast<std::uint32_t>(family.family);
    for (const run::ReportStretch& stretch : masks) {
      if ((static_cast<std::uint32_t>(stretch.value) & bit) != 0 || stretch.to_s <= stretch.from_s) continue;
      if (!gaps.empty() && gaps.back().family == family.name && gaps.back().to_s == stretch.from_s)
        gaps.back().to_s = stretch.to_s;
      else
        gaps.push_back({family.name, stretch.from_s, stretch.to_s});
    }
  }
}

}  // namespace

void describe_sampling(run::Reader& reader, run::Report& report) {
  const Series probe = read(reader, metrics::kProbeNanoseconds.name);
  Series cpu = read(reader, metrics::kCpuUser.name);
  for (const auto& [process, points] : read(reader, metrics::kCpuSystem.name))
    for (const auto& [second, value] : points) cpu[process][second] += value;
  std::map<std::int64_t, std::vector<run::Setting>> settings;
  for (const run::Setting& setting : reader.settings()) settings[run::number(setting.process)].push_back(setting);
  std::map<std::int64_t, const run::Process*> rows;
  const std::vector<run::Process> processes = reader.processes();
  for (const run::Process& row : processes) rows[run::number(row.id)] = &row;

  for (run::ReportProcess& process : report.processes) {
    const double end = process.ended_s.value_or(report.run.seconds);
    std::map<std::string, std::vector<run::ReportStretch>> held;
    for (const run::Setting& setting : settings[process.id]) {
      std::vector<run::ReportStretch>& stretches = held[setting.name];
      const double at = seconds_of(setting.at_ns);
      if (!stretches.empty()) stretches.back().to_s = std::max(stretches.back().from_s, at);
      stretches.push_back({setting.value, at, std::max(at, end)});
    }
    for (auto& [name, stretches] : held) {
      // Of two values at one instant the later row holds.
      const run::ReportStretch* last = &stretches.back();
      std::erase_if(stretches, [last](const run::ReportStretch& stretch) {
        return stretch.to_s <= stretch.from_s && &stretch != last;
      });
      if (name == "budget_ppm") process.probe_budget = stretches.back().value / 1e6;
      if (name == "families") add_gaps(stretches, process.not_recorded);
      run::ReportHeld out{name, stretches, 0};
      if (out.stretches.size() > kMostStretches) {
        out.left_out = out.stretches.size() - kMostStretches;
        out.stretches.resize(kMostStretches);
      }
      process.settings.push_back(std::move(out));
    }
    // A process that began in the run is counted from 0; of one that ran before (or was another program before an
    // exec) only what it did meanwhile.
    const run::Process* row = rows[process.id];
    const bool from_zero = row != nullptr && row->began_ns > 0 && row->image == 0;
    const auto probe_points = probe.find(process.id);
    const auto cpu_points = cpu.find(process.id);
    if (probe_points == probe.end() || cpu_points == cpu.end()) continue;
    const auto grown = growth_of(probe_points->second, cpu_points->second, from_zero);
    if (grown && grown->second > 0) process.probe_cpu_share = grown->first / grown->second;
  }
}

double share_not_recorded(const run::Report& report, const std::string& family, double from_s, double to_s) {
  double missing = 0, all = 0;
  for (const run::ReportProcess& process : report.processes) {
    if (process.probe_state != "sampling") continue;
    all += std::max(0.0, std::min(to_s, process.ended_s.value_or(to_s)) - std::max(from_s, process.began_s));
    for (const run::ReportGap& gap : process.not_recorded)
      if (gap.family == family) missing += std::max(0.0, std::min(to_s, gap.to_s) - std::max(from_s, gap.from_s));
  }
  return all > 0 ? missing / all : 0;
}

}  // namespace camprobe::analysis
