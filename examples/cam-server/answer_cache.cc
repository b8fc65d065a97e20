// examples/cam-server/answer_cache.cc: see the header.
#include "examples/cam-server/answer_cache.h"

#include <functional>

namespace cam {

AnswerCache::AnswerCache(std::size_t capacity, std::chrono::milliseconds time_to_live)
    : capacity_((capacity + 15) / 16 * 16), time_to_live_(time_to_live) {}

AnswerCache::Shard& AnswerCache::shard_of(const std::string& key) {
  return shards_[std::hash<std::string>()(key) % shards_.size()];
}

std::optional<std::string> AnswerCache::find(const std::string& key, Clock::time_point now) {
  Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.by_key.find(key);
  if (found == shard.by_key.end()) {
    counters_.misses.fetch_add(1, std::memory_order_relaxed);
    return std::nullopt;
  }
  const auto entry = found->second;
  if (entry->expires <= now) {
    shard.by_key.erase(found);
    shard.entries.erase(entry);
    counters_.expired.fetch_add(1, std::memory_order_relaxed);
    counters_.misses.fetch_add(1, std::memory_order_relaxed);
    return std::nullopt;
  }
  shard.entries.splice(shard.entries.begin(), shard.entries, entry);
  counters_.hits.fetch_add(1, std::memory_order_relaxed);
  return entry->answer;
}

void AnswerCache::put(const std::string& key, std::string answer, Clock::time_point now) {
  if (capacity_ == 0) return;
  Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  if (const auto found = shard.by_key.find(key); found != shard.by_key.end()) {
    found->second->answer = std::move(answer);
    found->second->expires = now + time_to_live_;
    shard.entries.splice(shard.entries.begin(), shard.entries, found->second);
    return;
  }
  if (shard.entries.size() >= capacity_ / shards_.size()) {
    shard.by_key.erase(shard.entries.back().key);
    shard.entries.pop_back();
    counters_.evictions.fetch_add(1, std::memory_order_relaxed);
  }
  shard.entries.push_front({key, std::move(answer), now + time_to_live_});
  shard.by_key.emplace(shard.entries.front().key, shard.entries.begin());
}

std::size_t AnswerCache::size() const {
  std::size_t total = 0;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    total += shard.entries.size();
  }
  return total;
}

}  // namespace cam
