// push/outbox.h
//
// Parcels on their way: kept in order until the receiver has them, within a bound, sent by a thread of its own, so that
// whoever makes them (and drains rings meanwhile) never waits for the receiver. They are kept in memory, or, where
// there is a spool (spool.h), on disk, and then those that an earlier pusher left go first.
//
//   - One at a time and in order. A receiver that is away is asked again (back_off.h); nothing is skipped for that.
//   - Beyond `most_bytes` the oldest are dropped, counted and said. What a full disk leaves in memory has a bound of
//     its own: that of the disk may be more than the machine's memory.
//   - A parcel that the receiver refuses is dropped, counted and said: it would refuse it again, and those behind it
//     may be fine.
//   - Where the receiver lets us in for nothing before it has taken a single parcel (certificate, token, path), that is
//     final: the settings are wrong. Later it counts as being away: tokens and certificates are renewed.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "push/delivery.h"
#include "push/parcel.h"
#include "push/spool.h"

namespace camprobe::push {

struct OutboxOptions {
  std::size_t most_bytes = 64 << 20;
  std::size_t most_bytes_beside_spool = 64 << 20;  // in memory, where there is a spool that could not be written
  bool newest_only = false;                        // each parcel replaces those before it
  std::uint64_t seed = 0;                          // of the waits between attempts
  // One sentence: the receiver went away or came back, parcels are dropped. Called from either thread, one at a time.
  std::function<void(const std::string&)> say{};
};

class Outbox {
 public:
  struct Figures {
    std::uint64_t delivered = 0, dropped = 0, refused = 0, attempts_failed = 0;
    std::uint64_t waiting = 0;
    std::size_t waiting_bytes = 0;
    std::uint64_t in_memory = 0;                    // of those that wait: what ends with the outbox
    std::int64_t lost_from_ms = 0, lost_to_ms = 0;  // the time that dropped and refused ones were about
    std::string refused_why{};                      // of the first
  };

  // `send` makes one attempt; it is called from the outbox's thread and may take its time.
  Outbox(std::function<Delivery(const Parcel&)> send, OutboxOptions options, std::unique_ptr<Spool> spool = nullptr);
  // Ends at once; what waits is gone, but for what lies in the spool.
  ~Outbox();
  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;

  // Never waits for the receiver. Parcels for the same time in the order that the receiver is to see them, from one
  // thread at a time.
  void put(Parcel parcel);

  // Waits until at most `parcels` wait. False: the receiver was away for `patience` meanwhile, `is_to_end` says so, or
  // it bars us.
  bool wait_until_at_most(std::size_t parcels, std::chrono::seconds patience, const std::function<bool()>& is_to_end);

  // Does not wait any longer for the next attempt.
  void try_now();

  Figures figures() const;
  // Why it lets us in for nothing.
  std::optional<std::string> barred() const;
  // What the last attempt failed with; empty where it did not.
  std::string away_why() const;

 private:
  struct Kept {
    std::uint64_t turn = 0;
    std::size_t bytes = 0;
    std::int64_t from_ms = 0, to_ms = 0;
    std::shared_ptr<const Parcel> parcel{};  // where it is not on disk
    std::optional<Spool::Entry> on_disk{};
  };

  void run();
  void keep(Kept kept);
  void take(std::deque<Kept>::iterator kept);  // out of what is kept
  bool is_first(const Kept& kept) const { return !parcels_.empty() && parcels_.front().turn == kept.turn; }
  void drop(std::deque<Kept>::iterator kept);
  void note_lost(const Kept& kept);
  void drop_beyond_bound();
  std::shared_ptr<const Parcel> parcel_of(const Kept& kept) const;
  void say(const std::string& sentence);

  const std::function<Delivery(const Parcel&)> send_;
  const OutboxOptions options_;
  const std::unique_ptr<Spool> spool_;
  std::mutex saying_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Kept> parcels_;
  std::uint64_t next_turn_ = 0;
  std::size_t bytes_ = 0, bytes_in_memory_ = 0;
  Figures figures_;
  std::optional<std::string> barred_;
  std::string away_why_;
  std::optional<std::chrono::steady_clock::time_point> away_since_;
  bool has_said_dropping_ = false, is_to_end_ = false, is_in_a_hurry_ = false;
  bool is_spool_closed_ = false;  // its last parcel could not be written; whoever puts knows of it, nobody else
  std::thread thread_;
};

}  // namespace camprobe::push
