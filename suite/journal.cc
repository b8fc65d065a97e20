#include "suite/journal.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "suite/tool.h"

namespace camprobe::suite {

using Json = nlohmann::ordered_json;

void Journal::put(const Json& line) {
  if (is_open()) file_ << line.dump() << std::endl;
}

Earlier Journal::read(const std::string& path) {
  Earlier out;
  std::ifstream file(path);
  for (std::string text; std::getline(file, text);) {
    const Json line = Json::parse(text, nullptr, false);
    if (!line.is_object()) continue;
    if (line.contains("attempt")) {
      out.attempts.push_back({line["attempt"], {}, 0, false});
      if (out.from_ns == 0) out.from_ns = line["at_ns"];
    }
    if (out.attempts.empty()) continue;
    Attempt& attempt = out.attempts.back();
    if (line.contains("step")) {
      const std::int64_t began_ns = line["step"][2];
      attempt.steps.push_back({line["step"][0], line["step"][1], began_ns, began_ns});
    } else if (line.contains("tool")) {
      out.results.push_back({line["tool"][0], line["tool"][1], line["tool"][2], -1});
    } else if (line.contains("second")) {
      out.seconds.push_back({line["second"][0], line["second"][1], line["second"][2]});
      if (!attempt.steps.empty()) attempt.steps.back().ended_ns = line["second"][0];
    } else if (line.contains("event")) {
      out.events.emplace_back(line["event"][0], line["event"][1]);
    } else if (line.contains("server")) {
      attempt.server = line["server"];
    } else if (line.contains("ended")) {
      attempt.is_in_recording = true;
      out.results_in_recording = out.results.size();
    }
    if (line.contains("done")) out.done_s = line["done"];
  }
  return out;
}

std::vector<Stage> without_first(const std::vector<Stage>& stages, double done_s) {
  constexpr double kTooShort = 0.5;  // seconds: no load tool does anything in less
  std::vector<Stage> left;
  for (Stage stage : stages) {
    const double skipped = std::min(done_s, stage.duration_s);
    done_s -= skipped;
    if (stage.duration_s - skipped < kTooShort) continue;
    const double share = skipped / stage.duration_s;
    stage.users_from += static_cast<int>(std::lround(share * (stage.users - stage.users_from)));
    if (stage.rate && stage.rate_from) stage.rate_from = *stage.rate_from + share * (*stage.rate - *stage.rate_from);
    stage.duration_s -= skipped;
    left.push_back(stage);
  }
  return left;
}

}  // namespace camprobe::suite
