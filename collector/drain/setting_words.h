// collector/drain/setting_words.h
//
// What a probe records, in words: for marks in a run, for `camprobe set`, for reports.
#pragma once

#include <cstdint>
#include <string>

namespace camprobe::drain {

// "every 64 KiB", "auto, every 64 KiB now", "off".
std::string heap_words(std::uint64_t interval, bool is_auto);
std::string cpu_words(std::uint64_t hz);            // "999 Hz", "off"
std::string wait_words(std::uint64_t interval_ns);  // "every 10 ms", "off"
std::string budget_words(std::uint32_t ppm);        // "1 %"
// The families that went on or off between two masks: "socket off, file off"; empty: none.
std::string family_changes(std::uint32_t before, std::uint32_t after);

}  // namespace camprobe::drain
