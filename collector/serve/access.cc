#include "collector/serve/access.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>

namespace camprobe::serve {
namespace {

std::optional<bool> is_loopback(const std::string& address) {
  in_addr v4{};
  if (::inet_pton(AF_INET, address.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6{};
  if (::inet_pton(AF_INET6, address.c_str(), &v6) == 1) return IN6_IS_ADDR_LOOPBACK(&v6) != 0;
  return std::nullopt;
}

}  // namespace

run::Result<ListenAddress> parse_listen_address(std::string_view text) {
  const std::string shown(text);
  ListenAddress where;
  constexpr std::string_view kUnix = "unix:";
  if (text.starts_with(kUnix)) {
    where.socket_path = text.substr(kUnix.size());
    if (where.socket_path.empty() || where.socket_path.front() != '/' ||
        where.socket_path.size() >= sizeof(sockaddr_un::sun_path) || where.socket_path.find('\0') != std::string::npos)
      return run::Error{shown + ": a Unix socket needs an absolute path of at most 107 bytes, as in unix:/run/c.sock"};
    where.is_loopback = true;
    return where;
  }
  const std::string how = " is no address to listen on: give one like 127.0.0.1:9187, [::1]:9187 or unix:/run/c.sock";
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return run::Error{shown + how};
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']'))
    host = host.substr(1, host.size() - 2);
  else if (host.find(':') != std::string_view::npos)
    return run::Error{shown + how};
  where.address = host == "localhost" ? "127.0.0.1" : std::string(host);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), where.port);
  const auto loopback = is_loopback(where.address);
  if (error != std::errc() || end != port.data() + port.size() || !loopback) return run::Error{shown + how};
  where.is_loopback = *loopback;
  return where;
}

run::Result<std::string> read_token(const std::string& path, TokenLength length) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return run::Error{path + " cannot be read: " + std::strerror(errno)};
  struct stat status {};
  std::string text(8192, '\0');
  const bool is_file = ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
  const ssize_t got = is_file ? ::read(fd, text.data(), text.size()) : 0;
  ::close(fd);
  if (!is_file) return run::Error{path + " is no regular file: put the token into one"};
  if ((status.st_mode & 077) != 0) return run::Error{path + " may be read by others: chmod 600 it"};
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  text = text.substr(0, text.find('\n'));
  if (text.ends_with('\r')) text.pop_back();
  const bool is_visible = std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; });
  if (text.size() < length.least || text.size() > length.most || !is_visible)
    return run::Error{path + ": its first line must be a token of " + std::to_string(length.least) + " to " +
                      std::to_string(length.most) + " visible ASCII characters, as openssl rand -hex 32 makes one"};
  return text;
}

bool is_authorized(std::string_view authorization, std::string_view token) {
  constexpr std::string_view kScheme = "bearer ";
  if (authorization.size() < kScheme.size()) return false;
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  for (std::size_t i = 0; i < kScheme.size(); ++i)
    if (lower(authorization[i]) != kScheme[i]) return false;
  const std::string_view given = authorization.substr(kScheme.size());
  unsigned difference = given.size() == token.size() ? 0 : 1;
  for (std::size_t i = 0; i < token.size(); ++i)
    difference |= static_cast<unsigned char>(i < given.size() ? given[i] : 0) ^ static_cast<unsigned char>(token[i]);
  return difference == 0;
}

bool is_own_host(std::string_view host) {
  if (host.empty()) return true;  // HTTP/1.0: no browser
  if (host.starts_with('[')) {
    const std::size_t end = host.find(']');
    return end != std::string_view::npos && is_loopback(std::string(host.substr(1, end - 1))).has_value();
  }
  host = host.substr(0, host.find(':'));
  return host == "localhost" || is_loopback(std::string(host)).has_value();
}

}  // namespace camprobe::serve
