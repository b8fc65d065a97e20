// examples/cam-server/provider.cc: see the header.
#include "examples/cam-server/provider.h"

namespace cam {
namespace {

constexpr double kWeightOfNewest = 0.1;
// What an unmeasured provider is assumed to take. Optimistic, so that each is tried before it is judged.
constexpr double kPriorLatencyMs = 1.0;

}  // namespace

const char* to_text(Provider::Breaker breaker) {
  switch (breaker) {
    case Provider::Breaker::closed:
      return "closed";
    case Provider::Breaker::open:
      return "open";
    case Provider::Breaker::half_open:
      return "half-open";
  }
  return "unknown";
}

Provider::Breaker Provider::state(Clock::time_point now) const {
  if (!open_) return Breaker::closed;
  return now < open_until_ ? Breaker::open : Breaker::half_open;
}

bool Provider::is_healthy(Clock::time_point now) const {
  const std::lock_guard lock(mutex_);
  const Breaker breaker = state(now);
  return breaker == Breaker::closed || (breaker == Breaker::half_open && !trial_under_way_);
}

bool Provider::begin(Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  const Breaker breaker = state(now);
  if (breaker == Breaker::open || (breaker == Breaker::half_open && trial_under_way_)) return false;
  if (breaker == Breaker::half_open) trial_under_way_ = true;
  ++in_flight_;
  return true;
}

void Provider::cancel() {
  const std::lock_guard lock(mutex_);
  --in_flight_;
  trial_under_way_ = false;
}

void Provider::finish(Outcome outcome, Clock::time_point now, double latency_ms, double tokens) {
  const std::lock_guard lock(mutex_);
  --in_flight_;
  ++calls_;
  trial_under_way_ = false;
  const bool success = outcome == Outcome::answered;
  error_share_ += kWeightOfNewest * ((success ? 0.0 : 1.0) - error_share_);
  if (success) {
    ++answered_;
    latency_ms_ = latency_ms_ == 0 ? latency_ms : latency_ms_ + kWeightOfNewest * (latency_ms - latency_ms_);
    tokens_ += static_cast<std::uint64_t>(tokens);
    cost_ += price_of(tokens);
    failures_in_a_row_ = 0;
    open_ = false;
    return;
  }
  ++(outcome == Outcome::timed_out ? timed_out_ : failed_);
  ++failures_in_a_row_;
  if (open_ || failures_in_a_row_ >= limits_.failures_to_open) {
    if (!open_) ++opened_breaker_;
    open_ = true;
    open_until_ = now + limits_.open_for;
  }
}

Provider::Figures Provider::figures() const {
  const auto now = Clock::now();
  const std::lock_guard lock(mutex_);
  return {latency_ms_ == 0 ? kPriorLatencyMs : latency_ms_,
          error_share_,
          in_flight_,
          state(now),
          calls_,
          answered_,
          failed_,
          timed_out_,
          tokens_,
          opened_breaker_,
          cost_};
}

}  // namespace cam
