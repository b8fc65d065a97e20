// collector/load/json_walk.cc: nlohmann::json's SAX parser over an Input.
#include "collector/load/json_walk.h"

#include <fmt/format.h>

#include <iterator>
#include <nlohmann/json.hpp>

namespace camprobe::load {
namespace {

constexpr std::size_t kDeepest = 64;  // far deeper than any load tool's report

struct CharSource {
  Input& input;
  char buffer[1 << 15];
  std::size_t at = 0, filled = 0;
  std::uint64_t line = 1;
  bool at_end = false;

  explicit CharSource(Input& from) : input(from) { refill(); }
  void refill() {
    filled = input.read(buffer, sizeof buffer);
    at = 0;
    at_end = filled == 0;
  }
  void advance() {
    line += buffer[at] == '\n';
    if (++at == filled) refill();
  }
};

// A single-pass iterator; equal to the default-constructed one at the end.
class CharIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CharIterator() = default;
  explicit CharIterator(CharSource& source) : source_(&source) {}
  reference operator*() const { return source_->buffer[source_->at]; }
  CharIterator& operator++() {
    source_->advance();
    return *this;
  }
  CharIterator operator++(int) {
    CharIterator before = *this;
    ++*this;
    return before;
  }
  friend bool operator==(const CharIterator& a, const CharIterator& b) { return a.is_end() == b.is_end(); }
  friend bool operator!=(const CharIterator& a, const CharIterator& b) { return !(a == b); }

 private:
  bool is_end() const { return source_ == nullptr || source_->at_end; }
  CharSource* source_ = nullptr;
};

class Walker : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Walker(const JsonVisitor& visitor) : visitor_(visitor) {}

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t value) override {
    return leaf({static_cast<double>(value), std::nullopt, std::nullopt});
  }
  bool number_unsigned(number_unsigned_t value) override {
    return leaf({static_cast<double>(value), value, std::nullopt});
  }
  bool number_float(number_float_t value, const string_t&) override {
    return leaf({value, std::nullopt, std::nullopt});
  }
  bool string(string_t& value) override { return leaf({std::nullopt, std::nullopt, value}); }
  bool binary(binary_t&) override { return true; }
  bool key(string_t& name) override {
    path_.back() = name;
    return true;
  }
  bool start_object(std::size_t) override { return enter(); }
  bool start_array(std::size_t) override { return enter(); }
  bool end_object() override { return leave(); }
  bool end_array() override { return leave(); }
  bool parse_error(std::size_t, const std::string& token, const nlohmann::json::exception&) override {
    bad_token = token;
    return false;
  }

  bool too_deep = false;
  std::string bad_token;

 private:
  bool leaf(const JsonLeaf& leaf) {
    if (visitor_.leaf) visitor_.leaf(path_, leaf);
    return true;
  }
  bool enter() {
    too_deep = path_.size() >= kDeepest;
    path_.emplace_back();
    return !too_deep;
  }
  bool leave() {
    path_.pop_back();
    if (visitor_.end) visitor_.end(path_);
    return true;
  }

  const JsonVisitor& visitor_;
  JsonPath path_;
};

}  // namespace

std::optional<std::string> walk_json(Input& input, const JsonVisitor& visitor) {
  CharSource source(input);
  Walker walker(visitor);
  if (nlohmann::json::sax_parse(CharIterator(source), CharIterator(), &walker, nlohmann::json::input_format_t::json,
                                /*strict=*/false)) {
    return std::nullopt;
  }
  if (walker.too_deep) return fmt::format("line {}: nested too deep for a report", source.line);
  if (source.at_end) {
    const std::string problem = input.problem();
    return fmt::format("line {}: cut off in the middle of the document{}{}", source.line, problem.empty() ? "" : ": ",
                       problem);
  }
  return fmt::format(
      "line {}: this is no JSON: {}", source.line,
      nlohmann::json(walker.bad_token.substr(0, 40)).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace));
}

}  // namespace camprobe::load
