// cli/output.cc: see output.h.
#include "cli/output.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

namespace camprobe::cli {

OutputFile::~OutputFile() {
  if (file_ == nullptr || is_standard_output()) return;
  std::fclose(file_);
  std::error_code ignored;
  if (!written_.empty() && !is_special_) std::filesystem::remove(written_, ignored);
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
  is_special_ = std::filesystem::exists(path_, ignored) && !std::filesystem::is_regular_file(path_, ignored);
  if (is_special_) {
    written_ = path_;
    file_ = std::fopen(path_.c_str(), "wb");
    return file_ != nullptr ? run::Result<void>{} : error(errno);
  }
  // What has no name is gone when we are killed.
  const std::string directory = std::filesystem::path(path_).parent_path();
  int fd = ::open(directory.empty() ? "." : directory.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
  if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {  // a file system that has no such files
    written_ = name_beside();
    fd = ::open(written_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  }
  if (fd < 0) return error(errno);
  file_ = ::fdopen(fd, "wb");
  return {};
}

std::string OutputFile::name_beside() const {
  return fmt::format("{}.{}.part", path_, ::getpid());
}

// Gives what is complete its name, in the place of what had it.
int OutputFile::put_in_place() {
  const std::string unnamed = fmt::format("/proc/self/fd/{}", ::fileno(file_));
  const auto link_as = [&](const std::string& name) {
    return ::linkat(AT_FDCWD, unnamed.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0;
  };
  if (written_.empty()) {
    if (link_as(path_)) return 0;
    if (errno != EEXIST) return errno;
    if (!link_as(name_beside())) return errno;  // a link cannot take another's place, a file can
    written_ = name_beside();
  }
  return std::rename(written_.c_str(), path_.c_str()) == 0 ? 0 : errno;
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
  int failed = std::fflush(file_) == 0 ? 0 : errno;
  if (failed == 0 && !is_special_) failed = put_in_place();
  if (failed != 0) return error(failed);  // what was written goes with us
  std::FILE* file = std::exchange(file_, nullptr);
  return std::fclose(file) == 0 ? run::Result<void>{} : error(errno);
}

run::Result<void> write_output(const std::string& path, std::string_view text) {
  OutputFile file(path);
  if (auto written = file.write(text); !written) return written;
  return file.finish();
}

}  // namespace camprobe::cli
