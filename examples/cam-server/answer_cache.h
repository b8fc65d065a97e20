// examples/cam-server/answer_cache.h
//
// Answers already paid for, by what was asked: at most `capacity` of them, none older than `time_to_live`, the least
// recently used one evicted first. Sixteen shards, each with its lock, its list and its share of the capacity.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace cam {

class AnswerCache {
 public:
  using Clock = std::chrono::steady_clock;
  struct Counters {
    std::atomic<std::uint64_t> hits{0}, misses{0}, evictions{0}, expired{0};
  };

  AnswerCache(std::size_t capacity, std::chrono::milliseconds time_to_live);

  std::optional<std::string> find(const std::string& key, Clock::time_point now);
  void put(const std::string& key, std::string answer, Clock::time_point now);
  std::size_t size() const;
  std::size_t capacity() const { return capacity_; }
  const Counters& counters() const { return counters_; }

 private:
  struct Entry {
    std::string key, answer;
    Clock::time_point expires;
  };
  struct Shard {
    mutable std::mutex mutex;
    std::list<Entry> entries;                                                 // most recently used first
    std::unordered_map<std::string_view, std::list<Entry>::iterator> by_key;  // views into entries
  };
  Shard& shard_of(const std::string& key);

  const std::size_t capacity_;  // rounded up to whole shards; 0 keeps nothing
  const std::chrono::milliseconds time_to_live_;
  std::array<Shard, 16> shards_;
  Counters counters_;
};

}  // namespace cam
