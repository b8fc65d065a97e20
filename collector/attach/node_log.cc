#include "collector/attach/node_log.h"

#include <filesystem>
#include <fstream>
#include <system_error>

namespace camprobe::attach {
namespace {

namespace fs = std::filesystem;

// Only what V8 writes of itself, whatever is logged: version, platform, memory, libraries.
bool has_nothing_asked_for(const fs::path& path) {
  constexpr int kMostLines = 1000;
  std::ifstream log(path);
  std::string line;
  if (!std::getline(log, line) || !line.starts_with("v8-version,")) return false;
  for (int lines = 1; std::getline(log, line); ++lines) {
    if (lines > kMostLines) return false;
    bool is_known = false;
    for (const char* kind :
         {"v8-platform,", "new,", "delete,", "shared-library,", "heap-capacity,", "heap-available,"}) {
      is_known |= line.starts_with(kind);
    }
    if (!is_known) return false;
  }
  return true;
}

}  // namespace

int remove_v8_logs(const std::string& directory, pid_t pid) {
  int removed = 0;
  std::error_code failed;
  const std::string suffix = "-" + std::to_string(pid) + "-v8.log";
  for (const auto& entry : fs::directory_iterator(directory, failed)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("isolate-0x") || !name.ends_with(suffix) || !entry.is_regular_file(failed)) continue;
    if (entry.is_symlink(failed) || !has_nothing_asked_for(entry.path())) continue;
    removed += fs::remove(entry.path(), failed) ? 1 : 0;
  }
  return removed;
}

}  // namespace camprobe::attach
