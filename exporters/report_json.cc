// exporters/report_json.cc
#include "exporters/report_json.h"

namespace camprobe::exporters {

std::string report_json(const run::Report& report, int indent) {
  return run::to_json(report).dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace camprobe::exporters
