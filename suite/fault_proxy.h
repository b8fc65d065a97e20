// suite/fault_proxy.h
//
// A TCP proxy on loopback with a network's faults, between a server and what it calls: for where netem may not be used,
// and for one connection's way only. A process of its own, told by lines on a pipe:
//   latency 50      milliseconds that every piece of data waits, each way
//   jitter 20       up to so many more, evenly drawn
//   cut 0.01        share of pieces of data at which the connection is reset instead: what loss becomes for a program
//   partition 1     nothing passes, what comes is kept; 0: it flows on
//   connections 10  at a time; further ones wait to be accepted: an exhausted pool
// It prints what it did when it ends.
#pragma once

#include <map>
#include <string>

#include "run/result.h"
#include "suite/child.h"

namespace camprobe::suite {

class FaultProxy {
 public:
  // Listens on 127.0.0.1:`listen`, connects to 127.0.0.1:`to` for each connection.
  static run::Result<FaultProxy> start(const std::string& name, int listen, int to, const std::string& log);
  FaultProxy(FaultProxy&& other) noexcept;
  FaultProxy& operator=(FaultProxy&&) = delete;
  ~FaultProxy();

  const std::string& name() const { return name_; }
  // {latency: "50 ms", cut: "1 %"}, and "off" for "no faults"; the error says what is not understood.
  run::Result<void> set(const std::map<std::string, std::string>& faults);

 private:
  FaultProxy(std::string name, Child child, int pipe) : name_(std::move(name)), child_(std::move(child)), pipe_(pipe) {}
  std::string name_;
  Child child_;
  int pipe_ = -1;
};

// One key of a suite's `network`, in the proxy's own words ("latency", "50 ms" is "latency 50"). The error is a
// sentence.
run::Result<std::string> fault_line(const std::string& key, const std::string& value);

}  // namespace camprobe::suite
