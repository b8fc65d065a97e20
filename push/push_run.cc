// push/push_run.cc: a recorded run, from its beginning to its end. See session.h.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "exporters/filter.h"
#include "push/metrics_request.h"
#include "push/profile_request.h"
#include "push/run_metrics.h"
#include "push/session.h"
#include "run/units.h"

namespace camprobe::push {
namespace {

constexpr std::size_t kMostAhead = 4;       // requests made before they are needed
constexpr std::int64_t kMostWindows = 240;  // of profiles: each reads the objects that lived then

bool hand_over(Session& session, std::vector<Parcel> parcels) {
  const std::chrono::seconds patience(session.options.patience_s);
  for (Parcel& parcel : parcels) {
    if (!session.outbox->wait_until_at_most(kMostAhead, patience, is_to_end)) return false;
    session.outbox->put(std::move(parcel));
  }
  return true;
}

bool push_metrics(Session& session, run::Reader& run, std::int64_t duration_s) {
  RunMetrics metrics(run);
  MetricsRequests requests(session.receiver, session.labels);
  const std::int64_t began_ms = run.meta().started_realtime_ns / 1'000'000;
  // A Pushgateway holds one value of each series: the last.
  const bool last_only = session.receiver.kind == ReceiverKind::kPushgateway;
  const std::int64_t every_s = last_only ? duration_s : session.options.every_s;
  bool is_going = true;
  for (std::int64_t from_s = 0; from_s < duration_s && is_going; from_s += every_s) {
    const std::int64_t to_s = std::min(from_s + every_s, duration_s);
    auto families = metrics.at(from_s, to_s);
    if (!families.empty()) is_going = hand_over(session, requests.at(began_ms + to_s * 1000, std::move(families)));
  }
  return is_going && hand_over(session, requests.end(began_ms + duration_s * 1000 + 1));
}

bool push_profiles(Session& session, run::Reader& run, std::int64_t duration_s) {
  std::int64_t every_s = session.options.every_s;
  if (duration_s / every_s > kMostWindows) {
    every_s = (duration_s + kMostWindows - 1) / kMostWindows;
    if (!session.options.is_quiet)
      say(fmt::format("{} is long: a profile every {}", session.options.run,
                      run::in_seconds(static_cast<double>(every_s))));
  }
  bool is_going = true;
  for (std::int64_t from_s = 0; from_s < duration_s && is_going; from_s += every_s)
    is_going = hand_over(session, profile_requests(run, from_s, std::min(from_s + every_s, duration_s),
                                                   session.receiver, session.labels));
  return is_going;
}

}  // namespace

int push_run(Session& session, run::Reader& run) {
  constexpr std::int64_t kSecondNs = 1'000'000'000;
  const std::int64_t duration_s = (run.duration_ns() + kSecondNs - 1) / kSecondNs;
  bool is_all = false;
  try {
    is_all = session.receiver.kind == ReceiverKind::kPyroscope ? push_profiles(session, run, duration_s)
                                                               : push_metrics(session, run, duration_s);
  } catch (const exporters::SliceError& error) {  // the file is damaged
    say(error.what());
    return 2;
  }
  if (run.error()) {
    say(run.error()->sentence);
    return 2;
  }
  if (is_all)
    is_all = session.outbox->wait_until_at_most(0, std::chrono::seconds(session.options.patience_s), is_to_end);
  const Outbox::Figures figures = session.outbox->figures();
  if (is_all && figures.delivered + figures.refused == 0) {
    say(fmt::format("{}: there is nothing in it to push to {}", session.options.run, session.options.to));
    return 2;
  }
  const int exit_code = conclude(session);
  return is_all || exit_code != 0 ? exit_code : 1;
}

}  // namespace camprobe::push
