// collector/symbols/jit_name.cc
//
// One parser per runtime; the first that recognizes its manner has the name.
#include "collector/symbols/jit_name.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <optional>

namespace camprobe::symbols {
namespace {

// Takes ":123" off the end.
std::optional<std::uint32_t> take_trailing_number(std::string_view& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon + 1 == text.size()) return std::nullopt;
  std::uint32_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, value);
  if (error != std::errc() || stop != end) return std::nullopt;
  text = text.substr(0, colon);
  return value;
}

std::string path_of_url(std::string_view file) {
  if (!file.starts_with("file://")) return std::string(file);
  file.remove_prefix(7);
  std::string path;
  for (std::size_t i = 0; i < file.size(); ++i) {
    unsigned value = 0;
    if (file[i] == '%' && i + 2 < file.size() &&
        std::from_chars(file.data() + i + 1, file.data() + i + 3, value, 16).ptr == file.data() + i + 3) {
      path += static_cast<char>(value);
      i += 2;
    } else {
      path += file[i];
    }
  }
  return path;
}

// Where the file begins in "NAME FILE": names may hold blanks ("get cost") and so may files, but files begin like
// files.
std::size_t file_begin(std::string_view text) {
  static constexpr std::array<std::string_view, 7> kBeginnings = {
      " /", " file:", " node:", " http:", " https:", " webpack", " evalmachine"};
  std::size_t first = std::string_view::npos;
  for (std::string_view beginning : kBeginnings) first = std::min(first, text.find(beginning));
  return first != std::string_view::npos ? first : text.rfind(' ');
}

std::optional<JitName> parse_v8(std::string_view name) {
  const std::size_t colon = name.find(':');
  if (colon == std::string_view::npos || name.substr(colon).starts_with("::")) return std::nullopt;
  const std::string_view tag = name.substr(0, colon);
  JitName parsed;
  parsed.kind = FrameKind::kJs;
  static constexpr std::array<std::string_view, 12> kOwnCode = {
      "Builtin", "BytecodeHandler", "Bytecode",    "Handler",      "RegExp", "Stub",
      "LoadIC",  "StoreIC",         "KeyedLoadIC", "KeyedStoreIC", "CallIC", "Callback"};
  if (std::find(kOwnCode.begin(), kOwnCode.end(), tag) != kOwnCode.end()) {
    parsed.function = name;
    return parsed;
  }
  static constexpr std::array<std::string_view, 5> kFunctions = {"JS", "LazyCompile", "Function", "Script", "Eval"};
  if (std::find(kFunctions.begin(), kFunctions.end(), tag) == kFunctions.end()) return std::nullopt;

  std::string_view rest = name.substr(colon + 1);
  if (!rest.empty() && std::string_view("~*^+'").find(rest.front()) != std::string_view::npos) rest.remove_prefix(1);
  std::string_view place = rest;
  const std::uint32_t last = take_trailing_number(place).value_or(0);
  const std::uint32_t before = last != 0 ? take_trailing_number(place).value_or(0) : 0;
  const std::size_t begin = last != 0 ? file_begin(place) : std::string_view::npos;
  if (begin != std::string_view::npos) {
    parsed.function = place.substr(0, begin);
    parsed.file = path_of_url(place.substr(begin + 1));
    parsed.line = before != 0 ? before : last;  // only one number: the line
    parsed.column = before != 0 ? last : 0;
  } else {
    parsed.function = rest;
  }
  while (parsed.function.ends_with(' ')) parsed.function.pop_back();
  if (parsed.function.empty())
    parsed.function = tag == "Script" ? "(script)" : tag == "Eval" ? "(eval)" : "(anonymous)";
  return parsed;
}

std::optional<JitName> parse_python(std::string_view name) {
  if (!name.starts_with("py::")) return std::nullopt;
  name.remove_prefix(4);
  const std::size_t colon = name.find(':');  // qualified names have none
  JitName parsed;
  parsed.kind = FrameKind::kPython;
  parsed.function = name.substr(0, colon);
  if (colon != std::string_view::npos) parsed.file = name.substr(colon + 1);
  if (parsed.function.empty()) return std::nullopt;
  return parsed;
}

bool is_java_name(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view("_$.<>[]/+-").find(c) != std::string_view::npos || static_cast<unsigned char>(c) >= 0x80;
  });
}

std::optional<JitName> parse_java(std::string_view name) {
  JitName parsed;
  parsed.kind = FrameKind::kJava;
  if (const std::size_t colons = name.find("::"); colons != std::string_view::npos) {
    std::string_view type = name.substr(0, colons);
    const std::string_view method = name.substr(colons + 2);
    const bool descriptor = type.starts_with('L') && type.ends_with(';');
    if (descriptor) type = type.substr(1, type.size() - 2);
    // Without a package it looks like C++ as much as like Java.
    if (!descriptor && type.find('.') == std::string_view::npos) return std::nullopt;
    if (!is_java_name(type) || !is_java_name(method.substr(0, method.find('(')))) return std::nullopt;
    parsed.function = type;
    std::replace(parsed.function.begin(), parsed.function.end(), '/', '.');
    parsed.function += '.';
    parsed.function += method;
    return parsed;
  }
  // HotSpot: "TYPE CLASS.METHOD(ARGUMENTS)".
  const std::size_t open = name.find('(');
  const std::size_t space = name.find(' ');
  if (!name.ends_with(')') || open == std::string_view::npos || space == std::string_view::npos || space > open)
    return std::nullopt;
  const std::string_view method = name.substr(space + 1, open - space - 1);
  if (!is_java_name(name.substr(0, space)) || !is_java_name(method) || method.find('.') == std::string_view::npos)
    return std::nullopt;
  parsed.function = name.substr(space + 1);
  return parsed;
}

}  // namespace

JitName parse_jit_name(std::string_view name) {
  if (auto parsed = parse_python(name)) return *std::move(parsed);
  if (auto parsed = parse_v8(name)) return *std::move(parsed);
  if (auto parsed = parse_java(name)) return *std::move(parsed);
  JitName parsed;
  parsed.function = name;
  return parsed;
}

}  // namespace camprobe::symbols
