// cli/set.cc: `camprobe set PID [NAME=VALUE...]`: what a running process records, shown and changed.
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/process_number.h"
#include "collector/attach/control.h"

namespace camprobe::cli {
namespace {

struct Arguments {
  int pid = 0;
  std::vector<std::string> settings;
};

constexpr std::chrono::milliseconds kPatience{1000};

int refuse(const std::string& why) {
  fmt::print(stderr, "camprobe set: {}\n", why);
  return 2;
}

int set(const Arguments& arguments) {
  const auto change = attach::parse_settings(arguments.settings);
  if (!change) return refuse(change.error());
  auto region = attach::region_of(arguments.pid);
  if (!region) return refuse(region.error());
  auto holds = attach::what_holds(*region);
  if (!holds) return refuse(holds.error());
  bool is_in_force = !holds->is_waiting;
  if (!arguments.settings.empty()) {
    const auto version = attach::ask_for(*region, *change);
    if (!version) return refuse(version.error());
    is_in_force = attach::wait_until_seen(*region, *version, kPatience);
    // Otherwise what held before does.
    if (is_in_force) holds = attach::what_holds(*region);
    if (!holds) return refuse(holds.error());
  }
  for (const auto& [name, value] : attach::in_words(*holds)) fmt::print("{:<8} {}\n", name, value);
  if (!is_in_force) {
    fmt::print(stderr,
               "camprobe set: pid {} did nothing since it was asked, and above is what held before: what was asked for "
               "holds from when it works again\n",
               arguments.pid);
  }
  if (!holds->message.empty()) fmt::print(stderr, "camprobe set: the probe says: {}\n", holds->message);
  return 0;
}

}  // namespace

void add_set_command(CLI::App& app, int& exit_code) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("set", "Change what a running process records, or show it");
  command->footer(
      "Settings:\n"
      "  heap=64KiB     mean bytes between two heap samples; auto: by the budget     heap=on | off\n"
      "  cpu=999        CPU samples per second of CPU time, per thread               cpu=on | off\n"
      "  wait=10ms      mean waiting time between two samples                        wait=on | off\n"
      "  socket, file, thread, process, span, map = on | off\n"
      "  io=on | off    socket, file and wait at once; all=on | off: every family\n"
      "  budget=1%      the probe's share of CPU time, which heap=auto keeps to\n"
      "Without settings it prints what holds now. A change holds within a second in a process that does anything, "
      "whether\n"
      "or not it is being recorded; in one that is blocked from when it works again. A run that is being recorded gets "
      "a\n"
      "mark, and its estimates stay right. Children forked afterwards inherit it, a program that is exec()ed does "
      "not.\n\n"
      "  camprobe set 4711 heap=64KiB cpu=999 io=off");
  command->add_option("PID", arguments->pid, "The process")->required()->type_name("")->check(process_number());
  command->add_option("SETTING", arguments->settings, "NAME=VALUE")->type_name("");
  command->callback([arguments, &exit_code] { exit_code = set(*arguments); });
}

}  // namespace camprobe::cli
