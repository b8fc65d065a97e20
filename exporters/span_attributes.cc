// exporters/span_attributes.cc: see span_attributes.h.
#include "exporters/span_attributes.h"

#include <nlohmann/json.hpp>

#include "exporters/safe_text.h"

namespace camprobe::exporters {

std::vector<SpanAttribute> attributes_of(const std::string& json) {
  std::vector<SpanAttribute> attributes;
  if (json == "{}") return attributes;  // most have none
  const auto object = nlohmann::ordered_json::parse(json, nullptr, false);
  if (!object.is_object()) return attributes;
  for (const auto& [key, value] : object.items()) {
    if (value.is_string())
      attributes.push_back({printable_utf8(key), printable_utf8(value.get_ref<const std::string&>())});
    else if (value.is_boolean())
      attributes.push_back({printable_utf8(key), value.get<bool>()});
    else if (value.is_number())
      attributes.push_back({printable_utf8(key), value.get<double>()});
  }
  return attributes;
}

std::string text_attribute(const std::string& json, std::string_view key) {
  if (json.find(key) == std::string::npos) return "";
  for (const SpanAttribute& attribute : attributes_of(json)) {
    const auto* text = std::get_if<std::string>(&attribute.value);
    if (text != nullptr && attribute.key == key) return *text;
  }
  return "";
}

}  // namespace camprobe::exporters
