// exporters/report_json.cc
#include "exporters/report_json.h"

namespace camprobe::exporters {

std::string report_json(const run::Report& report, int indent) {
  return run::to_json(report).dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::string gates_json(const run::Report& report, int indent) {
  nlohmann::ordered_json gates = nlohmann::ordered_json::array();
  bool passed = true;
  for (const run::ReportGate& gate : report.gates) {
    gates.push_back(run::to_json(gate));
    passed &= gate.passed;
  }
  const nlohmann::ordered_json document = {{"schema", "camprobe.gates-result/1"},
                                           {"passed", passed},
                                           {"run", {{"file", report.run.file}, {"run_id", report.run.run_id}}},
                                           {"gates", gates}};
  return document.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace camprobe::exporters
