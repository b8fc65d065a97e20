// examples/cam-server/endpoints.cc: see the header.
#include "examples/cam-server/endpoints.h"

#include <unistd.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>

#include "examples/cam-server/arbitrate.h"
#include "examples/cam-server/collaborate.h"
#include "examples/cam-server/request_fields.h"

namespace cam {
namespace {

HttpReply health(Mesh& mesh) {
  std::size_t healthy = 0;
  for (const auto& provider : mesh.arbiter.providers()) healthy += provider->is_healthy(Provider::Clock::now()) ? 1 : 0;
  const nlohmann::json json{{"status", healthy > 0 ? "ok" : "no provider is healthy"}, {"healthy_providers", healthy}};
  return {healthy > 0 ? http::status::ok : http::status::service_unavailable, json.dump()};
}

HttpReply faults(Mesh& mesh, const HttpRequest& request) {
  if (request.method() == http::verb::post) {
    try {
      mesh.faults.set(parse_json_body(request));
    } catch (const UsageError& error) {
      throw BadRequest(error.what());
    }
  }
  return {http::status::ok, mesh.faults.to_json().dump()};
}

const char* name_of(std::string_view path) {
  for (const char* name : {"/arbitrate", "/collaborate", "/health", "/stats", "/faults"}) {
    if (path == name) return name;
  }
  return nullptr;
}

void route(Mesh& mesh, const HttpServer& server, const std::shared_ptr<Exchange>& exchange) {
  const HttpRequest& request = exchange->request;
  const std::string_view path = path_of(request);
  const char* name = name_of(path);
  if (name == nullptr)
    return exchange->answer(error_reply(http::status::not_found, "no such path: " + std::string(path)));
  exchange->span.set("endpoint", name);
  const bool is_get = request.method() == http::verb::get;
  const bool reads_only = path == "/health" || path == "/stats";
  if (!is_get && (request.method() != http::verb::post || reads_only))
    return exchange->answer(error_reply(http::status::method_not_allowed,
                                        std::string(path) + (reads_only ? " takes GET" : " takes GET and POST")));
  if (path == "/arbitrate") return arbitrate(mesh, exchange);
  if (path == "/collaborate") return collaborate(mesh, exchange);
  if (path == "/health") return exchange->answer(health(mesh));
  if (path == "/stats") return exchange->answer({http::status::ok, stats(mesh, server).dump()});
  exchange->answer(faults(mesh, request));
}

}  // namespace

void serve(Mesh& mesh, const HttpServer& server, const std::shared_ptr<Exchange>& exchange) {
  try {
    route(mesh, server, exchange);
  } catch (const BadRequest& error) {
    exchange->answer(error_reply(http::status::bad_request, error.what()));
  }
}

nlohmann::json stats(Mesh& mesh, const HttpServer& server) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  nlohmann::json json{{"pid", getpid()},
                      {"epoch_ns", std::chrono::duration_cast<std::chrono::nanoseconds>(now).count()}};
  const auto& http = server.counters();
  json["http"] = {{"requests", http.requests.load()},       {"replies_4xx", http.replies_4xx.load()},
                  {"replies_5xx", http.replies_5xx.load()}, {"accepted", http.accepted.load()},
                  {"refused", http.refused.load()},         {"open_connections", server.open_connections()},
                  {"bytes_in", http.bytes_in.load()},       {"bytes_out", http.bytes_out.load()}};
  auto& counters = mesh.counters;
  const auto& arbiter = mesh.arbiter.counters();
  json["requests"] = mesh.faults.requests();
  json["arbitration"] = {{"requests", counters.arbitrations.load()}, {"answered", counters.answered.load()},
                         {"from_cache", counters.from_cache.load()}, {"failed", counters.failed.load()},
                         {"retries", counters.retries.load()},       {"failovers", counters.failovers.load()},
                         {"tokens", counters.tokens.load()},         {"switches", arbiter.switches.load()},
                         {"no_provider", arbiter.no_provider.load()}};
  for (const Strategy strategy : {Strategy::cost, Strategy::latency, Strategy::balanced})
    json["arbitration"]["decisions"][to_text(strategy)] = arbiter.decisions[static_cast<std::size_t>(strategy)].load();
  {
    const std::lock_guard lock(counters.money_mutex);
    json["arbitration"]["cost"] = counters.cost;
    json["arbitration"]["baseline_cost"] = counters.baseline_cost;
  }
  json["collaboration"] = {{"requests", counters.collaborations.load()},
                           {"agreed", counters.agreed.load()},
                           {"rounds", counters.rounds.load()}};
  const auto& cache = mesh.cache.counters();
  json["cache"] = {{"entries", mesh.cache.size()},        {"capacity", mesh.cache.capacity()},
                   {"hits", cache.hits.load()},           {"misses", cache.misses.load()},
                   {"evictions", cache.evictions.load()}, {"expired", cache.expired.load()}};
  json["health_checks"] = counters.health_checks.load();
  json["providers"] = nlohmann::json::array();
  for (const auto& provider : mesh.arbiter.providers()) {
    const auto figures = provider->figures();
    const auto pool = provider->pool()->figures();
    json["providers"].push_back({{"name", provider->name()},
                                 {"port", provider->config().port},
                                 {"price_per_1k", provider->config().price_per_1k},
                                 {"latency_ms", figures.latency_ms},
                                 {"error_share", figures.error_share},
                                 {"breaker", to_text(figures.breaker)},
                                 {"breaker_opened", figures.opened_breaker},
                                 {"in_flight", figures.in_flight},
                                 {"calls", figures.calls},
                                 {"answered", figures.answered},
                                 {"failed", figures.failed},
                                 {"timed_out", figures.timed_out},
                                 {"tokens", figures.tokens},
                                 {"cost", figures.cost},
                                 {"pool",
                                  {{"open", pool.open},
                                   {"idle", pool.idle},
                                   {"waiting", pool.waiting},
                                   {"opened", pool.opened},
                                   {"reused", pool.reused},
                                   {"turned_away", pool.turned_away},
                                   {"closed_idle", pool.closed_idle}}}});
  }
  json["faults"] = mesh.faults.to_json();
  return json;
}

}  // namespace cam
