// tests/endurance/passers_by.h
//
// Connections, threads and mappings that come and go by the thousand a second, as the collector writes them: shorter
// than a second into sums, the others a row each, closed later.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "run/writer.h"

class PassersBy {
 public:
  struct Truth {
    std::int64_t connections = 0, read_bytes = 0, threads = 0, mappings = 0;
    double thread_seconds = 0;
  };

  PassersBy(camprobe::run::Writer& writer, camprobe::run::ProcessId process, std::vector<camprobe::run::StackId> stacks,
            int connections, std::uint64_t seed)
      : writer_(writer), process_(process), stacks_(std::move(stacks)), connections_(connections), random_(seed) {}

  void live(std::int64_t second) {
    for (int i = 0; i < connections_; ++i) connect(second);
    for (int i = 0; i < connections_ / 100; ++i) {
      Passing thread{Kind::kThread, begin(second), 0, {}, {}, {}};
      thread.ends_ns = end(thread.began_ns);
      thread.thread.process = process_;
      thread.thread.tid = 10'000 + truth.threads % 100'000;
      thread.thread.name = "worker";
      thread.thread.began_ns = thread.began_ns;
      thread.thread.stack = stacks_[0];
      thread.thread.id = writer_.add(thread.thread);
      truth.thread_seconds += static_cast<double>(thread.ends_ns - thread.began_ns) / 1e9;
      ++truth.threads;
      keep(std::move(thread));
      Passing mapping{Kind::kMapping, begin(second), 0, {}, {}, {}};
      mapping.ends_ns = end(mapping.began_ns);
      mapping.mapping.process = process_;
      mapping.mapping.address = 0x7f0000000000 + truth.mappings % 1000 * (1 << 20);
      mapping.mapping.bytes = 1 << 20;
      mapping.mapping.stack = stacks_[1];
      mapping.mapping.mapped_ns = mapping.began_ns;
      mapping.mapping.id = writer_.add(mapping.mapping);
      ++truth.mappings;
      keep(std::move(mapping));
    }
    while (!passing_.empty() && passing_.front().ends_ns < (second + 1) * kSecondNs) {
      std::pop_heap(passing_.begin(), passing_.end(), ends_later);
      Passing& last = passing_.back();
      if (last.kind == Kind::kConnection) last.connection.closed_ns = last.ends_ns, writer_.update(last.connection);
      if (last.kind == Kind::kThread) last.thread.ended_ns = last.ends_ns, writer_.update(last.thread);
      if (last.kind == Kind::kMapping) last.mapping.unmapped_ns = last.ends_ns, writer_.update(last.mapping);
      passing_.pop_back();
    }
  }

  Truth truth;

 private:
  static constexpr std::int64_t kSecondNs = 1'000'000'000;
  enum class Kind { kConnection, kThread, kMapping };
  struct Passing {
    Kind kind;
    std::int64_t began_ns, ends_ns;
    camprobe::run::Descriptor connection;
    camprobe::run::Thread thread;
    camprobe::run::Mapping mapping;
  };
  static bool ends_later(const Passing& a, const Passing& b) { return a.ends_ns > b.ends_ns; }

  void connect(std::int64_t second) {
    camprobe::run::Descriptor row;
    row.process = process_;
    row.fd = 10 + truth.connections % 20'000;
    row.generation = 2 * truth.connections + 1;
    row.kind = "accept";
    row.stack = stacks_[static_cast<std::size_t>(truth.connections % 7)];
    row.read_ops = 2;
    row.read_bytes = 100 + truth.connections % 1000;
    ++truth.connections;
    truth.read_bytes += row.read_bytes;
    if (std::uniform_real_distribution<double>(0, 1)(random_) < 0.3) {
      writer_.count(camprobe::run::DescriptorSum{process_, second, "accept", "10.1.2.3", row.stack, 1, 1, 2,
                                                 row.read_bytes, 0, 0});
      return;
    }
    row.peer = "10.1.2.3:" + std::to_string(20'000 + truth.connections % 40'000);
    row.opened_ns = begin(second);
    row.id = writer_.add(row);
    keep({Kind::kConnection, row.opened_ns, end(row.opened_ns), row, {}, {}});
  }
  std::int64_t begin(std::int64_t second) {
    return second * kSecondNs + static_cast<std::int64_t>(std::uniform_real_distribution<double>(0, 1e9)(random_));
  }
  // A second, and four more on the mean.
  std::int64_t end(std::int64_t began_ns) {
    return began_ns + kSecondNs +
           static_cast<std::int64_t>(1e9 * std::exponential_distribution<double>(1 / 4.0)(random_));
  }
  void keep(Passing passing) {
    passing_.push_back(std::move(passing));
    std::push_heap(passing_.begin(), passing_.end(), ends_later);
  }

  camprobe::run::Writer& writer_;
  camprobe::run::ProcessId process_;
  std::vector<camprobe::run::StackId> stacks_;
  int connections_;
  std::mt19937_64 random_;
  std::vector<Passing> passing_;
};
