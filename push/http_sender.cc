#include "push/http_sender.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "collector/serve/access.h"
#include "collector/version.h"
#include "exporters/safe_text.h"

namespace camprobe::push {
namespace {

constexpr std::size_t kMostAnswerBytes = 2048;
constexpr long kConnectTimeoutMs = 10'000, kTimeoutMs = 30'000;
constexpr serve::TokenLength kTokenLength{1, 4000};  // what others make: API keys, and JSON Web Tokens of kilobytes

// The beginning of the answer is kept; the rest is read and forgotten, so that the connection stays usable.
std::size_t take(char* data, std::size_t, std::size_t size, void* into) {
  auto& answer = *static_cast<std::string*>(into);
  if (answer.size() < kMostAnswerBytes) answer.append(data, std::min(size, kMostAnswerBytes - answer.size()));
  return size;
}

int is_to_stop(void* stopped, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<const std::atomic<bool>*>(stopped)->load(std::memory_order_relaxed) ? 1 : 0;
}

std::string first_line(const std::string& text) {
  const std::size_t from = text.find_first_not_of(" \t\r\n");
  if (from == std::string::npos) return "";
  return exporters::shortened(exporters::printable_utf8(text.substr(from, text.find_first_of("\r\n", from) - from)),
                              200);
}

bool is_about_certificates(CURLcode code) {
  return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_ISSUER_ERROR || code == CURLE_SSL_CACERT_BADFILE ||
         code == CURLE_SSL_PINNEDPUBKEYNOTMATCH;
}

Delivery delivery_of(long status, const std::string& answer, std::optional<std::chrono::seconds> retry_after) {
  const std::string line = first_line(answer);
  const std::string why = fmt::format("HTTP {}{}{}", status, line.empty() ? "" : ": ", line);
  if (status >= 200 && status < 300) return {};
  if (status == 408 || status == 425 || status == 429 || status >= 500) return {Outcome::kAway, why, retry_after};
  if (status < 400)
    return {Outcome::kBarred, fmt::format("HTTP {}: it is somewhere else; redirects are not followed", status)};
  if (status == 401 || status == 403) return {Outcome::kBarred, why + " (a bearer token is given with --token-file)"};
  if (status == 404 || status == 405) return {Outcome::kBarred, why + " (nothing takes pushes at this address)"};
  return {Outcome::kRefused, why};
}

}  // namespace

struct HttpSender::State {
  CURL* curl = ::curl_easy_init();
  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { ::curl_easy_cleanup(curl); }
};

HttpSender::HttpSender(SenderOptions options, std::unique_ptr<State> state)
    : options_(std::move(options)), state_(std::move(state)) {}
HttpSender::~HttpSender() = default;

run::Result<std::unique_ptr<HttpSender>> HttpSender::open(SenderOptions options) {
  if (!options.token_file.empty())
    if (const auto token = serve::read_token(options.token_file, kTokenLength); !token)
      return run::Error{token.error()};
  if (!options.ca_file.empty()) {
    std::FILE* file = std::fopen(options.ca_file.c_str(), "re");
    if (file == nullptr) return run::Error{fmt::format("--ca {}: {}", options.ca_file, std::strerror(errno))};
    std::string text(1 << 20, '\0');
    text.resize(std::fread(text.data(), 1, text.size(), file));
    std::fclose(file);
    if (text.find("-----BEGIN ") == std::string::npos)
      return run::Error{options.ca_file + ": no certificate in it: --ca wants PEM (-----BEGIN CERTIFICATE-----)"};
  }
  static const CURLcode ready = ::curl_global_init(CURL_GLOBAL_DEFAULT);
  auto state = std::make_unique<State>();
  if (ready != CURLE_OK || state->curl == nullptr) return run::Error{"libcurl cannot be used"};
  return std::unique_ptr<HttpSender>(new HttpSender(std::move(options), std::move(state)));
}

Delivery HttpSender::send(const Parcel& parcel) {
  CURL* curl = state_->curl;
  ::curl_easy_reset(curl);  // keeps the connection
  curl_slist* headers = nullptr;
  for (const std::string& header : parcel.headers) headers = ::curl_slist_append(headers, header.c_str());
  headers = ::curl_slist_append(headers, "Expect:");  // no waiting for permission to send a body
  if (!options_.token_file.empty()) {
    const auto token = serve::read_token(options_.token_file, kTokenLength);
    if (!token) {
      ::curl_slist_free_all(headers);
      return {Outcome::kAway, token.error()};  // it is being replaced, perhaps
    }
    headers = ::curl_slist_append(headers, ("Authorization: Bearer " + *token).c_str());
  }
  std::string answer;
  char why[CURL_ERROR_SIZE] = "";
  ::curl_easy_setopt(curl, CURLOPT_URL, parcel.url.c_str());
  ::curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  ::curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  ::curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, kConnectTimeoutMs);
  ::curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, kTimeoutMs);
  ::curl_easy_setopt(curl, CURLOPT_USERAGENT, (std::string("camprobe/") + kVersion).c_str());
  ::curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, parcel.method.c_str());
  ::curl_easy_setopt(curl, CURLOPT_POSTFIELDS, parcel.body.data());
  ::curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(parcel.body.size()));
  ::curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  ::curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
  ::curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer);
  ::curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
  ::curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  ::curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, is_to_stop);
  ::curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &is_stopped_);
  if (!options_.ca_file.empty()) {
    ::curl_easy_setopt(curl, CURLOPT_CAINFO, options_.ca_file.c_str());
    ::curl_easy_setopt(curl, CURLOPT_CAPATH, nullptr);  // these and no others
  }
  const CURLcode done = ::curl_easy_perform(curl);
  ::curl_slist_free_all(headers);
  if (done != CURLE_OK) {
    const std::string said = exporters::printable_utf8(why[0] != '\0' ? why : ::curl_easy_strerror(done));
    return {is_about_certificates(done) ? Outcome::kBarred : Outcome::kAway, said};
  }
  long status = 0;
  ::curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  curl_off_t seconds = 0;
  ::curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &seconds);
  std::optional<std::chrono::seconds> retry_after;
  if (seconds > 0) retry_after = std::chrono::seconds(seconds);
  return delivery_of(status, answer, retry_after);
}

}  // namespace camprobe::push
