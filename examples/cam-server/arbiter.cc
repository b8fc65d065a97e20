// examples/cam-server/arbiter.cc: see the header.
#include "examples/cam-server/arbiter.h"

#include <algorithm>
#include <limits>
#include <tuple>

#include "examples/cam-server/span.h"

namespace cam {
namespace {

constexpr double kCallsThatDoubleLatency = 64;
constexpr double kErrorPenalty = 4;
constexpr double kFree = 1e-9;  // keeps a ratio finite where a provider costs nothing

}  // namespace

std::optional<Strategy> parse_strategy(const std::string& text) {
  for (const Strategy strategy : {Strategy::cost, Strategy::latency, Strategy::balanced}) {
    if (text == to_text(strategy)) return strategy;
  }
  return std::nullopt;
}

const char* to_text(Strategy strategy) {
  switch (strategy) {
    case Strategy::cost:
      return "cost";
    case Strategy::latency:
      return "latency";
    case Strategy::balanced:
      return "balanced";
  }
  return "unknown";
}

std::vector<Decision> Arbiter::rank(Strategy strategy, double expected_tokens) const {
  const auto now = Provider::Clock::now();
  std::vector<Decision> ranking;
  ranking.reserve(providers_.size());
  double dearest = 0, cheapest = std::numeric_limits<double>::max(), fastest = cheapest;
  for (const auto& provider : providers_) {
    if (!provider->is_healthy(now)) continue;
    const auto figures = provider->figures();
    Decision candidate;
    candidate.provider = provider;
    candidate.cost = provider->price_of(expected_tokens);
    candidate.expected_ms = figures.latency_ms * (1 + figures.in_flight / kCallsThatDoubleLatency) *
                            (1 + kErrorPenalty * figures.error_share);
    dearest = std::max(dearest, candidate.cost);
    cheapest = std::min(cheapest, candidate.cost);
    fastest = std::min(fastest, candidate.expected_ms);
    ranking.push_back(std::move(candidate));
  }
  for (auto& candidate : ranking) candidate.baseline_cost = dearest;
  const auto key = [&](const Decision& d) {
    const double balance = d.cost / std::max(cheapest, kFree) + d.expected_ms / std::max(fastest, kFree);
    switch (strategy) {
      case Strategy::cost:
        return std::tuple(d.cost, d.expected_ms);
      case Strategy::latency:
        return std::tuple(d.expected_ms, d.cost);
      case Strategy::balanced:
        return std::tuple(balance, d.cost);
    }
    return std::tuple(balance, d.cost);
  };
  std::stable_sort(ranking.begin(), ranking.end(),
                   [&](const Decision& a, const Decision& b) { return key(a) < key(b); });
  return ranking;
}

void Arbiter::record(Strategy strategy, const Decision& decision) {
  counters_.decisions[static_cast<std::size_t>(strategy)].fetch_add(1, std::memory_order_relaxed);
  const Provider* before = last_chosen_.exchange(decision.provider.get(), std::memory_order_relaxed);
  if (before != nullptr && before != decision.provider.get())
    counters_.switches.fetch_add(1, std::memory_order_relaxed);
}

namespace {

void describe(Span& span, Strategy strategy, const Decision* decision) {
  span.set("strategy", to_text(strategy));
  if (decision == nullptr) return;
  span.set("provider", decision->provider->name().c_str());
  span.set("cost", decision->cost);
  span.set("baseline_cost", decision->baseline_cost);
}

}  // namespace

std::optional<Decision> Arbiter::decide(Strategy strategy, double expected_tokens,
                                        const std::vector<const Provider*>& excluded) {
  Span span("cam.arbitration");
  auto ranking = rank(strategy, expected_tokens);
  const auto best = std::find_if(ranking.begin(), ranking.end(), [&](const Decision& candidate) {
    return std::find(excluded.begin(), excluded.end(), candidate.provider.get()) == excluded.end();
  });
  if (best == ranking.end()) {
    counters_.no_provider.fetch_add(1, std::memory_order_relaxed);
    describe(span, strategy, nullptr);
    return std::nullopt;
  }
  record(strategy, *best);
  describe(span, strategy, &*best);
  return std::move(*best);
}

std::optional<Decision> Arbiter::decide_at_place(Strategy strategy, double expected_tokens, std::size_t place) {
  Span span("cam.arbitration");
  auto ranking = rank(strategy, expected_tokens);
  if (ranking.empty()) {
    counters_.no_provider.fetch_add(1, std::memory_order_relaxed);
    describe(span, strategy, nullptr);
    return std::nullopt;
  }
  auto& chosen = ranking[place % ranking.size()];
  record(strategy, chosen);
  describe(span, strategy, &chosen);
  return std::move(chosen);
}

}  // namespace cam
