// collector/load/wall_time.cc: parsing and printing of instants, without locale or time zone database.
#include "collector/load/wall_time.h"

#include <fmt/format.h>

#include <charconv>

namespace camprobe::load {
namespace {

using std::chrono::days;
using std::chrono::seconds;

constexpr std::int64_t kEarliestSecond = 946'684'800;  // 2000-01-01
constexpr std::int64_t kLatestSecond = 7'258'118'400;  // 2200-01-01

bool is_plausible(std::int64_t second) {
  return second >= kEarliestSecond && second < kLatestSecond;
}

// Reads exactly `digits` decimal digits at the front of `text` and drops them.
std::optional<std::int64_t> take_number(std::string_view& text, std::size_t digits) {
  if (text.size() < digits) return std::nullopt;
  std::int64_t number = 0;
  for (std::size_t i = 0; i < digits; ++i) {
    if (text[i] < '0' || text[i] > '9') return std::nullopt;
    number = number * 10 + (text[i] - '0');
  }
  text.remove_prefix(digits);
  return number;
}

bool take(std::string_view& text, std::string_view any_of) {
  if (text.empty() || any_of.find(text.front()) == std::string_view::npos) return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

std::optional<Stamp> parse_rfc3339(std::string_view text) {
  const auto year = take_number(text, 4);
  if (!year || !take(text, "-")) return std::nullopt;
  const auto month = take_number(text, 2);
  if (!month || !take(text, "-")) return std::nullopt;
  const auto day = take_number(text, 2);
  if (!day || !take(text, "Tt ")) return std::nullopt;
  const auto hour = take_number(text, 2);
  if (!hour || !take(text, ":")) return std::nullopt;
  const auto minute = take_number(text, 2);
  if (!minute || !take(text, ":")) return std::nullopt;
  const auto second = take_number(text, 2);
  if (!second || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year{static_cast<int>(*year)},
                                         std::chrono::month{static_cast<unsigned>(*month)},
                                         std::chrono::day{static_cast<unsigned>(*day)}};
  if (!date.ok()) return std::nullopt;

  std::int64_t fraction = 0;
  Nanoseconds resolution = seconds{1};
  if (take(text, ".")) {
    std::size_t digits = 0;
    while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
      if (resolution > Nanoseconds{1}) {
        resolution /= 10;
        fraction += (text.front() - '0') * resolution.count();
      }
      text.remove_prefix(1);
      ++digits;
    }
    if (digits == 0) return std::nullopt;
  }

  std::int64_t offset = 0;  // seconds east of UTC
  if (!take(text, "Zz")) {
    const bool west = !text.empty() && text.front() == '-';
    if (!take(text, "+-")) return std::nullopt;
    const auto hours = take_number(text, 2);
    if (!hours || !take(text, ":")) return std::nullopt;
    const auto minutes = take_number(text, 2);
    if (!minutes || *hours > 23 || *minutes > 59) return std::nullopt;
    offset = (*hours * 3600 + *minutes * 60) * (west ? -1 : 1);
  }
  if (!text.empty()) return std::nullopt;

  const std::int64_t total =
      seconds{std::chrono::sys_days{date}.time_since_epoch()}.count() + *hour * 3600 + *minute * 60 + *second - offset;
  if (!is_plausible(total)) return std::nullopt;
  return Stamp{WallTime{seconds{total} + Nanoseconds{fraction}}, resolution};
}

std::optional<Stamp> parse_epoch(std::string_view digits) {
  std::uint64_t count = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), count);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  for (const Nanoseconds unit : {Nanoseconds{seconds{1}}, Nanoseconds{std::chrono::milliseconds{1}},
                                 Nanoseconds{std::chrono::microseconds{1}}, Nanoseconds{1}}) {
    if (const auto at = since_epoch(count, unit)) return Stamp{*at, unit};
  }
  return std::nullopt;
}

std::optional<WallTime> since_epoch(std::uint64_t count, Nanoseconds unit) {
  const std::uint64_t per_second = static_cast<std::uint64_t>(Nanoseconds{seconds{1}} / unit);
  if (count / per_second >= static_cast<std::uint64_t>(kLatestSecond)) return std::nullopt;
  if (!is_plausible(static_cast<std::int64_t>(count / per_second))) return std::nullopt;
  return WallTime{unit * static_cast<std::int64_t>(count)};
}

std::string to_rfc3339(WallTime time) {
  const auto day = std::chrono::floor<days>(time);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss clock{std::chrono::floor<std::chrono::milliseconds>(time - day)};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), clock.hours().count(),
                     clock.minutes().count(), clock.seconds().count(), clock.subseconds().count());
}

}  // namespace camprobe::load
