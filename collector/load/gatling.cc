// collector/load/gatling.cc: see gatling.h.
#include "collector/load/gatling.h"

#include <fmt/format.h>

namespace camprobe::load {

void GatlingRecords::add_request(std::string_view groups, std::string_view name, WallTime start, WallTime end,
                                 bool is_ok, std::string_view message) {
  Request request;
  request.sent = start;
  if (end >= start) request.took = end - start;
  request.failed = !is_ok;
  request.answered = is_ok || message.find("Exception") == std::string_view::npos;
  name_.clear();
  for (const char c : groups) {
    if (c == ',') {
      name_ += " / ";
    } else {
      name_ += c;
    }
  }
  if (!name_.empty()) name_ += " / ";
  name_ += name;
  request.endpoint = requests_.endpoint(name_);
  if (!is_ok) requests_.kinds.add(message == " " ? std::string_view{} : message);
  requests_.add(request);
}

void GatlingRecords::finish(LoadTimeline& timeline) {
  timeline.tool = "gatling";
  timeline.resolution = std::chrono::milliseconds{1};
  requests_.finish(timeline);
  if (errors_ > 0) {
    timeline.notes.push_back(
        fmt::format("{} ERROR records: virtual users that failed outside of a request; they are not counted", errors_));
  }
}

}  // namespace camprobe::load
