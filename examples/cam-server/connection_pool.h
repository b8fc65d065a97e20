// examples/cam-server/connection_pool.h
//
// Kept-alive connections to one provider: at most `max_open` of them, at most `max_waiting` callers in line for one,
// and none idle for longer than `idle_timeout`. The youngest idle connection is lent first, so that the surplus grows
// old and is closed when load falls.
//
// A connection is lent as a Lease. Where it goes out of scope unreturned, the connection is closed: an answer half read
// must not be taken for the next one's.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace cam {

struct Connection {
  explicit Connection(boost::asio::io_context& io);
  boost::beast::tcp_stream stream;  // on a strand of its own
  boost::beast::flat_buffer buffer;
  bool connected = false;
  std::chrono::steady_clock::time_point idle_since;
};

class ConnectionPool;

class Lease {
 public:
  Lease() = default;
  Lease(std::shared_ptr<ConnectionPool> pool, std::unique_ptr<Connection> connection)
      : pool_(std::move(pool)), connection_(std::move(connection)) {}
  Lease(Lease&&) noexcept = default;
  Lease& operator=(Lease&& other) noexcept;
  ~Lease() { close(); }

  Connection* operator->() const { return connection_.get(); }
  explicit operator bool() const { return connection_ != nullptr; }

  void give_back();                         // for the next caller
  void close();                             // for nobody
  std::unique_ptr<Connection> take_away();  // the pool forgets it, as if closed; the caller owns it

 private:
  std::shared_ptr<ConnectionPool> pool_;  // null for a connection that never belonged to a pool
  std::unique_ptr<Connection> connection_;
};

class ConnectionPool : public std::enable_shared_from_this<ConnectionPool> {
 public:
  struct Limits {
    std::size_t max_open = 256;
    std::size_t max_waiting = 4096;
    std::chrono::milliseconds idle_timeout{30'000};
  };
  struct Figures {
    std::size_t open, idle, waiting;
    std::uint64_t opened, reused, turned_away, closed_idle;
  };
  using Receiver = std::function<void(Lease)>;

  ConnectionPool(boost::asio::io_context& io, Limits limits) : io_(io), limits_(limits) {}

  // Lends an idle connection, a new one that is still to be connected, or, where too many wait, none (an empty lease).
  // `receiver` runs at once or, later, on the thread that returns a connection.
  void borrow(Receiver receiver);
  // As borrow, but never an idle one: for a caller that found its idle connection closed by the other side.
  void borrow_fresh(Receiver receiver);
  void close_idle(std::chrono::steady_clock::time_point now);
  // Nobody is served any more: for the end of the program, when the io_context is about to go.
  void shut();
  Figures figures() const;

 private:
  friend class Lease;
  void borrow(Receiver receiver, bool fresh);
  void accept_back(std::unique_ptr<Connection> connection);
  void forget_one();

  boost::asio::io_context& io_;
  const Limits limits_;
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Connection>> idle_;  // oldest first
  std::deque<Receiver> waiting_;
  std::size_t open_ = 0;  // lent and idle
  std::uint64_t opened_ = 0, reused_ = 0, turned_away_ = 0, closed_idle_ = 0;
};

}  // namespace cam
