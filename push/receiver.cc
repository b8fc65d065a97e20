#include "push/receiver.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>

#include "exporters/safe_text.h"

namespace camprobe::push {
namespace {

struct Row {
  ReceiverKind kind;
  const char* name;
  const char* path;  // that it listens at; of a Pushgateway its beginning
};
constexpr std::array<Row, 4> kRows{{
    {ReceiverKind::kPyroscope, "pyroscope", "/ingest"},
    {ReceiverKind::kPushgateway, "pushgateway", "/metrics"},
    {ReceiverKind::kVictoriaMetrics, "victoriametrics", "/api/v1/import/prometheus"},
    {ReceiverKind::kRemoteWrite, "remote-write", "/api/v1/write"},
}};

using Url = std::unique_ptr<CURLU, void (*)(CURLU*)>;

std::string part(const Url& url, CURLUPart which) {
  char* text = nullptr;
  if (::curl_url_get(url.get(), which, &text, 0) != CURLUE_OK) return "";
  std::string copy(text);
  ::curl_free(text);
  return copy;
}

bool names_this_machine(std::string host) {
  if (host == "localhost") return true;
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  in_addr v4{};
  if (::inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6{};
  return ::inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6) != 0;
}

std::string shown(std::string_view text) {
  return exporters::shortened(exporters::printable_utf8(text), 120);
}

}  // namespace

std::string names_of_receivers(const char* separator) {
  std::string names;
  for (const Row& row : kRows) names += (names.empty() ? "" : separator) + std::string(row.name);
  return names;
}

run::Result<Receiver> parse_receiver(std::string_view kind, const std::string& address) {
  const auto row =
      std::find_if(kRows.begin(), kRows.end(), [&](const Row& candidate) { return candidate.name == kind; });
  if (row == kRows.end())
    return run::Error{
        fmt::format("--to {}: no such receiver; choose one of {}", shown(kind), names_of_receivers(", "))};
  const Url url(::curl_url(), ::curl_url_cleanup);
  const bool has_scheme = address.starts_with("http://") || address.starts_with("https://");
  if (!url || !has_scheme || ::curl_url_set(url.get(), CURLUPART_URL, address.c_str(), 0) != CURLUE_OK ||
      part(url, CURLUPART_HOST).empty())
    return run::Error{shown(address) +
                      ": no address to push to: give one like http://127.0.0.1:9091 or https://host/prefix"};
  if (!part(url, CURLUPART_USER).empty() || !part(url, CURLUPART_PASSWORD).empty())
    return run::Error{
        "the address has a user or a password in it, which everybody on this machine could read: "
        "put a bearer token into a file and name it with --token-file"};
  if (!part(url, CURLUPART_QUERY).empty() || !part(url, CURLUPART_FRAGMENT).empty())
    return run::Error{shown(address) + ": leave out what stands behind the path (labels: --label NAME=VALUE)"};
  std::string path = part(url, CURLUPART_PATH);
  while (path.ends_with('/')) path.pop_back();
  if (path.ends_with(row->path)) path.resize(path.size() - std::string_view(row->path).size());
  const std::string host = part(url, CURLUPART_HOST), port = part(url, CURLUPART_PORT);
  Receiver receiver;
  receiver.kind = row->kind;
  receiver.is_encrypted = address.starts_with("https://");
  receiver.is_loopback = names_this_machine(host);
  receiver.base = fmt::format("{}://{}{}{}", part(url, CURLUPART_SCHEME), host, port.empty() ? "" : ":" + port, path);
  return receiver;
}

run::Result<std::pair<std::string, std::string>> parse_label(const std::string& text) {
  // What metrics and profiles say themselves, and what has an option of its own.
  constexpr std::array<std::string_view, 16> kTaken = {"process", "pid",     "mode",    "part",    "kind", "direction",
                                                       "role",    "network", "span",    "tier",    "le",   "provider",
                                                       "reason",  "version", "outcome", "endpoint"};
  const std::size_t sign = text.find('=');
  const std::string name = text.substr(0, sign);
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  const bool is_name =
      sign != std::string::npos && !name.empty() && is_letter(name.front()) &&
      std::all_of(name.begin(), name.end(), [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); });
  if (!is_name || name.starts_with("__"))
    return run::Error{
        fmt::format("--label {}: give a name of letters, digits and _, and a value, as in env=staging", shown(text))};
  if (name == "job") return run::Error{"--label job=...: use --job"};
  if (std::find(kTaken.begin(), kTaken.end(), name) != kTaken.end())
    return run::Error{
        fmt::format("--label {}: metrics have a label {} of their own; choose another name", shown(text), name)};
  const std::string value = text.substr(sign + 1);
  if (value.empty() || exporters::printable_utf8(value) != value || value.size() > 256)
    return run::Error{fmt::format("--label {}: the value must be 1 to 256 bytes of printable UTF-8", shown(text))};
  return std::pair{name, value};
}

std::string percent_encoded(std::string_view text) {
  std::string encoded;
  for (const char c : text) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                          c == '.' || c == '_' || c == '~';
    if (is_plain)
      encoded += c;
    else
      encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return encoded;
}

}  // namespace camprobe::push
