// collector/load/json_walk.h
//
// Walks a JSON document of any size leaf by leaf, holding nothing but the path to the current one. A document that is
// cut off or damaged is walked up to there.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "collector/load/input.h"

namespace camprobe::load {

// Keys from the document's root; an element of an array has the key "".
using JsonPath = std::vector<std::string>;

// One leaf: a number or a text. Other leaves (true, false, null) are not visited.
struct JsonLeaf {
  std::optional<double> number;
  std::optional<std::uint64_t> count;  // where the number is a whole one, not below zero
  std::optional<std::string_view> text;
};

struct JsonVisitor {
  std::function<void(const JsonPath&, const JsonLeaf&)> leaf;
  std::function<void(const JsonPath&)> end;  // of the object or array at this path
};

// Walks the first document of `input`. Returns nothing at its end, or where and why the walk stopped before:
// "line 812: cut off in the middle of the document".
std::optional<std::string> walk_json(Input& input, const JsonVisitor& visitor);

}  // namespace camprobe::load
