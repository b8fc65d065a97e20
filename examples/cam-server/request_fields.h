// examples/cam-server/request_fields.h
//
// The fields of a request, whether they come as a JSON object or as a query, with one clear sentence for each that is
// wrong.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>

#include "examples/cam-server/http_server.h"

namespace cam {

// What the client did wrong; becomes a 400.
struct BadRequest : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class RequestFields {
 public:
  // A GET's query, or a POST's JSON object (an empty body is an empty object). Throws BadRequest.
  explicit RequestFields(const HttpRequest& request);

  // Each throws BadRequest where the field is there and is not what it must be.
  std::string text(const char* name, const std::string& otherwise, std::size_t longest);
  std::uint64_t number(const char* name, std::uint64_t otherwise, std::uint64_t least, std::uint64_t most);
  bool truth(const char* name, bool otherwise);
  bool has(const char* name) const { return json_.contains(name); }
  // Throws BadRequest where there is a field that nobody asked for: most likely a misspelt one.
  void expect_no_more() const;

 private:
  nlohmann::json json_;  // each field is taken out as it is asked for
  bool from_query_;
};

// "/arbitrate" of "/arbitrate?strategy=cost".
std::string_view path_of(const HttpRequest& request);
// Throws BadRequest.
nlohmann::json parse_json_body(const HttpRequest& request);

}  // namespace cam
