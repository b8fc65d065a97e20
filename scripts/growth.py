"""Whether a series of a long recording grows.

It does if three things hold after the warm-up (a quarter of the time, at least ten minutes):

  it is no noise        the slope of the least-squares line is positive at p < 0.001, with as many independent values as its
                        autocorrelation leaves (residuals' lag-1 correlation r, n_e = n(1-r)/(1+r)); first against last, or a
                        line that takes each minute for independent, would find a slope in every drifting series
  it matters            Theil and Sen's slope is above the least that is worth a word
  it goes on            the last third's slope is at least half of the middle third's: what fills up flattens
"""
import collections
import math
import statistics

WARM_UP_MINUTES, WARM_UP_SHARE = 10, 0.25


def least_squares(xs, ys):
    """Slope and residuals."""
    mx, my = statistics.fmean(xs), statistics.fmean(ys)
    sxx = sum((x - mx) ** 2 for x in xs)
    slope = sum((x - mx) * (y - my) for x, y in zip(xs, ys)) / sxx
    return slope, [y - my - slope * (x - mx) for x, y in zip(xs, ys)]


def theil_sen(xs, ys):
    return statistics.median((ys[j] - ys[i]) / (xs[j] - xs[i]) for i in range(len(xs)) for j in range(i + 1, len(xs)))


def student_tail(t, degrees):
    """P(T > t): the integral of the density from t on, by Simpson's rule in u = 1 / (1 + x)."""
    if t <= 0:
        return 1.0
    log_scale = math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2) - 0.5 * math.log(degrees * math.pi)

    def density(u):
        if u <= 0:
            return 0.0
        x = 1 / u - 1 + t
        return math.exp(log_scale - (degrees + 1) / 2 * math.log1p(x * x / degrees)) / (u * u)

    steps = 2000
    total = density(0) + density(1) + sum((4 if i % 2 else 2) * density(i / steps) for i in range(1, steps))
    return total / steps / 3


def trend_p(xs, ys):
    """One-sided p of a positive slope; None where the values are too dependent to tell."""
    n = len(xs)
    slope, residuals = least_squares(xs, ys)
    ssr = sum(r * r for r in residuals)
    if ssr <= 1e-12 * max(1.0, max(abs(y) for y in ys)) ** 2:
        return 0.0 if slope > 0 else 1.0
    r1 = sum(a * b for a, b in zip(residuals, residuals[1:])) / ssr
    r = r1 + 4 / n
    r = min(0.99, max(0.0, r + (1 + 3 * r) / n))
    effective = n * (1 - r) / (1 + r)
    if effective < 4:
        return None
    mx = statistics.fmean(xs)
    error = math.sqrt(ssr / ((effective - 2) * sum((x - mx) ** 2 for x in xs)))
    return student_tail(slope / error, effective - 2)


Judgement = collections.namedtuple("Judgement", "grows per_hour p why")


def judge(hours, values, least_per_hour):
    """Whether a series grows; `hours` since the start of each value."""
    start = max(WARM_UP_MINUTES / 60, hours[-1] * WARM_UP_SHARE)
    xs, ys = zip(*[(h, v) for h, v in zip(hours, values) if h >= start])
    slope, p = theil_sen(xs, ys), trend_p(xs, ys)
    third = len(xs) // 3
    first, middle, last = (theil_sen(xs[part], ys[part]) for part in (slice(third), slice(third, -third), slice(-third, None)))
    goes_on = last > 0 and last >= middle / 2
    if p is None:
        # A walk, or a line without noise around it: it has to rise all along.
        grows = slope > least_per_hour and first > 0 and middle > 0 and goes_on and ys[-1] == max(ys)
        return Judgement(grows, slope, None, "its values depend on each other too much for a test, and it rose all along")
    return Judgement(p < 0.001 and slope > least_per_hour and goes_on, slope, p, "it rises, beyond noise, and goes on rising")
