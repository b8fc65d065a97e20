#include "suite/unfinished.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "run/units.h"
#include "suite/child.h"
#include "suite/suite_file.h"

namespace camprobe::suite {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kSchema = "camprobe.unfinished-suite/1";
constexpr double kWaitForCollectors = 150;  // seconds: stacks are named and the run is written

template <typename Value>
Json or_null(const std::optional<Value>& value) {
  return value ? Json(*value) : Json(nullptr);
}
template <typename Value>
std::optional<Value> optional_of(const Json& json) {
  return json.is_null() ? std::nullopt : std::optional(json.get<Value>());
}

}  // namespace

run::Result<Claim> Claim::take(const std::string& directory) {
  const std::string path = directory + "/running";
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (file < 0) return run::Error{fmt::format("{}: {}", path, std::strerror(errno))};
  Claim claim(file);
  for (double waited = 0; ::flock(file, LOCK_EX | LOCK_NB) != 0; waited += 0.2) {
    const std::string holder = read_all(path);
    const auto pid = static_cast<pid_t>(std::atoi(holder.c_str()));
    if (process_lives(pid)) return run::Error{fmt::format("{} is being run by process {}", directory, pid)};
    if (waited == 0) fmt::print(stderr, "camprobe suite: waiting for the collector of the suite that was killed\n");
    if (waited > kWaitForCollectors || interrupts() > 0)
      return run::Error{fmt::format("{}: a process of the suite that was killed still writes there", directory)};
    nap(0.2);
  }
  write_all(path, std::to_string(::getpid()) + "\n");
  return claim;
}

Claim::Claim(Claim&& other) noexcept : file_(std::exchange(other.file_, -1)) {}

Claim::~Claim() {
  if (file_ >= 0) ::close(file_);
}

void write_unfinished(const std::string& directory, const Suite& suite, const Wishes& wishes,
                      const std::string& started_at) {
  const fs::path path = fs::absolute(suite.path);
  const Json json{{"schema", kSchema},
                  {"file", path.string()},
                  {"name", suite.name},
                  {"started_at", started_at},
                  {"time_scale", wishes.time_scale},
                  {"users", or_null(wishes.users)},
                  {"duration_s", or_null(wishes.duration_s)},
                  {"rate", or_null(wishes.rate)},
                  {"scenario", wishes.scenario},
                  {"tool", wishes.tool},
                  {"repeats", or_null(wishes.repeats)},
                  {"stop_when_decided", wishes.stops_when_decided},
                  {"checkpoint_s", wishes.checkpoint_s},
                  {"tier", wishes.tier},
                  {"gates", wishes.gates_file.empty() ? "" : fs::absolute(wishes.gates_file).string()}};
  write_all(directory + "/suite.json", json.dump(1) + "\n");
}

run::Result<Unfinished> read_unfinished(const std::string& directory) {
  const std::string path = directory + "/suite.json";
  std::error_code none;
  if (!fs::exists(path, none))
    return run::Error{fmt::format("{}: is no directory of a suite's run (it has no suite.json)", directory)};
  const Json json = Json::parse(read_all(path), nullptr, false);
  if (!json.is_object() || json.value("schema", "") != kSchema)
    return run::Error{fmt::format("{}: cannot be read; a suite that is run writes it", path)};
  Unfinished out;
  try {
    const std::string file = json.at("file"), name = json.at("name");
    auto suites = read_suite_file((fs::path(directory) / fs::path(file).filename()).string());
    if (!suites) return run::Error{suites.error()};
    bool is_there = false;
    for (Suite& suite : *suites) {
      if (suite.name != name) continue;
      out.suite = std::move(suite);
      is_there = true;
    }
    if (!is_there) return run::Error{fmt::format("{}: its suite {} is not in its own copy of the file", path, name)};
    out.suite.path = file;  // what it names beside itself is where it was
    out.started_at = json.at("started_at");
    Wishes& wishes = out.wishes;
    wishes.time_scale = json.at("time_scale");
    wishes.users = optional_of<int>(json.at("users"));
    wishes.duration_s = optional_of<double>(json.at("duration_s"));
    wishes.rate = optional_of<double>(json.at("rate"));
    wishes.scenario = json.at("scenario");
    wishes.tool = json.at("tool");
    wishes.repeats = optional_of<int>(json.at("repeats"));
    wishes.stops_when_decided = json.at("stop_when_decided");
    wishes.checkpoint_s = json.at("checkpoint_s");
    wishes.tier = json.at("tier");
    wishes.gates_file = json.at("gates");
    wishes.directory = directory;
    wishes.resumes = true;
  } catch (const Json::exception& error) {
    return run::Error{fmt::format("{}: {}", path, error.what())};
  }
  return out;
}

void write_result(const RunPlan& plan, const Json& evaluated) {
  // Whole or not at all.
  const std::string path = plan.directory + "/result.json", part = path + ".part";
  std::error_code none;
  if (write_all(part, evaluated.dump())) fs::rename(part, path, none);
}

std::optional<Json> read_result(const RunPlan& plan) {
  Json result = Json::parse(read_all(plan.directory + "/result.json"), nullptr, false);
  return result.is_object() ? std::optional(std::move(result)) : std::nullopt;
}

}  // namespace camprobe::suite
