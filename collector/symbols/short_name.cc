// collector/symbols/short_name.cc
//
// One pass over a demangled name that copies what names the function and skips balanced brackets.
#include "collector/symbols/short_name.h"

#include <array>
#include <cctype>
#include <optional>

namespace camprobe::symbols {
namespace {

constexpr int kMaxNesting = 32;

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '$';
}

// Where the bracket that opens at `open` ends (one past it), or npos. Angle brackets inside round ones are operators,
// as in `(a > b)`, so only the innermost kind that can be open counts.
std::size_t past_bracket(std::string_view text, std::size_t open) {
  std::string expected;
  for (std::size_t i = open; i < text.size(); ++i) {
    const char c = text[i];
    const bool in_round = !expected.empty() && expected.back() != '>';
    if (c == '(')
      expected += ')';
    else if (c == '{')
      expected += '}';
    else if (c == '[')
      expected += ']';
    else if (c == '<' && !in_round)
      expected += '>';
    else if (c == '>' && i > 0 && text[i - 1] == '-')
      continue;  // "->"
    else if (!expected.empty() && c == expected.back())
      expected.pop_back();
    if (expected.empty()) return i + 1;
  }
  return std::string_view::npos;
}

// After "operator": how many characters belong to the operator's name.
std::size_t operator_length(std::string_view rest) {
  static constexpr std::array<std::string_view, 22> kLong = {"()", "[]", "<=>", "<<=", ">>=", "->*", "->", "<<",
                                                             ">>", "<=", ">=",  "==",  "!=",  "&&",  "||", "++",
                                                             "--", "+=", "-=",  "*=",  "/=",  "%="};
  for (std::string_view symbol : kLong) {
    if (rest.starts_with(symbol)) return symbol.size();
  }
  for (std::string_view symbol : {"^=", "&=", "|=", "co_await"}) {
    if (rest.starts_with(symbol)) return symbol.size();
  }
  if (!rest.empty() && std::string_view("<>=!+-*/%^&|~,").find(rest.front()) != std::string_view::npos) return 1;
  // new, delete[], a conversion to some type, or a literal: everything up to the arguments.
  std::size_t end = 0;
  while (end < rest.size() && rest[end] != '(') {
    if (rest[end] == '<') {
      const std::size_t past = past_bracket(rest, end);
      if (past == std::string_view::npos) return rest.size();
      end = past;
    } else {
      ++end;
    }
  }
  return end;
}

// After an argument list: what may stand between it and "::" when the function is only a scope (`f()
// const::{lambda()#1}`).
std::optional<std::size_t> scope_after_arguments(std::string_view text, std::size_t at) {
  for (bool moved = true; moved;) {
    moved = false;
    for (std::string_view qualifier : {" const", " volatile", " &&", " &", " noexcept"}) {
      if (text.substr(at).starts_with(qualifier)) {
        at += qualifier.size();
        moved = true;
      }
    }
    if (text.substr(at).starts_with("[abi:")) {
      at = text.find(']', at);
      if (at == std::string_view::npos) return std::nullopt;
      ++at;
      moved = true;
    }
  }
  if (text.substr(at).starts_with("::")) return at;
  return std::nullopt;
}

std::string shorten(std::string_view text, int nesting);

// Rust's "<Type as Trait>::method": both sides shortened, the brackets kept.
std::string shorten_qualified(std::string_view inside, int nesting) {
  int depth = 0;
  for (std::size_t i = 0; i < inside.size(); ++i) {
    if (inside[i] == '<' || inside[i] == '(' || inside[i] == '[') ++depth;
    if (inside[i] == '>' || inside[i] == ')' || inside[i] == ']') --depth;
    if (depth == 0 && inside.substr(i).starts_with(" as ")) {
      return "<" + shorten(inside.substr(0, i), nesting) + " as " + shorten(inside.substr(i + 4), nesting) + ">";
    }
  }
  return "<" + shorten(inside, nesting) + ">";
}

std::string shorten(std::string_view text, int nesting) {
  if (nesting > kMaxNesting) return std::string(text);
  std::string out;
  std::size_t i = 0;
  while (i < text.size()) {
    const std::string_view rest = text.substr(i);
    const bool word_begins = i == 0 || !is_word(text[i - 1]);
    if (word_begins && rest.starts_with("operator") && (rest.size() == 8 || !is_word(rest[8]))) {
      const std::size_t length = 8 + operator_length(rest.substr(8));
      out += rest.substr(0, length);
      i += length;
    } else if (rest.starts_with("(anonymous namespace)")) {
      out += "(anonymous namespace)";
      i += 21;
    } else if (text[i] == '(') {
      const bool type_expression = out.ends_with("decltype") || out.ends_with("decltype ");
      const std::size_t past = past_bracket(text, i);
      if (past == std::string_view::npos) break;
      if (type_expression || (out.empty() && nesting > 0)) {
        out += type_expression ? "" : std::string(text.substr(i, past - i));
        i = past;
        continue;
      }
      const auto scope = scope_after_arguments(text, past);
      if (!scope) break;
      i = *scope;
    } else if (text[i] == '{') {  // {lambda(int)#1}, {closure#0}
      const std::size_t past = past_bracket(text, i);
      if (past == std::string_view::npos) break;
      const std::string_view braces = text.substr(i, past - i);
      const std::size_t open = braces.find('(');
      const std::size_t close = open == std::string_view::npos ? open : past_bracket(braces, open);
      out += close == std::string_view::npos ? std::string(braces)
                                             : std::string(braces.substr(0, open)) + std::string(braces.substr(close));
      i = past;
    } else if (text[i] == '<') {
      const std::size_t past = past_bracket(text, i);
      if (past == std::string_view::npos) {
        out += rest;
        break;
      }
      if (out.empty()) {
        out += shorten_qualified(text.substr(i + 1, past - i - 2), nesting + 1);
      } else if (out.ends_with("::")) {  // Rust's turbofish
        out.resize(out.size() - 2);
      }
      i = past;
    } else if (rest.starts_with("[abi:")) {
      const std::size_t close = text.find(']', i);
      if (close == std::string_view::npos) break;
      i = close + 1;
    } else if (text[i] == ' ') {
      if (rest.starts_with(" [clone")) break;
      const char next = i + 1 < text.size() ? text[i + 1] : '\0';
      // What came so far was a return type, unless we are inside a type ourselves; but "operator< <int>", "decltype
      // (x)".
      if (nesting > 0 || next == '&' || next == '*')
        out += ' ';
      else if (next != '<' && !(next == '(' && out == "decltype"))
        out.clear();
      ++i;
    } else {
      out += text[i++];
    }
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

// GCC's and LLVM's copies of C functions: "parse.cold", "parse.part.0", "parse.llvm.1234".
std::string_view without_clone_suffix(std::string_view name) {
  for (std::string_view suffix : {".cold", ".part.", ".constprop.", ".isra.", ".lto_priv.", ".llvm."}) {
    const std::size_t at = name.find(suffix);
    if (at != std::string_view::npos && at != 0 && name.find_first_of(" (<", 0) == std::string_view::npos)
      name = name.substr(0, at);
  }
  return name;
}

}  // namespace

std::string short_function_name(std::string_view function) {
  // "libfoo.so!0x12" and "[unknown]" are descriptions, not names.
  if (function.empty() || function.front() == '[' || function.find("!0x") != std::string_view::npos)
    return std::string(function);
  std::string name = shorten(without_clone_suffix(function), 0);
  return name.empty() ? std::string(function) : name;
}

std::string short_function_name(const Frame& frame) {
  switch (frame.kind) {
    case FrameKind::kNative:
    case FrameKind::kInlined:
    case FrameKind::kJava:
      return short_function_name(std::string_view(frame.function));
    default:
      return frame.function;
  }
}

}  // namespace camprobe::symbols
