// examples/cam-server/providers_main.cc: the program cam-providers; several made-up providers, each on its port.
#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "examples/cam-server/process.h"
#include "examples/cam-server/provider_service.h"

namespace {

struct Options {
  std::string catalog, write_catalog;
  std::vector<std::string> providers;
  std::size_t threads = 1;
  std::uint64_t seed = 1;
  bool free_ports = false;
};

int run(const Options& options) {
  auto catalog = options.catalog.empty() ? std::vector<cam::ProviderConfig>() : cam::read_catalog(options.catalog);
  for (const auto& text : options.providers) catalog.push_back(cam::parse_provider(text));
  if (catalog.empty()) catalog = cam::default_catalog();
  cam::check_catalog(catalog);

  cam::raise_descriptor_limit();
  boost::asio::io_context io(static_cast<int>(options.threads));
  std::vector<std::unique_ptr<cam::ProviderService>> services;
  for (std::size_t i = 0; i < catalog.size(); ++i) {
    if (options.free_ports) catalog[i].port = 0;
    services.push_back(std::make_unique<cam::ProviderService>(io, catalog[i], options.seed + i));
    try {
      services.back()->listen();
    } catch (const boost::system::system_error& error) {
      throw cam::UsageError("provider " + catalog[i].name +
                            " cannot listen on 127.0.0.1:" + std::to_string(catalog[i].port) + ": " +
                            error.code().message() + "; choose another port or --free-ports");
    }
    catalog[i] = services.back()->config();
  }
  if (!options.write_catalog.empty()) cam::write_catalog(options.write_catalog, catalog);
  std::atomic<std::size_t> running{services.size()};
  const cam::SignalWatch signals(io, 2, [&] {
    for (const auto& service : services) {
      service->server().stop([&] {
        if (running.fetch_sub(1) == 1) io.stop();
      });
    }
  });
  for (const auto& config : catalog) std::printf("listening on 127.0.0.1:%u (%s)\n", config.port, config.name.c_str());
  std::fflush(stdout);
  cam::run_threads(io, options.threads);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "cam-providers: made-up AI providers with set latencies, error rates and prices, for cam-server to choose among.",
      "cam-providers");
  Options options;
  app.add_option("--providers", options.catalog,
                 "JSON file of providers; without any: thrifty, steady and swift on 18101 to 18103");
  app.add_option("--provider", options.providers,
                 "name=N,port=P,price=PER_1K_TOKENS,latency=MEDIAN_MS,p99=MS,errors=SHARE; may be given again")
      ->allow_extra_args(false);
  app.add_flag("--free-ports", options.free_ports, "Take any free port for each");
  app.add_option("--write-catalog", options.write_catalog,
                 "Write the providers, with the ports they got, for cam-server --providers");
  app.add_option("--threads", options.threads, "I/O threads")->check(CLI::Range(1, 64))->capture_default_str();
  app.add_option("--seed", options.seed, "Of latencies and errors")->capture_default_str();
  app.footer(
      "While they run: POST /control to a provider's port, as {\"error_rate\": 1} or {\"down\": true, \"for_ms\": "
      "2000}.");
  try {
    app.parse(argc, argv);
    return run(options);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "cam-providers: %s (see --help)\n", error.what());
    return 2;
  } catch (const cam::UsageError& error) {
    std::fprintf(stderr, "cam-providers: %s\n", error.what());
    return 2;
  }
}
