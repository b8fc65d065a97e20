// collector/prove_leak.h
//
// The order of `camprobe run --prove-leak`: load, idle, the same load, idle; then the program is ended.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

#include "collector/proof_phases.h"

namespace camprobe {

// Says what begins when; marks are written, and loads started, by whoever asks. Gives the mark of each phase once.
class ProofOrder {
 public:
  using Instant = std::chrono::steady_clock::time_point;
  explicit ProofOrder(std::chrono::seconds idle) : idle_(idle) {}

  const char* load_began() {
    const bool is_first = phase_ == Phase::kBefore;
    phase_ = is_first ? Phase::kFirstLoad : Phase::kSecondLoad;
    return is_first ? proof::kFirstLoad : proof::kSecondLoad;
  }
  const char* load_ended(Instant now) {
    const bool is_first = phase_ == Phase::kFirstLoad;
    phase_ = is_first ? Phase::kFirstIdle : Phase::kSecondIdle;
    idle_ends_ = now + idle_;
    return is_first ? proof::kFirstIdle : proof::kSecondIdle;
  }
  // The first idle is over: the load is to be started again.
  bool wants_load(Instant now) const { return phase_ == Phase::kFirstIdle && now >= idle_ends_; }
  // The mark at the end of it all, once.
  std::optional<const char*> ended(Instant now) {
    if (phase_ != Phase::kSecondIdle || now < idle_ends_) return std::nullopt;
    phase_ = Phase::kEnded;
    return proof::kEnd;
  }

 private:
  enum class Phase { kBefore, kFirstLoad, kFirstIdle, kSecondLoad, kSecondIdle, kEnded } phase_ = Phase::kBefore;
  std::chrono::seconds idle_;
  Instant idle_ends_{};
};

}  // namespace camprobe
