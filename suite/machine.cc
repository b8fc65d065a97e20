#include "suite/machine.h"

#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "collector/attach/program.h"
#include "collector/version.h"
#include "suite/child.h"
#include "suite/tool.h"
#include "suite/variables.h"

namespace camprobe::suite {
namespace {

using Json = nlohmann::ordered_json;

// "key : value" or key="value" of a file's first line that has it.
std::string value_of(const std::string& path, const std::string& key, char separator) {
  const std::string text = read_all(path);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    if (!line.starts_with(key)) continue;
    const std::size_t from = line.find_first_not_of(" \t\"", line.find(separator) + 1);
    return from == std::string::npos ? "" : line.substr(from, line.find_last_not_of(" \"") - from + 1);
  }
  return "";
}

Json or_null(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

// The first line that a command prints, on either stream; "" where it cannot be run.
std::string first_line(const std::vector<std::string>& command) {
  std::array<char, 32> path{};
  std::snprintf(path.data(), path.size(), "/tmp/camprobe.XXXXXX");
  const int file = ::mkstemp(path.data());
  if (file < 0) return "";
  ::close(file);
  std::string text;
  Child::Start what;
  what.name = command.front();
  what.command = command;
  what.output = path.data();
  if (auto child = Child::start(what)) {
    for (int i = 0; i < 500 && child->is_running(); ++i) ::usleep(20'000);
    child->stop(1);
    text = read_all(path.data());
  }
  ::unlink(path.data());
  const std::size_t begin = text.find_first_not_of("\n\r ");
  return begin == std::string::npos ? "" : text.substr(begin, text.find('\n', begin) - begin);
}

}  // namespace

Json machine_json() {
  utsname names{};
  ::uname(&names);
  std::array<double, 3> load{};
  const bool has_load = ::getloadavg(load.data(), 3) == 3;
  const std::string governor = value_of("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "", '\0');
  return Json{{"host", names.nodename},
              {"kernel", std::string(names.sysname) + " " + names.release},
              {"architecture", names.machine},
              {"distribution", or_null(value_of("/etc/os-release", "PRETTY_NAME", '='))},
              {"cpu", or_null(value_of("/proc/cpuinfo", "model name", ':'))},
              {"cpus", ::sysconf(_SC_NPROCESSORS_ONLN)},
              {"memory_bytes", static_cast<std::int64_t>(::sysconf(_SC_PHYS_PAGES)) * ::sysconf(_SC_PAGESIZE)},
              {"load_average", has_load ? Json(load[0]) : Json(nullptr)}};
}

Json versions_json(const Suite& suite, const std::string& bin) {
  const Tool& tool = *tool_named(suite.load.tool);
  Variables variables;
  variables.set("bin", bin);
  const auto program = variables.fill(suite.target.command.front());
  Json target{{"command", suite.target.command}, {"sha256", nullptr}};
  if (program) {
    if (const auto path = attach::locate_program(*program)) {
      const std::string line = first_line({"sha256sum", *path});
      if (line.size() > 64 && line[64] == ' ') target["sha256"] = line.substr(0, 64);
    }
  }
  const std::string commit = first_line({"git", "rev-parse", "HEAD"});
  std::vector<std::string> asking{find_program(tool, std::filesystem::path(suite.path).parent_path())};
  asking.insert(asking.end(), tool.version.begin(), tool.version.end());
  return Json{{"camprobe", kVersion},
              {"git_commit", commit.size() == 40 ? Json(commit) : Json(nullptr)},
              {"target", target},
              {"load_tool", {{"name", tool.name}, {"version", or_null(first_line(asking))}}}};
}

}  // namespace camprobe::suite
