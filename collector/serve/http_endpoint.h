// collector/serve/http_endpoint.h
//
// The HTTP side: answers GET /metrics with a text, and gives strangers nothing to hold on to.
//
//   - GET only; a body is refused, a header over kMostHeaderBytes is refused.
//   - A request must be whole within kRequestDeadline of its first byte, an answer taken within kAnswerDeadline; a
//     connection without a request is kept for kIdle.
//   - At most kMostConnections; one more closes the one that has waited longest without a whole request.
//   - With a token, every request needs it; without one, the Host field must name this machine.
//
// Boost.Beast rather than prometheus-cpp's own server (civetweb): docs/serving.md says why. One thread, the caller's:
// nothing runs outside serve_for().
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "collector/serve/access.h"
#include "run/result.h"

namespace camprobe::serve {

class HttpEndpoint {
 public:
  static constexpr std::size_t kMostHeaderBytes = 8192, kMostConnections = 32;
  static constexpr std::chrono::seconds kRequestDeadline{5}, kAnswerDeadline{10}, kIdle{75};

  // `metrics` gives the text; it is called on the thread of serve_for(). An empty token: none is asked for.
  static run::Result<std::unique_ptr<HttpEndpoint>> open(const ListenAddress& where, std::string token,
                                                         std::function<std::string()> metrics);
  // Stops listening; a Unix socket's file is removed.
  ~HttpEndpoint();

  // "http://127.0.0.1:9187/metrics", with the port that was chosen, or "unix:/path".
  std::string url() const;
  // Handles connections for so long.
  void serve_for(std::chrono::milliseconds time);

  double answered() const;
  double refused() const;

 private:
  struct State;
  class Session;
  explicit HttpEndpoint(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace camprobe::serve
