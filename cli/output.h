// cli/output.h: where a command's result goes: standard output, or a file that appears whole or not at all.
#pragma once

#include <string>
#include <string_view>

#include "run/result.h"

namespace camprobe::cli {

// `path` "" or "-" is standard output. A reader that went away (a closed pipe) is no error.
run::Result<void> write_output(const std::string& path, std::string_view text);

}  // namespace camprobe::cli
