// collector/serve/access.h
//
// Where to listen, and who may ask. Figures tell what a server does, so they go to this machine only unless the user
// decided otherwise: an address that others can reach needs a token, and a Unix socket is the user's own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "run/result.h"

namespace camprobe::serve {

struct ListenAddress {
  std::string socket_path;  // of a Unix socket; else:
  std::string address;      // "127.0.0.1", "::1", "0.0.0.0"
  std::uint16_t port = 0;   // 0: any that is free
  bool is_loopback = false;
};

// "127.0.0.1:9187", "[::1]:9187", "localhost:9187" or "unix:/run/camprobe.sock". Names are not looked up: an address is
// what decides who can reach it.
run::Result<ListenAddress> parse_listen_address(std::string_view text);

struct TokenLength {
  std::size_t least = 16, most = 512;
};

// The token in a file: its first line, of visible ASCII characters. A file that others may read is refused.
run::Result<std::string> read_token(const std::string& path, TokenLength length = {});

// Whether a request's Authorization field is "Bearer <token>". Takes as long for a wrong one as for the right one.
bool is_authorized(std::string_view authorization, std::string_view token);

// Whether a Host field names this machine by address or as localhost. A web page that has its own name resolve to
// 127.0.0.1 could otherwise read what only programs on this machine may (DNS rebinding).
bool is_own_host(std::string_view host);

}  // namespace camprobe::serve
