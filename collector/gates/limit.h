// collector/gates/limit.h
//
// Limits as people write them ("200 ms", "0.1 %", "64 MiB", "1.5"), in a metric's unit, and back.
#pragma once

#include <string>
#include <string_view>

#include "run/result.h"

namespace camprobe::gates {

// A number alone is in `unit` (a metric's). The error is a sentence without a place.
run::Result<double> limit_of(std::string_view text, std::string_view unit);

}  // namespace camprobe::gates
