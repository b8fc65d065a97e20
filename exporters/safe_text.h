// exporters/safe_text.h
//
// Names come from symbol tables, scripts and peers of strangers: any bytes at all. What is written into a text format
// is first made valid UTF-8 without control characters, then escaped for the format.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace camprobe::exporters {

// Valid UTF-8 that fits in one line: each malformed sequence becomes U+FFFD, each control character a space, and so do
// the line and paragraph separators U+2028/9 and the noncharacters U+FFFE/F that XML forbids.
std::string printable_utf8(std::string_view bytes);

// `text` cut to at most `characters` code points, an ellipsis taking the place of the rest.
std::string shortened(std::string_view text, std::size_t characters);

// printable_utf8, with & < > " ' as XML entities: for text and attributes alike.
std::string xml_text(std::string_view bytes);

// printable_utf8 in double quotes, as a JSON string.
std::string json_text(std::string_view bytes);

}  // namespace camprobe::exporters
