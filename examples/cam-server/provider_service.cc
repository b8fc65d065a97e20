// examples/cam-server/provider_service.cc: see the header.
#include "examples/cam-server/provider_service.h"

#include <algorithm>
#include <boost/asio/strand.hpp>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "examples/cam-server/request_fields.h"

namespace cam {
namespace {

constexpr double kZ99 = 2.3263;  // of the normal distribution

HttpServer::Limits provider_limits() {
  HttpServer::Limits limits;
  limits.max_connections = 20'000;
  limits.idle_timeout = std::chrono::minutes(30);  // a connection the server forgot stays open
  return limits;
}

// FNV-1a: the same on every machine and in every run.
std::uint64_t hash(std::string_view text, std::uint64_t seed = 14695981039346656037u) {
  for (const char c : text) seed = (seed ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return seed ^ (seed >> 29);
}

}  // namespace

ProviderService::ProviderService(asio::io_context& io, ProviderConfig config, std::uint64_t seed)
    : io_(io),
      comes_back_(asio::make_strand(io)),
      server_(io, provider_limits(), "cam.provider",
              [this](const std::shared_ptr<Exchange>& exchange) { serve(exchange); }),
      config_(std::move(config)),
      random_(seed) {}

void ProviderService::listen() {
  server_.listen(config_.port);
  const std::lock_guard lock(mutex_);
  config_.port = server_.port();
}

ProviderConfig ProviderService::config() const {
  const std::lock_guard lock(mutex_);
  return config_;
}

void ProviderService::serve(const std::shared_ptr<Exchange>& exchange) {
  const auto path = path_of(exchange->request);
  const bool is_post = exchange->request.method() == http::verb::post;
  try {
    if (path == "/v1/complete" && is_post) return complete(exchange);
    if (path == "/stats" && !is_post) return exchange->answer({http::status::ok, stats().dump()});
    if (path != "/control" || !is_post)
      return exchange->answer(error_reply(http::status::not_found, "POST /v1/complete, POST /control or GET /stats"));
    control(exchange->request);
    exchange->answer({http::status::ok, stats().dump()});
  } catch (const BadRequest& error) {
    exchange->answer(error_reply(http::status::bad_request, error.what()));
  } catch (const UsageError& error) {
    exchange->answer(error_reply(http::status::bad_request, error.what()));
  }
}

void ProviderService::complete(const std::shared_ptr<Exchange>& exchange) {
  const auto request = parse_json_body(exchange->request);
  if (!request.is_object()) throw BadRequest("the body must be a JSON object");
  const auto number = [&](const char* key, std::uint64_t otherwise) {
    return request.contains(key) && request[key].is_number_unsigned() ? request[key].get<std::uint64_t>() : otherwise;
  };
  const std::string prompt =
      request.contains("prompt") && request["prompt"].is_string() ? request["prompt"].get<std::string>() : "";
  const std::uint64_t prompt_bytes = number("prompt_bytes", prompt.size());
  const std::uint64_t max_tokens = std::min<std::uint64_t>(number("max_tokens", 64), 4096);
  const auto& candidates = request.contains("candidates") ? request["candidates"] : nlohmann::json::array();

  const ProviderConfig behaviour = config();
  exchange->span.set("provider", behaviour.name.c_str());
  double latency_ms = behaviour.latency_ms;
  bool fails = false;
  {
    const std::lock_guard lock(mutex_);
    if (behaviour.latency_p99_ms > 0 && behaviour.latency_ms > 0)
      latency_ms *= std::exp(std::log(behaviour.latency_p99_ms / behaviour.latency_ms) / kZ99 *
                             std::normal_distribution<double>()(random_));
    fails = std::uniform_real_distribution<double>()(random_) < behaviour.error_rate;
  }
  calls_.fetch_add(1, std::memory_order_relaxed);
  if (hangs_) {
    // Kept until the caller has long given up.
    auto forever = std::make_shared<asio::steady_timer>(io_, std::chrono::minutes(2));
    forever->async_wait([forever, exchange](boost::system::error_code) {});
    return;
  }
  HttpReply reply;
  if (fails) {
    errors_.fetch_add(1, std::memory_order_relaxed);
    reply = error_reply(http::status::service_unavailable, behaviour.name + " is overloaded");
  } else {
    const std::uint64_t tokens = (prompt_bytes + 3) / 4 + max_tokens;
    const std::uint64_t opinion = hash(behaviour.name, hash(prompt));
    std::string answer(1, static_cast<char>('A' + opinion % 4));
    const bool open_minded = hash(std::to_string(candidates.size()), opinion) % 10 < 7;
    if (open_minded && candidates.is_array() && !candidates.empty() && candidates[0].is_string())
      answer = candidates[0].get<std::string>();
    std::string text = "The answer is " + answer + ".";
    text.resize(std::max<std::size_t>(text.size(), max_tokens * 4), '.');
    tokens_.fetch_add(tokens, std::memory_order_relaxed);
    exchange->span.set("tokens", static_cast<double>(tokens));
    reply.json = nlohmann::json{{"answer", answer}, {"text", text}, {"tokens", tokens}}.dump(
        -1, ' ', false, nlohmann::json::error_handler_t::replace);
  }
  const auto delay = std::chrono::duration_cast<std::chrono::steady_clock::duration>(
      std::chrono::duration<double, std::milli>(std::min(latency_ms, 60'000.0)));
  auto timer = std::make_shared<asio::steady_timer>(io_, delay);
  timer->async_wait([timer, exchange, reply = std::move(reply)](boost::system::error_code) mutable {
    exchange->answer(std::move(reply));
  });
}

void ProviderService::control(const HttpRequest& request) {
  const auto json = parse_json_body(request);
  if (!json.is_object()) throw BadRequest("the body must be a JSON object");
  ProviderConfig changed = config();
  bool down = false, hangs = hangs_;
  double for_ms = 0;
  for (const auto& [key, value] : json.items()) {
    const bool is_truth = key == "down" || key == "hang";
    if (is_truth ? !value.is_boolean() : !value.is_number())
      throw BadRequest(key + (is_truth ? " must be true or false" : " must be a number"));
    if (key == "down")
      down = value.get<bool>();
    else if (key == "hang")
      hangs = value.get<bool>();
    else if (key == "for_ms")
      for_ms = value.get<double>();
    else if (key == "latency_ms")
      changed.latency_ms = value.get<double>();
    else if (key == "latency_p99_ms")
      changed.latency_p99_ms = value.get<double>();
    else if (key == "error_rate")
      changed.error_rate = value.get<double>();
    else
      throw BadRequest("unknown key '" + key + "' (latency_ms, latency_p99_ms, error_rate, down, hang, for_ms)");
  }
  if (down && !(for_ms >= 1 && for_ms <= 3'600'000))
    throw BadRequest("down needs for_ms from 1 to 3600000: while it is down nobody can tell it to come back");
  check_catalog({changed});
  {
    const std::lock_guard lock(mutex_);
    config_ = changed;
  }
  hangs_ = hangs;
  if (!down) return;
  server_.pause();
  comes_back_.expires_after(std::chrono::microseconds(static_cast<std::int64_t>(for_ms * 1000)));
  comes_back_.async_wait([this](boost::system::error_code cancelled) {
    if (!cancelled) server_.resume();
  });
}

nlohmann::json ProviderService::stats() const {
  auto json = to_json(config());
  json["hang"] = hangs_.load();
  json["calls"] = calls_.load();
  json["errors"] = errors_.load();
  json["answered"] = calls_.load() - errors_.load();
  json["tokens"] = tokens_.load();
  json["cost"] = static_cast<double>(tokens_.load()) * config().price_per_1k / 1000;
  json["open_connections"] = server_.open_connections();
  return json;
}

}  // namespace cam
