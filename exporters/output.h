// exporters/output.h: what an export is written to, piece by piece, so that a long one is never in memory whole.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace camprobe::exporters {

class Output {
 public:
  using Take = std::function<void(std::string_view)>;
  explicit Output(Take take) : take_(std::move(take)) {}
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  void write(std::string_view piece) {
    gathered_ += piece;
    pass_on();
  }
  // To append to; pass_on() then, once in a while.
  std::string& gathered() { return gathered_; }
  void pass_on() {
    constexpr std::size_t kPiece = 64 << 10;
    if (gathered_.size() >= kPiece) finish();
  }
  // Passes on what is gathered, at last. export_run() does it, no format needs to.
  void finish() {
    if (!gathered_.empty()) take_(gathered_);
    gathered_.clear();
  }

 private:
  Take take_;
  std::string gathered_;
};

}  // namespace camprobe::exporters
