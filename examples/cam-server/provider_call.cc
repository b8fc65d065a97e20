// examples/cam-server/provider_call.cc: see the header.
#include "examples/cam-server/provider_call.h"

#include <boost/asio/dispatch.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "examples/cam-server/faults/unclosed_connections.h"
#include "examples/cam-server/span.h"

namespace cam {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;

class ProviderCall : public std::enable_shared_from_this<ProviderCall> {
 public:
  ProviderCall(asio::io_context& io, std::shared_ptr<Provider> provider, Question question, CallSettings settings,
               camprobe_span parent, std::function<void(ProviderAnswer)> done)
      : io_(io),
        provider_(std::move(provider)),
        settings_(settings),
        span_(settings.span_name, parent),
        done_(std::move(done)),
        started_(Provider::Clock::now()) {
    span_.set("provider", provider_->name().c_str());
    request_.method(http::verb::post);
    request_.target("/v1/complete");
    request_.version(11);
    request_.set(http::field::host, "127.0.0.1");
    request_.set(http::field::content_type, "application/json");
    const TraceContext::Text traceparent = settings.trace.for_a_call();
    request_.set("traceparent", traceparent.data());
    span_.set("traceparent", traceparent.data());
    request_.body() = nlohmann::json{{"prompt", std::move(question.prompt)},
                                     {"prompt_bytes", question.prompt_bytes},
                                     {"max_tokens", question.max_tokens},
                                     {"candidates", std::move(question.candidates)}}
                          .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    request_.prepare_payload();
  }

  void start() {
    if (!provider_->begin(started_)) return refuse("circuit breaker open");
    begun_ = true;
    if (settings_.leave_open != nullptr) {
      auto connection = open_and_forget(io_);
      if (connection == nullptr) return fail(Provider::Outcome::failed, "no descriptors left");
      return use(Lease(nullptr, std::move(connection)));
    }
    provider_->pool()->borrow([self = shared_from_this()](Lease lease) { self->use(std::move(lease)); });
  }

 private:
  void use(Lease lease) {
    if (!lease) return refuse("too many callers wait for a connection");
    lease_ = std::move(lease);
    const auto waited = Provider::Clock::now() - started_;
    if (waited >= settings_.deadline) {
      lease_.give_back();
      return fail(Provider::Outcome::timed_out, "waited for a connection for too long");
    }
    // From here on everything runs on the connection's strand.
    asio::dispatch(lease_->stream.get_executor(), [self = shared_from_this()] {
      const InSpan in(self->span_.id());
      self->lease_->stream.expires_at(self->started_ + self->settings_.deadline);
      if (self->lease_->connected) {
        self->reused_ = true;
        self->write();
      } else {
        self->connect();
      }
    });
  }

  void connect() {
    const tcp::endpoint endpoint(asio::ip::address_v4::loopback(), provider_->config().port);
    lease_->stream.async_connect(endpoint, [self = shared_from_this()](beast::error_code error) {
      if (error) return self->fail_with(error, "connecting");
      self->lease_->connected = true;
      beast::error_code ignored;
      self->lease_->stream.socket().set_option(tcp::no_delay(true), ignored);
      const InSpan in(self->span_.id());
      self->write();
    });
  }

  void write() {
    http::async_write(lease_->stream, request_, [self = shared_from_this()](beast::error_code error, std::size_t) {
      if (error) return self->fail_with(error, "writing");
      const InSpan in(self->span_.id());
      self->read();
    });
  }

  void read() {
    parser_.emplace();
    parser_->body_limit(1 << 20);
    http::async_read(lease_->stream, lease_->buffer, *parser_,
                     [self = shared_from_this()](beast::error_code error, std::size_t bytes) {
                       if (error) return self->fail_with(error, "reading", bytes == 0);
                       ProviderAnswer answer;
                       {
                         const InSpan in(self->span_.id());
                         answer = self->understand();
                       }
                       self->finish(std::move(answer));
                     });
  }

  void fail_with(beast::error_code error, const char* doing, bool nothing_read = true) {
    if (error == beast::error::timeout) return fail(Provider::Outcome::timed_out, "no answer within the deadline");
    if (reused_ && nothing_read) {
      // The provider closed it while it was idle. That says nothing about the provider.
      reused_ = false;
      lease_.close();
      provider_->pool()->borrow_fresh([self = shared_from_this()](Lease lease) { self->use(std::move(lease)); });
      return;
    }
    fail(Provider::Outcome::failed, std::string(doing) + ": " + error.message());
  }

  ProviderAnswer understand() {
    ProviderAnswer answer;
    const auto response = parser_->release();
    keep_alive_ = response.keep_alive();
    answer.status = static_cast<int>(response.result_int());
    if (response.result() != http::status::ok) {
      answer.error = "answered " + std::to_string(answer.status);
      return answer;
    }
    const auto json = nlohmann::json::parse(response.body(), nullptr, false);
    const auto text_of = [&](const char* key) {
      return json.is_object() && json.contains(key) && json[key].is_string() ? json[key].get<std::string>()
                                                                             : std::string();
    };
    answer.answer = text_of("answer");
    answer.text = text_of("text");
    if (answer.answer.empty() || !json.contains("tokens") || !json["tokens"].is_number_unsigned()) {
      answer.error = "answered something else than agreed";
      return answer;
    }
    answer.outcome = Provider::Outcome::answered;
    answer.tokens = json["tokens"].get<std::uint64_t>();
    answer.cost = provider_->price_of(static_cast<double>(answer.tokens));
    return answer;
  }

  void finish(ProviderAnswer answer) {
    leak_if_asked();
    if (keep_alive_)
      lease_.give_back();
    else
      lease_.close();
    end(std::move(answer));
  }

  // The fault `unclosed-connections`; also told where there is no connection to leak, so that its books are right.
  void leak_if_asked() {
    if (auto* fault = std::exchange(settings_.leave_open, nullptr)) fault->never_close(lease_.take_away());
  }

  void refuse(const char* why) {
    if (begun_) provider_->cancel();
    begun_ = false;
    leak_if_asked();
    ProviderAnswer answer;
    answer.refused = true;
    answer.error = why;
    end(std::move(answer));
  }

  void fail(Provider::Outcome outcome, std::string error) {
    leak_if_asked();
    lease_.close();
    ProviderAnswer answer;
    answer.outcome = outcome;
    answer.error = std::move(error);
    end(std::move(answer));
  }

  void end(ProviderAnswer answer) {
    const auto now = Provider::Clock::now();
    answer.latency_ms = std::chrono::duration<double, std::milli>(now - started_).count();
    if (begun_) provider_->finish(answer.outcome, now, answer.latency_ms, static_cast<double>(answer.tokens));
    span_.set("status", answer.status);
    span_.set("tokens", static_cast<double>(answer.tokens));
    span_.set("cost", answer.cost);
    span_.end();
    std::exchange(done_, nullptr)(std::move(answer));
  }

  asio::io_context& io_;
  const std::shared_ptr<Provider> provider_;
  CallSettings settings_;
  AsyncSpan span_;
  std::function<void(ProviderAnswer)> done_;
  const Provider::Clock::time_point started_;
  http::request<http::string_body> request_;
  std::optional<http::response_parser<http::string_body>> parser_;
  Lease lease_;
  bool begun_ = false;  // the provider counts on a finish() or cancel()
  bool keep_alive_ = false;
  bool reused_ = false;  // the connection was idle in the pool before
};

}  // namespace

void call_provider(asio::io_context& io, std::shared_ptr<Provider> provider, Question question, CallSettings settings,
                   camprobe_span parent, std::function<void(ProviderAnswer)> done) {
  std::make_shared<ProviderCall>(io, std::move(provider), std::move(question), settings, parent, std::move(done))
      ->start();
}

}  // namespace cam
