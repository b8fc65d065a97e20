// examples/cam-server/http_server.h
//
// A small HTTP/1.1 server: keep-alive, bounded sizes, idle timeout, graceful stop. It knows nothing of what it serves.
//
// Every connection lives on a strand of its own, so its handlers never run at the same time, on whichever thread. What
// answers a request may do so later and from any thread, by calling Exchange::answer once.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

#include "examples/cam-server/span.h"
#include "examples/cam-server/trace_context.h"

namespace cam {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = boost::asio::ip::tcp;

using HttpRequest = http::request<http::string_body>;

struct HttpReply {
  http::status status = http::status::ok;
  std::string json;
};

// One request on its way to an answer.
struct Exchange {
  HttpRequest request;
  AsyncSpan span;                        // the root of everything done for this request
  TraceContext trace;                    // which calls made for it go out with
  std::function<void(HttpReply)> reply;  // see answer()
  std::function<void()> hang_up;         // instead of answer(): close the connection without a word

  // Once, from any thread. An exchange that is dropped without it closes its connection.
  void answer(HttpReply with) {
    span.set("status", static_cast<double>(static_cast<unsigned>(with.status)));
    reply(std::move(with));
  }
};

class HttpServer {
 public:
  struct Limits {
    std::size_t max_connections = 8192;
    std::uint32_t max_header_bytes = 8 * 1024;
    std::uint64_t max_body_bytes = 64 * 1024;
    std::chrono::milliseconds idle_timeout{60'000};
  };
  struct Counters {
    std::atomic<std::uint64_t> accepted{0}, refused{0}, requests{0}, replies_4xx{0}, replies_5xx{0};
    std::atomic<std::uint64_t> bytes_in{0}, bytes_out{0};
  };
  using Handler = std::function<void(std::shared_ptr<Exchange>)>;

  // `span_name` names each request's root span, null for none; it must be a literal.
  HttpServer(asio::io_context& io, Limits limits, const char* span_name, Handler handler);
  ~HttpServer();

  // Binds 127.0.0.1:port (0: any free one) and starts to accept. Throws boost::system::system_error.
  void listen(std::uint16_t port);
  std::uint16_t port() const { return port_; }

  // Accepts no more, closes idle connections, lets requests under way finish, and then calls `stopped` on some thread.
  void stop(std::function<void()> stopped);
  // Accepts again after pause(); pause() closes the port and every connection at once, as a crash would.
  void pause();
  void resume();

  std::size_t open_connections() const;
  const Counters& counters() const { return counters_; }

 private:
  class Session;
  void accept_next();
  void forget(Session* session);
  void close_sessions(bool even_busy);

  asio::io_context& io_;
  Limits limits_;
  const char* span_name_;
  Handler handler_;
  tcp::acceptor acceptor_;       // on a strand
  asio::steady_timer breather_;  // after running out of descriptors
  std::uint16_t port_ = 0;
  Counters counters_;
  std::atomic<bool> stopping_{false};
  mutable std::mutex sessions_mutex_;
  std::unordered_map<Session*, std::weak_ptr<Session>> sessions_;
  std::function<void()> stopped_;  // guarded by sessions_mutex_
};

// {"error": "..."} with its status: the one form every refusal has.
HttpReply error_reply(http::status status, const std::string& message);

}  // namespace cam
