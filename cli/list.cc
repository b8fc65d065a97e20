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
#include "shm/region_reader.h"

namespace camprobe::cli {
namespace {

std::string age_text(std::int64_t seconds) {
  if (seconds < 0) return "?";
  if (seconds < 120) return fmt::format("{} s", seconds);
  if (seconds < 7200) return fmt::format("{} min", seconds / 60);
  if (seconds < 172800) return fmt::format("{} h", seconds / 3600);
  return fmt::format("{} days", seconds / 86400);
}

const char* state_text(const attach::RegionFile& file, shm::RegionState state) {
  if (!file.is_alive)
    return state == shm::RegionState::kExited ? "ended" : state == shm::RegionState::kExec ? "exec" : "killed";
  switch (state) {
    case shm::RegionState::kCreating:
      return "starting";
    case shm::RegionState::kRunning:
      return "running";
    case shm::RegionState::kOff:
      return "off";
    case shm::RegionState::kExited:
      return "ending";
    case shm::RegionState::kExec:
      return "exec";
  }
  return "?";
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
    std::string why, program;
    const auto region = shm::RegionReader::open(file.path, &why);
    const auto status = region ? region->status() : std::nullopt;
    if (file.is_alive) {
      if (const auto process = proc::ProcessFiles::open(static_cast<pid_t>(file.name.pid)))
        program = process->executable();
    } else if (region && !region->modules().empty()) {
      program = region->name(region->modules().front().path).value_or("");
    }
    const std::int64_t began =
        region ? static_cast<std::int64_t>(region->info().created_realtime_ns / 1'000'000'000) : 0;
    fmt::print("{:>8}  {:<8}  {:>8}  {:>5.1f} MiB  {}{}\n", file.name.pid,
               status ? state_text(file, status->state) : "unusable", began != 0 ? age_text(now - began) : "?",
               static_cast<double>(file.bytes) / (1 << 20), program,
               status && !status->message.empty() ? "  (" + status->message + ")"
               : !region                          ? "  (" + why + ")"
                                                  : "");
  }
  if (clean) {
    fmt::print("{} regions of dead processes removed\n", removed);
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
