// run/units.h
//
// Quantities as a reader says them: "2.4 KiB", "1,204", "3 m 20 s", "12.5 ms". Three significant digits; for people,
// not for programs.
#pragma once

#include <string>
#include <string_view>

namespace camprobe::run {

std::string in_bytes(double bytes);
std::string in_count(double count);      // 1,204; 12.3; 0.004
std::string in_seconds(double seconds);  // a length of time: 850 ms, 12 s, 3 m 20 s, 5 h 10 m, 12 days
std::string at_time(double seconds);     // an instant of the run: 0:43, 1:02:07
std::string in_percent(double share);    // 12.3 %
// By the unit of a run::Estimate (bytes, count, ms, ns, ratio) or of a metric of docs/gates.md.
std::string in_unit(double value, std::string_view unit);

}  // namespace camprobe::run
