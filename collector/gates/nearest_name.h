// collector/gates/nearest_name.h: what somebody who wrote a name that is not known most likely meant.
#pragma once

#include <string_view>
#include <vector>

namespace camprobe::gates {

// The known name with the fewest letters to change, add, leave out or swap; "" where all are too far from it (more than
// a third of its length).
std::string_view nearest_name(std::string_view written, const std::vector<std::string_view>& known);

}  // namespace camprobe::gates
