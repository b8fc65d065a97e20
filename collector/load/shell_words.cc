// collector/load/shell_words.cc: see shell_words.h.
#include "collector/load/shell_words.h"

#include <algorithm>
#include <utility>

namespace camprobe::load {
namespace {

bool is_space(char c) {
  return c == ' ' || c == '\t';
}

// Reads one word at `at`. False where a quote is never closed.
bool read_word(std::string_view text, std::size_t& at, ShellWord& word) {
  word.begin = at;
  while (at < text.size()) {
    const char c = text[at];
    if (c == '\'') {
      const std::size_t close = text.find('\'', at + 1);
      if (close == std::string_view::npos) return false;
      word.value += text.substr(at + 1, close - at - 1);
      at = close + 1;
    } else if (c == '"') {
      for (++at; at < text.size() && text[at] != '"'; ++at) {
        if (text[at] == '\\' && at + 1 < text.size() &&
            std::string_view("\\\"$`").find(text[at + 1]) != std::string_view::npos) {
          ++at;
        } else if (text[at] == '$' || text[at] == '`') {
          word.plain = false;
        }
        word.value += text[at];
      }
      if (at >= text.size()) return false;
      ++at;
    } else if (c == '\\' && at + 1 < text.size()) {
      if (text[at + 1] != '\n') word.value += text[at + 1];
      at += 2;
    } else if (is_space(c) || std::string_view("\n;&|<>()").find(c) != std::string_view::npos) {
      break;
    } else {
      if (c == '$' || c == '`' || c == '*' || c == '~') word.plain = false;
      word.value += c;
      ++at;
    }
  }
  word.end = at;
  return true;
}

}  // namespace

std::vector<SimpleCommand> read_commands(std::string_view text) {
  std::vector<SimpleCommand> commands(1);
  std::size_t at = 0;
  while (at < text.size()) {
    const char c = text[at];
    if (is_space(c)) {
      ++at;
    } else if (c == '#') {
      at = std::min(text.find('\n', at), text.size());
    } else if (std::string_view("\n;|()").find(c) != std::string_view::npos ||
               (c == '&' && !(at + 1 < text.size() && text[at + 1] == '>'))) {
      const bool is_or = text.substr(at, 2) == "||" || (at > 0 && text[at - 1] == '|');
      commands.back().is_piped |= c == '|' && !is_or;
      commands.emplace_back();
      ++at;
    } else if (c == '<' || c == '>' || c == '&') {
      // [n]> file, >> file, >&2, 2>&1, &> file: only where standard output goes is of interest.
      auto& words = commands.back().words;
      bool is_stdout = c == '>' || c == '&';
      if (c == '>' && !words.empty() && words.back().end == at &&
          words.back().value.find_first_not_of("0123456789") == std::string::npos && !words.back().value.empty()) {
        is_stdout = words.back().value == "1";
        words.pop_back();
      }
      const bool appends = text.substr(at, 3).find(">>") != std::string_view::npos;
      while (at < text.size() && (text[at] == '<' || text[at] == '>' || text[at] == '&' || text[at] == '|')) {
        if (text[at] == '&' && text[at - (at > 0)] == '>') is_stdout = false;  // >&2: a descriptor
        ++at;
      }
      while (at < text.size() && is_space(text[at])) ++at;
      ShellWord target;
      if (!read_word(text, at, target)) return {};
      if (target.begin == target.end) return {};
      if (!is_stdout) continue;
      commands.back().stdout_to = std::move(target);
      commands.back().stdout_appends = appends;
    } else {
      ShellWord word;
      if (!read_word(text, at, word)) return {};
      commands.back().words.push_back(std::move(word));
    }
  }
  std::erase_if(commands, [](const SimpleCommand& command) { return command.words.empty(); });
  return commands;
}

std::string quoted(std::string_view text) {
  static constexpr std::string_view kSafe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=:,+@%";
  if (!text.empty() && text.find_first_not_of(kSafe) == std::string_view::npos) return std::string(text);
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

}  // namespace camprobe::load
