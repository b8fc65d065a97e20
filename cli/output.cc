// cli/output.cc: see output.h.
#include "cli/output.h"

#include <fmt/core.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

namespace camprobe::cli {

run::Result<void> write_output(const std::string& path, std::string_view text) {
  if (path.empty() || path == "-") {
    const bool whole = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
    if (!whole && errno != EPIPE) return run::Error{fmt::format("standard output: {}", std::strerror(errno))};
    return {};
  }
  std::error_code ignored;
  // A device or a pipe is written to as it is; a file is replaced only once the new one is complete.
  const bool is_special = std::filesystem::exists(path, ignored) && !std::filesystem::is_regular_file(path, ignored);
  const std::string written = is_special ? path : path + ".part";
  std::FILE* file = std::fopen(written.c_str(), "wb");
  if (file == nullptr)
    return run::Error{fmt::format("{}: cannot be written: {}; name another place with -o", path, std::strerror(errno))};
  const bool whole = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  const int why = whole ? 0 : errno;
  if (std::fclose(file) != 0 || !whole) {
    const int reason = why != 0 ? why : errno;
    if (!is_special) std::filesystem::remove(written, ignored);
    return run::Error{
        fmt::format("{}: cannot be written: {}; name another place with -o", path, std::strerror(reason))};
  }
  if (is_special) return {};
  std::error_code failed;
  std::filesystem::rename(written, path, failed);
  if (failed) {
    std::filesystem::remove(written, ignored);
    return run::Error{fmt::format("{}: cannot be written: {}; name another place with -o", path, failed.message())};
  }
  return {};
}

}  // namespace camprobe::cli
