// examples/cam-server/faults/thread_leak.cc
//
// A worker thread for a job that never ends: it waits for a message nobody will send.
#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>
#include <system_error>
#include <thread>

#include "examples/cam-server/faults/fault_board.h"

namespace cam {
namespace {

void wait_for_a_message_nobody_sends() {
  // Never destroyed: the threads still wait when the program's statics go.
  static auto* mutex = new std::mutex;
  static auto* message = new std::condition_variable;
  std::unique_lock lock(*mutex);
  for (;;) message->wait(lock);
}

}  // namespace

[[gnu::noinline]] bool start_thread_nobody_joins() {
  try {
    std::thread(wait_for_a_message_nobody_sends).detach();
    return true;
  } catch (const std::system_error&) {
    return false;
  }
}

namespace {

class ThreadLeak : public Fault {
 public:
  ThreadLeak()
      : Fault({"thread-leak", "a thread is started that waits for ever", false, "threads", 1, 0.002, "cap_threads",
               200}) {}

 private:
  void strike(std::uint64_t) override {
    const std::lock_guard lock(mutex_);  // for the cap
    for (std::uint64_t i = 0; i < amount() && strikes() < cap(); ++i) {
      if (start_thread_nobody_joins()) count(0);
    }
  }
  void describe(nlohmann::json& json) const override { json["threads_left_waiting"] = strikes(); }
  std::mutex mutex_;
};

}  // namespace

std::unique_ptr<Fault> make_thread_leak() {
  return std::make_unique<ThreadLeak>();
}

}  // namespace cam
