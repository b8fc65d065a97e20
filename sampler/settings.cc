// sampler/settings.cc: see sampler/settings.h.
#include "sampler/settings.h"

#include <cstring>

#include "shm/setting_text.h"

namespace camprobe::sampler {
namespace {

constexpr std::uint64_t kFirstAutoInterval = 32u << 10;
bool equal(const char* text, std::size_t length, const char* word) {
  return std::strlen(word) == length && std::memcmp(text, word, length) == 0;
}

bool read_families(const char* value, Settings* settings) {
  std::uint32_t families = 0;
  const char* at = value;
  for (;;) {
    const char* end = at;
    while (*end != '\0' && *end != ',') ++end;
    const auto length = static_cast<std::size_t>(end - at);
    if (equal(at, length, "all")) {
      families = shm::kAllFamilies;
    } else if (!equal(at, length, "none")) {
      const std::uint32_t bit = shm::family_named(at, length);
      if (bit == 0) return false;
      families |= bit;
    }
    if (*end == '\0') break;
    at = end + 1;
  }
  settings->families = families;
  return true;
}

bool read_heap_interval(const char* value, Settings* settings) {
  std::uint64_t bytes = 0;
  if (!shm::read_heap_interval(value, &bytes)) return false;
  settings->heap_interval_is_auto = bytes == shm::kAutoHeapInterval;
  settings->heap_interval = settings->heap_interval_is_auto ? kFirstAutoInterval : bytes;
  return true;
}

bool read_cpu_hz(const char* value, Settings* settings) {
  return shm::read_cpu_hz(value, &settings->cpu_hz);
}

bool read_wait_interval(const char* value, Settings* settings) {
  return shm::read_wait_interval(value, &settings->wait_interval_ns);
}

bool read_budget(const char* value, Settings* settings) {
  return shm::read_budget(value, &settings->budget_ppm);
}

bool read_run(const char* value, Settings* settings) {
  const char* colon = std::strrchr(value, ':');
  const std::size_t length = colon != nullptr ? static_cast<std::size_t>(colon - value) : std::strlen(value);
  if (length == 0 || length >= sizeof settings->run_id) return false;
  std::uint64_t pid = 0;
  if (colon != nullptr && !shm::read_whole(colon + 1, 0x7fffffff, &pid)) return false;
  std::memcpy(settings->run_id, value, length);
  settings->run_id[length] = '\0';
  settings->collector_pid = static_cast<std::uint32_t>(pid);
  return true;
}

bool read_switch(const char* value, bool* out) {
  if (std::strcmp(value, "0") != 0 && std::strcmp(value, "1") != 0) return false;
  *out = value[0] == '1';
  return true;
}
bool read_follow_fork(const char* value, Settings* settings) {
  return read_switch(value, &settings->follow_fork);
}
bool read_verbose(const char* value, Settings* settings) {
  return read_switch(value, &settings->verbose);
}

// Text into a buffer that is cut where it ends.
class Line {
 public:
  Line(char* out, std::size_t size) : out_(out), left_(size) {
    if (left_ > 0) *out_ = '\0';
  }
  Line& operator<<(const char* text) { return put(text, std::strlen(text)); }
  // At most 40 bytes of it, control characters as '?'.
  Line& put_shortened(const char* text, std::size_t length) {
    for (std::size_t i = 0; i < length && i < 40; ++i) {
      const char c = text[i] < ' ' || text[i] == 127 ? '?' : text[i];
      put(&c, 1);
    }
    return length > 40 ? *this << "..." : *this;
  }

 private:
  Line& put(const char* text, std::size_t length) {
    for (std::size_t i = 0; i < length && left_ > 1; ++i, --left_) *out_++ = text[i];
    if (left_ > 0) *out_ = '\0';
    return *this;
  }
  char* out_;
  std::size_t left_;
};

}  // namespace

const EnvironmentVariable kEnvironment[] = {
    {"CAMPROBE_FAMILIES", "all",
     "`all`, `none`, or some of `heap`, `cpu`, `socket`, `file`, `wait`, `thread`, `process`, `span`, `map`, with "
     "commas between",
     "what is recorded", read_families},
    {"CAMPROBE_HEAP_INTERVAL", "auto",
     "`auto`, `0` (off), or 64 bytes to 1024 GiB, with `KiB`, `MiB` or `GiB` behind the number",
     "mean number of allocated bytes between two heap samples; `auto` begins at 32 KiB and keeps sampling inside the "
     "budget",
     read_heap_interval},
    {"CAMPROBE_CPU_HZ", "99", "`0` (off) to `10000`", "CPU samples per second of CPU time, per thread", read_cpu_hz},
    {"CAMPROBE_WAIT_INTERVAL", "10ms", "`0` (off), or a time up to `3600s` with `us`, `ms` or `s` behind the number",
     "mean waiting time between two samples of blocking calls", read_wait_interval},
    {"CAMPROBE_BUDGET", "1%", "`0.001%` to `100%`",
     "share of the process's CPU time that the probe may use; the `auto` heap interval keeps to it, a rate or an "
     "interval "
     "that is given is kept whatever it costs",
     read_budget},
    {"CAMPROBE_RUN", "", "a run's name (up to 63 bytes), `:`, the collector's process id",
     "set by `camprobe run`: the run that this process and its children belong to", read_run},
    {"CAMPROBE_FOLLOW_FORK", "1", "`0` or `1`", "whether the child of a fork is recorded too", read_follow_fork},
    {"CAMPROBE_VERBOSE", "0", "`0` or `1`", "say on stderr why nothing is recorded, where that is so", read_verbose},
};
const std::size_t kEnvironmentSize = sizeof kEnvironment / sizeof kEnvironment[0];

Settings default_settings() {
  Settings settings = {};
  settings.may_tick = true;
  for (const EnvironmentVariable& variable : kEnvironment)
    if (variable.default_value[0] != '\0') variable.read(variable.default_value, &settings);
  return settings;
}

void read_environment(const char* const* environment, Settings* settings, char* complaint, std::size_t complaint_size) {
  *settings = default_settings();
  Line line(complaint, complaint_size);
  bool has_complained = false;
  constexpr char kPrefix[] = "CAMPROBE_";
  for (; environment != nullptr && *environment != nullptr; ++environment) {
    const char* entry = *environment;
    if (std::strncmp(entry, kPrefix, sizeof kPrefix - 1) != 0) continue;
    const char* equals = std::strchr(entry, '=');
    if (equals == nullptr) continue;
    const auto length = static_cast<std::size_t>(equals - entry);
    const EnvironmentVariable* variable = nullptr;
    for (const EnvironmentVariable& known : kEnvironment)
      if (equal(entry, length, known.name)) variable = &known;
    if (variable != nullptr && (equals[1] == '\0' || variable->read(equals + 1, settings))) continue;
    line << (has_complained ? "; " : "camprobe: ignored ");
    has_complained = true;
    line.put_shortened(entry, length);
    if (variable == nullptr) {
      line << " (no such variable)";
    } else {
      line << "=";
      line.put_shortened(equals + 1, std::strlen(equals + 1)) << " (must be " << variable->values << ")";
    }
  }
  if (has_complained) line << "\n";
}

}  // namespace camprobe::sampler
