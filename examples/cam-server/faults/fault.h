// examples/cam-server/faults/fault.h
//
// A fault that can be switched on while the server runs, and that counts exactly what it has done: the ground truth
// that a report about this server is held against. One file per fault, each with one function that a stack will name.
//
// A fault strikes a share of the requests, evenly spread and exactly that share: with 0.25, every fourth. Switching it
// off stops it; what it has taken stays taken, as it would in a real server.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace cam {

struct FaultKind {
  const char* name;
  const char* what;    // one line for --help
  bool innocent;       // looks like a fault, is none
  const char* amount;  // what `amount` is called and counts, as "bytes"
  double default_amount;
  double default_share;
  const char* cap;  // what `cap` is called: where the fault stops, or goes round
  double default_cap;
};

struct FaultSetting {
  bool on = true;
  double amount = 0;
  double share = 0;
  double cap = 0;
  std::uint64_t from_request = 0;  // on only once this many requests have come; 0: at once
};

class Fault {
 public:
  explicit Fault(FaultKind kind);
  virtual ~Fault() = default;
  Fault(const Fault&) = delete;
  Fault& operator=(const Fault&) = delete;

  const FaultKind& kind() const { return kind_; }
  FaultSetting defaults() const { return {true, kind_.default_amount, kind_.default_share, kind_.default_cap, 0}; }

  // `request` is the number of the last request so far. Switching on what is on changes its numbers.
  void set(const FaultSetting& setting, std::uint64_t request);
  // Called for each request, from any thread: strikes where it is this request's turn.
  void on_request(std::uint64_t request);
  // As on_request, for a fault that strikes elsewhere (see unclosed_connections.h): whether it is this request's turn.
  bool is_due(std::uint64_t request);

  nlohmann::json to_json() const;

 protected:
  // Does the harm once. Calls count() with what it really did.
  virtual void strike(std::uint64_t request) = 0;
  // What only this fault counts.
  virtual void describe(nlohmann::json&) const {}

  std::uint64_t amount() const { return amount_.load(std::memory_order_relaxed); }
  std::uint64_t cap() const { return cap_.load(std::memory_order_relaxed); }
  std::uint64_t strikes() const { return strikes_.load(std::memory_order_relaxed); }
  std::uint64_t bytes_held() const { return bytes_held_.load(std::memory_order_relaxed); }
  void count(std::int64_t bytes) {
    strikes_.fetch_add(1, std::memory_order_relaxed);
    hold(bytes);
  }
  // As count(), unless that would hold more than the cap; then false, and nothing is counted.
  bool count_within_cap(std::uint64_t bytes) {
    std::uint64_t held = bytes_held();
    do {
      if (held + bytes > cap()) return false;
    } while (!bytes_held_.compare_exchange_weak(held, held + bytes, std::memory_order_relaxed));
    strikes_.fetch_add(1, std::memory_order_relaxed);
    return true;
  }
  void hold(std::int64_t bytes) { bytes_held_.fetch_add(static_cast<std::uint64_t>(bytes), std::memory_order_relaxed); }

 private:
  struct Switching {
    bool on;
    std::int64_t epoch_ns;
    std::uint64_t request;
  };
  void switch_to(bool on, std::uint64_t request);  // under the lock

  const FaultKind kind_;
  std::atomic<bool> on_{false};
  std::atomic<std::uint64_t> armed_for_{0};  // the request to switch on at; 0 for none
  std::atomic<double> share_{0};
  std::atomic<std::uint64_t> amount_{0}, cap_{0};
  std::atomic<std::uint64_t> turn_{0};  // requests seen while on
  std::atomic<std::uint64_t> strikes_{0}, bytes_held_{0};
  mutable std::mutex mutex_;
  std::vector<Switching> switched_;  // the last 32
};

}  // namespace cam
