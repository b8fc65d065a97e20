#include "collector/serve/http_endpoint.h"

#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <list>
#include <optional>
#include <utility>

namespace camprobe::serve {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using Local = asio::local::stream_protocol;
using AnySocket = asio::generic::stream_protocol::socket;

struct HttpEndpoint::State {
  asio::io_context io{1};
  std::optional<tcp::acceptor> tcp_acceptor;
  std::optional<Local::acceptor> local_acceptor;
  ListenAddress where;
  std::string token;
  std::function<std::string()> metrics;
  std::list<std::weak_ptr<Session>> sessions;  // oldest wait first
  double answered = 0, refused = 0;

  void accept();
  void admit(AnySocket socket);
};

class HttpEndpoint::Session : public std::enable_shared_from_this<Session> {
 public:
  Session(State& state, AnySocket socket) : state_(state), stream_(std::move(socket)), buffer_(kMostHeaderBytes) {}

  void start() {
    place_ = state_.sessions.insert(state_.sessions.end(), weak_from_this());
    is_listed_ = true;
    wait_for_request();
  }

  bool is_waiting() const { return is_waiting_; }
  void shut() {
    if (is_listed_) state_.sessions.erase(place_);
    is_listed_ = false;
    beast::error_code ignored;
    stream_.socket().shutdown(AnySocket::shutdown_both, ignored);
    stream_.close();
  }

 private:
  void wait_for_request() {
    is_waiting_ = true;
    state_.sessions.splice(state_.sessions.end(), state_.sessions, place_);
    if (buffer_.size() != 0) return read_request();
    stream_.expires_after(kIdle);
    constexpr std::size_t kFirst = 1024;
    stream_.async_read_some(buffer_.prepare(kFirst),
                            [self = shared_from_this()](beast::error_code error, std::size_t bytes) {
                              if (error) return self->shut();
                              self->buffer_.commit(bytes);
                              self->read_request();
                            });
  }

  void read_request() {
    parser_.emplace();
    parser_->header_limit(kMostHeaderBytes);
    parser_->body_limit(std::uint64_t{0});
    stream_.expires_after(kRequestDeadline);
    http::async_read(stream_, buffer_, *parser_, [self = shared_from_this()](beast::error_code error, std::size_t) {
      self->is_waiting_ = false;
      self->on_read(error);
    });
  }

  void on_read(beast::error_code error) {
    if (error == http::error::header_limit || error == http::error::buffer_overflow)
      return refuse(http::status::request_header_fields_too_large, "the header is larger than this endpoint takes");
    if (error == http::error::body_limit || error == http::error::unexpected_body)
      return refuse(http::status::payload_too_large, "a request has no body here");
    if (error == http::error::end_of_stream || error == http::error::partial_message) return shut();
    if (error && error.category() == make_error_code(http::error::bad_method).category())
      return refuse(http::status::bad_request, "that is no HTTP request");
    if (error) return shut();
    const auto& request = parser_->get();
    version_ = request.version();
    keep_alive_ = request.keep_alive();
    const auto field = [&](http::field name) {
      const auto value = request[name];
      return std::string_view(value.data(), value.size());
    };
    if (!state_.token.empty()) {
      if (!is_authorized(field(http::field::authorization), state_.token))
        return refuse(http::status::unauthorized, "this endpoint wants its token: Authorization: Bearer ...");
    } else if (state_.where.socket_path.empty() && !is_own_host(field(http::field::host))) {
      return refuse(http::status::forbidden, "ask for this machine by its address, or as localhost");
    }
    if (request.method() != http::verb::get) return refuse(http::status::method_not_allowed, "GET only");
    std::string_view target(request.target().data(), request.target().size());
    target = target.substr(0, target.find('?'));
    if (target == "/metrics") return answer(http::status::ok, state_.metrics());
    if (target == "/") return answer(http::status::ok, "camprobe: metrics are at /metrics\n");
    refuse(http::status::not_found, "metrics are at /metrics");
  }

  // Whoever asks wrongly is not listened to any longer.
  void refuse(http::status status, const std::string& why) {
    keep_alive_ = false;
    answer(status, why + "\n");
  }

  void answer(http::status status, std::string text) {
    const bool is_metrics = status == http::status::ok;
    (is_metrics ? state_.answered : state_.refused) += 1;
    response_ = {};
    response_.version(version_);
    response_.result(status);
    response_.set(http::field::content_type,
                  is_metrics ? "text/plain; version=0.0.4; charset=utf-8" : "text/plain; charset=utf-8");
    response_.set(http::field::cache_control, "no-store");
    if (status == http::status::method_not_allowed) response_.set(http::field::allow, "GET");
    if (status == http::status::unauthorized) response_.set(http::field::www_authenticate, "Bearer");
    response_.keep_alive(keep_alive_);
    response_.body() = std::move(text);
    response_.prepare_payload();
    stream_.expires_after(kAnswerDeadline);
    http::async_write(stream_, response_, [self = shared_from_this()](beast::error_code error, std::size_t) {
      self->response_ = {};
      if (error || !self->keep_alive_) return self->shut();
      self->wait_for_request();
    });
  }

  State& state_;
  beast::basic_stream<asio::generic::stream_protocol> stream_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::empty_body>> parser_;
  http::response<http::string_body> response_;
  std::list<std::weak_ptr<Session>>::iterator place_;
  unsigned version_ = 11;
  bool keep_alive_ = false, is_waiting_ = false, is_listed_ = false;
};

void HttpEndpoint::State::admit(AnySocket socket) {
  if (sessions.size() >= kMostConnections) {
    std::shared_ptr<Session> longest;
    for (const auto& each : sessions) {
      if (const auto session = each.lock(); session && session->is_waiting()) {
        longest = session;
        break;
      }
    }
    if (!longest) return;  // all are being answered, within a deadline
    longest->shut();
  }
  std::make_shared<Session>(*this, std::move(socket))->start();
}

void HttpEndpoint::State::accept() {
  const auto taken = [this](beast::error_code error, auto socket) {
    if (error == asio::error::operation_aborted) return;
    if (!error) admit(AnySocket(std::move(socket)));
    accept();
  };
  if (tcp_acceptor)
    tcp_acceptor->async_accept(taken);
  else
    local_acceptor->async_accept(taken);
}

HttpEndpoint::HttpEndpoint(std::unique_ptr<State> state) : state_(std::move(state)) {}

run::Result<std::unique_ptr<HttpEndpoint>> HttpEndpoint::open(const ListenAddress& where, std::string token,
                                                              std::function<std::string()> metrics) {
  auto state = std::make_unique<State>();
  state->where = where;
  state->token = std::move(token);
  state->metrics = std::move(metrics);
  beast::error_code error;
  if (where.socket_path.empty()) {
    const tcp::endpoint endpoint(asio::ip::make_address(where.address), where.port);
    tcp::acceptor& acceptor = state->tcp_acceptor.emplace(state->io);
    acceptor.open(endpoint.protocol(), error);
    if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (!error) state->where.port = acceptor.local_endpoint(error).port();
    if (error)
      return run::Error{"cannot listen on " + where.address + ":" + std::to_string(where.port) + ": " +
                        error.message() + "; choose another with --listen"};
  } else {
    struct stat status {};
    if (::lstat(where.socket_path.c_str(), &status) == 0) {
      if (!S_ISSOCK(status.st_mode)) return run::Error{where.socket_path + " is there, and is no socket"};
      Local::socket other(state->io);
      other.connect(Local::endpoint(where.socket_path), error);
      if (!error) return run::Error{where.socket_path + ": another process listens there"};
      error = {};
      ::unlink(where.socket_path.c_str());
    }
    Local::acceptor& acceptor = state->local_acceptor.emplace(state->io);
    acceptor.open({}, error);
    const mode_t before = ::umask(0177);  // the user's own from the first instant
    if (!error) acceptor.bind(Local::endpoint(where.socket_path), error);
    ::umask(before);
    if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (error) return run::Error{"cannot listen on " + where.socket_path + ": " + error.message()};
  }
  state->accept();
  return std::unique_ptr<HttpEndpoint>(new HttpEndpoint(std::move(state)));
}

HttpEndpoint::~HttpEndpoint() {
  if (!state_->where.socket_path.empty()) ::unlink(state_->where.socket_path.c_str());
}

std::string HttpEndpoint::url() const {
  const ListenAddress& where = state_->where;
  if (!where.socket_path.empty()) return "unix:" + where.socket_path;
  const bool is_v6 = where.address.find(':') != std::string::npos;
  return "http://" + (is_v6 ? "[" + where.address + "]" : where.address) + ":" + std::to_string(where.port) +
         "/metrics";
}

void HttpEndpoint::serve_for(std::chrono::milliseconds time) {
  state_->io.restart();
  state_->io.run_for(time);
}

double HttpEndpoint::answered() const {
  return state_->answered;
}
double HttpEndpoint::refused() const {
  return state_->refused;
}

}  // namespace camprobe::serve
