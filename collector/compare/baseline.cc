// collector/compare/baseline.cc
#include "collector/compare/baseline.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>
#include <tuple>

#include "collector/compare/effects.h"
#include "collector/naming/stack_namer.h"
#include "run/text.h"

namespace camprobe::compare {

using Json = nlohmann::ordered_json;

namespace {

constexpr std::size_t kLargestFile = 64 << 20;
constexpr std::size_t kStacksKept = 100;  // of a kind

// Six digits: what a comparison needs, and the same bytes from every machine.
Json rounded(double value) {
  if (!std::isfinite(value)) return nullptr;
  return Json::parse(fmt::format("{:.6g}", value));
}

std::string line_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

template <typename Items, typename Line>
void write_list(std::string& out, const char* key, const Items& items, Line line, bool is_last) {
  out += fmt::format("      \"{}\": [", key);
  bool first = true;
  for (const auto& item : items) {
    out += (first ? "\n        " : ",\n        ") + line_of(line(item));
    first = false;
  }
  out += (first ? "]" : "\n      ]") + std::string(is_last ? "\n" : ",\n");
}

std::string run_text(const RunSummary& run) {
  std::string out = "    {\n";
  const auto member = [&](const char* key, const Json& value) {
    out += fmt::format("      \"{}\": {},\n", key, line_of(value));
  };
  member("file", run::valid_utf8(run.file));
  member("run_id", run.run_id);
  member("started_at", run.started_at);
  member("host", run.host);
  member("camprobe_version", run.camprobe_version);
  member("command", run.command);
  member("seconds", rounded(run.seconds));
  member("requests", rounded(run.requests));
  member("requests_per_second", rounded(run.requests_per_second));
  member("latency_basis", run.latency_basis);
  member("leaks_judged", run.leaks_judged);
  Json mix = Json::object();
  for (const auto& [endpoint, share] : run.mix) mix[endpoint] = rounded(share);
  member("mix", mix);
  Json totals = Json::object();
  for (const auto& [kind, samples] : run.stack_totals) totals[kind] = rounded(samples);
  member("stack_samples", totals);
  std::vector<const Figure*> figures;
  for (const Figure& f : run.figures) figures.push_back(&f);
  std::sort(figures.begin(), figures.end(), [](const Figure* a, const Figure* b) {
    return std::tie(a->metric, a->endpoint) < std::tie(b->metric, b->endpoint);
  });
  write_list(
      out, "figures", figures,
      [](const Figure* f) {
        return Json{{"metric", f->metric},
                    {"endpoint", f->endpoint},
                    {"value", rounded(f->level.value)},
                    {"error", rounded(f->level.error)},
                    {"effective", rounded(f->level.effective)}};
      },
      false);
  std::vector<const SummedFinding*> findings;
  for (const SummedFinding& f : run.findings) {
    if (f.confirmed) findings.push_back(&f);
  }
  std::sort(findings.begin(), findings.end(), [](const auto* a, const auto* b) { return a->id < b->id; });
  write_list(
      out, "findings", findings,
      [](const SummedFinding* f) {
        return Json{{"id", f->id}, {"title", f->title}};
      },
      false);

  // Functions once, stacks by their numbers.
  std::map<std::string, std::size_t> kept;
  std::vector<const HeavyStack*> stacks;
  for (const HeavyStack& s : run.stacks) {
    if (kept[s.kind]++ < kStacksKept) stacks.push_back(&s);
  }
  std::sort(stacks.begin(), stacks.end(), [](const HeavyStack* a, const HeavyStack* b) {
    return std::tie(a->kind, a->frames) < std::tie(b->kind, b->frames);
  });
  std::map<std::string, std::size_t> functions;
  for (const HeavyStack* s : stacks) {
    for (const std::string& frame : s->frames) functions.emplace(frame, 0);
  }
  std::size_t next = 0;
  std::vector<std::string> names;
  for (auto& [name, number] : functions) number = next++, names.push_back(name);
  write_list(
      out, "functions", names, [](const std::string& name) { return Json(name); }, false);
  write_list(
      out, "stacks", stacks,
      [&](const HeavyStack* s) {
        Json numbers = Json::array();
        for (const std::string& frame : s->frames) numbers.push_back(functions.at(frame));
        return Json{{"kind", s->kind}, {"weight", rounded(s->weight)}, {"samples", s->samples}, {"frames", numbers}};
      },
      true);
  return out + "    }";
}

double number_in(const Json& json, const char* key, double otherwise) {
  const auto found = json.find(key);
  return found != json.end() && found->is_number() ? found->get<double>() : otherwise;
}

// Nothing to iterate over where there is no such member.
const Json& member_of(const Json& json, const char* key) {
  static const Json kNone;
  const auto found = json.find(key);
  return found != json.end() ? *found : kNone;
}

std::string text_in(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : "";
}

RunSummary run_of(const Json& json) {
  RunSummary run;
  run.file = text_in(json, "file");
  run.run_id = text_in(json, "run_id");
  run.started_at = text_in(json, "started_at");
  run.host = text_in(json, "host");
  run.camprobe_version = text_in(json, "camprobe_version");
  for (const Json& word : member_of(json, "command")) run.command.push_back(word.get<std::string>());
  run.seconds = number_in(json, "seconds", 0);
  run.requests = number_in(json, "requests", 0);
  run.requests_per_second = number_in(json, "requests_per_second", 0);
  run.latency_basis = text_in(json, "latency_basis");
  run.leaks_judged = json.value("leaks_judged", false);
  for (const auto& [endpoint, share] : member_of(json, "mix").items()) run.mix[endpoint] = share.get<double>();
  for (const auto& [kind, samples] : member_of(json, "stack_samples").items())
    run.stack_totals[kind] = samples.get<double>();
  for (const Json& f : json.at("figures")) {
    Figure figure{f.at("metric").get<std::string>(), text_in(f, "endpoint"), {}};
    if (effect_on(figure.metric) == nullptr) continue;  // of another version: not compared
    figure.level.value = f.at("value").get<double>();
    figure.level.error = number_in(f, "error", 0);
    figure.level.effective = number_in(f, "effective", std::numeric_limits<double>::infinity());
    run.figures.push_back(std::move(figure));
  }
  for (const Json& f : member_of(json, "findings"))
    run.findings.push_back({text_in(f, "id"), text_in(f, "title"), true});
  const Json& functions = member_of(json, "functions");
  for (const Json& s : member_of(json, "stacks")) {
    HeavyStack stack{text_in(s, "kind"), {}, number_in(s, "weight", 0), s.value("samples", std::int64_t{0})};
    for (const Json& number : s.at("frames"))
      stack.frames.push_back(functions.at(number.get<std::size_t>()).get<std::string>());
    run.stacks.push_back(std::move(stack));
  }
  return run;
}

}  // namespace

std::string baseline_text(const std::vector<RunSummary>& runs) {
  std::string out = fmt::format("{{\n  \"schema\": \"{}\",\n  \"runs\": [\n", kBaselineSchema);
  for (std::size_t i = 0; i < runs.size(); ++i) out += run_text(runs[i]) + (i + 1 < runs.size() ? ",\n" : "\n");
  return out + "  ]\n}\n";
}

run::Result<std::vector<RunSummary>> baseline_of_text(std::string_view text, const std::string& file_name) {
  const auto wrong = [&](const std::string& why) {
    return run::Error{fmt::format("{}: is no baseline: {}; make it anew with camprobe baseline save", file_name, why)};
  };
  try {
    const Json json = Json::parse(text);
    if (!json.is_object() || text_in(json, "schema") != kBaselineSchema)
      return wrong(fmt::format("its schema is not {}", kBaselineSchema));
    std::vector<RunSummary> runs;
    for (const Json& run : json.at("runs")) runs.push_back(run_of(run));
    if (runs.empty()) return wrong("it holds no run");
    return runs;
  } catch (const Json::exception& broken) {
    std::string why = broken.what();
    std::replace_if(
        why.begin(), why.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
    return wrong(run::valid_utf8(why.substr(0, 160)));
  }
}

std::string wrong_name(std::string_view name) {
  const bool plain = !name.empty() && name.size() <= 100 && name.front() != '.' && name.front() != '-' &&
                     std::all_of(name.begin(), name.end(), [](unsigned char c) {
                       return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                              c == '_' || c == '-';
                     });
  return plain ? "" : "a baseline's name is up to 100 letters, digits, dots, dashes and underscores, like main or v1.2";
}

std::string baseline_path(const std::string& store, const std::string& name) {
  return store + "/" + name + ".json";
}

run::Result<void> save_baseline(const std::string& store, const std::string& name, const std::vector<RunSummary>& runs,
                                bool may_replace) {
  if (const std::string why = wrong_name(name); !why.empty()) return run::Error{fmt::format("{}: {}", name, why)};
  const std::string path = baseline_path(store, name), part = path + ".part";
  std::error_code failed;
  if (!may_replace && std::filesystem::exists(path, failed))
    return run::Error{fmt::format("{} exists; replace it with --overwrite, or choose another name", path)};
  std::filesystem::create_directories(store, failed);
  if (failed)
    return run::Error{fmt::format("{}: cannot be made: {}; name another place with --store", store, failed.message())};
  {
    std::ofstream file(part, std::ios::binary);
    file << baseline_text(runs);
    file.close();
    if (!file) {
      const std::string why = std::strerror(errno);
      std::filesystem::remove(part, failed);
      return run::Error{fmt::format("{}: cannot be written: {}; name another place with --store", path, why)};
    }
  }
  std::filesystem::rename(part, path, failed);
  if (failed) return run::Error{fmt::format("{}: cannot be written: {}", path, failed.message())};
  return {};
}

std::vector<std::string> baseline_names(const std::string& store) {
  std::vector<std::string> names;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(store, failed)) {
    if (entry.path().extension() == ".json") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

run::Result<std::vector<RunSummary>> load_side(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_regular_file(path, ignored)) {
    std::ifstream file(path, std::ios::binary);
    char first = 0;
    while (file.get(first) && std::isspace(static_cast<unsigned char>(first)) != 0) {
    }
    if (file && first == '{') {
      if (std::filesystem::file_size(path, ignored) > kLargestFile)
        return run::Error{fmt::format("{}: is larger than a baseline can be", path)};
      file.seekg(0);
      std::stringstream text;
      text << file.rdbuf();
      return baseline_of_text(text.str(), path);
    }
  }
  auto reader = naming::open_named(path);
  if (!reader) return run::Error{reader.error()};
  std::vector<RunSummary> one{summary_of(*reader)};
  if (reader->error()) return run::Error{fmt::format("{}: is damaged: {}", path, reader->error()->sentence)};
  return one;
}

}  // namespace camprobe::compare
