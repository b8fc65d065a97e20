// cli/output.cc: see output.h.
#include "cli/output.h"

#include <fmt/core.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

namespace camprobe::cli {

OutputFile::~OutputFile() {
  if (file_ == nullptr || is_standard_output()) return;
  std::fclose(file_);
  std::error_code ignored;
  if (!is_special_) std::filesystem::remove(written_, ignored);
}

run::Error OutputFile::error(int reason) const {
  if (is_standard_output()) return run::Error{fmt::format("standard output: {}", std::strerror(reason))};
  return run::Error{fmt::format("{}: cannot be written: {}; name another place with -o", path_, std::strerror(reason))};
}

run::Result<void> OutputFile::open() {
  if (is_standard_output()) {
    file_ = stdout;
    return {};
  }
  std::error_code ignored;
  // A file is replaced only once the new one is complete.
  is_special_ = std::filesystem::exists(path_, ignored) && !std::filesystem::is_regular_file(path_, ignored);
  written_ = is_special_ ? path_ : path_ + ".part";
  file_ = std::fopen(written_.c_str(), "wb");
  if (file_ == nullptr) return error(errno);
  return {};
}

run::Result<void> OutputFile::write(std::string_view piece) {
  if (file_ == nullptr) {
    if (auto opened = open(); !opened) return opened;
  }
  if (!has_reader_ || std::fwrite(piece.data(), 1, piece.size(), file_) == piece.size()) return {};
  const int reason = errno;
  if (!is_standard_output() || reason != EPIPE) return error(reason);
  has_reader_ = false;
  return {};
}

run::Result<void> OutputFile::finish() {
  if (auto opened = write(""); !opened) return opened;  // an empty result is a file as well
  if (is_standard_output()) {
    if (has_reader_ && std::fflush(stdout) != 0 && errno != EPIPE) return error(errno);
    return {};
  }
  std::FILE* file = std::exchange(file_, nullptr);
  std::error_code failed;
  if (std::fclose(file) != 0) failed.assign(errno, std::generic_category());
  if (is_special_ && !failed) return {};
  if (!failed) std::filesystem::rename(written_, path_, failed);
  if (!failed) return {};
  std::error_code ignored;
  if (!is_special_) std::filesystem::remove(written_, ignored);
  return error(failed.value());
}

run::Result<void> write_output(const std::string& path, std::string_view text) {
  OutputFile file(path);
  if (auto written = file.write(text); !written) return written;
  return file.finish();
}

}  // namespace camprobe::cli
