#include "collector/session/common.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>

#include "collector/status_line.h"
#include "run/reader.h"

namespace camprobe {

namespace fs = std::filesystem;

void say(const std::string& line) {
  StatusLine::erase_current();
  fmt::print(stderr, "camprobe: {}\n", line);
}

Outcome usage_error(const std::string& line) {
  say(line);
  return {2, {}};
}

std::string default_run(const std::string& program) {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  ::localtime_r(&now, &local);
  const std::string name = fmt::format("{}-{:%Y%m%d-%H%M%S}", fs::path(program).filename().string(), local);
  std::string path = name + ".camrun";
  for (int i = 2; fs::exists(path); ++i) path = fmt::format("{}-{}.camrun", name, i);  // two in one second
  return path;
}

std::optional<std::string> make_way(const std::string& path, bool may_replace) {
  if (!may_replace || !fs::exists(path)) return std::nullopt;
  if (const auto old = run::Reader::open(path); !old) return old.error() + ": it is not replaced";
  remove_run(path);
  return std::nullopt;
}

void remove_run(const std::string& path) {
  for (const char* suffix : {"", "-wal", "-shm"}) ::unlink((path + suffix).c_str());
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

std::string end_of(int wait_status) {
  if (WIFSIGNALED(wait_status))
    return fmt::format("killed by signal {}, {}", WTERMSIG(wait_status), ::strsignal(WTERMSIG(wait_status)));
  return fmt::format("exit code {}", WEXITSTATUS(wait_status));
}

int exit_code_of(int wait_status) {
  return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

void finish_run(Recording& recording, const std::string& path, std::string_view state, bool is_quiet) {
  bool has_said = false;
  const auto finished = recording.finish(state, [&] {
    if (!is_quiet && !has_said) say("looking up the names of functions ...");
    has_said = true;
  });
  if (!finished)
    say(finished.error());
  else if (!is_quiet)
    say(fmt::format("the run is in {}", path));
}

}  // namespace camprobe
