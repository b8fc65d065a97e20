#include "suite/http.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>

namespace camprobe::suite {
namespace {

constexpr std::size_t kLargestAnswer = 8 << 20;

std::size_t take(char* data, std::size_t, std::size_t size, void* into) {
  auto& body = *static_cast<std::string*>(into);
  if (body.size() + size > kLargestAnswer) return 0;
  body.append(data, size);
  return size;
}

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  return address;
}

}  // namespace

Answer ask(const std::string& method, const std::string& url, const std::string& body, const Headers& headers,
           double limit_s) {
  static const CURLcode ready = ::curl_global_init(CURL_GLOBAL_DEFAULT);
  Answer answer;
  const std::unique_ptr<CURL, void (*)(CURL*)> curl(::curl_easy_init(), ::curl_easy_cleanup);
  if (ready != CURLE_OK || !curl) {
    answer.why = "libcurl cannot be used";
    return answer;
  }
  curl_slist* list = nullptr;
  for (const auto& [name, value] : headers) list = ::curl_slist_append(list, (name + ": " + value).c_str());
  if (!body.empty() && !headers.contains("Content-Type"))
    list = ::curl_slist_append(list, "Content-Type: application/json");
  ::curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  ::curl_easy_setopt(curl.get(), CURLOPT_PROTOCOLS_STR, "http,https");
  ::curl_easy_setopt(curl.get(), CURLOPT_NOPROXY, "*");
  ::curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  ::curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT_MS, static_cast<long>(limit_s * 1000));
  ::curl_easy_setopt(curl.get(), CURLOPT_CUSTOMREQUEST, method.c_str());
  ::curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, list);
  if (!body.empty()) {
    ::curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDS, body.c_str());
    ::curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDSIZE, static_cast<long>(body.size()));
  }
  if (method == "HEAD") ::curl_easy_setopt(curl.get(), CURLOPT_NOBODY, 1L);
  ::curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, take);
  ::curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &answer.body);
  const CURLcode done = ::curl_easy_perform(curl.get());
  ::curl_slist_free_all(list);
  if (done != CURLE_OK) {
    answer.why = ::curl_easy_strerror(done);
    return answer;
  }
  long status = 0;
  ::curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  answer.status = static_cast<int>(status);
  return answer;
}

int free_port() {
  const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  int port = 0;
  if (::bind(probe, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
      ::getsockname(probe, reinterpret_cast<sockaddr*>(&address), &size) == 0)
    port = ntohs(address.sin_port);
  ::close(probe);
  return port;
}

bool accepts(int port) {
  const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = loopback(port);
  const bool connected = ::connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(client);
  return connected;
}

}  // namespace camprobe::suite
