// exporters/formats.h
//
// Every format that a run can be exported to, by name: what it takes, what reads it, and which file here makes it. A
// new one is a file of its own and a row in formats.cc.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "exporters/filter.h"
#include "exporters/output.h"
#include "run/reader.h"

namespace camprobe::exporters {

// What a format is made of: a slice (`--what`), the spans one by one, or all series and events.
enum class Content { kSlice, kTimeline, kSpans, kSeries };

struct Format {
  std::string_view name;
  Content content = Content::kSlice;
  bool is_binary = false;  // no thing for a terminal
  std::string_view what_it_is;
};

const std::vector<Format>& formats();
std::string all_names_of_formats();  // "folded, svg, ..." for messages

struct ExportRequest {
  std::string format = "folded";
  std::string what{};  // "": what the format is about, cpu for one that holds any slice
  FilterText filter{};
  std::string colour{};         // of svg: module (default) or language
  run::Reader* base = nullptr;  // of svg and folded: show what changed from this run
};

// Writes it to `out`; returns what a reader should know about it, a sentence each. Throws SliceError with the one line
// a user sees: a format or slice there is not, a part of the run that is empty. Then nothing was written, but where a
// damaged run could be read to its middle only.
std::vector<std::string> export_run(run::Reader& run, const ExportRequest& request, Output& out);

}  // namespace camprobe::exporters
