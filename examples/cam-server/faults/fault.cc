// examples/cam-server/faults/fault.cc: see the header.
#include "examples/cam-server/faults/fault.h"

#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

namespace cam {

Fault::Fault(FaultKind kind) : kind_(kind) {
  const auto setting = defaults();
  amount_ = static_cast<std::uint64_t>(setting.amount);
  share_ = setting.share;
  cap_ = static_cast<std::uint64_t>(setting.cap);
}

void Fault::switch_to(bool on, std::uint64_t request) {
  if (on == on_.load(std::memory_order_relaxed)) return;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  if (switched_.size() == 32) switched_.erase(switched_.begin());
  switched_.push_back({on, std::chrono::duration_cast<std::chrono::nanoseconds>(now).count(), request});
  turn_ = 0;
  on_ = on;
}

void Fault::set(const FaultSetting& setting, std::uint64_t request) {
  const std::lock_guard lock(mutex_);
  amount_ = static_cast<std::uint64_t>(setting.amount);
  share_ = setting.share;
  cap_ = static_cast<std::uint64_t>(setting.cap);
  const bool later = setting.on && setting.from_request > request;
  armed_for_ = later ? setting.from_request : 0;
  if (!later) switch_to(setting.on, request);
}

bool Fault::is_due(std::uint64_t request) {
  const std::uint64_t armed_for = armed_for_.load(std::memory_order_relaxed);
  if (armed_for != 0 && request >= armed_for) {
    const std::lock_guard lock(mutex_);
    if (armed_for_.exchange(0) != 0) switch_to(true, request);
  }
  if (!on_.load(std::memory_order_relaxed)) return false;
  const double share = share_.load(std::memory_order_relaxed);
  const auto turn = static_cast<double>(turn_.fetch_add(1, std::memory_order_relaxed));
  return std::floor((turn + 1) * share) > std::floor(turn * share);
}

void Fault::on_request(std::uint64_t request) {
  if (is_due(request)) strike(request);
}

nlohmann::json Fault::to_json() const {
  nlohmann::json json{{"on", on_.load()},           {"innocent", kind_.innocent},
                      {kind_.amount, amount()},     {"share", share_.load()},
                      {kind_.cap, cap()},           {"strikes", strikes()},
                      {"bytes_held", bytes_held()}, {"switched", nlohmann::json::array()}};
  {
    const std::lock_guard lock(mutex_);
    for (const auto& one : switched_)
      json["switched"].push_back({{"on", one.on}, {"epoch_ns", one.epoch_ns}, {"request", one.request}});
    if (const auto armed_for = armed_for_.load(); armed_for != 0) json["from_request"] = armed_for;
  }
  describe(json);
  return json;
}

}  // namespace cam
