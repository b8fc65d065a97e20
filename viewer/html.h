// viewer/html.h
//
// The page: the app of viewer/app, built into one HTML text that is part of this library, with its data put in.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace camprobe::viewer {

// One file that needs nothing else: opened from a disk it asks no network for anything, and its policy forbids it to.
std::string self_contained_page(const nlohmann::json& page);

// The same app without data, for a server that answers page.json beside it.
std::string served_page();

}  // namespace camprobe::viewer
