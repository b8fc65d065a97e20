// collector/load/input.cc: memory, files, looking ahead, and lines.
#include "collector/load/input.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace camprobe::load {
namespace {

class MemoryInput : public Input {
 public:
  MemoryInput(std::string_view text, std::size_t chunk) : left_(text), chunk_(std::max<std::size_t>(chunk, 1)) {}
  std::size_t read(char* to, std::size_t size) override {
    const std::size_t n = left_.copy(to, std::min(size, chunk_));
    left_.remove_prefix(n);
    return n;
  }

 private:
  std::string_view left_;
  std::size_t chunk_;
};

class FileInput : public Input {
 public:
  explicit FileInput(int fd) : fd_(fd) {}
  FileInput(const FileInput&) = delete;
  FileInput& operator=(const FileInput&) = delete;
  ~FileInput() override { close(fd_); }

  std::size_t read(char* to, std::size_t size) override {
    for (;;) {
      const ssize_t n = ::read(fd_, to, size);
      if (n >= 0) return static_cast<std::size_t>(n);
      if (errno == EINTR) continue;
      problem_ = fmt::format("reading stopped: {}", std::strerror(errno));
      return 0;
    }
  }
  std::string problem() const override { return problem_; }

 private:
  int fd_;
  std::string problem_;
};

}  // namespace

std::unique_ptr<Input> memory_input(std::string_view text, std::size_t chunk) {
  return std::make_unique<MemoryInput>(text, chunk);
}

run::Result<std::unique_ptr<Input>> file_input(const std::string& path) {
  const auto cannot = [&](const std::string& why, const char* what_to_do) {
    return run::Error{fmt::format("load results {}: {}; {}", path, why, what_to_do)};
  };
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    const int error = errno;
    return cannot(std::strerror(error),
                  error == EACCES ? "make the file readable for this user" : "name the file that the load tool wrote");
  }
  struct stat status {};
  if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) {
    close(fd);
    return cannot("this is a directory", "name the file in it that the load tool wrote");
  }
  return std::unique_ptr<Input>(std::make_unique<FileInput>(fd));
}

std::string_view PeekableInput::peek(std::size_t size) {
  ahead_.erase(0, used_);
  used_ = 0;
  while (ahead_.size() < size) {
    const std::size_t had = ahead_.size();
    ahead_.resize(size);
    const std::size_t n = inner_->read(ahead_.data() + had, size - had);
    ahead_.resize(had + n);
    if (n == 0) break;
  }
  return std::string_view(ahead_).substr(0, size);
}

std::size_t PeekableInput::read(char* to, std::size_t size) {
  if (used_ < ahead_.size()) {
    const std::size_t n = std::string_view(ahead_).substr(used_).copy(to, size);
    used_ += n;
    return n;
  }
  return inner_->read(to, size);
}

bool LineReader::fill() {
  if (at_end_) return false;
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ + kPadding == buffer_.size()) {
    buffer_.resize(std::min((buffer_.size() - kPadding) * 2, kLongestLine + 1) + kPadding);
  }
  const std::size_t n = input_.read(buffer_.data() + end_, buffer_.size() - kPadding - end_);
  end_ += n;
  at_end_ = n == 0;
  return n > 0;
}

bool LineReader::next(std::string_view& line) {
  unterminated_ = too_long_ = false;
  std::size_t searched = 0;
  for (;;) {
    const char* from = buffer_.data() + begin_;
    const std::size_t held = end_ - begin_;
    if (const void* newline = std::memchr(from + searched, '\n', held - searched)) {
      const auto length = static_cast<std::size_t>(static_cast<const char*>(newline) - from);
      line = std::string_view(from, length);
      if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
      begin_ += length + 1;
      ++number_;
      return true;
    }
    searched = held;
    if (held > kLongestLine) break;
    if (!fill()) {
      if (held == 0) return false;
      line = std::string_view(buffer_.data() + begin_, held);
      begin_ = end_;
      unterminated_ = true;
      ++number_;
      return true;
    }
  }
  // Too long to be a row of anything: drop it, up to its newline.
  too_long_ = true;
  ++number_;
  begin_ = end_;
  for (;;) {
    if (!fill()) {
      unterminated_ = true;
      break;
    }
    if (const void* newline = std::memchr(buffer_.data() + begin_, '\n', end_ - begin_)) {
      begin_ = static_cast<std::size_t>(static_cast<const char*>(newline) - buffer_.data()) + 1;
      break;
    }
    begin_ = end_;
  }
  line = {};
  return true;
}

}  // namespace camprobe::load
