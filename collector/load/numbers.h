// collector/load/numbers.h: a field that must be a number, and nothing else.
#pragma once

#include <charconv>
#include <string_view>

namespace camprobe::load {

// Whole fields only: "12x", "" and " 12" are no numbers. `number` is left alone where the answer is false.
template <typename Number>
bool parse_number(std::string_view text, Number& number) {
  Number parsed{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), parsed);
  if (error != std::errc{} || end != text.data() + text.size()) return false;
  number = parsed;
  return true;
}

}  // namespace camprobe::load
