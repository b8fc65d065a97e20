// examples/cam-server/request_fields.cc: see the header.
#include "examples/cam-server/request_fields.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace cam {
namespace {

std::string unescape(std::string_view text) {
  std::string plain;
  plain.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      plain += ' ';
    } else if (text[i] == '%') {
      unsigned value = 0;
      if (i + 2 >= text.size() ||
          std::from_chars(text.data() + i + 1, text.data() + i + 3, value, 16).ptr != text.data() + i + 3)
        throw BadRequest("the query has a '%' without two hexadecimal digits after it");
      plain += static_cast<char>(value);
      i += 2;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

nlohmann::json parse_query(std::string_view query) {
  auto json = nlohmann::json::object();
  while (!query.empty()) {
    const auto part = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), part.size() + 1));
    if (part.empty()) continue;
    const auto equals = part.find('=');
    const auto value = equals == std::string_view::npos ? std::string_view() : part.substr(equals + 1);
    json[unescape(part.substr(0, equals))] = unescape(value);
  }
  return json;
}

nlohmann::json take(nlohmann::json& json, const char* name) {
  const auto found = json.find(name);
  if (found == json.end()) return nullptr;
  auto value = std::move(*found);
  json.erase(found);
  return value;
}

}  // namespace

std::string_view path_of(const HttpRequest& request) {
  const std::string_view target(request.target().data(), request.target().size());
  return target.substr(0, target.find('?'));
}

nlohmann::json parse_json_body(const HttpRequest& request) {
  try {
    return nlohmann::json::parse(request.body());
  } catch (const nlohmann::json::parse_error& error) {
    throw BadRequest("the body is not JSON: wrong at byte " + std::to_string(error.byte));
  }
}

RequestFields::RequestFields(const HttpRequest& request) : json_(nlohmann::json::object()), from_query_(false) {
  if (request.method() == http::verb::post) {
    if (!request.body().empty()) json_ = parse_json_body(request);
    if (!json_.is_object()) throw BadRequest("the body must be a JSON object");
    return;
  }
  from_query_ = true;
  const std::string_view target(request.target().data(), request.target().size());
  if (const auto mark = target.find('?'); mark != std::string_view::npos) json_ = parse_query(target.substr(mark + 1));
}

std::string RequestFields::text(const char* name, const std::string& otherwise, std::size_t longest) {
  const auto value = take(json_, name);
  if (value.is_null()) return otherwise;
  if (!value.is_string()) throw BadRequest(std::string(name) + " must be a text");
  auto text = value.get<std::string>();
  if (text.size() > longest)
    throw BadRequest(std::string(name) + " must not be longer than " + std::to_string(longest) + " bytes");
  return text;
}

std::uint64_t RequestFields::number(const char* name, std::uint64_t otherwise, std::uint64_t least,
                                    std::uint64_t most) {
  const auto value = take(json_, name);
  if (value.is_null()) return otherwise;
  const auto wrong = [&] {
    return BadRequest(std::string(name) + " must be a whole number from " + std::to_string(least) + " to " +
                      std::to_string(most));
  };
  std::uint64_t number = 0;
  if (value.is_number_unsigned()) {
    number = value.get<std::uint64_t>();
  } else if (from_query_ && value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) throw wrong();
  } else {
    throw wrong();
  }
  if (number < least || number > most) throw wrong();
  return number;
}

bool RequestFields::truth(const char* name, bool otherwise) {
  const auto value = take(json_, name);
  if (value.is_null()) return otherwise;
  if (value.is_boolean()) return value.get<bool>();
  if (from_query_ && (value == "true" || value == "1")) return true;
  if (from_query_ && (value == "false" || value == "0")) return false;
  throw BadRequest(std::string(name) + " must be true or false");
}

void RequestFields::expect_no_more() const {
  if (!json_.empty()) throw BadRequest("unknown field '" + json_.begin().key() + "'");
}

}  // namespace cam
