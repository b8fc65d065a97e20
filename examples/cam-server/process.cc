// examples/cam-server/process.cc: see the header.
#include "examples/cam-server/process.h"

#include <sys/resource.h>

#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <chrono>
#include <csignal>
#include <thread>
#include <utility>
#include <vector>

namespace cam {

void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

void run_threads(boost::asio::io_context& io, std::size_t threads) {
  std::vector<std::jthread> others;
  for (std::size_t i = 1; i < threads; ++i) others.emplace_back([&io] { io.run(); });
  io.run();
}

struct SignalWatch::State : std::enable_shared_from_this<State> {
  State(boost::asio::io_context& io, int grace_seconds, std::function<void()> stop)
      : io(io),
        signals(boost::asio::make_strand(io), SIGTERM, SIGINT),
        deadline(signals.get_executor()),
        grace_seconds(grace_seconds),
        stop(std::move(stop)) {}

  void wait() {
    signals.async_wait([self = shared_from_this()](boost::system::error_code cancelled, int) {
      if (cancelled) return;
      if (!self->stop) return self->io.stop();
      self->deadline.expires_after(std::chrono::seconds(self->grace_seconds));
      self->deadline.async_wait([self](boost::system::error_code done) {
        if (!done) self->io.stop();
      });
      self->wait();
      std::exchange(self->stop, nullptr)();
    });
  }

  boost::asio::io_context& io;
  boost::asio::signal_set signals;
  boost::asio::steady_timer deadline;
  const int grace_seconds;
  std::function<void()> stop;
};

SignalWatch::SignalWatch(boost::asio::io_context& io, int grace_seconds, std::function<void()> stop)
    : state_(std::make_shared<State>(io, grace_seconds, std::move(stop))) {
  state_->wait();
}

SignalWatch::~SignalWatch() = default;

}  // namespace cam
