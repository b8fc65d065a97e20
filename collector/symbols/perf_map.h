// collector/symbols/perf_map.h
//
// Names of JIT-compiled code from /tmp/perf-<pid>.map: lines of "START SIZE NAME", numbers in hexadecimal.
//
// The file is appended to while the program runs, so it is read as it grows and only up to its last newline. Code that
// was thrown away leaves its line behind and its address to newer code: later lines win where ranges overlap. PerfMap
// holds what was read, PerfMapFile finds the file and keeps up with it.
//
// Anyone may create a file in /tmp. It is believed only if it is a regular file with one name, no symbolic link, and
// owned by the target's user or by root.
//
// Thread-compatible: one owner, one thread at a time.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "collector/symbols/target_files.h"

namespace camprobe::symbols {

struct JitCode {
  std::uint64_t low = 0;
  std::uint64_t high = 0;  // one past the last address
  std::string name;        // as the JIT wrote it
};

class PerfMap {
 public:
  static constexpr std::size_t kMaxLine = std::size_t{64} * 1024;

  // Names beyond `max_bytes` of memory are dropped, and counted.
  explicit PerfMap(std::size_t max_bytes = 16u << 20) : max_bytes_(max_bytes) {}

  // More of the file; pieces may end anywhere.
  void feed(std::string_view bytes);
  // The code at a process address, or null. Holds until the next feed() or clear().
  const JitCode* find(std::uint64_t address) const;
  void clear();

  std::size_t size() const { return code_.size(); }
  std::size_t bytes() const { return bytes_; }
  std::uint64_t lines() const { return lines_; }
  std::uint64_t malformed() const { return malformed_; }  // lines that are not "START SIZE NAME"
  std::uint64_t dropped() const { return dropped_; }

 private:
  void read_line(std::string_view line);
  void insert(JitCode code);
  void erase_overlap(std::uint64_t low, std::uint64_t high);

  std::size_t max_bytes_;
  std::map<std::uint64_t, JitCode> code_;  // by low; ranges never overlap
  std::string partial_;                    // a line whose end has not come yet
  bool skipping_ = false;                  // in a line that was too long
  std::size_t bytes_ = 0;
  std::uint64_t lines_ = 0;
  std::uint64_t malformed_ = 0;
  std::uint64_t dropped_ = 0;
};

class PerfMapFile {
 public:
  // `owner` is the user the target runs as.
  PerfMapFile(const TargetFiles& files, uid_t owner, std::size_t max_bytes = 16u << 20);

  // Reads what was added since the last call; from the start if the file was replaced or cut. False: there is no such
  // file, or why_not() says why it is not believed.
  bool refresh();

  const PerfMap& map() const { return map_; }
  const std::string& why_not() const { return why_not_; }

 private:
  UniqueFd open_trusted();

  const TargetFiles& files_;
  uid_t owner_;
  PerfMap map_;
  std::vector<std::string> paths_;
  std::string why_not_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
  off_t offset_ = 0;
};

}  // namespace camprobe::symbols
