// examples/cam-server/arbitrate.cc: see the header.
#include "examples/cam-server/arbitrate.h"

#include <boost/asio/steady_timer.hpp>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "examples/cam-server/provider_call.h"
#include "examples/cam-server/request_fields.h"

namespace cam {
namespace {

constexpr std::uint64_t kBytesPerToken = 4;  // the usual rule of thumb for English

struct ArbitrationRequest {
  std::string prompt;
  std::uint64_t prompt_bytes = 0;
  std::uint64_t max_tokens = 64;
  Strategy strategy = Strategy::balanced;
  bool may_cache = true;

  explicit ArbitrationRequest(const HttpRequest& request) {
    RequestFields fields(request);
    prompt = fields.text("prompt", "", std::size_t{64} * 1024);
    const bool has_size = fields.has("prompt_size");
    if (has_size && !prompt.empty()) throw BadRequest("give prompt or prompt_size, not both");
    prompt_bytes = fields.number("prompt_size", prompt.size(), 0, 10'000'000);
    max_tokens = fields.number("max_tokens", 64, 1, 4096);
    const std::string name = fields.text("strategy", "balanced", 32);
    const auto parsed = parse_strategy(name);
    if (!parsed) throw BadRequest("strategy must be cost, latency or balanced");
    strategy = *parsed;
    may_cache = fields.truth("cache", true) && !prompt.empty();
    fields.expect_no_more();
    if (prompt_bytes == 0) throw BadRequest("prompt or prompt_size is missing");
  }

  double expected_tokens() const {
    const std::uint64_t prompt_tokens = (prompt_bytes + kBytesPerToken - 1) / kBytesPerToken;  // a part of one is one
    return static_cast<double>(prompt_tokens + max_tokens);
  }
  std::string cache_key() const {
    return std::string(to_text(strategy)) + '/' + std::to_string(max_tokens) + '/' + prompt;
  }
};

// One request on its way. Every step is begun by the one before it, so no two run at the same time, though each may run
// on another thread; nothing here needs a lock.
class Arbitration : public std::enable_shared_from_this<Arbitration> {
 public:
  Arbitration(Mesh& mesh, std::shared_ptr<Exchange> exchange, ArbitrationRequest request, bool leave_open)
      : mesh_(mesh),
        exchange_(std::move(exchange)),
        request_(std::move(request)),
        pause_(mesh.io),
        leave_open_(leave_open) {}

  void choose() {
    std::optional<Decision> decision;
    {
      const InSpan in(parent());
      decision = mesh_.arbiter.decide(request_.strategy, request_.expected_tokens(), tried_);
    }
    if (!decision) return give_up();
    if (!tried_.empty()) failover_.set("to", decision->provider->name().c_str());
    decision_ = std::move(*decision);
    tried_.push_back(decision_.provider.get());
    may_retry_ = true;
    call();
  }

 private:
  void call() {
    ++attempts_;
    Question question;
    question.prompt = request_.prompt;
    question.prompt_bytes = request_.prompt_bytes;
    question.max_tokens = request_.max_tokens;
    CallSettings settings;
    settings.deadline = mesh_.settings.call_deadline;
    settings.trace = exchange_->trace;
    if (std::exchange(leave_open_, false)) settings.leave_open = &mesh_.faults.unclosed_connections();
    call_provider(mesh_.io, decision_.provider, std::move(question), settings, parent(),
                  [self = shared_from_this()](const ProviderAnswer& answer) { self->on_answer(answer); });
  }

  camprobe_span parent() const { return failover_.id() != 0 ? failover_.id() : exchange_->span.id(); }

  void on_answer(const ProviderAnswer& answer) {
    const InSpan in(exchange_->span.id());  // whoever calls us holds us, so the root span outlasts this scope
    if (answer.outcome == Provider::Outcome::answered) return reply(answer);
    last_error_ = decision_.provider->name() + ": " + answer.error;
    if (answer.status >= 500 && std::exchange(may_retry_, false)) {
      mesh_.counters.retries.fetch_add(1, std::memory_order_relaxed);
      pause_.expires_after(mesh_.settings.retry_pause);
      pause_.async_wait([self = shared_from_this()](boost::system::error_code) {
        const InSpan in(self->exchange_->span.id());
        self->call();
      });
      return;
    }
    mesh_.counters.failovers.fetch_add(1, std::memory_order_relaxed);
    failover_.end();  // the one before, where this is the second
    failover_ = AsyncSpan("cam.failover", exchange_->span.id());
    failover_.set("from", decision_.provider->name().c_str());
    failover_.set("reason", answer.error.c_str());
    choose();
  }

  void reply(const ProviderAnswer& answer) {
    failover_.end();
    const auto& provider = *decision_.provider;
    // Both for the tokens really used: the baseline scales as the price does.
    const double baseline =
        decision_.cost > 0 ? decision_.baseline_cost * answer.cost / decision_.cost : decision_.baseline_cost;
    nlohmann::json json{{"provider", provider.name()},     {"strategy", to_text(request_.strategy)},
                        {"answer", answer.answer},         {"text", answer.text},
                        {"tokens", answer.tokens},         {"cost", answer.cost},
                        {"baseline_cost", baseline},       {"expected_ms", decision_.expected_ms},
                        {"latency_ms", answer.latency_ms}, {"attempts", attempts_},
                        {"failovers", tried_.size() - 1},  {"cached", false}};
    auto& counters = mesh_.counters;
    counters.answered.fetch_add(1, std::memory_order_relaxed);
    counters.tokens.fetch_add(answer.tokens, std::memory_order_relaxed);
    {
      const std::lock_guard lock(counters.money_mutex);
      counters.cost += answer.cost;
      counters.baseline_cost += baseline;
    }
    std::string text = json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    if (request_.may_cache) {
      json["cached"] = true;
      json["cost"] = 0.0;
      mesh_.cache.put(request_.cache_key(), json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace),
                      AnswerCache::Clock::now());
    }
    exchange_->answer({http::status::ok, std::move(text)});
  }

  void give_up() {
    failover_.end();
    mesh_.counters.failed.fetch_add(1, std::memory_order_relaxed);
    exchange_->answer(
        error_reply(tried_.empty() ? http::status::service_unavailable : http::status::bad_gateway,
                    tried_.empty() ? "no provider is healthy" : "no provider answered; the last: " + last_error_));
  }

  Mesh& mesh_;
  const std::shared_ptr<Exchange> exchange_;
  const ArbitrationRequest request_;
  asio::steady_timer pause_;
  bool leave_open_;
  AsyncSpan failover_;
  Decision decision_;
  std::vector<const Provider*> tried_;
  bool may_retry_ = true;
  int attempts_ = 0;
  std::string last_error_;
};

}  // namespace

void arbitrate(Mesh& mesh, std::shared_ptr<Exchange> exchange) {
  ArbitrationRequest request(exchange->request);
  mesh.counters.arbitrations.fetch_add(1, std::memory_order_relaxed);
  const std::uint64_t number = mesh.faults.on_request();
  if (request.may_cache) {
    if (auto cached = mesh.cache.find(request.cache_key(), AnswerCache::Clock::now())) {
      mesh.counters.from_cache.fetch_add(1, std::memory_order_relaxed);
      return exchange->answer({http::status::ok, std::move(*cached)});
    }
  }
  const bool leave_open = mesh.faults.unclosed_connections().takes(number);
  std::make_shared<Arbitration>(mesh, std::move(exchange), std::move(request), leave_open)->choose();
}

}  // namespace cam
