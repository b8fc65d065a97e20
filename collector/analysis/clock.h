// collector/analysis/clock.h
//
// Cumulative requests as a clock. A cache fills, and a leak grows, with work done rather than with time: on this clock
// a leak per request is a straight line under any load profile, and a keyed cache decays exponentially even under a
// ramp.
#pragma once

#include <vector>

#include "collector/analysis/input.h"

namespace camprobe::analysis {

// Piecewise linear, never falling. With no points (or no work in them) it is plain time.
class WorkClock {
 public:
  WorkClock() = default;
  WorkClock(std::vector<WorkPoint> points, WorkSource source);

  WorkSource source() const { return source_; }
  bool counts_requests() const { return source_ != WorkSource::kTime; }
  Requests at(Seconds t) const;
  // The earliest time at which `total` requests were done.
  Seconds when(Requests total) const;
  // The first and last instants at which the work went on: load that trickles before and after its body is left out.
  Seconds body_begin() const { return body_begin_; }
  Seconds body_end() const { return body_end_; }

 private:
  std::vector<WorkPoint> points_;
  WorkSource source_ = WorkSource::kTime;
  Seconds body_begin_ = 0, body_end_ = 0;
};

}  // namespace camprobe::analysis
