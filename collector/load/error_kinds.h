// collector/load/error_kinds.h
//
// Counts failed requests by how they failed, in bounded memory: the first kMostKinds kinds keep their names, later ones
// are added up under "other". Texts of tools may hold ports, ids and stack traces: only their first line counts, and of
// that the first kLongestKind bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "collector/load/timeline.h"

namespace camprobe::load {

class ErrorKinds {
 public:
  static constexpr std::size_t kMostKinds = 32;
  static constexpr std::size_t kLongestKind = 120;

  // An empty kind is "failed": the tool says no more.
  void add(std::string_view kind, std::uint64_t count = 1);
  void add_status(int status, std::uint64_t count = 1);  // "HTTP 503"
  std::vector<ErrorKind> take();                         // most frequent first

 private:
  std::map<std::string, std::uint64_t, std::less<>> kinds_;
};

}  // namespace camprobe::load
