// run/text.h
//
// Text from strangers (a target's memory, a file handed in) made safe to store and to print as JSON.
#pragma once

#include <string>
#include <string_view>

namespace camprobe::run {

// The text with every byte that is not part of valid UTF-8 replaced by U+FFFD, and cut at the first NUL.
std::string valid_utf8(std::string_view text);

}  // namespace camprobe::run
