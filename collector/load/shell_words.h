// collector/load/shell_words.h
//
// Just enough of a shell's grammar to find the words of simple commands, with where they stand in the text, so that an
// addition goes between two of the user's own words and everything else stays byte for byte what she wrote.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace camprobe::load {

struct ShellWord {
  std::string value;       // after quotes and backslashes
  std::size_t begin, end;  // in the text
  bool plain = true;       // holds no expansion ($, `), so that value is what the shell will make of it
};

struct SimpleCommand {
  std::vector<ShellWord> words;
  std::optional<ShellWord> stdout_to;  // the word behind > or >>
  bool stdout_appends = false;
  bool is_piped = false;  // into the next one
};

// The simple commands of a list, in order. Empty where the text is not understood.
std::vector<SimpleCommand> read_commands(std::string_view text);

// As a word of a command line that means just this text.
std::string quoted(std::string_view text);

}  // namespace camprobe::load
