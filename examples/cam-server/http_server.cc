// examples/cam-server/http_server.cc: see the header.
#include "examples/cam-server/http_server.h"

#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

namespace cam {

HttpReply error_reply(http::status status, const std::string& message) {
  // Requests may hold anything, and an error message may quote them: replace what is not UTF-8.
  return {status, nlohmann::json{{"error", message}}.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)};
}

class HttpServer::Session : public std::enable_shared_from_this<Session> {
 public:
  Session(HttpServer& server, tcp::socket socket)
      : server_(server),
        stream_(std::move(socket)),
        buffer_(server.limits_.max_header_bytes + server.limits_.max_body_bytes) {}
  ~Session() { server_.forget(this); }

  void start() {
    asio::dispatch(stream_.get_executor(), [self = shared_from_this()] { self->read_next(); });
  }

  void close(bool even_busy) {
    asio::post(stream_.get_executor(), [self = shared_from_this(), even_busy] {
      if (even_busy || !self->busy_) self->shut();
    });
  }

 private:
  void read_next() {
    if (server_.stopping_) return shut();
    busy_ = false;
    parser_.emplace();
    parser_->header_limit(server_.limits_.max_header_bytes);
    parser_->body_limit(server_.limits_.max_body_bytes);
    stream_.expires_after(server_.limits_.idle_timeout);
    http::async_read(
        stream_, buffer_, *parser_,
        [self = shared_from_this()](beast::error_code error, std::size_t bytes) { self->on_read(error, bytes); });
  }

  void on_read(beast::error_code error, std::size_t bytes) {
    server_.counters_.bytes_in.fetch_add(bytes, std::memory_order_relaxed);
    if (error == http::error::end_of_stream) return shut();
    if (error == http::error::body_limit)
      return refuse(http::status::payload_too_large, "the body is larger than this server takes");
    if (error == http::error::header_limit || error == http::error::buffer_overflow)
      return refuse(http::status::request_header_fields_too_large, "the header is larger than this server takes");
    if (error && error.category() == http::make_error_code(http::error::bad_method).category())
      return refuse(http::status::bad_request, "not an HTTP request: " + error.message());
    if (error) return shut();
    busy_ = true;
    server_.counters_.requests.fetch_add(1, std::memory_order_relaxed);
    stream_.expires_never();
    auto exchange = std::make_shared<Exchange>();
    exchange->request = parser_->release();
    keep_alive_ = exchange->request.keep_alive();
    version_ = exchange->request.version();
    if (server_.span_name_ != nullptr) exchange->span = AsyncSpan(server_.span_name_, 0);
    const auto header = exchange->request["traceparent"];
    exchange->trace = TraceContext::of({header.data(), header.size()});
    if (exchange->trace.received() != nullptr) exchange->span.set("traceparent", exchange->trace.received());
    const camprobe_span span = exchange->span.id();
    // The exchange holds the session, and not the other way round, so there is no cycle. The span ends with the
    // exchange and not when the last byte is out: what a slow client adds is not the server's work.
    exchange->reply = [self = shared_from_this()](HttpReply reply) {
      asio::dispatch(self->stream_.get_executor(),
                     [self, reply = std::move(reply)]() mutable { self->write(std::move(reply)); });
    };
    exchange->hang_up = [self = shared_from_this()] { self->close(true); };
    const InSpan in(span);  // left before `exchange`, and with it the span, may end
    server_.handler_(exchange);
  }

  void refuse(http::status status, const std::string& message) {
    busy_ = true;
    keep_alive_ = false;
    write(error_reply(status, message));
  }

  void write(HttpReply reply) {
    const auto status = static_cast<unsigned>(reply.status);
    if (status >= 500)
      server_.counters_.replies_5xx.fetch_add(1, std::memory_order_relaxed);
    else if (status >= 400)
      server_.counters_.replies_4xx.fetch_add(1, std::memory_order_relaxed);
    response_ = {};
    response_.version(version_);
    response_.result(reply.status);
    response_.set(http::field::content_type, "application/json");
    response_.keep_alive(keep_alive_ && !server_.stopping_);
    response_.body() = std::move(reply.json);
    response_.prepare_payload();
    stream_.expires_after(server_.limits_.idle_timeout);
    http::async_write(stream_, response_, [self = shared_from_this()](beast::error_code error, std::size_t bytes) {
      self->server_.counters_.bytes_out.fetch_add(bytes, std::memory_order_relaxed);
      if (error || !self->response_.keep_alive()) return self->shut();
      self->read_next();
    });
  }

  void shut() {
    beast::error_code ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_both, ignored);
    stream_.close();
  }

  HttpServer& server_;
  beast::tcp_stream stream_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  http::response<http::string_body> response_;
  bool busy_ = false;
  bool keep_alive_ = false;
  unsigned version_ = 11;
};

HttpServer::HttpServer(asio::io_context& io, Limits limits, const char* span_name, Handler handler)
    : io_(io),
      limits_(limits),
      span_name_(span_name),
      handler_(std::move(handler)),
      acceptor_(asio::make_strand(io)),
      breather_(acceptor_.get_executor()) {}

HttpServer::~HttpServer() = default;

void HttpServer::listen(std::uint16_t port) {
  const tcp::endpoint endpoint(asio::ip::address_v4::loopback(), port);
  acceptor_.open(endpoint.protocol());
  acceptor_.set_option(asio::socket_base::reuse_address(true));
  acceptor_.bind(endpoint);
  acceptor_.listen(4096);
  port_ = acceptor_.local_endpoint().port();
  asio::dispatch(acceptor_.get_executor(), [this] { accept_next(); });
}

void HttpServer::accept_next() {
  if (!acceptor_.is_open()) return;
  acceptor_.async_accept(asio::make_strand(io_), [this](beast::error_code error, tcp::socket socket) {
    if (error == asio::error::operation_aborted || !acceptor_.is_open()) return;
    if (error) {
      // Out of descriptors, most likely. The waiting client stays readable, so accepting again at once would spin.
      breather_.expires_after(std::chrono::milliseconds(50));
      breather_.async_wait([this](beast::error_code cancelled) {
        if (!cancelled) accept_next();
      });
      return;
    }
    if (open_connections() >= limits_.max_connections) {
      counters_.refused.fetch_add(1, std::memory_order_relaxed);
    } else {
      counters_.accepted.fetch_add(1, std::memory_order_relaxed);
      beast::error_code ignored;
      socket.set_option(tcp::no_delay(true), ignored);
      auto session = std::make_shared<Session>(*this, std::move(socket));
      {
        const std::lock_guard lock(sessions_mutex_);
        sessions_.emplace(session.get(), session);
      }
      session->start();
    }
    accept_next();
  });
}

void HttpServer::forget(Session* session) {
  std::function<void()> stopped;
  {
    const std::lock_guard lock(sessions_mutex_);
    sessions_.erase(session);
    if (sessions_.empty()) stopped = std::exchange(stopped_, nullptr);
  }
  if (stopped) stopped();
}

std::size_t HttpServer::open_connections() const {
  const std::lock_guard lock(sessions_mutex_);
  return sessions_.size();
}

void HttpServer::close_sessions(bool even_busy) {
  std::vector<std::shared_ptr<Session>> sessions;
  {
    const std::lock_guard lock(sessions_mutex_);
    for (const auto& [key, weak] : sessions_) {
      if (auto session = weak.lock()) sessions.push_back(std::move(session));
    }
  }
  for (const auto& session : sessions) session->close(even_busy);
}

void HttpServer::stop(std::function<void()> stopped) {
  asio::post(acceptor_.get_executor(), [this, stopped = std::move(stopped)]() mutable {
    stopping_ = true;
    beast::error_code ignored;
    acceptor_.close(ignored);
    breather_.cancel();
    std::function<void()> at_once;
    {
      const std::lock_guard lock(sessions_mutex_);
      (sessions_.empty() ? at_once : stopped_) = std::move(stopped);
    }
    if (at_once) return at_once();
    close_sessions(false);
  });
}

void HttpServer::pause() {
  asio::post(acceptor_.get_executor(), [this] {
    beast::error_code ignored;
    acceptor_.close(ignored);
    close_sessions(true);
  });
}

void HttpServer::resume() {
  asio::post(acceptor_.get_executor(), [this] {
    if (!acceptor_.is_open()) listen(port_);
  });
}

}  // namespace cam
