// examples/cam-server/faults/unclosed_connections.cc: see the header.
#include "examples/cam-server/faults/unclosed_connections.h"

#include <nlohmann/json.hpp>

namespace cam {

[[gnu::noinline]] std::unique_ptr<Connection> open_and_forget(boost::asio::io_context& io) {
  auto connection = std::make_unique<Connection>(io);
  boost::system::error_code error;
  connection->stream.socket().open(boost::asio::ip::tcp::v4(), error);
  if (error) return nullptr;
  return connection;
}

UnclosedConnections::UnclosedConnections()
    : Fault({"unclosed-connections",
             "a connection to a provider is used once and never closed (of requests that call one)", false, "sockets",
             1, 0.01, "cap_sockets", 500}) {}

bool UnclosedConnections::takes(std::uint64_t request) {
  if (!is_due(request)) return false;
  if (promised_.fetch_add(1) < cap()) return true;
  promised_.fetch_sub(1);
  return false;
}

void UnclosedConnections::never_close(std::unique_ptr<Connection> connection) {
  boost::system::error_code error = boost::asio::error::bad_descriptor;
  // release() gives the descriptor up without closing it; the Connection itself goes, so that no heap leak is added.
  if (connection != nullptr && connection->stream.socket().is_open()) connection->stream.socket().release(error);
  if (error)
    promised_.fetch_sub(1);
  else
    count(0);
}

void UnclosedConnections::describe(nlohmann::json& json) const {
  json["sockets_left_open"] = sockets_left_open();
}

}  // namespace cam
