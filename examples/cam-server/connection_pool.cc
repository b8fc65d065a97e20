// examples/cam-server/connection_pool.cc: see the header.
#include "examples/cam-server/connection_pool.h"

#include <boost/asio/strand.hpp>
#include <iterator>
#include <utility>

namespace cam {

Connection::Connection(boost::asio::io_context& io)
    : stream(boost::asio::make_strand(io)), buffer(std::size_t{64} * 1024) {}

Lease& Lease::operator=(Lease&& other) noexcept {
  if (this != &other) {
    close();
    pool_ = std::move(other.pool_);
    connection_ = std::move(other.connection_);
  }
  return *this;
}

void Lease::give_back() {
  if (connection_ == nullptr) return;
  if (pool_ == nullptr) return close();
  std::exchange(pool_, nullptr)->accept_back(std::move(connection_));
}

void Lease::close() {
  if (connection_ == nullptr) return;
  connection_->stream.close();
  connection_.reset();
  if (pool_ != nullptr) std::exchange(pool_, nullptr)->forget_one();
}

std::unique_ptr<Connection> Lease::take_away() {
  auto connection = std::move(connection_);
  if (pool_ != nullptr) std::exchange(pool_, nullptr)->forget_one();
  return connection;
}

void ConnectionPool::borrow(Receiver receiver) {
  borrow(std::move(receiver), false);
}
void ConnectionPool::borrow_fresh(Receiver receiver) {
  borrow(std::move(receiver), true);
}

void ConnectionPool::borrow(Receiver receiver, bool fresh) {
  std::unique_ptr<Connection> connection, discarded;
  bool turned_away = false;
  {
    const std::lock_guard lock(mutex_);
    if (fresh && !idle_.empty()) {
      // One idle connection was dead, so the others may be: make room with the oldest.
      discarded = std::move(idle_.front());
      idle_.erase(idle_.begin());
      --open_;
    }
    if (!fresh && !idle_.empty()) {
      connection = std::move(idle_.back());
      idle_.pop_back();
      ++reused_;
    } else if (open_ < limits_.max_open) {
      ++open_;
      ++opened_;
    } else if (waiting_.size() < limits_.max_waiting) {
      waiting_.push_back(std::move(receiver));
      return;
    } else {
      ++turned_away_;
      turned_away = true;
    }
  }
  if (turned_away) return receiver(Lease());
  if (connection == nullptr) connection = std::make_unique<Connection>(io_);
  receiver(Lease(shared_from_this(), std::move(connection)));
}

void ConnectionPool::accept_back(std::unique_ptr<Connection> connection) {
  connection->stream.expires_never();
  Receiver next;
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.empty()) {
      connection->idle_since = std::chrono::steady_clock::now();
      idle_.push_back(std::move(connection));
      return;
    }
    next = std::move(waiting_.front());
    waiting_.pop_front();
    ++reused_;
  }
  next(Lease(shared_from_this(), std::move(connection)));
}

void ConnectionPool::forget_one() {
  Receiver next;
  {
    const std::lock_guard lock(mutex_);
    --open_;
    if (waiting_.empty()) return;
    next = std::move(waiting_.front());
    waiting_.pop_front();
    ++open_;
    ++opened_;
  }
  next(Lease(shared_from_this(), std::make_unique<Connection>(io_)));
}

void ConnectionPool::close_idle(std::chrono::steady_clock::time_point now) {
  std::vector<std::unique_ptr<Connection>> old;  // before the lock, so that they are closed after it
  const std::lock_guard lock(mutex_);
  auto young = idle_.begin();
  while (young != idle_.end() && now - (*young)->idle_since >= limits_.idle_timeout) ++young;
  old.assign(std::make_move_iterator(idle_.begin()), std::make_move_iterator(young));
  idle_.erase(idle_.begin(), young);
  open_ -= old.size();
  closed_idle_ += old.size();
}

void ConnectionPool::shut() {
  std::deque<Receiver> dropped;  // before the lock: what they hold may return leases as it goes
  const std::lock_guard lock(mutex_);
  dropped.swap(waiting_);
}

ConnectionPool::Figures ConnectionPool::figures() const {
  const std::lock_guard lock(mutex_);
  return {open_, idle_.size(), waiting_.size(), opened_, reused_, turned_away_, closed_idle_};
}

}  // namespace cam
