#include "suite/fault_proxy.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <deque>
#include <memory>
#include <random>
#include <unordered_map>
#include <utility>

#include "collector/gates/limit.h"
#include "suite/suite_file.h"

namespace camprobe::suite {
namespace {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::duration<double, std::milli>;

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  return address;
}

// One way of a connection: what was read waits until it is due, and is written in its order.
struct Way {
  int from = -1, to = -1;
  std::deque<std::pair<Clock::time_point, std::string>> waiting;
  std::size_t bytes = 0;
  bool has_ended = false, is_shut = false;  // read to its end; passed on
};

struct Connection {
  std::array<Way, 2> ways;
};

class Loop {
 public:
  Loop(int listener, int to, int orders)
      : listener_(listener), to_(to), orders_(orders), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    watch(listener_);
    watch(orders_);
  }

  int run() {
    std::array<epoll_event, 256> events{};
    while (true) {
      const int count = ::epoll_wait(epoll_, events.data(), events.size(), next_due());
      if (count < 0 && errno != EINTR) return 1;
      for (int i = 0; i < count; ++i) {
        const int fd = events[static_cast<std::size_t>(i)].data.fd;
        if (fd == orders_) {
          if (!obey()) {
            fmt::print("{} connections, {} pieces of data passed, {} connections cut\n", accepted_, passed_, cut_);
            return 0;
          }
        } else if (fd != listener_) {
          read_from(fd);
        }
      }
      accept_all();
      pass_all();
    }
  }

 private:
  static constexpr std::size_t kMostWaiting = 1 << 20;  // bytes a way; then reading stops, as a full window would

  void watch(int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  }

  bool obey() {
    std::array<char, 512> text{};
    const ssize_t got = ::read(orders_, text.data(), text.size());
    if (got <= 0) return got < 0 && (errno == EAGAIN || errno == EINTR);
    pending_.append(text.data(), static_cast<std::size_t>(got));
    for (std::size_t end; (end = pending_.find('\n')) != std::string::npos; pending_.erase(0, end + 1)) {
      const std::string line = pending_.substr(0, end);
      const std::string key = line.substr(0, line.find(' '));
      const double value = std::atof(line.c_str() + key.size());
      if (key == "latency") latency_ms_ = value;
      if (key == "jitter") jitter_ms_ = value;
      if (key == "cut") share_cut_ = value;
      if (key == "partition") is_parted_ = value != 0;
      if (key == "end") return false;
      if (key == "connections") most_ = value > 0 ? static_cast<std::size_t>(value) : SIZE_MAX;
    }
    return true;
  }

  void accept_all() {
    while (!is_parted_ && connections_.size() / 2 < most_) {
      const int client = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (client < 0) break;
      const int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      const sockaddr_in address = loopback(to_);
      if (server < 0 || ::connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        if (server >= 0) ::close(server);
        ::close(client);
        continue;
      }
      ::fcntl(server, F_SETFL, O_NONBLOCK);
      const int yes = 1;
      for (const int fd : {client, server}) ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
      auto connection = std::make_shared<Connection>();
      connection->ways[0].from = connection->ways[1].to = client;
      connection->ways[0].to = connection->ways[1].from = server;
      connections_[client] = connections_[server] = connection;
      watch(client);
      watch(server);
      ++accepted_;
    }
    // Nobody is to be woken for what may not be accepted.
    const bool is_full = is_parted_ || connections_.size() / 2 >= most_;
    if (is_full != listener_is_deaf_) {
      listener_is_deaf_ = is_full;
      if (is_full)
        ::epoll_ctl(epoll_, EPOLL_CTL_DEL, listener_, nullptr);
      else
        watch(listener_);
    }
  }

  void read_from(int fd) {
    const auto found = connections_.find(fd);
    if (found == connections_.end()) return;
    const std::shared_ptr<Connection> connection = found->second;
    Way& way = connection->ways[connection->ways[0].from == fd ? 0 : 1];
    std::array<char, 65536> data;
    const ssize_t got = ::recv(fd, data.data(), data.size(), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
      way.has_ended = true;
      ::epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
      return;
    }
    if (std::uniform_real_distribution<double>()(random_) < share_cut_) {
      ++cut_;
      reset(*connection);
      return;
    }
    const double wait = latency_ms_ + jitter_ms_ * std::uniform_real_distribution<double>()(random_);
    Clock::time_point due = Clock::now() + std::chrono::duration_cast<Clock::duration>(Milliseconds(wait));
    if (!way.waiting.empty()) due = std::max(due, way.waiting.back().first);
    way.waiting.emplace_back(due, std::string(data.data(), static_cast<std::size_t>(got)));
    way.bytes += static_cast<std::size_t>(got);
    if (way.bytes > kMostWaiting) ::epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
  }

  void pass_all() {
    if (is_parted_) return;
    const auto now = Clock::now();
    std::vector<std::shared_ptr<Connection>> all;
    for (const auto& [fd, connection] : connections_) {
      if (connection->ways[0].from == fd) all.push_back(connection);
    }
    for (const auto& connection : all) {
      bool is_broken = false;
      for (Way& way : connection->ways) {
        const bool was_full = way.bytes > kMostWaiting;
        while (!way.waiting.empty() && way.waiting.front().first <= now) {
          std::string& data = way.waiting.front().second;
          const ssize_t sent = ::send(way.to, data.data(), data.size(), MSG_NOSIGNAL);
          if (sent < 0 && (errno == EAGAIN || errno == EINTR)) break;
          if (sent < 0) {
            is_broken = true;
            break;
          }
          way.bytes -= static_cast<std::size_t>(sent);
          data.erase(0, static_cast<std::size_t>(sent));
          if (!data.empty()) break;
          way.waiting.pop_front();
          ++passed_;
        }
        if (was_full && way.bytes <= kMostWaiting && !way.has_ended) watch(way.from);
        if (way.has_ended && way.waiting.empty() && !way.is_shut) {
          way.is_shut = true;
          ::shutdown(way.to, SHUT_WR);
        }
      }
      if (is_broken)
        reset(*connection);
      else if (connection->ways[0].is_shut && connection->ways[1].is_shut)
        forget(*connection);
    }
  }

  void reset(const Connection& connection) {
    const linger at_once{1, 0};
    for (const Way& way : connection.ways) ::setsockopt(way.from, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    forget(connection);
  }
  void forget(const Connection& connection) {
    const int first = connection.ways[0].from, second = connection.ways[1].from;
    connections_.erase(first);
    connections_.erase(second);
    ::close(first);
    ::close(second);
  }

  // Milliseconds until something is due; a blocked receiver is tried again soon.
  int next_due() const {
    if (is_parted_) return -1;
    auto earliest = Clock::time_point::max();
    for (const auto& [fd, connection] : connections_) {
      for (const Way& way : connection->ways) {
        if (!way.waiting.empty()) earliest = std::min(earliest, way.waiting.front().first);
      }
    }
    if (earliest == Clock::time_point::max()) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(earliest - Clock::now()).count();
    return static_cast<int>(std::clamp<long>(left, 1, 1000));
  }

  int listener_, to_, orders_, epoll_;
  std::unordered_map<int, std::shared_ptr<Connection>> connections_;  // by both descriptors
  std::mt19937_64 random_{1};
  std::string pending_;
  double latency_ms_ = 0, jitter_ms_ = 0, share_cut_ = 0;
  bool is_parted_ = false, listener_is_deaf_ = false;
  std::size_t most_ = SIZE_MAX;
  std::uint64_t accepted_ = 0, passed_ = 0, cut_ = 0;
};

}  // namespace

run::Result<std::string> fault_line(const std::string& key, const std::string& value) {
  if (key == "latency" || key == "jitter") {
    const auto seconds = seconds_of(value);
    if (!seconds) return run::Error{fmt::format("{} is a time: write 50 ms, not {}", key, value)};
    return fmt::format("{} {:.3f}\n", key, *seconds * 1000);
  }
  if (key == "cut") {
    const auto share = gates::limit_of(value, "ratio");
    if (!share) return run::Error{fmt::format("cut is a share: write 1 %, not {}", value)};
    return fmt::format("cut {:.6f}\n", *share);
  }
  if (key == "partition") {
    if (value != "true" && value != "false")
      return run::Error{fmt::format("partition is true or false, not {}", value)};
    return std::string(value == "true" ? "partition 1\n" : "partition 0\n");
  }
  if (key == "connections") {
    const int most = std::atoi(value.c_str());
    if (most < 0 || (most == 0 && value != "0"))
      return run::Error{fmt::format("connections is a number, 0 for any, not {}", value)};
    return fmt::format("connections {}\n", most);
  }
  return run::Error{fmt::format("there is no fault {}; known are latency, jitter, cut, partition, connections", key)};
}

run::Result<FaultProxy> FaultProxy::start(const std::string& name, int listen, int to, const std::string& log) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int yes = 1;
  ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  const sockaddr_in address = loopback(listen);
  std::array<int, 2> orders{};
  if (::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener, 512) != 0 || ::pipe2(orders.data(), O_CLOEXEC) != 0) {
    const int why = errno;
    ::close(listener);
    return run::Error{fmt::format("proxy {} cannot listen on 127.0.0.1:{}: {}", name, listen, std::strerror(why))};
  }
  Child::Start what;
  what.name = "proxy " + name;
  what.output = log;
  what.body = [listener, to, orders] {
    ::close(orders[1]);
    ::fcntl(orders[0], F_SETFL, O_NONBLOCK);
    ::signal(SIGPIPE, SIG_IGN);
    return Loop(listener, to, orders[0]).run();
  };
  auto child = Child::start(what);
  ::close(listener);
  ::close(orders[0]);
  if (!child) {
    ::close(orders[1]);
    return run::Error{child.error()};
  }
  return FaultProxy(name, std::move(*child), orders[1]);
}

FaultProxy::FaultProxy(FaultProxy&& other) noexcept
    : name_(std::move(other.name_)), child_(std::move(other.child_)), pipe_(std::exchange(other.pipe_, -1)) {}

FaultProxy::~FaultProxy() {
  if (pipe_ < 0) return;
  // It ends by itself, and prints. A closed pipe would not tell it: processes started since hold its other end too.
  [[maybe_unused]] const ssize_t told = ::write(pipe_, "end\n", 4);
  ::close(pipe_);
  for (int i = 0; i < 50 && child_.is_running(); ++i) nap(0.02);
}

run::Result<void> FaultProxy::set(const std::map<std::string, std::string>& faults) {
  std::string orders;
  for (const auto& [key, value] : faults) {
    if (key == "proxy") continue;
    const auto line = fault_line(key, value);
    if (!line) return run::Error{line.error()};
    orders += *line;
  }
  if (::write(pipe_, orders.data(), orders.size()) != static_cast<ssize_t>(orders.size()))
    return run::Error{"proxy " + name_ + " has ended"};
  return {};
}

}  // namespace camprobe::suite
