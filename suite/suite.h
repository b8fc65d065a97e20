// suite/suite.h
//
// A suite as its file says it: what is started, what load is put on it, what must hold. Plain values; docs/suites.md
// tells them to people, docs/suite.schema.json to editors, suite_file.cc reads them. Texts may hold variables
// (variables.h), which get their values when a run begins.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "collector/gates/gate.h"

namespace camprobe::suite {

using Headers = std::map<std::string, std::string>;

// How it is known that a program accepts work. One of http, tcp and file; tcp is of `port`.
struct Ready {
  std::string http;  // a URL that answers 200
  std::string tcp;   // a port of 127.0.0.1 that accepts
  std::string file;  // a file that exists and is not empty
  double within_s = 30;
};

struct Limits {
  std::optional<std::uint64_t> memory_bytes;  // by a cgroup where that is allowed, else RLIMIT_DATA
  std::optional<std::uint64_t> open_files;    // RLIMIT_NOFILE
  std::string cores;                          // how many CPUs, by affinity; "" all
};

struct Program {
  std::string name;
  std::vector<std::string> command;
  std::map<std::string, std::string> environment;
  Ready ready;
  Limits limits;
  double stop_within_s = 10;  // between SIGTERM and SIGKILL
};

struct Request {
  std::string method = "GET", path, body;
  Headers headers;
  unsigned weight = 1;
};

struct Scenario {
  std::string name;
  std::vector<Request> requests;
};

// Something done while the load runs: a request (a provider told to fail), or a change of the fault proxy.
struct Action {
  double at_s = 0;  // into its phase
  std::string url, body;
  std::map<std::string, std::string> network;  // fault_proxy.h
  std::string text;                            // for the report
};

struct Phase {
  std::string name, kind = "steady";  // ramp | steady | spike | idle | warm-up, as load windows have
  double duration_s = 0;
  int users = 1;
  std::optional<int> users_from;    // a ramp begins here
  std::optional<double> rate;       // requests a second, all users together; none: as fast as answers come
  std::optional<double> rate_from;  // a ramp begins here
  std::vector<Action> actions;
};

struct Load {
  std::string tool = "h2load";
  std::string base;                  // http://127.0.0.1:${port}
  int threads = 1;                   // of the load tool, where it has threads
  std::string file;                  // the tool's own script or scenario, used as it is
  std::vector<std::string> command;  // or the whole command; then `results` is what it writes
  std::string results;
};

// A request of the suite's own before and after the load.
struct Check {
  std::string name;
  Request request;
  int status = 200;
};

// A number of a program's own, from its JSON: (sum of `value` over the URLs) / (sum of `per`) * scale, each as the
// difference over the load.
struct Figure {
  std::string name, unit;
  bool higher_is_better = false;
  std::vector<std::string> from;  // URLs
  std::string value, per;         // JSON pointers; per "": not divided
  double scale = 1;
};

struct FaultProxySpec {
  std::string name, listen, to;  // ports of 127.0.0.1
};

// What is measured against what: the target itself, or something in its place under the same load.
struct Variant {
  std::string name;
  bool is_recorded = true;
  Program target;
  std::vector<Program> dependencies;
  std::string base;
  std::vector<Request> requests;  // empty: the scenario's
  std::vector<Figure> figures;
  std::string stats, counted;  // see Suite
};

struct Suite {
  std::string path, name, system = "load", description;  // system: load | benchmark | stress | scalability | endurance
  Program target;
  bool is_recorded = true;
  std::vector<Program> dependencies;
  std::map<std::string, std::string> files;  // name: text, written to ${dir} before anything is started
  std::vector<FaultProxySpec> proxies;
  Load load;
  std::vector<Scenario> scenarios;
  std::string scenario;  // which one; "": the first
  std::vector<Phase> phases;
  std::vector<Check> checks;
  std::string stats;    // URL of the target's own counts, as JSON
  std::string counted;  // JSON pointer in it: requests served
  std::string span;     // name of the span that each request makes, for the probe's count
  std::vector<Figure> figures;
  std::vector<gates::Gate> gates;
  std::vector<Variant> baselines;
  std::vector<int> cores, instances;  // one run for each: scalability
  int repeats = 1;
  std::uint64_t seed = 1;  // of the order of runs
};

}  // namespace camprobe::suite
