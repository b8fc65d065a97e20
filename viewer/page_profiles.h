// viewer/page_profiles.h
//
// What the flame graphs are made of: weights by bucket of time and stack, for each kind of profile.
#pragma once

#include <nlohmann/json.hpp>

#include "run/reader.h"
#include "viewer/page_data.h"
#include "viewer/page_stack_tree.h"

namespace camprobe::viewer {

// A list of `Profile` (viewer/app/src/data.ts); their stacks are put into `tree`. Says in `notes` what it folded.
nlohmann::json profiles(run::Reader& run, StackTree& tree, const PageLimits& limits, nlohmann::json& notes);

}  // namespace camprobe::viewer
