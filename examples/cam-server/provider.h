// examples/cam-server/provider.h
//
// One provider as the server knows it: its price, what its calls have shown lately (latency and errors as exponentially
// weighted means), and a circuit breaker.
//
// The breaker opens after `failures_to_open` failures in a row and lets nothing through for `open_for`. Then it lets
// one call through: success closes it, failure opens it again.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "examples/cam-server/catalog.h"
#include "examples/cam-server/connection_pool.h"

namespace cam {

class Provider {
 public:
  using Clock = std::chrono::steady_clock;
  struct BreakerLimits {
    int failures_to_open = 5;
    std::chrono::milliseconds open_for{1000};
  };
  enum class Breaker { closed, open, half_open };
  struct Figures {
    double latency_ms;   // weighted mean of answered calls; the prior until there is one
    double error_share;  // weighted mean, 0 to 1
    int in_flight;
    Breaker breaker;
    std::uint64_t calls, answered, failed, timed_out, tokens, opened_breaker;
    double cost;
  };
  enum class Outcome { answered, failed, timed_out };

  Provider(ProviderConfig config, BreakerLimits limits, std::shared_ptr<ConnectionPool> pool)
      : config_(std::move(config)), limits_(limits), pool_(std::move(pool)) {}

  const ProviderConfig& config() const { return config_; }
  const std::string& name() const { return config_.name; }
  const std::shared_ptr<ConnectionPool>& pool() const { return pool_; }
  double price_of(double tokens) const { return tokens / 1000.0 * config_.price_per_1k; }

  // Whether a call would be let through now. Healthy is not the same as faultless: see Figures::error_share.
  bool is_healthy(Clock::time_point now) const;
  // Every call begins and finishes; begin() takes the one place in a half-open breaker, and says whether it got one.
  bool begin(Clock::time_point now);
  void finish(Outcome outcome, Clock::time_point now, double latency_ms, double tokens);
  // begin() without a call after all.
  void cancel();

  Figures figures() const;

 private:
  Breaker state(Clock::time_point now) const;  // under the lock

  const ProviderConfig config_;
  const BreakerLimits limits_;
  const std::shared_ptr<ConnectionPool> pool_;

  mutable std::mutex mutex_;  // all below
  double latency_ms_ = 0;     // 0: not measured yet
  double error_share_ = 0;
  int in_flight_ = 0;
  int failures_in_a_row_ = 0;
  bool open_ = false;
  bool trial_under_way_ = false;
  Clock::time_point open_until_;
  std::uint64_t calls_ = 0, answered_ = 0, failed_ = 0, timed_out_ = 0, tokens_ = 0, opened_breaker_ = 0;
  double cost_ = 0;
};

const char* to_text(Provider::Breaker breaker);

}  // namespace cam
