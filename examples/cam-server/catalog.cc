// examples/cam-server/catalog.cc: see the header.
#include "examples/cam-server/catalog.h"

#include <charconv>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

namespace cam {
namespace {

double number(const std::string& text, const std::string& where) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value))
    throw UsageError(where + ": '" + text + "' is not a number");
  return value;
}

void set_field(ProviderConfig& provider, const std::string& key, double value, const std::string& where) {
  if (key == "port") {
    if (value < 0 || value > 65535 || value != std::floor(value))
      throw UsageError(where + ": port must be a whole number from 0 to 65535");
    provider.port = static_cast<std::uint16_t>(value);
  } else if (key == "price" || key == "price_per_1k") {
    provider.price_per_1k = value;
  } else if (key == "latency" || key == "latency_ms") {
    provider.latency_ms = value;
  } else if (key == "p99" || key == "latency_p99_ms") {
    provider.latency_p99_ms = value;
  } else if (key == "errors" || key == "error_rate") {
    provider.error_rate = value;
  } else {
    throw UsageError(where + ": unknown key '" + key + "' (name, port, price, latency, p99, errors)");
  }
}

}  // namespace

std::vector<ProviderConfig> default_catalog() {
  return {{"thrifty", 18101, 0.4, 5.0, 12.0, 0.0},
          {"steady", 18102, 1.0, 3.0, 8.0, 0.0},
          {"swift", 18103, 2.5, 1.0, 3.0, 0.0}};
}

ProviderConfig parse_provider(const std::string& text) {
  ProviderConfig provider;
  const std::string where = "--provider " + text;
  std::stringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) {
    const auto equals = part.find('=');
    if (equals == std::string::npos) throw UsageError(where + ": '" + part + "' is not key=value");
    const std::string key = part.substr(0, equals), value = part.substr(equals + 1);
    if (key == "name")
      provider.name = value;
    else
      set_field(provider, key, number(value, where), where);
  }
  if (provider.name.empty()) throw UsageError(where + ": name=... is missing");
  return provider;
}

std::vector<ProviderConfig> read_catalog(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw UsageError(path + ": cannot be read");
  const auto json = nlohmann::json::parse(file, nullptr, false);
  if (json.is_discarded()) throw UsageError(path + ": is not JSON");
  if (!json.is_array()) throw UsageError(path + ": must be a JSON array of providers");
  std::vector<ProviderConfig> catalog;
  for (const auto& entry : json) {
    const std::string where = path + ": provider " + std::to_string(catalog.size() + 1);
    if (!entry.is_object()) throw UsageError(where + " must be an object");
    ProviderConfig provider;
    for (const auto& [key, value] : entry.items()) {
      if (key == "name" && value.is_string())
        provider.name = value.get<std::string>();
      else if (value.is_number())
        set_field(provider, key, value.get<double>(), where);
      else
        throw UsageError(where + ": '" + key + "' has a value of the wrong type");
    }
    catalog.push_back(provider);
  }
  check_catalog(catalog);
  return catalog;
}

void write_catalog(const std::string& path, const std::vector<ProviderConfig>& catalog) {
  auto json = nlohmann::json::array();
  for (const auto& provider : catalog) json.push_back(to_json(provider));
  std::ofstream file(path);
  file << json.dump(2) << "\n";
  if (!file.flush()) throw UsageError(path + ": cannot be written");
}

void check_catalog(const std::vector<ProviderConfig>& catalog) {
  if (catalog.empty()) throw UsageError("no providers: name at least one");
  std::set<std::string> names;
  for (const auto& provider : catalog) {
    if (provider.name.empty()) throw UsageError("a provider has no name");
    const std::string where = "provider " + provider.name;
    if (!names.insert(provider.name).second) throw UsageError(where + " is there twice");
    if (!(provider.price_per_1k >= 0)) throw UsageError(where + ": the price must not be negative");
    if (!(provider.latency_ms >= 0 && provider.latency_ms <= 60'000))
      throw UsageError(where + ": latency must be 0 to 60000 ms");
    if (provider.latency_p99_ms != 0 &&
        !(provider.latency_p99_ms >= provider.latency_ms && provider.latency_p99_ms <= 60'000))
      throw UsageError(where + ": p99 must be 0 or between the latency and 60000 ms");
    if (!(provider.error_rate >= 0 && provider.error_rate <= 1))
      throw UsageError(where + ": errors must be between 0 and 1");
  }
}

nlohmann::json to_json(const ProviderConfig& provider) {
  return {{"name", provider.name},
          {"port", provider.port},
          {"price_per_1k", provider.price_per_1k},
          {"latency_ms", provider.latency_ms},
          {"latency_p99_ms", provider.latency_p99_ms},
          {"error_rate", provider.error_rate}};
}

}  // namespace cam
