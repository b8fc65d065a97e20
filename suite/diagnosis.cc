#include "suite/diagnosis.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "run/units.h"

namespace camprobe::suite {
namespace {

using Json = nlohmann::ordered_json;

Json entry(const std::string& symptom, const std::string& cause, std::vector<std::string> evidence,
           const std::string& advice) {
  return Json{{"symptom", symptom}, {"cause", cause}, {"evidence", std::move(evidence)}, {"advice", advice}};
}

double number(const Json& json, const char* key) {
  return json.contains(key) && json[key].is_number() ? json[key].get<double>() : 0;
}

const run::ReportSpan* span_named(const run::Report& report, std::string_view name) {
  for (const run::ReportSpan& span : report.spans) {
    if (span.name == name) return &span;
  }
  return nullptr;
}

// The phase in which the symptom is worst.
const Json* worst_phase(const Json& phases, const char* key) {
  const Json* worst = nullptr;
  for (const Json& phase : phases) {
    if (worst == nullptr || number(phase, key) > number(*worst, key)) worst = &phase;
  }
  return worst;
}

class Doctor {
 public:
  Doctor(const Suite& suite, const RunOutcome& outcome, const run::Report& report, const Json& run)
      : suite_(suite), outcome_(outcome), report_(report), run_(run) {
    before_ = Json::parse(outcome.stats_before, nullptr, false);
    after_ = Json::parse(outcome.stats_after, nullptr, false);
  }

  Json examine() {
    latency();
    throughput();
    errors();
    growth();
    return list_;
  }

 private:
  void latency() {
    const Json* worst = worst_phase(run_["phases"], "latency_p95_ms");
    std::string symptom;
    for (const Json& gate : run_["gates"]) {
      if (gate["state"] == "crossed" && gate["metric"].get<std::string>().starts_with("latency_"))
        symptom = "high latency: " + gate["text"].get<std::string>();
    }
    double best = 0;
    for (const Json& phase : run_["phases"]) {
      const double p95 = number(phase, "latency_p95_ms");
      if (p95 > 0 && (best == 0 || p95 < best)) best = p95;
    }
    if (symptom.empty() && worst != nullptr && best > 0 && number(*worst, "latency_p95_ms") > 3 * best &&
        number(*worst, "latency_p95_ms") > 20)
      symptom = fmt::format("high latency: p95 is {:.1f} ms in phase {} and {:.1f} ms in the best one",
                            number(*worst, "latency_p95_ms"), (*worst)["name"].get<std::string>(), best);
    if (!symptom.empty() && worst != nullptr) accuse(symptom, *worst);
  }

  void throughput() {
    const Json* worst = nullptr;
    double least = 0.95;
    for (const Json& phase : run_["phases"]) {
      // Of the time asked for: starting and ending the load tool's processes is no want of throughput.
      const double asked = number(phase, "asked_rps") * number(phase, "asked_s"),
                   share = asked > 0 ? number(phase, "requests") / asked : 1;
      if (share >= least) continue;
      least = share;
      worst = &phase;
    }
    if (worst == nullptr) return;
    accuse(fmt::format("low throughput: {:.0f} of {:.0f} requests/s in phase {}", least * number(*worst, "asked_rps"),
                       number(*worst, "asked_rps"), (*worst)["name"].get<std::string>()),
           *worst);
  }

  void errors() {
    const Json& load = run_["load"];
    bool is_crossed = false;
    for (const Json& gate : run_["gates"]) is_crossed |= gate["state"] == "crossed" && gate["metric"] == "error_rate";
    if (!is_crossed && number(load, "error_rate") < 0.01) return;
    const Json* worst = worst_phase(run_["phases"], "errors");
    if (worst == nullptr || number(*worst, "errors") <= 0) return;
    const std::string symptom =
        fmt::format("errors: {:.3g} % of requests failed, most of them ({:.0f} of {:.0f}) in phase {}",
                    100 * number(load, "error_rate"), number(*worst, "errors"), number(load, "errors"),
                    (*worst)["name"].get<std::string>());
    std::vector<std::string> kinds;
    for (const Json& kind : load["error_kinds"])
      kinds.push_back(fmt::format("{} times {}", kind["count"].get<std::uint64_t>(), kind["kind"].get<std::string>()));
    const std::size_t had = list_.size();
    pools(symptom);
    for (std::size_t i = had; i < list_.size(); ++i)
      for (const std::string& kind : kinds) list_[i]["evidence"].push_back(kind);
    if (list_.size() == had && !kinds.empty())
      list_.push_back(
          entry(symptom, kinds.front(), kinds,
                "statuses of 500 and above are the server's own: its log and its spans of that phase say why; "
                "those of 400 and above refuse what was asked"));
  }

  void accuse(const std::string& symptom, const Json& phase) {
    const std::size_t had = list_.size();
    const double cpus = outcome_.plan.cores.value_or(static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN)));
    if (run_["generator"]["was_bottleneck"] == true)
      list_.push_back(entry(symptom, "the load generator", {run_["generator"]["text"].get<std::string>()},
                            "give the load tool more threads, or a faster one, before judging the server"));
    const double busy = number(phase, "cpu_average_cores"), machine = number(phase, "machine_cpus");
    if (busy > 0.85 * cpus) {
      std::vector<std::string> evidence{
          fmt::format("the target took {:.2f} of its {:.0f} CPUs in that phase", busy, cpus)};
      if (!report_.top_cpu.empty() && !report_.top_cpu.front().stack.empty())
        evidence.push_back(fmt::format("the heaviest stack is {:.0f} % of its CPU time, in {}",
                                       100 * report_.top_cpu.front().share,
                                       report_.top_cpu.front().stack.front().function));
      list_.push_back(entry(
          symptom, "CPU", evidence,
          "make the heaviest functions cheaper, or give it more cores; the flame graph is in the run's HTML report"));
    } else if (machine > 0.95 * static_cast<double>(::sysconf(_SC_NPROCESSORS_ONLN))) {
      list_.push_back(entry(
          symptom, "a machine that is full",
          {fmt::format(
              "all CPUs of the machine were busy ({:.2f}), of which the target took {:.2f}, the load generator {:.2f}",
              machine, busy, number(phase, "generator_cpus"))},
          "put the load generator and the providers on another machine, or read the figures as those of a shared one"));
    }
    const run::ReportSpan* request = suite_.span.empty() ? nullptr : span_named(report_, suite_.span);
    const run::ReportSpan* provider = span_named(report_, "cam.provider_call");
    if (request != nullptr && provider != nullptr && request->total_seconds > 0) {
      const double share = provider->total_seconds / request->total_seconds;
      if (share > 0.5)
        list_.push_back(entry(
            symptom, "provider time",
            {fmt::format("calls to providers take {:.0f} % of the requests' time (p95 of a call: {}, of a request: {})",
                         100 * std::min(1.0, share), run::in_unit(provider->latency.p95.value_or(0), "ms"),
                         run::in_unit(request->latency.p95.value_or(0), "ms"))},
            "look at the providers' own latency, prefer the faster ones, cache, or call them in parallel"));
    }
    const Json latency = run_["load"]["latency_ms"];
    if (request != nullptr && latency.is_object() && request->latency.p95 && latency["p95"].is_number()) {
      const double client = latency["p95"], server = *request->latency.p95;
      if (client > 1.5 * server && client - server > 2)
        list_.push_back(entry(
            symptom, "the way to the server",
            {fmt::format("p95 is {:.1f} ms for the load tool and {:.1f} ms from the server's first to its last byte",
                         client, server)},
            "the time is spent before the server reads the request or after it has answered: the network, the accept "
            "queue, a busy "
            "machine or the load generator"));
    }
    pools(symptom);
    cache(symptom);
    if (list_.size() == had)
      list_.push_back(entry(
          symptom, "not found",
          {fmt::format("the target took {:.2f} of {:.0f} CPUs; no span, pool or queue that was measured explains it",
                       busy, cpus)},
          "look at where threads wait: camprobe export RUN --what wait"));
  }

  // Of the server's own figures, over the load.
  double rise(const std::string& pointer) const {
    const Json::json_pointer at(pointer);
    const auto value = [&](const Json& json) {
      return json.is_object() && json.contains(at) && json[at].is_number() ? json[at].get<double>() : 0.0;
    };
    return value(after_) - value(before_);
  }

  // Of a CAM server: callers that had to wait for a provider's connection.
  void pools(const std::string& symptom) {
    if (after_.is_discarded() || !after_.is_object()) return;
    const std::size_t providers =
        after_.contains("providers") && after_["providers"].is_array() ? after_["providers"].size() : 0;
    for (std::size_t i = 0; i < providers; ++i) {
      const double turned_away = rise(fmt::format("/providers/{}/pool/turned_away", i));
      const Json& pool = after_["providers"][i].value("pool", Json::object());
      if (turned_away > 0 || number(pool, "waiting") > 0)
        list_.push_back(entry(
            symptom, "pool size",
            {fmt::format(
                "{:.0f} callers found the pool of provider {} full, {:.0f} still wait; {:.0f} connections are open",
                turned_away, after_["providers"][i].value("name", "?"), number(pool, "waiting"), number(pool, "open"))},
            "raise the pool's size, or find out why calls hold their connection for so long"));
    }
  }

  void cache(const std::string& symptom) {
    const double hits = rise("/cache/hits"), misses = rise("/cache/misses");
    if (hits + misses > 100 && hits < 0.1 * (hits + misses))
      list_.push_back(entry(symptom, "caching",
                            {fmt::format("{:.0f} of {:.0f} lookups were answered from the cache", hits, hits + misses)},
                            "make the cache larger or its entries live longer, if requests repeat at all"));
  }

  void growth() {
    for (const run::Finding& finding : report_.findings) {
      if (!finding.confirmed || finding.kind != "leak") continue;
      std::vector<std::string> evidence{finding.title};
      for (const run::ReportEvidence& one : finding.evidence) {
        if (evidence.size() < 4) evidence.push_back(one.text);
      }
      const std::string cause = finding.resource == "fd"       ? "unclosed connections"
                                : finding.resource == "thread" ? "threads that never end"
                                                               : "a memory leak";
      list_.push_back(entry("growth of " + finding.resource, cause, evidence, finding.advice));
    }
    if (outcome_.oom_kills.value_or(0) > 0)
      list_.push_back(entry("out of memory", "the memory limit",
                            {fmt::format("the kernel ended the target at {}",
                                         run::in_bytes(static_cast<double>(outcome_.memory_limit.value_or(0))))},
                            "the run's report shows what was alive at the end (top of live memory)"));
  }

  const Suite& suite_;
  const RunOutcome& outcome_;
  const run::Report& report_;
  const Json& run_;
  Json before_, after_;
  Json list_ = Json::array();
};

}  // namespace

Json diagnosed(const Suite& suite, const RunOutcome& outcome, const run::Report& report, const Json& run) {
  return Doctor(suite, outcome, report, run).examine();
}

}  // namespace camprobe::suite
