// push/push_live_metrics.cc: what the processes with the probe do right now, as metrics. See session.h.
//
// Targets are read as `camprobe serve` reads them: nothing is claimed or written. Rings are drained on this thread;
// requests are made here and sent by the outbox's, so that a receiver that is slow or away holds nothing up.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "collector/serve/exposition.h"
#include "collector/serve/targets.h"
#include "collector/version.h"
#include "push/metrics_request.h"
#include "push/session.h"

namespace camprobe::push {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

std::vector<prometheus::MetricFamily> families_of(const serve::Targets& targets, const Outbox::Figures& figures) {
  serve::FamilySet set;
  set.gauge(serve::names::kInfo, {{"version", kVersion}}, 1);
  set.gauge(serve::names::kTargets, {}, static_cast<double>(targets.all().size()));
  set.gauge(serve::names::kTargetsLeftOut, {}, static_cast<double>(targets.left_out()));
  for (const serve::Target* target : targets.all()) serve::add_target(set, *target);
  set.counter(serve::names::kPushRequestsTotal, {{"outcome", "delivered"}}, static_cast<double>(figures.delivered));
  set.counter(serve::names::kPushRequestsTotal, {{"outcome", "dropped"}}, static_cast<double>(figures.dropped));
  set.counter(serve::names::kPushRequestsTotal, {{"outcome", "refused"}}, static_cast<double>(figures.refused));
  set.counter(serve::names::kPushFailedAttemptsTotal, {}, static_cast<double>(figures.attempts_failed));
  set.gauge(serve::names::kPushWaitingBytes, {}, static_cast<double>(figures.waiting_bytes));
  return std::move(set).take();
}

}  // namespace

int push_live_metrics(Session& session) {
  const pid_t pid = session.options.pid;
  serve::Targets targets(session.options.most_targets, pid != 0 ? std::optional(pid) : std::nullopt);
  MetricsRequests requests(session.receiver, session.labels);
  const auto push_now = [&] {
    targets.refresh();
    for (Parcel& parcel : requests.at(realtime_ms(), families_of(targets, session.outbox->figures())))
      session.outbox->put(std::move(parcel));
  };
  const std::chrono::seconds every(session.options.every_s);
  auto next = steady_clock::now() + std::min<milliseconds>(every, std::chrono::seconds(1));  // tables are read by then
  while (!is_to_end() && !session.outbox->barred()) {
    const milliseconds idle = targets.poll();
    const auto now = steady_clock::now();
    if (now >= next) {
      push_now();
      next = std::max(next + every, steady_clock::now());
      continue;
    }
    const auto until_push = std::chrono::ceil<milliseconds>(next - now);
    sleep_for(std::clamp(std::min(idle, until_push), milliseconds(1), milliseconds(100)));
  }
  if (!session.outbox->barred()) {
    push_now();
    for (Parcel& parcel : requests.end(realtime_ms() + 1)) session.outbox->put(std::move(parcel));
    say_farewell(session);
  }
  return conclude(session);
}

}  // namespace camprobe::push
