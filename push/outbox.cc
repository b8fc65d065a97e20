#include "push/outbox.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "push/back_off.h"
#include "run/units.h"

namespace camprobe::push {

using std::chrono::steady_clock;

Outbox::Outbox(std::function<Delivery(const Parcel&)> send, OutboxOptions options, std::unique_ptr<Spool> spool)
    : send_(std::move(send)), options_(std::move(options)), spool_(std::move(spool)) {
  if (spool_) {
    for (const Spool::Entry& entry : spool_->left()) keep({0, entry.bytes, entry.from_ms, entry.to_ms, nullptr, entry});
    drop_beyond_bound();
  }
  thread_ = std::thread([this] { run(); });
}

Outbox::~Outbox() {
  {
    const std::lock_guard lock(mutex_);
    is_to_end_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Outbox::say(const std::string& sentence) {
  if (!options_.say) return;
  const std::lock_guard lock(saying_);
  options_.say(sentence);
}

void Outbox::keep(Kept kept) {
  kept.turn = next_turn_++;
  bytes_ += kept.bytes;
  if (!kept.on_disk) bytes_in_memory_ += kept.bytes;
  parcels_.push_back(std::move(kept));
}

void Outbox::take(std::deque<Kept>::iterator kept) {
  if (kept->on_disk)
    spool_->remove(*kept->on_disk);
  else
    bytes_in_memory_ -= kept->bytes;
  bytes_ -= kept->bytes;
  parcels_.erase(kept);
}

std::shared_ptr<const Parcel> Outbox::parcel_of(const Kept& kept) const {
  if (!kept.on_disk) return kept.parcel;
  auto read = spool_->read(*kept.on_disk);
  return read ? std::make_shared<const Parcel>(std::move(*read)) : nullptr;
}

void Outbox::note_lost(const Kept& kept) {
  if (figures_.dropped + figures_.refused == 0) {
    figures_.lost_from_ms = kept.from_ms;
    figures_.lost_to_ms = kept.to_ms;
  }
  figures_.lost_from_ms = std::min(figures_.lost_from_ms, kept.from_ms);
  figures_.lost_to_ms = std::max(figures_.lost_to_ms, kept.to_ms);
}

void Outbox::drop(std::deque<Kept>::iterator kept) {
  note_lost(*kept);
  ++figures_.dropped;
  take(kept);
}

void Outbox::drop_beyond_bound() {
  while (bytes_ > options_.most_bytes && !parcels_.empty()) drop(parcels_.begin());
  while (spool_ && bytes_in_memory_ > options_.most_bytes_beside_spool)
    drop(std::find_if(parcels_.begin(), parcels_.end(), [](const Kept& kept) { return !kept.on_disk; }));
}

void Outbox::put(Parcel parcel) {
  bool begins_to_drop = false;
  Kept kept{0, parcel.bytes(), parcel.from_ms, parcel.to_ms};
  if (spool_) {
    const auto written = spool_->put(parcel);
    if (written) kept.on_disk = *written;
    if (!std::exchange(is_spool_closed_, !written) && !written)
      say(fmt::format("{}; up to {} are kept in memory instead, and end with this command: make room there",
                      written.error(), run::in_bytes(static_cast<double>(options_.most_bytes_beside_spool))));
  }
  if (!kept.on_disk) kept.parcel = std::make_shared<const Parcel>(std::move(parcel));
  {
    const std::lock_guard lock(mutex_);
    // What they said is said anew by this one, so nothing is lost.
    while (options_.newest_only && !parcels_.empty()) take(parcels_.begin());
    keep(std::move(kept));
    const std::uint64_t dropped_before = figures_.dropped;
    drop_beyond_bound();
    if (figures_.dropped != dropped_before) begins_to_drop = !std::exchange(has_said_dropping_, true);
  }
  changed_.notify_all();
  if (begins_to_drop)
    say(fmt::format(
        "more than {} wait for the receiver: the oldest are dropped from here on",
        run::in_bytes(static_cast<double>(is_spool_closed_ ? options_.most_bytes_beside_spool : options_.most_bytes))));
}

void Outbox::run() {
  BackOff back_off(options_.seed);
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return is_to_end_ || !parcels_.empty(); });
    if (is_to_end_) return;
    const Kept kept = parcels_.front();
    lock.unlock();
    const std::shared_ptr<const Parcel> parcel = parcel_of(kept);
    // Somebody has tidied the directory up: for us the same as a receiver that does not want it.
    Delivery delivery = parcel ? send_(*parcel) : Delivery{Outcome::kRefused, "it is gone from the spool"};
    lock.lock();
    if (!parcel && !is_first(kept)) continue;  // it was put() that dropped it meanwhile
    if (is_to_end_) {
      // What the receiver has must not be there for the next pusher.
      if (delivery.outcome == Outcome::kDelivered && is_first(kept)) take(parcels_.begin());
      return;
    }
    if (delivery.outcome == Outcome::kBarred && figures_.delivered == 0) {
      barred_ = delivery.why;
      changed_.notify_all();
      return;
    }
    std::string sentence;
    if (delivery.outcome == Outcome::kDelivered || delivery.outcome == Outcome::kRefused) {
      // It may have been dropped or replaced while it was on its way.
      const bool is_still_first = is_first(kept);
      if (is_still_first) take(parcels_.begin());
      if (delivery.outcome == Outcome::kDelivered) {
        ++figures_.delivered;
        if (!is_still_first && !options_.newest_only) --figures_.dropped;
      } else {
        note_lost(kept);
        ++figures_.refused;
        if (!is_still_first && !options_.newest_only) --figures_.dropped;
        if (figures_.refused == 1) {
          figures_.refused_why = delivery.why;
          sentence = fmt::format("refused, and not sent again: {}", delivery.why);
        }
      }
      if (away_since_) {
        const std::chrono::duration<double> away = steady_clock::now() - *away_since_;
        if (sentence.empty())
          sentence =
              fmt::format("the receiver is back after {}; {} waiting", run::in_seconds(away.count()), parcels_.size());
        away_since_.reset();
        has_said_dropping_ = false;
      }
      away_why_.clear();
      back_off.reset();
      changed_.notify_all();
    } else {
      ++figures_.attempts_failed;
      if (!away_since_) {
        away_since_ = steady_clock::now();
        sentence = fmt::format("{}; trying again, up to {} are kept meanwhile", delivery.why,
                               run::in_bytes(static_cast<double>(options_.most_bytes)));
      }
      away_why_ = delivery.why;
      changed_.notify_all();
      const auto until = steady_clock::now() + back_off.next(delivery.retry_after);
      if (!sentence.empty()) {
        lock.unlock();
        say(sentence);
        lock.lock();
      }
      changed_.wait_until(lock, until, [&] { return is_to_end_ || is_in_a_hurry_; });
      is_in_a_hurry_ = false;
      continue;
    }
    if (!sentence.empty()) {
      lock.unlock();
      say(sentence);
      lock.lock();
    }
  }
}

bool Outbox::wait_until_at_most(std::size_t parcels, std::chrono::seconds patience,
                                const std::function<bool()>& is_to_end) {
  constexpr std::chrono::milliseconds kLook{50};  // at what a signal's handler has set
  const auto began = steady_clock::now();
  std::unique_lock lock(mutex_);
  for (;;) {
    if (parcels_.size() <= parcels) return true;
    if (barred_ || is_to_end()) return false;
    if (away_since_ && steady_clock::now() - std::max(began, *away_since_) >= patience) return false;
    changed_.wait_for(lock, kLook);
  }
}

void Outbox::try_now() {
  {
    const std::lock_guard lock(mutex_);
    is_in_a_hurry_ = true;
  }
  changed_.notify_all();
}

Outbox::Figures Outbox::figures() const {
  const std::lock_guard lock(mutex_);
  Figures figures = figures_;
  figures.waiting = parcels_.size();
  figures.waiting_bytes = bytes_;
  figures.in_memory = static_cast<std::uint64_t>(
      std::count_if(parcels_.begin(), parcels_.end(), [](const Kept& kept) { return !kept.on_disk; }));
  return figures;
}

std::optional<std::string> Outbox::barred() const {
  const std::lock_guard lock(mutex_);
  return barred_;
}

std::string Outbox::away_why() const {
  const std::lock_guard lock(mutex_);
  return away_why_;
}

}  // namespace camprobe::push
