// examples/cam-server/process.h
//
// What both programs do around their work: raise the limit on descriptors, run the io threads, end on a signal.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

namespace cam {

// To the hard limit: a thousand clients need more than the usual 1024.
void raise_descriptor_limit();

// Runs `io` on `threads` threads, this one among them, until it is stopped.
void run_threads(boost::asio::io_context& io, std::size_t threads);

// Calls `stop` at the first SIGTERM or SIGINT; stops `io` at the second, or `grace_seconds` after the first.
class SignalWatch {
 public:
  SignalWatch(boost::asio::io_context& io, int grace_seconds, std::function<void()> stop);
  ~SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace cam
