// run/report.h
//
// What a report says, as plain values: the analysis fills it, exporters and the viewer picture it. to_json() is the
// contract `camprobe.report/1` that docs/report.schema.json describes; every other format is a picture of the same.
//
// Times are seconds since the run began. What is not known is nothing (null in JSON), never a guess.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace camprobe::run {

inline constexpr const char* kReportSchema = "camprobe.report/1";

// A value with its 95 % interval.
struct Estimate {
  double value = 0, low = 0, high = 0;
  std::string unit;  // bytes | count | ms | ns | ratio
};

struct ReportFrame {
  std::string function;
  std::string file;  // empty where unknown
  std::optional<std::int64_t> line;
  std::string module;
};

struct ReportWhere {
  std::vector<ReportFrame> stack;  // leaf first, without the allocator's own frames
  std::optional<std::int64_t> process;
  std::string span, endpoint, peer;  // empty where none
};

struct ReportSince {
  double at_s = 0, low_s = 0, high_s = 0;  // 95 %
  bool from_start = false;                 // of the load; at_s is then where the judged stretch begins
  std::optional<double> until_s;           // where it stopped
  std::string window;                      // load window it began in
};

struct ReportForecast {
  std::string limit;  // memory | descriptors
  double limit_value = 0;
  std::optional<double> seconds_to_limit;  // nothing: beyond what this run can say
  std::optional<double> seconds_low, seconds_high;
  std::string text;
};

struct ReportEvidence {
  std::string what;  // survivors | spread | old_age | saturation | clock | stack | ...
  std::string text;  // a sentence
  std::optional<double> value;
};

struct Finding {
  std::string id;          // stable over runs of the same program where the stack is the same
  std::string kind;        // leak | degradation | contention | io | budget
  std::string resource;    // heap | js-heap | fd | thread | mmap | rss | cpu | latency | errors
  std::string verdict;     // leaks | saturating | step | none | inconclusive
  bool confirmed = false;  // counts against the run
  std::string title;       // one line: what, and in which function
  ReportWhere where;
  std::optional<ReportSince> since;
  std::optional<Estimate> per_1000_requests, per_hour;
  std::optional<Estimate> before, after;  // degradation: the same cost early and late
  std::optional<ReportForecast> forecast;
  double confidence = 0;
  std::optional<double> needs_seconds;  // inconclusive: a run this long would tell
  std::vector<ReportEvidence> evidence;
  std::string advice;
};

struct ReportQuantiles {
  std::uint64_t count = 0;
  std::optional<double> p50, p95, p99, max;  // ms
};

// A value that held for a stretch of the run.
struct ReportStretch {
  double value = 0, from_s = 0, to_s = 0;
};

// A setting of the probe (heap_interval_bytes, cpu_hz, wait_interval_ns, families, budget_ppm), from stretch to
// stretch.
struct ReportHeld {
  std::string name;
  std::vector<ReportStretch> stretches;
  std::size_t left_out = 0;  // further ones
};

// When a family was off: what it would have recorded is not known, and not zero.
struct ReportGap {
  std::string family;
  double from_s = 0, to_s = 0;
};

// What resident memory was made of when it was last read; nothing where a part is not known.
struct ReportMemory {
  std::string allocator;  // glibc, tcmalloc, jemalloc, mimalloc; empty: not known
  double resident = 0;
  std::optional<double> live;      // heap that the program has, estimated from samples
  std::optional<double> retained;  // kept by the allocator for reuse
  bool retained_is_told = false;   // by the allocator; else it is what it holds less what is live
  std::optional<double> mappings;  // large ones of the program's own, whole
  std::optional<double> stacks;    // resident, of all threads
  std::optional<double> rest;      // of resident: code, what is in no part
};

struct ReportProcess {
  std::int64_t id = 0, pid = 0;
  std::string executable, command;
  double began_s = 0;
  std::optional<double> ended_s;
  std::string ended_how;
  std::optional<std::int64_t> exit_status;
  std::string probe_state, note;
  std::optional<double> peak_rss_bytes, last_rss_bytes, cpu_seconds, memory_limit_bytes;
  std::optional<ReportMemory> memory;
  std::optional<double> probe_cpu_share;  // of the process's CPU time, as the probe measured its own
  std::optional<double> probe_budget;     // what it was to keep to
  std::vector<ReportHeld> settings;
  std::vector<ReportGap> not_recorded;
};

struct ReportLoadWindow {
  std::string name, kind;
  double from_s = 0, to_s = 0;
  std::uint64_t requests = 0, errors = 0;
  ReportQuantiles latency;
};

struct ReportEndpoint {
  std::string endpoint;
  std::uint64_t requests = 0, errors = 0;
  ReportQuantiles latency;
};

struct ReportLoad {
  std::string tool;           // empty: no load tool's results; requests are the server's own count
  std::string counted_by;     // load tool | spans | sockets | nothing
  std::string latency_basis;  // intended | sent | none | spans
  std::uint64_t requests = 0, errors = 0;
  ReportQuantiles latency;
  std::vector<ReportLoadWindow> windows;
  std::vector<ReportEndpoint> endpoints;
  std::uint64_t skipped_rows = 0;
  std::string skipped_why;
};

// CAM's own figures; nothing where the spans they come from were not recorded.
struct ReportCam {
  std::optional<ReportQuantiles> arbitration, consensus;
  std::optional<double> provider_switch_rate, cost_optimization_rate;
  std::vector<std::pair<std::string, std::uint64_t>> providers;  // chosen how often
};

struct ReportSpan {
  std::string name;
  ReportQuantiles latency;
  double total_seconds = 0;
};

struct ReportPeer {
  std::string peer, kind;  // kind: accept | connect | socket
  std::uint64_t opened = 0, still_open = 0, read_ops = 0, read_bytes = 0, write_ops = 0, write_bytes = 0;
};

struct ReportStack {
  double weight = 0, share = 0;
  std::optional<double> objects;
  std::vector<ReportFrame> stack;  // leaf first
};

struct ReportGate {
  std::string name, text;
  bool passed = true;
  std::string state = "passed";  // passed | crossed | missing: could not be evaluated
  std::string metric, unit;      // as docs/gates.md lists them
  std::string endpoint, window;  // empty: the whole run
  std::optional<double> value, min, max;
};

struct ReportLost {
  std::string kind;
  std::uint64_t records = 0;
};

struct ReportSetting {
  std::string name;
  double first = 0, last = 0;
  std::size_t changes = 0;
};

struct Report {
  std::string verdict;  // pass | fail | inconclusive
  std::string summary;  // the headline

  struct {
    std::string file, run_id, camprobe_version, state, started_at, host, kernel,
        load_command;  // started_at: RFC 3339, UTC
    std::vector<std::string> command;
    std::int64_t started_realtime_ns = 0, ended_ns = 0;  // wall clock of second 0; length of the run
    double seconds = 0;
    std::int64_t cpus = 0, memory_bytes = 0;
  } run;
  std::vector<ReportProcess> processes;
  ReportLoad load;
  std::vector<Finding> findings;  // what counts against the run first
  ReportCam cam;
  std::vector<ReportSpan> spans;
  std::vector<ReportPeer> sockets;
  std::vector<ReportStack> top_cpu, top_allocated, top_live;  // weight: ns, bytes, bytes
  std::vector<ReportGate> gates;
  std::vector<ReportLost> lost;
  std::vector<ReportSetting> sampling;
  struct {
    int thresholds_version = 0;
    std::vector<std::pair<std::string, double>> thresholds;
    double from_s = 0, to_s = 0, warm_up_s = 0;  // what was judged
    std::uint64_t stacks = 0, candidates = 0, comparisons = 0;
    std::optional<Estimate> smallest_leak_per_1000_requests;  // that this run would have found
    std::vector<std::string> not_judged;                      // sentences: what could not be told, and why
    bool leaks_judged = false, degradation_judged = false;    // enough was seen for "none" to mean something
  } analysis;
};

nlohmann::ordered_json to_json(const ReportGate& gate);
nlohmann::ordered_json to_json(const Report& report);

}  // namespace camprobe::run
