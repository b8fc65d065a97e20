// examples/cam-server/faults/unclosed_connections.h
//
// Connections to providers that are opened past the pool and never closed. The harm is done where providers are called:
// a call that is_due() asks for open_and_forget() instead of borrowing from the pool, and hands what it got to
// never_close() when it is done. Only the descriptor is leaked, no memory.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <memory>

#include "examples/cam-server/connection_pool.h"
#include "examples/cam-server/faults/fault.h"

namespace cam {

// A connection with its descriptor open, not yet connected; null where there are no descriptors left.
std::unique_ptr<Connection> open_and_forget(boost::asio::io_context& io);

class UnclosedConnections : public Fault {
 public:
  UnclosedConnections();

  // Whether this request's call is to leave a connection open. Counts nothing yet.
  bool takes(std::uint64_t request);
  void never_close(std::unique_ptr<Connection> connection);
  std::uint64_t sockets_left_open() const { return strikes(); }

 private:
  void strike(std::uint64_t) override {}
  void describe(nlohmann::json& json) const override;
  std::atomic<std::uint64_t> promised_{0};  // taken, so that the cap holds while calls are under way
};

}  // namespace cam
