// run/span_names.h: what single spans are called, however many millions of them a run has.
#pragma once

#include <map>

#include "run/reader.h"

namespace camprobe::run {

// Their names, and whether any span of that name lies in no other. Reads every span and holds none.
std::map<NameId, bool> names_of_spans(Reader& reader);

}  // namespace camprobe::run
