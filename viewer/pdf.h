// viewer/pdf.h
//
// The page on paper: printed by a Chromium of this machine, without a window and without a network.
#pragma once

#include <string>
#include <string_view>

#include "run/result.h"

namespace camprobe::viewer {

// `page` is what self_contained_page() gave. Returns the PDF's bytes. The browser gets a profile of its own in a
// temporary directory and a minute; both are gone afterwards, whatever happened. Errors say what to install or to do.
run::Result<std::string> printed_pdf(std::string_view page);

}  // namespace camprobe::viewer
