// collector/load/gatling.h
//
// What Gatling's two simulation.log formats have in common: from its records to requests.
//
// A request has a start and an end in milliseconds; KO is Gatling's own judgement, checks included. Where its message
// names an exception, no answer came. An end before its start, which Gatling writes for what it could not match, is no
// duration. The endpoint is the request's name behind the groups it is in. Groups are sums of requests, and no
// requests.
//
// USER records tell when virtual users begin and end: how many are at work is the sum of those before.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "collector/load/requests.h"

namespace camprobe::load {

class GatlingRecords {
 public:
  // `groups` as the log has them, separated by commas.
  void add_request(std::string_view groups, std::string_view name, WallTime start, WallTime end, bool is_ok,
                   std::string_view message);
  void add_user(WallTime at, bool begins) { requests_.series.add_user_change(at, begins ? 1 : -1); }
  void add_error() { ++errors_; }
  void finish(LoadTimeline& timeline);

 private:
  RequestSums requests_;
  std::string name_;
  std::uint64_t errors_ = 0;
};

}  // namespace camprobe::load
