// collector/load/error_kinds.cc: see error_kinds.h.
#include "collector/load/error_kinds.h"

#include <fmt/format.h>

#include <algorithm>

namespace camprobe::load {

void ErrorKinds::add(std::string_view kind, std::uint64_t count) {
  if (count == 0) return;
  kind = kind.substr(0, kind.find_first_of("\r\n"));
  kind = kind.substr(0, kLongestKind);
  if (kind.empty()) kind = "failed";
  auto at = kinds_.find(kind);
  if (at == kinds_.end()) {
    if (kinds_.size() >= kMostKinds) kind = "other";
    at = kinds_.try_emplace(std::string(kind), 0).first;
  }
  at->second += count;
}

void ErrorKinds::add_status(int status, std::uint64_t count) {
  add(fmt::format("HTTP {}", status), count);
}

std::vector<ErrorKind> ErrorKinds::take() {
  std::vector<ErrorKind> kinds;
  for (auto& [kind, count] : kinds_) kinds.push_back({kind, count});
  std::stable_sort(kinds.begin(), kinds.end(), [](const auto& a, const auto& b) { return a.count > b.count; });
  kinds_.clear();
  return kinds;
}

}  // namespace camprobe::load
