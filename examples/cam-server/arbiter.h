// examples/cam-server/arbiter.h
//
// Which provider gets a request. Every decision looks at all providers that are healthy now (see provider.h) and gives
// each a price for this request and an expected latency:
//
//   expected = weighted mean latency * (1 + calls under way / 64) * (1 + 4 * error share)
//
//   cost      the lowest price; among equals the lowest expected latency
//   latency   the lowest expected latency; among equals the lowest price
//   balanced  the lowest sum of price / lowest price and expected / lowest expected
//
// The baseline of a decision is what the request would cost at the dearest healthy provider: what a caller who never
// arbitrates and always buys the best-known name would pay. 1 - cost / baseline_cost is the saving.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "examples/cam-server/provider.h"

namespace cam {

enum class Strategy { cost, latency, balanced };
std::optional<Strategy> parse_strategy(const std::string& text);
const char* to_text(Strategy strategy);

struct Decision {
  std::shared_ptr<Provider> provider;
  double cost = 0;           // expected, for the tokens expected
  double baseline_cost = 0;  // at the dearest healthy provider
  double expected_ms = 0;
};

class Arbiter {
 public:
  struct Counters {
    std::array<std::atomic<std::uint64_t>, 3> decisions{};  // by strategy
    std::atomic<std::uint64_t> switches{0};                 // decisions for another provider than the decision before
    std::atomic<std::uint64_t> no_provider{0};
  };

  explicit Arbiter(std::vector<std::shared_ptr<Provider>> providers) : providers_(std::move(providers)) {}

  // The best provider that is none of `excluded`, or nothing. Records the decision as a span `cam.arbitration`.
  std::optional<Decision> decide(Strategy strategy, double expected_tokens,
                                 const std::vector<const Provider*>& excluded);
  // As decide, but the provider at place `place` of the ranking, going round: agents who should not all ask the same.
  std::optional<Decision> decide_at_place(Strategy strategy, double expected_tokens, std::size_t place);

  const std::vector<std::shared_ptr<Provider>>& providers() const { return providers_; }
  const Counters& counters() const { return counters_; }

 private:
  std::vector<Decision> rank(Strategy strategy, double expected_tokens) const;  // best first
  void record(Strategy strategy, const Decision& decision);

  const std::vector<std::shared_ptr<Provider>> providers_;
  Counters counters_;
  std::atomic<const Provider*> last_chosen_{nullptr};
};

}  // namespace cam
