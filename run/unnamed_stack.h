// run/unnamed_stack.h
//
// The addresses of a stack that is not named yet, as unnamed_stack.addresses holds them (run/schema.sql says how).
// Private to run/.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "run/rows.h"

namespace camprobe::run {

std::string to_blob(const std::vector<UnnamedStack::Address>& leaf_first);
// Whatever the bytes: what does not make a whole address is left out.
std::vector<UnnamedStack::Address> from_blob(std::string_view bytes);

}  // namespace camprobe::run
