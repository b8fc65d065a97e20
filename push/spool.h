// push/spool.h
//
// Parcels on disk, so that what waits for the receiver outlives the pusher: a directory with a file a parcel, which a
// later pusher finds. A file appears whole or not at all, under a number that says its turn, and goes when the receiver
// has it.
//
// It is for pushers that are restarted or killed, not for machines that lose power: nothing is synced. A parcel that
// was delivered in the very moment of a kill is delivered again.
//
// One pusher has a directory at a time (a lock that ends with the process). put() is one thread's; read() and remove()
// may run beside it in others, because they are of files that put() has done with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "push/parcel.h"
#include "run/result.h"

namespace camprobe::push {

class Spool {
 public:
  // What a parcel is known by while it lies on disk.
  struct Entry {
    std::uint64_t number = 0;
    std::size_t bytes = 0;
    std::int64_t from_ms = 0, to_ms = 0;
  };

  // Made where it is not there, readable for its owner only. An error is a sentence: it cannot be used, or another
  // pusher has it. `address`: where all its parcels go; parcels for somewhere else are an error as well.
  static run::Result<std::unique_ptr<Spool>> open(const std::string& directory, const std::string& address);
  ~Spool();
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;

  // What an earlier pusher left, by their turn. What is no whole parcel was removed, whatever else lies there was not.
  const std::vector<Entry>& left() const { return left_; }

  // The error says why it could not be written (a full disk): the caller has it in memory still.
  run::Result<Entry> put(const Parcel& parcel);
  // Nothing where it is gone or damaged.
  std::optional<Parcel> read(const Entry& entry) const;
  void remove(const Entry& entry);

 private:
  Spool(std::string directory, int lock) : directory_(std::move(directory)), lock_(lock) {}
  std::string path_of(std::uint64_t number) const;
  run::Result<void> find_left(const std::string& address);

  const std::string directory_;
  const int lock_;
  std::vector<Entry> left_;
  std::uint64_t next_ = 1;
};

}  // namespace camprobe::push
