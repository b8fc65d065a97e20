// cli/process_number.h: a process's number on the command line, as a CLI11 check.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace camprobe::cli {

inline CLI::Validator process_number() {
  return CLI::Validator(
      [](std::string& text) -> std::string {
        // The kernel's own limit is 2^22.
        const bool is_number = !text.empty() && text.size() <= 9 &&
                               text.find_first_not_of("0123456789") == std::string::npos &&
                               text.find_first_not_of('0') != std::string::npos;
        return is_number ? "" : text + " is no process's number";
      },
      "");
}

}  // namespace camprobe::cli
