// cli/mark.cc: `camprobe mark TEXT`: an instant on the timeline of a run that is being recorded.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <memory>
#include <string>
#include <thread>

#include "cli/commands.h"
#include "cli/process_number.h"
#include "collector/attach/recordings.h"
#include "collector/drain/run_clock.h"
#include "run/reader.h"
#include "run/writer.h"

namespace camprobe::cli {
namespace {

struct Arguments {
  std::string text, run;
  std::int64_t pid = 0;
};

int refuse(const std::string& why) {
  fmt::print(stderr, "camprobe: {}\n", why);
  return 2;
}

bool has_process(const std::string& path, std::int64_t pid) {
  auto reader = run::Reader::open(path);
  if (!reader) return false;
  const auto processes = reader->processes();
  return std::any_of(processes.begin(), processes.end(),
                     [&](const run::Process& process) { return process.pid == pid; });
}

int mark(const Arguments& arguments) {
  const auto instant = drain::clock_ns(CLOCK_MONOTONIC);
  std::string path = arguments.run;
  if (path.empty()) {
    auto active = attach::find_recordings();
    if (arguments.pid != 0) {
      // The first processes of a run are written a moment after it begins.
      const auto is_anothers = [&](const auto& recording) { return !has_process(recording.run, arguments.pid); };
      const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(3);
      while (std::all_of(active.begin(), active.end(), is_anothers) && !active.empty() &&
             std::chrono::steady_clock::now() < give_up) {
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        active = attach::find_recordings();
      }
      std::erase_if(active, is_anothers);
      if (active.empty())
        return refuse(fmt::format("pid {} is not being recorded (camprobe list shows who is)", arguments.pid));
    }
    if (active.empty())
      return refuse("nothing is being recorded: start camprobe run or camprobe attach first, or name a run with --run");
    if (active.size() > 1)
      return refuse(fmt::format("{} runs are being recorded: name one with --run or --pid", active.size()));
    path = active.front().run;
  }
  auto reader = run::Reader::open(path);
  if (!reader) return refuse(reader.error());
  const run::Meta meta = reader->meta();
  if (meta.state != run::kRecording)
    return refuse(fmt::format("{} is not being recorded any more: a mark says \"now\"", path));
  const drain::RunClock clock{static_cast<std::uint64_t>(meta.started_monotonic_ns)};
  const auto added = run::add_mark(path, run::Mark{0, clock.run_ns(instant), arguments.text, "user"});
  if (!added) return refuse(added.error());
  return 0;
}

}  // namespace

void add_mark_command(CLI::App& app, int& exit_code) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("mark", "Mark this instant in the run that is being recorded");
  command->footer(
      "Marks stand on the report's timeline beside what changed there.\n\n  camprobe mark \"provider failover\"");
  command->add_option("TEXT", arguments->text, "What happens now")->required()->type_name("");
  command->add_option("--run", arguments->run, "The run file, where several are being recorded")->type_name("RUN");
  command->add_option("--pid", arguments->pid, "A process of the run")->type_name("PID")->check(process_number());
  command->callback([arguments, &exit_code] { exit_code = mark(*arguments); });
}

}  // namespace camprobe::cli
