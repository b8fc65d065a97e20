// examples/cam-server/catalog.h
//
// What is known of the providers before anything is measured: name, port, price; and, for cam-providers, how each
// behaves. The same JSON file serves both programs:
//
//   [ { "name": "thrifty", "port": 18101, "price_per_1k": 0.4, "latency_ms": 5, "latency_p99_ms": 12, "error_rate": 0 }
//   ]
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace cam {

struct ProviderConfig {
  std::string name;
  std::uint16_t port = 0;       // on 127.0.0.1; 0 lets cam-providers take a free one
  double price_per_1k = 1.0;    // for 1,000 tokens, of prompt and answer alike
  double latency_ms = 2.0;      // median; the distribution is log-normal
  double latency_p99_ms = 0.0;  // 0: always latency_ms
  double error_rate = 0.0;      // share of calls answered with 503
  bool operator==(const ProviderConfig&) const = default;
};

// A sentence for the user: what is wrong, where, and what to write instead.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// thrifty (cheap, 5 ms), steady (3 ms), swift (dear, 1 ms), on ports 18101 to 18103.
std::vector<ProviderConfig> default_catalog();

// "name=swift,port=9103,price=2.5,latency=1,p99=3,errors=0.01"; throws UsageError.
ProviderConfig parse_provider(const std::string& text);

// Throws UsageError.
std::vector<ProviderConfig> read_catalog(const std::string& path);
void write_catalog(const std::string& path, const std::vector<ProviderConfig>& catalog);

// Names are there and unique, numbers in range; throws UsageError.
void check_catalog(const std::vector<ProviderConfig>& catalog);

nlohmann::json to_json(const ProviderConfig& provider);

}  // namespace cam
