// suite/markup.h
#pragma once

#include <string>
#include <string_view>

namespace camprobe::suite {

// `text` with & < > " as entities, for text and attributes of XML and HTML. Unlike exporters/safe_text.h it keeps
// lines.
std::string with_entities(std::string_view text);

}  // namespace camprobe::suite
