// examples/cam-server/faults/fault_board.h
//
// All faults of the server, by name, and the two ways to switch them: a flag's text and a JSON object. To add one,
// write its file, declare its maker here and name it in the constructor.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "examples/cam-server/faults/fault.h"
#include "examples/cam-server/faults/unclosed_connections.h"

namespace cam {

std::unique_ptr<Fault> make_heap_leak();
std::unique_ptr<Fault> make_unbounded_cache();
std::unique_ptr<Fault> make_thread_leak();
std::unique_ptr<Fault> make_slow_scan();
std::unique_ptr<Fault> make_lock_convoy();
std::unique_ptr<Fault> make_fragmentation();
std::unique_ptr<Fault> make_bounded_cache();
std::unique_ptr<Fault> make_sawtooth_arena();
std::unique_ptr<Fault> make_warm_up();

class FaultBoard {
 public:
  FaultBoard();

  // The next request's number, from 1; strikes what is due. Called once a request, from any thread.
  std::uint64_t on_request();
  std::uint64_t requests() const { return requests_.load(std::memory_order_relaxed); }
  UnclosedConnections& unclosed_connections() { return *unclosed_connections_; }

  // "heap-leak", "heap-leak=2048:0.2", "heap-leak=2048:0.2:1000000@5000" (name=amount:share:cap@from-request).
  // Throws UsageError.
  void set(const std::string& text);
  // {"fault": "heap-leak", "on": true, "bytes": 2048, "share": 0.2, "cap_bytes": 1000000, "from_request": 5000}, or an
  // array of such: all or none are set. What is left out takes the fault's default. Throws UsageError.
  void set(const nlohmann::json& json);

  nlohmann::json to_json() const;
  std::string help() const;

 private:
  Fault* find(const std::string& name) const;
  std::string names() const;

  std::atomic<std::uint64_t> requests_{0};
  std::vector<std::unique_ptr<Fault>> faults_;
  UnclosedConnections* unclosed_connections_;
};

}  // namespace cam
