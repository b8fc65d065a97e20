// cli/enable.cc: `camprobe enable UNIT`: what preloads a systemd service. It prints, and changes nothing.
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <string>

#include "cli/commands.h"
#include "collector/attach/program.h"
#include "collector/attach/service.h"

namespace camprobe::cli {
namespace {

int print_unit(const std::string& unit, bool records) {
  const auto refuse = [](const std::string& why) {
    fmt::print(stderr, "camprobe enable: {}\n", why);
    return 2;
  };
  const auto service = attach::service_name(unit);
  if (!service) return refuse(service.error());
  if (records) {
    std::error_code ignored;
    fmt::print("{}",
               attach::recording_unit(*service, std::filesystem::read_symlink("/proc/self/exe", ignored).string()));
    return 0;
  }
  const auto library = attach::find_probe_library();
  if (!library) return refuse(library.error());
  fmt::print("{}", attach::preloading_drop_in(*service, *library));
  return 0;
}

}  // namespace

void add_enable_command(CLI::App& app, int& exit_code) {
  auto unit = std::make_shared<std::string>();
  auto records = std::make_shared<bool>(false);
  CLI::App* command = app.add_subcommand("enable", "Print what preloads a systemd service");
  command->footer(
      "Prints a drop-in, with what to do with it. No file is written and no service restarted.\n"
      "Do not use /etc/ld.so.preload instead: it holds for every program of the machine, for setuid ones and for the\n"
      "shell that would have to repair it, and a library that cannot be loaded there is complained about by each.\n\n"
      "  camprobe enable nginx\n"
      "  camprobe enable --recorder nginx");
  command->add_option("UNIT", *unit, "The service, as systemctl names it")->required()->type_name("");
  command->add_flag("--recorder", *records, "Print a unit that records the service instead");
  command->callback([unit, records, &exit_code] { exit_code = print_unit(*unit, *records); });
}

}  // namespace camprobe::cli
