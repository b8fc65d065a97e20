// suite/machine.h: what a run was made on and with, so that somebody else can repeat it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "suite/suite.h"

namespace camprobe::suite {

// {host, kernel, distribution, cpu, cpus, memory_bytes, load_average, governor}. What cannot be known is null.
nlohmann::ordered_json machine_json();

// {camprobe, git_commit, target: {file, sha256}, tool: {name, version}}.
nlohmann::ordered_json versions_json(const Suite& suite, const std::string& bin);

}  // namespace camprobe::suite
