// cli/list.cc: `camprobe list`: the regions in /dev/shm, of processes that run and of dead ones, and who records.
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <memory>

#include "cli/commands.h"
#include "collector/attach/recordings.h"
#include "collector/attach/regions.h"
#include "collector/proc/proc_files.h"

namespace camprobe::cli {
namespace {

std::string age_text(std::int64_t seconds) {
  if (seconds < 0) return "?";
  if (seconds < 120) return fmt::format("{} s", seconds);
  if (seconds < 7200) return fmt::format("{} min", seconds / 60);
  if (seconds < 172800) return fmt::format("{} h", seconds / 3600);
  return fmt::format("{} days", seconds / 86400);
}

int list_regions(bool clean) {
  const auto files = attach::find_regions(::geteuid());
  int failures = 0, removed = 0;
  const std::int64_t now = std::time(nullptr);
  if (!clean && !files.empty())
    fmt::print("{:>8}  {:<8}  {:>8}  {:>9}  {}\n", "PID", "STATE", "AGE", "MEMORY", "PROGRAM");
  for (const attach::RegionFile& file : files) {
    if (clean) {
      if (file.is_alive) continue;
      if (::unlink(file.path.c_str()) == 0) {
        ++removed;
      } else {
        ++failures;
        fmt::print(stderr, "camprobe: {} cannot be removed: {}\n", file.path, std::strerror(errno));
      }
      continue;
    }
    const attach::RegionFacts facts = attach::facts_of(file);
    fmt::print("{:>8}  {:<8}  {:>8}  {:>5.1f} MiB  {}{}\n", file.name.pid, facts.state,
               facts.began_at != 0 ? age_text(now - facts.began_at) : "?", static_cast<double>(file.bytes) / (1 << 20),
               facts.program, facts.note.empty() ? "" : "  (" + facts.note + ")");
  }
  if (clean) {
    fmt::print("{}\n", removed == 0   ? "no region of a dead process is there"
                       : removed == 1 ? "1 region of a dead process removed"
                                      : fmt::format("{} regions of dead processes removed", removed));
    return failures == 0 ? 0 : 1;
  }
  if (files.empty()) fmt::print("no process runs with the probe, and none left a region behind\n");
  for (const attach::ActiveRecording& recording : attach::find_recordings()) {
    fmt::print("recording: {} (collector {})\n", recording.run, recording.collector);
  }
  return 0;
}

}  // namespace

void add_list_command(CLI::App& app, int& exit_code) {
  auto clean = std::make_shared<bool>(false);
  CLI::App* command = app.add_subcommand("list", "Show processes with the probe, and what dead ones left behind");
  command->footer(
      "STATE: running, off (the probe is loaded but records nothing), ended (the program ended by itself), killed (it "
      "did\n"
      "not: camprobe attach PID writes a post-mortem run). Root sees everybody's.");
  command->add_flag("--clean", *clean, "Remove the regions of dead processes");
  command->callback([clean, &exit_code] { exit_code = list_regions(*clean); });
}

}  // namespace camprobe::cli
