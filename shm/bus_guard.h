// shm/bus_guard.h
//
// A store to a mapped file that its owner has truncated meanwhile is SIGBUS. A target can do that to its region
// whenever it likes, and must not end its collector by it: while a BusGuard lives, such a fault on its page puts a page
// of zeros in the file's place, and the store goes on, to nowhere.
//
// Any other SIGBUS goes to whoever had the signal before. Reader's side only: nothing in a target handles signals so.
#pragma once

#include <cstddef>

namespace camprobe::shm {

class BusGuard {
 public:
  // One mapped page.
  explicit BusGuard(void* page);
  ~BusGuard();
  BusGuard(const BusGuard&) = delete;
  BusGuard& operator=(const BusGuard&) = delete;

 private:
  std::size_t slot_;
};

}  // namespace camprobe::shm
