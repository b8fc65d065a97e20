// collector/symbols/perf_map.cc
//
// Lines in any pieces into ranges that never overlap; a file that grows into pieces.
#include "collector/symbols/perf_map.h"

#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <optional>
#include <utility>

namespace camprobe::symbols {
namespace {

constexpr std::size_t kBytesOfEntry = sizeof(JitCode) + 64;  // a tree node with its key

std::size_t bytes_of(const JitCode& code) {
  return kBytesOfEntry + (code.name.capacity() > 15 ? code.name.capacity() + 1 : 0);
}

// Takes a hexadecimal number (HotSpot writes "0x" before it) and the blanks after it off the front of `text`.
std::optional<std::uint64_t> take_hex(std::string_view& text) {
  if (text.starts_with("0x") || text.starts_with("0X")) text.remove_prefix(2);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc() || end == text.data()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (text.empty() || text.front() != ' ') return std::nullopt;
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  return value;
}

}  // namespace

void PerfMap::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t newline = bytes.find('\n');
    const std::string_view piece = bytes.substr(0, newline);
    const bool ended = newline != std::string_view::npos;
    bytes.remove_prefix(ended ? newline + 1 : bytes.size());
    if (!skipping_ && partial_.size() + piece.size() > kMaxLine) {
      skipping_ = true;
      partial_.clear();
    }
    if (!ended) {
      if (!skipping_) partial_ += piece;
      continue;
    }
    ++lines_;
    if (skipping_)
      ++malformed_;
    else if (partial_.empty())
      read_line(piece);
    else
      read_line(partial_ += piece);
    partial_.clear();
    skipping_ = false;
  }
}

void PerfMap::read_line(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  const auto start = take_hex(line);
  const auto size = start ? take_hex(line) : std::nullopt;
  if (!size || *size == 0 || *start + *size < *start || line.empty()) {
    ++malformed_;
    return;
  }
  insert({*start, *start + *size, std::string(line)});
}

void PerfMap::insert(JitCode code) {
  erase_overlap(code.low, code.high);
  if (bytes_ + bytes_of(code) > max_bytes_) {
    ++dropped_;
    return;
  }
  bytes_ += bytes_of(code);
  const std::uint64_t low = code.low;
  code_.emplace(low, std::move(code));
}

// Cuts [low, high) out of what is there, leaving the ends of ranges that stick out.
void PerfMap::erase_overlap(std::uint64_t low, std::uint64_t high) {
  auto next = code_.lower_bound(low);
  if (next != code_.begin() && std::prev(next)->second.high > low) --next;
  while (next != code_.end() && next->second.low < high) {
    JitCode old = std::move(next->second);
    bytes_ -= bytes_of(old);
    next = code_.erase(next);
    const auto keep = [&](std::uint64_t from, std::uint64_t to) {
      JitCode rest{from, to, old.name};
      bytes_ += bytes_of(rest);
      code_.emplace(from, std::move(rest));
    };
    if (old.low < low) keep(old.low, low);
    if (old.high > high) keep(high, old.high);
  }
}

const JitCode* PerfMap::find(std::uint64_t address) const {
  auto after = code_.upper_bound(address);
  if (after == code_.begin()) return nullptr;
  const JitCode& code = std::prev(after)->second;
  return address < code.high ? &code : nullptr;
}

void PerfMap::clear() {
  code_.clear();
  partial_.clear();
  skipping_ = false;
  bytes_ = 0;
}

PerfMapFile::PerfMapFile(const TargetFiles& files, uid_t owner, std::size_t max_bytes)
    : files_(files), owner_(owner), map_(max_bytes) {
  if (files.pid() <= 0) return;
  paths_.push_back("/tmp/perf-" + std::to_string(files.inner_pid()) + ".map");
  if (files.inner_pid() != files.pid()) paths_.push_back("/tmp/perf-" + std::to_string(files.pid()) + ".map");
}

UniqueFd PerfMapFile::open_trusted() {
  why_not_ = "no perf map";
  for (const std::string& path : paths_) {
    UniqueFd fd = files_.open(path, false);
    struct stat status {};
    if (!fd || ::fstat(fd.get(), &status) != 0) continue;
    if (status.st_uid != owner_ && status.st_uid != 0) {
      why_not_ = path + " belongs to user " + std::to_string(status.st_uid) + ", not to the target's";
    } else if (status.st_nlink > 1) {
      why_not_ = path + " has other names";
    } else {
      why_not_.clear();
      return fd;
    }
  }
  return {};
}

bool PerfMapFile::refresh() {
  const UniqueFd fd = open_trusted();
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0) return false;
  if (status.st_dev != device_ || status.st_ino != inode_ || status.st_size < offset_) {
    map_.clear();
    device_ = status.st_dev;
    inode_ = status.st_ino;
    offset_ = 0;
  }
  std::vector<char> buffer(std::size_t{64} * 1024);
  // Only what was there when we looked: a file that is written faster than it is read must not keep us here.
  while (offset_ < status.st_size) {
    const auto wanted = std::min<off_t>(static_cast<off_t>(buffer.size()), status.st_size - offset_);
    const ssize_t got = ::pread(fd.get(), buffer.data(), static_cast<std::size_t>(wanted), offset_);
    if (got <= 0) break;
    map_.feed({buffer.data(), static_cast<std::size_t>(got)});
    offset_ += got;
  }
  return true;
}

}  // namespace camprobe::symbols
