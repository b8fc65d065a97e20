// collector/gates/gates_file.h
//
// gates.yaml, read: docs/gates.schema.json is its schema, docs/gates.md tells it to people. An error is one sentence
// that begins with FILE:LINE:COLUMN and says what to write instead.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "collector/gates/gate.h"
#include "run/result.h"

namespace camprobe::gates {

run::Result<std::vector<Gate>> gates_of_text(const std::string& text, const std::string& file_name);
run::Result<std::vector<Gate>> read_gates_file(const std::string& path);

// The gates of a tier, of a file, or of both; "" is none of it.
run::Result<std::vector<Gate>> chosen_gates(const std::string& tier, const std::string& file);

}  // namespace camprobe::gates
