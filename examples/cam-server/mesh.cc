// examples/cam-server/mesh.cc: see the header.
#include "examples/cam-server/mesh.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>

#include "examples/cam-server/provider_call.h"

namespace cam {
namespace {

constexpr std::chrono::milliseconds kHousekeepingEvery{250};

std::vector<std::shared_ptr<Provider>> make_providers(asio::io_context& io, const MeshSettings& settings,
                                                      const std::vector<ProviderConfig>& catalog) {
  std::vector<std::shared_ptr<Provider>> providers;
  providers.reserve(catalog.size());
  for (const auto& config : catalog)
    providers.push_back(
        std::make_shared<Provider>(config, settings.breaker, std::make_shared<ConnectionPool>(io, settings.pool)));
  return providers;
}

}  // namespace

Mesh::Mesh(asio::io_context& io, const MeshSettings& settings, const std::vector<ProviderConfig>& catalog)
    : io(io),
      settings(settings),
      arbiter(make_providers(io, settings, catalog)),
      cache(settings.cache_capacity, settings.cache_time_to_live),
      timer_(asio::make_strand(io)) {}

void Mesh::start_housekeeping() {
  asio::post(timer_.get_executor(), [this] { keep_house(); });
}

void Mesh::stop_housekeeping() {
  asio::post(timer_.get_executor(), [this] { timer_.cancel(); });
}

void Mesh::shut_pools() {
  for (const auto& provider : arbiter.providers()) provider->pool()->shut();
}

void Mesh::keep_house() {
  const auto now = std::chrono::steady_clock::now();
  for (const auto& provider : arbiter.providers()) provider->pool()->close_idle(now);
  if (settings.health_check_every.count() > 0 && now - last_check_ >= settings.health_check_every) {
    last_check_ = now;
    for (const auto& provider : arbiter.providers()) {
      counters.health_checks.fetch_add(1, std::memory_order_relaxed);
      Question question;
      question.prompt_bytes = 4;
      question.max_tokens = 1;
      CallSettings call;
      call.deadline = settings.call_deadline;
      call.span_name = "cam.health_check";
      call.trace = TraceContext::of("");
      call_provider(io, provider, std::move(question), call, 0, [](const ProviderAnswer&) {});
    }
  }
  timer_.expires_after(kHousekeepingEvery);
  timer_.async_wait([this](boost::system::error_code cancelled) {
    if (!cancelled) keep_house();
  });
}

}  // namespace cam
