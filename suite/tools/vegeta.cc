// suite/tools/vegeta.cc: one vegeta process a stage, at a fixed rate; targets as JSON lines.
#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "suite/tool.h"

namespace camprobe::suite {
namespace {

std::string base64(const std::string& text) {
  static constexpr char kLetters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < text.size(); i += 3) {
    std::uint32_t bits = 0;
    for (std::size_t k = 0; k < 3; ++k)
      bits = bits << 8 | (i + k < text.size() ? static_cast<unsigned char>(text[i + k]) : 0u);
    for (std::size_t k = 0; k < 4; ++k) out += i + k <= text.size() ? kLetters[bits >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

run::Result<Translation> translate(const Work& work) {
  Translation out;
  std::string targets;
  for (const Request& request : in_turn(work.requests)) {
    nlohmann::ordered_json target{{"method", request.method}, {"url", work.base + request.path}};
    if (!request.body.empty()) target["body"] = base64(request.body);
    for (const auto& [name, value] : request.headers) target["header"][name] = {value};
    targets += target.dump() + "\n";
  }
  for (std::size_t i = 0; i < work.stages.size(); ++i) {
    const Stage& stage = work.stages[i];
    Step step{i, i, {}};
    if (stage.users > 0) {
      if (!stage.rate)
        return run::Error{
            fmt::format("vegeta sends at a rate: give phase {} a rate, or choose another tool", stage.phase)};
      Invocation one;
      const std::string stem = fmt::format("{}/vegeta-{}", work.directory, i + 1);
      one.files.emplace_back(stem + ".targets", targets);
      one.results = stem + ".gob";
      one.arguments = {"attack",
                       "-format=json",
                       "-targets=" + stem + ".targets",
                       "-output=" + one.results,
                       fmt::format("-rate={}/1m", std::lround(*stage.rate * 60)),
                       fmt::format("-duration={:.0f}ms", stage.duration_s * 1000),
                       fmt::format("-max-workers={}", stage.users),
                       fmt::format("-connections={}", stage.users)};
      step.together.push_back(std::move(one));
    }
    out.steps.push_back(std::move(step));
  }
  out.notes.emplace_back(
      "vegeta sends when a request is due, as long as one of `users` workers is free; where none is, it sends late "
      "(coordinated omission)");
  return out;
}

}  // namespace

const Tool kVegetaTool = {"vegeta", "vegeta", "https://github.com/tsenart/vegeta", {"-version"}, false,
                          false,    translate};

}  // namespace camprobe::suite
