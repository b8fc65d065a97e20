#include "suite/analyses.h"

#include <nlohmann/json.hpp>

namespace camprobe::suite {

nlohmann::ordered_json analyses_of(const Suite&, const nlohmann::ordered_json&) {
  return nlohmann::ordered_json::array();
}

}  // namespace camprobe::suite
