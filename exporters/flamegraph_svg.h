// exporters/flamegraph_svg.h
//
// A slice as a flame graph in one SVG file, root on top: a picture wherever pictures are shown, and where a browser
// opens it, one that zooms, searches and tells what it is pointed at. Nothing is loaded from anywhere.
#pragma once

#include <string>

#include "exporters/slice.h"

namespace camprobe::exporters {

enum class SvgColour { kModule, kLanguage };

struct SvgOptions {
  std::string title;                      // "" for one made from the slice
  std::size_t most_frames = 12'000;       // the lightest are left out beyond it, and the file says how many
  SvgColour colour = SvgColour::kModule;  // a difference has its own: red grew, blue fell
};

std::string to_flamegraph_svg(const Slice& slice, const SvgOptions& options = {});

}  // namespace camprobe::exporters
