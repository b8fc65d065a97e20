// collector/session/common.h
//
// What every way to make a run needs: where the run goes, how it is closed, and how one line is said to the user.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "collector/recording.h"
#include "collector/session.h"

namespace camprobe {

// One line on standard error.
void say(const std::string& line);

// Says it and gives exit code 2.
Outcome usage_error(const std::string& line);

// PROGRAM-YYYYmmdd-HHMMSS.camrun in the current directory, numbered where that is taken.
std::string default_run(const std::string& program);

// An older run in the way is removed only where that was asked for, and only if it is a run. Gives why it is not.
std::optional<std::string> make_way(const std::string& path, bool may_replace);

// Removes a run with its journal.
void remove_run(const std::string& path);

// Words with spaces between them.
std::string joined(const std::vector<std::string>& words);

// A wait status in words, and as a shell would give it.
std::string end_of(int wait_status);
int exit_code_of(int wait_status);

// Names functions, closes the run and says where it is.
void finish_run(Recording& recording, const std::string& path, std::string_view state, bool is_quiet);

}  // namespace camprobe
