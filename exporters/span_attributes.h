// exporters/span_attributes.h: what a span was told of itself (`provider`, `cost`, `traceparent`, ...), out of the JSON
// object that the run keeps of each.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace camprobe::exporters {

struct SpanAttribute {
  std::string key;                                  // printable UTF-8
  std::variant<std::string, double, bool> value{};  // text: printable UTF-8
};

// In the object's order. Nothing where it is no JSON object; values of other kinds are left out.
std::vector<SpanAttribute> attributes_of(const std::string& json);

// One that is text; "" where there is none.
std::string text_attribute(const std::string& json, std::string_view key);

}  // namespace camprobe::exporters
