// tests/ground_truth/rising.cc: what grows under a load that rises, and leaks or does not.
//
// The load has ever more clients, step by step or evenly, as many requests as clients, and a pool as large as there was
// work for at a time. All of it is drawn anew in every run: how many steps, where, how high, what part of the clients
// needs a member, and how soon after their coming. No threshold was chosen on any of it.
#include <cmath>
#include <memory>

#include "collector/analysis/load_rises.h"
#include "tests/ground_truth/builder.h"

namespace camprobe::ground_truth {

using analysis::kAlive;
using analysis::Population;

namespace {

struct Step {
  double at = 0;  // share of the run
  double clients = 0;
};

// From a handful of clients to some dozens of times as many.
std::vector<Step> staircase(Random& random) {
  const int steps = 4 + static_cast<int>(6 * uniform(random));
  std::vector<Step> list;
  double clients = 5 + 15 * uniform(random);
  const bool by_factor = uniform(random) < 0.5;
  const double factor = 1.3 + 0.5 * uniform(random), more = clients * (0.5 + uniform(random));
  for (int i = 0; i < steps; ++i) {
    const double at = i == 0 ? 0 : (i + 0.6 * (uniform(random) - 0.5)) / steps;
    list.push_back({at, std::round(clients)});
    clients = by_factor ? clients * factor : clients + more;
  }
  return list;
}

// Fifty steps are a ramp.
std::vector<Step> ramp(Random& random) {
  std::vector<Step> list;
  const double first = 5 + 15 * uniform(random), last = first * (3 + 5 * uniform(random));
  for (int i = 0; i < 50; ++i) list.push_back({i / 50.0, std::round(first + (last - first) * i / 49)});
  return list;
}

// One server under such a load.
class Rising {
 public:
  Rising(const std::string& name, const Size& size, Random& random, std::vector<Step> steps)
      : steps_(std::move(steps)), random_(random), builder_(name, size, random, load()) {
    const double takes = 0.02 * uniform(random);   // of the run, to get a step's clients connected
    const double stays = 1 + 3 * uniform(random);  // then it reconnects
    std::vector<analysis::Life> accepted;
    double before = 0;
    for (const Step& step : steps_) {
      for (double i = before; i < step.clients; ++i) {
        double born = (step.at + takes * uniform(random)) * H();
        came_.push_back(born);
        while (born < H()) {
          const double died = born + exponential(stays * H(), random);
          accepted.push_back({born, died < H() ? died : kAlive, 1, 1});
          born = died;
        }
      }
      before = step.clients;
    }
    std::sort(came_.begin(), came_.end());
    records_ = analysis::records_of(accepted);
  }

  double H() const { return builder_.H(); }
  Builder& builder() { return builder_; }

  Population& stack(bool leaky, analysis::Resource resource, double peers) {
    Population& stack = builder_.stack(leaky, resource);
    stack.records = records_;
    stack.concurrency = std::ceil(1.1 * records_.back().clients * peers) + 2;
    return stack;
  }

  // As many members to each of `peers` as a part of the clients needs at a time; a member comes a while after the
  // client that first needed it, and is replaced where it `wears` out (share of the run; 0: never).
  void pool(Population& stack, double peers, double wears = 0) {
    const double part = 0.4 + 0.6 * uniform(random_), delay = (0.002 + 0.018 * uniform(random_)) * H();
    for (const double came : came_) {
      for (double peer = 0; peer < peers; ++peer) {
        if (uniform(random_) > part) continue;
        double born = came + exponential(delay, random_);
        while (born < H()) {
          const double died = wears > 0 ? born + exponential(wears * H(), random_) : 2 * H();
          builder_.live(stack, born, died);
          born = died;
        }
      }
    }
    std::sort(stack.lives.begin(), stack.lives.end(), [](const auto& a, const auto& o) { return a.born < o.born; });
  }
  double peers_for(double members) const { return std::max(1.0, std::round(members / steps_.back().clients / 0.7)); }

 private:
  Profile load() const {
    return [steps = steps_](double x) {
      double clients = steps.front().clients;
      for (const Step& step : steps) clients = step.at <= x ? step.clients : clients;
      return clients / steps.back().clients;
    };
  }

  const std::vector<Step> steps_;
  Random& random_;
  Builder builder_;
  std::vector<double> came_;
  std::vector<analysis::ClientRecord> records_;
};

using analysis::Resource;

Scenario leak_per_request(const std::string& name, const Size& size, Random& random, Resource resource,
                          std::vector<Step> steps, double since = 0) {
  Rising server(name, size, random, std::move(steps));
  Builder& b = server.builder();
  b.leaks(since, 1, size.survivors);
  b.scenario().truth.bytes_per_request = 0;
  Population& leaky = server.stack(true, resource, 1);
  b.keep(leaky, b.with_load(size.survivors, between(since, 1)));
  b.churn(leaky, b.with_load(5 * size.survivors), [&] { return exponential(0.003 * b.H(), random); });
  server.pool(server.stack(false, Resource::kDescriptors, 2), 2);
  return b.done();
}

Scenario pool_alone(const std::string& name, const Size& size, Random& random, Resource resource,
                    std::vector<Step> steps, double wears = 0) {
  Rising server(name, size, random, std::move(steps));
  const double peers = server.peers_for(2 * size.survivors);
  server.pool(server.stack(false, resource, peers), peers, wears);
  return server.builder().done();
}

// Several times as many clients for a while, and then as few as before.
class Burst {
 public:
  Burst(const std::string& name, const Size& size, Random& random)
      : from_(0.2 + 0.3 * uniform(random)),
        until_(from_ + 0.2 + 0.2 * uniform(random)),
        few_(std::round(4 + 8 * uniform(random))),
        many_(std::round(few_ * (3 + 4 * uniform(random)))),
        random_(random),
        builder_(name, size, random, [from = from_, until = until_, times = many_ / few_](double x) {
          return x < from || x >= until ? 1.0 : 0.5 * times;
        }) {}
  Builder& builder() { return builder_; }
  Population& stack(bool leaky) {
    Population& stack = builder_.stack(leaky, Resource::kDescriptors);
    std::vector<analysis::Life> accepted;
    const auto connect = [&](double from, double until, double clients) {
      for (double i = 0; i < clients; ++i)
        accepted.push_back({(from + 0.005 * uniform(random_)) * builder_.H(), until * builder_.H(), 1, 1});
    };
    connect(0, from_, few_), connect(from_, until_, many_), connect(until_, 1, few_);
    stack.records = analysis::records_of(accepted);
    stack.concurrency = std::ceil(1.1 * many_) + 2;
    return stack;
  }
  // Most of it at once, then at records of what is under way; and one now and then that is opened anew.
  void pool(Population& stack, double members) {
    const double first = 0.05 + 0.2 * uniform(random_), at_once = 0.4 + 0.4 * uniform(random_);
    const double width = 0.01 + 0.04 * uniform(random_), rest = (1 - first) * members;
    builder_.keep(stack, builder_.times(first * members, between(0, 0.01)));
    builder_.keep(stack, builder_.times(at_once * rest, between(from_, from_ + width)));
    builder_.keep(stack, builder_.times((1 - at_once) * rest, [this, width](double x) {
      return x < from_ + width || x >= until_ ? 0.0 : 1 / (x - from_);
    }));
    builder_.keep(stack, builder_.times(0.05 * members, between(until_, 1)));
    std::sort(stack.lives.begin(), stack.lives.end(), [](const auto& a, const auto& o) { return a.born < o.born; });
  }

 private:
  const double from_, until_, few_, many_;
  Random& random_;
  Builder builder_;
};

}  // namespace

std::vector<Shape> rising_shapes() {
  std::vector<Shape> list;
  add_shape(list, "R01 fd per request", true, [](auto& name, auto& size, auto& random) {
    return leak_per_request(name, size, random, Resource::kDescriptors, staircase(random));
  });
  add_shape(list, "R02 thread per request", true, [](auto& name, auto& size, auto& random) {
    return leak_per_request(name, size, random, Resource::kThreads, staircase(random));
  });
  add_shape(list, "R03 heap per request", true, [](auto& name, auto& size, auto& random) {
    return leak_per_request(name, size, random, Resource::kHeap, staircase(random));
  });
  add_shape(list, "R04 fd, late", true, [](auto& name, auto& size, auto& random) {
    const double since = 0.3 + 0.3 * uniform(random);
    return leak_per_request(name, size, random, Resource::kDescriptors, staircase(random), since);
  });
  add_shape(list, "R05 fd, even ramp", true, [](auto& name, auto& size, auto& random) {
    return leak_per_request(name, size, random, Resource::kDescriptors, ramp(random));
  });
  add_shape(list, "R06 pool that leaks", true, [](auto& name, auto& size, auto& random) {
    Rising server(name, size, random, staircase(random));  // a request in so many never gives its connection back
    Builder& b = server.builder();
    b.leaks(0, 1, size.survivors);
    b.scenario().truth.bytes_per_request = 0;
    Population& pool = server.stack(true, Resource::kDescriptors, 1);
    b.keep(pool, b.with_load(size.survivors));
    server.pool(pool, 1);
    return b.done();
  });
  add_shape(list, "R07 fd, load burst", true, [](auto& name, auto& size, auto& random) {
    Burst server(name, size, random);
    Builder& b = server.builder();
    b.leaks(0, 1, size.survivors);
    b.scenario().truth.bytes_per_request = 0;
    b.keep(server.stack(true), b.with_load(size.survivors));
    return b.done();
  });
  add_shape(list, "S01 pool of connections", false, [](auto& name, auto& size, auto& random) {
    return pool_alone(name, size, random, Resource::kDescriptors, staircase(random));
  });
  add_shape(list, "S02 pool that wears", false, [](auto& name, auto& size, auto& random) {
    return pool_alone(name, size, random, Resource::kDescriptors, staircase(random), 1 + 3 * uniform(random));
  });
  add_shape(list, "S03 pool of threads", false, [](auto& name, auto& size, auto& random) {
    return pool_alone(name, size, random, Resource::kThreads, staircase(random));
  });
  add_shape(list, "S04 pool of buffers", false, [](auto& name, auto& size, auto& random) {
    return pool_alone(name, size, random, Resource::kHeap, staircase(random));
  });
  add_shape(list, "S05 pool, even ramp", false, [](auto& name, auto& size, auto& random) {
    return pool_alone(name, size, random, Resource::kDescriptors, ramp(random));
  });
  add_shape(list, "S06 churn, rising", false, [](auto& name, auto& size, auto& random) {
    Rising server(name, size, random, staircase(random));
    Builder& b = server.builder();
    const double lifetime = (0.005 + 0.05 * uniform(random)) * b.H();
    b.churn(server.stack(false, Resource::kDescriptors, 1), b.with_load(size.births),
            [&] { return exponential(lifetime, random); });
    return b.done();
  });
  add_shape(list, "S07 pool, load burst", false, [](auto& name, auto& size, auto& random) {
    Burst server(name, size, random);
    server.pool(server.stack(false), size.survivors);
    return server.builder().done();
  });
  return list;
}

}  // namespace camprobe::ground_truth
