// collector/load/skew.cc: see skew.h for the method.
#include "collector/load/skew.h"

#include <algorithm>
#include <cmath>

namespace camprobe::load {
namespace {

constexpr std::size_t kFewestBuckets = 8;
constexpr double kFewestRequests = 50;
constexpr double kLeastCorrelation = 0.5;
constexpr double kLeastSignificance = 5;  // standard deviations of the correlation of unrelated series
constexpr double kLeastLead = 0.15;       // over the best lag that is not next to the best
constexpr int kFineSteps = 50;            // in each direction, for one bucket

// Sum over all i of x[i] * y[i + lag], and of both squared, outside of either series being zero.
struct Correlation {
  double value = 0;
  double overlap = 0;  // how many places both series have
};

std::vector<double> differences(const std::vector<double>& counts) {
  std::vector<double> out;
  double before = 0;
  for (const double count : counts) {
    out.push_back(count - before);
    before = count;
  }
  out.push_back(-before);
  return out;
}

// The load moved right by `fraction` of a bucket; one bucket longer.
std::vector<double> moved(const std::vector<double>& counts, double fraction) {
  std::vector<double> out(counts.size() + 1, 0);
  for (std::size_t i = 0; i < counts.size(); ++i) {
    out[i] += counts[i] * (1 - fraction);
    out[i + 1] += counts[i] * fraction;
  }
  return out;
}

// Correlation of x, placed at `offset` in y, with the stretch of y it covers. The part of x that y does not reach is
// unknown, not zero: it is left out.
Correlation correlate(const std::vector<double>& x, const std::vector<double>& y, std::int64_t offset) {
  const auto nx = static_cast<std::int64_t>(x.size()), ny = static_cast<std::int64_t>(y.size());
  const std::int64_t begin = std::max<std::int64_t>(0, -offset), end = std::min(nx, ny - offset);
  if (end - begin < static_cast<std::int64_t>(kFewestBuckets)) return {};
  double sx = 0, sy = 0, sxx = 0, syy = 0, sxy = 0;
  for (std::int64_t i = begin; i < end; ++i) {
    const double a = x[static_cast<std::size_t>(i)], b = y[static_cast<std::size_t>(i + offset)];
    sx += a, sy += b, sxx += a * a, syy += b * b, sxy += a * b;
  }
  const auto n = static_cast<double>(end - begin);
  const double vx = sxx - sx * sx / n, vy = syy - sy * sy / n;
  if (!(vx > 0) || !(vy > 0)) return {};
  return {(sxy - sx * sy / n) / std::sqrt(vx * vy), n};
}

}  // namespace

std::optional<Nanoseconds> estimate_skew(const RequestSeries& load, const RequestSeries& server, Nanoseconds most) {
  if (load.width <= Nanoseconds{0} || load.width != server.width) return std::nullopt;
  if (load.counts.size() < kFewestBuckets || server.counts.size() < kFewestBuckets) return std::nullopt;
  double requests = 0, served = 0;
  for (const double count : load.counts) requests += count;
  for (const double count : server.counts) served += count;
  if (!(requests >= kFewestRequests) || !(served >= kFewestRequests)) return std::nullopt;

  // Bucket i of load stands at place i + offset of server when the skew is (offset * width) - between.
  const double width = static_cast<double>(load.width.count());
  const double between = static_cast<double>((load.from - server.from).count()) / width;
  const double reach = static_cast<double>(most.count()) / width;
  const auto first = static_cast<std::int64_t>(std::ceil(between - reach));
  const auto last = static_cast<std::int64_t>(std::floor(between + reach));

  // Outside its run the load is known to be zero; the server's first and last difference are not known.
  std::vector<double> padded(2, 0);
  padded.insert(padded.end(), load.counts.begin(), load.counts.end());
  padded.resize(padded.size() + 2, 0);
  const std::vector<double> load_changes = differences(padded);
  std::vector<double> server_changes = differences(server.counts);
  server_changes.erase(server_changes.begin());
  server_changes.pop_back();          // [i] is now the change from place i to i + 1
  const std::int64_t shift = -2 - 1;  // load_changes[k] is the change into padded[k], load bucket k - 2

  std::vector<std::pair<std::int64_t, Correlation>> lags;
  for (std::int64_t offset = first; offset <= last; ++offset) {
    lags.emplace_back(offset, correlate(load_changes, server_changes, offset + shift));
  }
  const auto best = std::max_element(lags.begin(), lags.end(),
                                     [](const auto& a, const auto& b) { return a.second.value < b.second.value; });
  if (best == lags.end()) return std::nullopt;
  const auto& [offset, peak] = *best;
  if (peak.value < kLeastCorrelation || peak.value * std::sqrt(peak.overlap) < kLeastSignificance / 2)
    return std::nullopt;
  // A shift between two buckets is shared by both: what is next to the best is no rival.
  for (const auto& [lag, rival] : lags) {
    if (std::abs(lag - offset) > 2 && rival.value > peak.value - kLeastLead) return std::nullopt;
  }

  double finest = 0, finest_value = -1;
  for (int step = -kFineSteps; step <= kFineSteps; ++step) {
    const double fraction = static_cast<double>(step) / kFineSteps;
    const std::vector<double> there = fraction < 0 ? moved(padded, 1 + fraction) : moved(padded, fraction);
    const std::int64_t whole = fraction < 0 ? offset - 1 : offset;
    const Correlation fit = correlate(there, server.counts, whole - 2);
    if (fit.value > finest_value) {
      finest_value = fit.value;
      finest = fraction;
    }
  }
  const double skew = (static_cast<double>(offset) + finest - between) * width;
  if (std::abs(skew) > static_cast<double>(most.count())) return std::nullopt;
  return Nanoseconds{std::llround(skew)};
}

}  // namespace camprobe::load
