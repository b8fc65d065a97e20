// examples/cam-server/server_main.cc: the program cam-server; flags in, one line out when it accepts.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "examples/cam-server/endpoints.h"
#include "examples/cam-server/http_server.h"
#include "examples/cam-server/mesh.h"
#include "examples/cam-server/process.h"

namespace {

struct Options {
  std::uint16_t port = 18080;
  std::size_t threads = std::max(2u, std::thread::hardware_concurrency());
  std::string catalog;
  std::vector<std::string> providers, faults;
  std::int64_t deadline_ms = 1000, health_ms = 1000, cache_ttl_ms = 60'000, pool_idle_ms = 30'000, breaker_ms = 1000,
               client_idle_ms = 60'000;
  int breaker_failures = 5;
  std::size_t cache_capacity = 4096, pool_open = 256, pool_waiting = 4096, max_connections = 8192,
              max_body = std::size_t{64} * 1024;
};

void add_options(CLI::App& app, Options& options) {
  const auto ms = CLI::Range(1, 3'600'000);
  app.add_option("--port", options.port, "Port on 127.0.0.1; 0 takes a free one")->capture_default_str();
  app.add_option("--threads", options.threads, "I/O threads")->check(CLI::Range(1, 256))->capture_default_str();
  app.add_option("--providers", options.catalog, "JSON file of providers (cam-providers --write-catalog makes one)");
  app.add_option("--provider", options.providers, "name=N,port=P,price=PER_1K_TOKENS; may be given again")
      ->allow_extra_args(false);
  app.add_option("--fault", options.faults, "Switch a fault on, see below; may be given again")
      ->allow_extra_args(false);
  app.add_option("--call-deadline-ms", options.deadline_ms, "For one call to a provider")
      ->check(ms)
      ->capture_default_str();
  app.add_option("--health-check-ms", options.health_ms, "Between health checks; 0 makes none")
      ->check(CLI::Range(0, 3'600'000))
      ->capture_default_str();
  app.add_option("--cache-capacity", options.cache_capacity, "Answers kept; rounded up to sixteens; 0 keeps none")
      ->check(CLI::Range(0, 100'000'000))
      ->capture_default_str();
  app.add_option("--cache-ttl-ms", options.cache_ttl_ms, "How long an answer is good")
      ->check(ms)
      ->capture_default_str();
  app.add_option("--pool-size", options.pool_open, "Connections to one provider")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  app.add_option("--pool-waiting", options.pool_waiting, "Callers that may wait for one")
      ->check(CLI::Range(0, 1'000'000))
      ->capture_default_str();
  app.add_option("--pool-idle-ms", options.pool_idle_ms, "Idle connections are closed after")
      ->check(ms)
      ->capture_default_str();
  app.add_option("--breaker-failures", options.breaker_failures, "Failures in a row that open a breaker")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  app.add_option("--breaker-open-ms", options.breaker_ms, "How long it stays open")->check(ms)->capture_default_str();
  app.add_option("--max-connections", options.max_connections, "Clients at a time")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  app.add_option("--max-body", options.max_body, "Bytes of a request's body")
      ->check(CLI::Range(1, 1 << 26))
      ->capture_default_str();
  app.add_option("--client-idle-ms", options.client_idle_ms, "Idle clients are closed after")
      ->check(ms)
      ->capture_default_str();
}

int run(const Options& options) {
  auto catalog = options.catalog.empty() ? std::vector<cam::ProviderConfig>() : cam::read_catalog(options.catalog);
  for (const auto& text : options.providers) catalog.push_back(cam::parse_provider(text));
  if (catalog.empty()) catalog = cam::default_catalog();
  cam::check_catalog(catalog);

  cam::MeshSettings settings;
  settings.call_deadline = std::chrono::milliseconds(options.deadline_ms);
  settings.health_check_every = std::chrono::milliseconds(options.health_ms);
  settings.cache_time_to_live = std::chrono::milliseconds(options.cache_ttl_ms);
  settings.cache_capacity = options.cache_capacity;
  settings.pool = {options.pool_open, options.pool_waiting, std::chrono::milliseconds(options.pool_idle_ms)};
  settings.breaker = {options.breaker_failures, std::chrono::milliseconds(options.breaker_ms)};
  cam::HttpServer::Limits limits;
  limits.max_connections = options.max_connections;
  limits.max_body_bytes = options.max_body;
  limits.idle_timeout = std::chrono::milliseconds(options.client_idle_ms);

  cam::raise_descriptor_limit();
  boost::asio::io_context io(static_cast<int>(options.threads));
  cam::Mesh mesh(io, settings, catalog);
  for (const auto& fault : options.faults) mesh.faults.set(fault);
  cam::HttpServer server(io, limits, "cam.request",
                         [&](const std::shared_ptr<cam::Exchange>& exchange) { cam::serve(mesh, server, exchange); });
  try {
    server.listen(options.port);
  } catch (const boost::system::system_error& error) {
    throw cam::UsageError("cannot listen on 127.0.0.1:" + std::to_string(options.port) + ": " + error.code().message() +
                          "; choose another --port");
  }
  mesh.start_housekeeping();
  const cam::SignalWatch signals(io, 5, [&] {
    mesh.stop_housekeeping();
    server.stop([&io] { io.stop(); });
  });
  std::printf("listening on 127.0.0.1:%u\n", server.port());
  std::fflush(stdout);
  cam::run_threads(io, options.threads);
  mesh.shut_pools();
  std::printf("stopped after %llu requests\n", static_cast<unsigned long long>(mesh.faults.requests()));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "cam-server: arbitrates requests among AI providers by cost, latency and health; with faults to switch on.",
      "cam-server");
  Options options;
  add_options(app, options);
  app.footer(cam::FaultBoard().help());
  try {
    app.parse(argc, argv);
    return run(options);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "cam-server: %s (see --help)\n", error.what());
    return 2;
  } catch (const cam::UsageError& error) {
    std::fprintf(stderr, "cam-server: %s\n", error.what());
    return 2;
  }
}
