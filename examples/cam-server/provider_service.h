// examples/cam-server/provider_service.h
//
// One made-up AI provider: answers POST /v1/complete after a latency drawn from its distribution, with errors at its
// rate.
//
//   POST /v1/complete  {"prompt", "prompt_bytes", "max_tokens", "candidates"} -> {"answer", "text", "tokens"}
//   POST /control      {"latency_ms", "latency_p99_ms", "error_rate", "down": true, "hang": true, "for_ms": 500}
//   GET  /stats        calls, errors
//
// The answer is a letter, A to D, that depends on the prompt and on the provider, so providers differ and yet each is
// consistent. Given candidates, a provider takes the most popular one with a chance of 7 in 10, again depending on
// prompt, provider and how many rounds it has been asked.
//
// down: the port is closed, and every connection with it, as after a crash; only for_ms later does it come back. hang:
// calls are accepted and never answered.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <random>

#include "examples/cam-server/catalog.h"
#include "examples/cam-server/http_server.h"

namespace cam {

class ProviderService {
 public:
  ProviderService(asio::io_context& io, ProviderConfig config, std::uint64_t seed);

  void listen();                  // throws boost::system::system_error
  ProviderConfig config() const;  // with the port it really has
  HttpServer& server() { return server_; }

 private:
  void serve(const std::shared_ptr<Exchange>& exchange);
  void complete(const std::shared_ptr<Exchange>& exchange);
  void control(const HttpRequest& request);  // throws BadRequest, UsageError
  nlohmann::json stats() const;

  asio::io_context& io_;
  asio::steady_timer comes_back_;
  HttpServer server_;
  mutable std::mutex mutex_;  // config_, random_
  ProviderConfig config_;
  std::mt19937_64 random_;
  std::atomic<bool> hangs_{false};
  std::atomic<std::uint64_t> calls_{0}, errors_{0}, tokens_{0};
};

}  // namespace cam
