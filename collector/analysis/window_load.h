// collector/analysis/window_load.h
//
// What a load window itself was sent. A bucket of the load is a second wide and two windows may share it: taken by the
// second, a surge's requests are in the p95 of the calm beside it. Where a load source has no other window (a load
// tool's process that ran for one phase, as most do under `camprobe suite`), all of its buckets are the window's own.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "collector/analysis/input.h"
#include "run/reader.h"

namespace camprobe::analysis {

// The latencies of `endpoint` ("" all together) in `windows`, from the sources that have no windows but these among
// `all`; nothing where another window has part of such a source, or a window has none: then only seconds tell.
std::optional<LatencySeries> load_of_windows(run::Reader& reader, const std::vector<run::LoadWindow>& windows,
                                             const std::vector<run::LoadWindow>& all, const std::string& endpoint);

}  // namespace camprobe::analysis
