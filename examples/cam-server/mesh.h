// examples/cam-server/mesh.h
//
// What the endpoints share: the arbiter and its providers, the cache, the faults, the settings and the counters.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "examples/cam-server/answer_cache.h"
#include "examples/cam-server/arbiter.h"
#include "examples/cam-server/catalog.h"
#include "examples/cam-server/connection_pool.h"
#include "examples/cam-server/faults/fault_board.h"
#include "examples/cam-server/http_server.h"
#include "examples/cam-server/provider.h"

namespace cam {

struct MeshSettings {
  std::chrono::milliseconds call_deadline{1000};
  std::chrono::milliseconds retry_pause{2};
  std::chrono::milliseconds health_check_every{1000};  // 0: none
  std::chrono::milliseconds cache_time_to_live{60'000};
  std::size_t cache_capacity = 4096;
  ConnectionPool::Limits pool;
  Provider::BreakerLimits breaker;
};

struct MeshCounters {
  std::atomic<std::uint64_t> arbitrations{0}, answered{0}, from_cache{0}, failed{0};
  std::atomic<std::uint64_t> retries{0}, failovers{0}, tokens{0};
  std::atomic<std::uint64_t> collaborations{0}, agreed{0}, rounds{0}, health_checks{0};
  std::mutex money_mutex;
  double cost = 0, baseline_cost = 0;  // of arbitrations answered by a provider, for the tokens really used
};

class Mesh {
 public:
  Mesh(asio::io_context& io, const MeshSettings& settings, const std::vector<ProviderConfig>& catalog);

  // Closes idle connections and asks every provider for one token now and then, which keeps latencies fresh and opens
  // or closes breakers while no requests come.
  void start_housekeeping();
  void stop_housekeeping();
  void shut_pools();

  asio::io_context& io;
  const MeshSettings settings;
  Arbiter arbiter;
  AnswerCache cache;
  FaultBoard faults;
  MeshCounters counters;

 private:
  void keep_house();

  asio::steady_timer timer_;  // on a strand
  std::chrono::steady_clock::time_point last_check_{};
};

}  // namespace cam
