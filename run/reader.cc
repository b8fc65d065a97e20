#include "run/reader.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "run/schema.h"
#include "run/sqlite.h"

namespace camprobe::run {

struct Reader::State {
  std::string path;
  std::string private_copy;  // a directory of ours to remove, where the run could only be read from a copy
  sqlite3* database = nullptr;
  std::optional<Error> error;
  std::unordered_map<NameId, std::string> names;
  std::unordered_map<StackId, Stack> stacks;
  std::unordered_map<FrameId, Frame> frames;

  ~State() {
    sqlite3_close_v2(database);
    if (!private_copy.empty()) {
      std::error_code ignored;
      std::filesystem::remove_all(private_copy, ignored);
    }
  }

  // Keeps the first failure: what follows from it would only hide it.
  void check(const Statement& statement) {
    if (statement.ok() || error) return;
    error = Error{fmt::format("{} is damaged, what could be read was kept: {}", path, sqlite3_errmsg(database))};
  }

  // Runs a query and hands each row to `row`.
  template <class Bind, class Row>
  void each(std::string_view sql, Bind bind, Row row) {
    Statement statement(database, sql);
    bind(statement);
    while (statement.step()) row(statement);
    check(statement);
  }

  template <class Value, class Bind, class Row>
  std::vector<Value> all(std::string_view sql, Bind bind, Row row) {
    std::vector<Value> rows;
    each(sql, bind, [&](Statement& s) { rows.push_back(row(s)); });
    return rows;
  }
};

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

std::uint32_t big_endian(const unsigned char* bytes) {
  return (std::uint32_t{bytes[0]} << 24) | (std::uint32_t{bytes[1]} << 16) | (std::uint32_t{bytes[2]} << 8) | bytes[3];
}

// A look at the file's own header, before SQLite does anything with it.
Result<void> check_header(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Error{fmt::format("{}: cannot be read: {}", path, std::strerror(errno))};
  struct stat status {};
  std::array<unsigned char, 100> header{};
  ssize_t got = -1;
  if (::fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) got = ::pread(fd, header.data(), header.size(), 0);
  ::close(fd);
  if (!S_ISREG(status.st_mode)) return Error{fmt::format("{} is not a camprobe run: it is not a regular file", path)};
  if (got == 0) return Error{fmt::format("{} is not a camprobe run: it is empty", path)};
  if (got != static_cast<ssize_t>(header.size()) || std::memcmp(header.data(), "SQLite format 3", 16) != 0) {
    return Error{fmt::format("{} is not a camprobe run (camprobe run -o FILE writes one)", path)};
  }
  if (big_endian(&header[68]) != kApplicationId) {
    return Error{fmt::format("{} is not a camprobe run: it is another program's SQLite database", path)};
  }
  const std::uint32_t version = big_endian(&header[60]);
  if (version > kSchemaVersion) {
    return Error{fmt::format("{} was written by a newer camprobe (schema {}, this one reads {}): update camprobe", path,
                             version, kSchemaVersion)};
  }
  if (version != kSchemaVersion) {
    return Error{fmt::format("{} is not a camprobe run: unknown schema version {}", path, version)};
  }
  return {};
}

bool has_content(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && status.st_size > 0;
}

// Percent-encodes what an SQLite URI would take for its own.
std::string as_uri(const std::string& path, std::string_view query) {
  std::string uri = "file:";
  for (const char c : path) {
    if (c == '?' || c == '#' || c == '%') {
      uri += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    } else {
      uri += c;
    }
  }
  return uri.append("?").append(query);
}

// Opens and reads the schema. Nothing a file says may run code or loop: no views, no triggers, no functions in them.
int open_database(const std::string& uri, sqlite3** database) {
  int status = sqlite3_open_v2(uri.c_str(), database, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, nullptr);
  if (status != SQLITE_OK) return status;
  sqlite3_extended_result_codes(*database, 0);
  sqlite3_busy_timeout(*database, 5000);
  sqlite3_db_config(*database, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(*database, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_limit(*database, SQLITE_LIMIT_LENGTH, 64 << 20);
  sqlite3_exec(*database, "PRAGMA cell_size_check = ON", nullptr, nullptr, nullptr);
  return sqlite3_exec(*database, "SELECT count(*) FROM sqlite_schema", nullptr, nullptr, nullptr);
}

std::int64_t first_second(std::int64_t from_ns) {
  return from_ns <= 0 ? 0 : (from_ns - 1) / kSecond + 1;
}
std::int64_t end_second(std::int64_t to_ns) {
  return to_ns <= 0 ? 0 : (to_ns - 1) / kSecond + 1;
}

// " WHERE ..." for a slice of a table that has process and second; the binder binds in the same order.
struct SliceFilter {
  const Slice& slice;
  bool by_thread = false;
  bool by_span = false;

  std::string where() const {
    std::string text = " WHERE second >= ? AND second < ?";
    if (slice.process) text += " AND process = ?";
    if (by_thread && slice.thread) text += " AND thread = ?";
    if (by_span && slice.span_name) text += " AND span_name = ?";
    return text;
  }
  void operator()(Statement& s) const {
    s.bind(first_second(slice.from_ns)).bind(end_second(slice.to_ns));
    if (slice.process) s.bind(*slice.process);
    if (by_thread && slice.thread) s.bind(*slice.thread);
    if (by_span && slice.span_name) s.bind(*slice.span_name);
  }
};

// " WHERE process = ?" or nothing.
struct ProcessFilter {
  std::optional<ProcessId> process;

  std::string where() const { return process ? " WHERE process = ?" : ""; }
  void operator()(Statement& s) const {
    if (process) s.bind(*process);
  }
};

constexpr auto kBindNothing = [](Statement&) {};

HeapObject heap_object_of(Statement& s) {
  HeapObject row;
  row.process = s.id<ProcessId>();
  row.sample = s.integer();
  row.stack = s.id<StackId>();
  row.thread = s.id<ThreadId>();
  row.span_name = s.id<NameId>();
  row.size = s.integer();
  row.interval = s.integer();
  row.bytes = s.real();
  row.objects = s.real();
  row.born_ns = s.integer();
  row.died_ns = s.optional_integer();
  return row;
}

StackWeight stack_weight_of(Statement& s) {
  StackWeight row;
  row.process = s.id<ProcessId>();
  row.stack = s.id<StackId>();
  row.samples = s.integer();
  row.weight = s.real();
  row.objects = s.real();
  row.temporary_objects = s.real();
  return row;
}

}  // namespace

Result<Reader> Reader::open(const std::string& path) {
  if (const auto header = check_header(path); !header) return Error{header.error()};

  auto state = std::make_unique<State>();
  state->path = path;
  const bool has_wal = has_content(path + "-wal");
  int status = open_database(as_uri(path, "mode=ro"), &state->database);
  if ((status == SQLITE_CANTOPEN || status == SQLITE_READONLY) && !has_wal) {
    // The file says WAL, which needs a -shm file beside it, and the directory does not let us make one.
    sqlite3_close_v2(std::exchange(state->database, nullptr));
    status = open_database(as_uri(path, "immutable=1"), &state->database);
  } else if (status == SQLITE_CANTOPEN || status == SQLITE_READONLY) {
    // A write-ahead log left by a killed collector holds the last seconds, and only a writable place lets SQLite read
    // it.
    sqlite3_close_v2(std::exchange(state->database, nullptr));
    std::string directory = (std::filesystem::temp_directory_path() / "camprobe-XXXXXX").string();
    if (::mkdtemp(directory.data()) == nullptr) {
      return Error{
          fmt::format("{}: neither its directory nor {} can be written to, which reading a run that was cut "
                      "short needs",
                      path, std::filesystem::temp_directory_path().string())};
    }
    state->private_copy = directory;
    std::error_code failed;
    std::filesystem::copy_file(path, directory + "/run", failed);
    if (!failed) std::filesystem::copy_file(path + "-wal", directory + "/run-wal", failed);
    if (failed) return Error{fmt::format("{}: cannot be copied to {}: {}", path, directory, failed.message())};
    status = open_database(as_uri(directory + "/run", "mode=ro"), &state->database);
  }
  if (status == SQLITE_NOMEM || state->database == nullptr) return Error{fmt::format("{}: out of memory", path)};
  if (status != SQLITE_OK) {
    return Error{fmt::format("{} is not a readable camprobe run: {}", path, sqlite3_errmsg(state->database))};
  }

  std::int64_t foreign = -1;
  state->each("SELECT count(*) FROM sqlite_schema WHERE type NOT IN ('table', 'index') OR sql LIKE 'CREATE VIRTUAL%'",
              kBindNothing, [&](Statement& s) { foreign = s.integer(); });
  if (state->error || foreign < 0) {
    return Error{fmt::format("{} is not a readable camprobe run: {}", path, sqlite3_errmsg(state->database))};
  }
  if (foreign > 0) return Error{fmt::format("{} is not a camprobe run: it holds views or triggers", path)};
  Reader reader(std::move(state));
  if (reader.meta().run_id.empty()) {
    return Error{fmt::format("{} is not a camprobe run: it names no run id", path)};
  }
  return reader;
}

Reader::Reader(std::unique_ptr<State> state) : state_(std::move(state)) {}
Reader::Reader(Reader&&) noexcept = default;
Reader& Reader::operator=(Reader&&) noexcept = default;
Reader::~Reader() = default;

const std::optional<Error>& Reader::error() const {
  return state_->error;
}
const std::string& Reader::path() const {
  return state_->path;
}
sqlite3* Reader::handle() {
  return state_->database;
}

void Reader::pin() {
  Statement begin(state_->database, "BEGIN");
  begin.run();
  state_->check(begin);
}
void Reader::unpin() {
  sqlite3_exec(state_->database, "COMMIT", nullptr, nullptr, nullptr);
}

Meta Reader::meta() {
  Meta meta;
  state_->each("SELECT key, value FROM meta", kBindNothing, [&](Statement& s) {
    std::string key = s.text();
    meta.all[std::move(key)] = s.text();
  });
  const auto text = [&](const char* key) {
    const auto found = meta.all.find(key);
    return found != meta.all.end() ? found->second : std::string();
  };
  const auto integer = [&](const char* key) -> std::optional<std::int64_t> {
    const std::string value = text(key);
    char* end = nullptr;
    errno = 0;
    const long long parsed = std::strtoll(value.c_str(), &end, 10);
    if (value.empty() || *end != '\0' || errno != 0) return std::nullopt;
    return parsed;
  };
  meta.run_id = text("run_id");
  meta.camprobe_version = text("camprobe_version");
  meta.started_realtime_ns = integer("started_realtime_ns").value_or(0);
  meta.started_monotonic_ns = integer("started_monotonic_ns").value_or(0);
  meta.ended_ns = integer("ended_ns");
  meta.host = text("host");
  meta.kernel = text("kernel");
  meta.cpus = integer("cpus").value_or(0);
  meta.memory_bytes = integer("memory_bytes").value_or(0);
  meta.state = text("state");
  meta.load_command = text("load_command");
  meta.heap_object_min_age_ns = integer("heap_object_min_age_ns").value_or(meta.heap_object_min_age_ns);
  const auto command = nlohmann::json::parse(text("command"), nullptr, false);
  if (command.is_array()) {
    for (const auto& argument : command) {
      if (argument.is_string()) meta.command.push_back(argument.get<std::string>());
    }
  }
  return meta;
}

std::int64_t Reader::duration_ns() {
  if (const auto ended = meta().ended_ns) return *ended;
  std::int64_t seconds = 0;
  for (const char* sql :
       {"SELECT max(second + width) FROM point", "SELECT max(second) + 1 FROM cpu", "SELECT max(second) + 1 FROM io"}) {
    state_->each(sql, kBindNothing, [&](Statement& s) { seconds = std::max(seconds, s.integer()); });
  }
  return std::min(seconds, kEver / kSecond) * kSecond;
}

std::vector<Process> Reader::processes() {
  return state_->all<Process>(
      "SELECT id, pid, parent_pid, start_ticks, image, executable, command, began_ns, ended_ns, ended_how, "
      "exit_status, "
      "probe_state, memory_limit_bytes, note FROM process ORDER BY id",
      kBindNothing, [](Statement& s) {
        Process row;
        row.id = s.id<ProcessId>();
        row.pid = s.integer();
        row.parent_pid = s.optional_integer();
        row.start_ticks = s.optional_integer();
        row.image = s.integer();
        row.executable = s.text();
        row.command = s.text();
        row.began_ns = s.integer();
        row.ended_ns = s.optional_integer();
        row.ended_how = s.text();
        row.exit_status = s.optional_integer();
        row.probe_state = s.text();
        row.memory_limit_bytes = s.optional_integer();
        row.note = s.text();
        return row;
      });
}

std::vector<Thread> Reader::threads(std::optional<ProcessId> process) {
  const ProcessFilter filter{process};
  return state_->all<Thread>(
      "SELECT id, process, tid, name, began_ns, ended_ns, stack FROM thread" + filter.where() + " ORDER BY id", filter,
      [](Statement& s) {
        Thread row;
        row.id = s.id<ThreadId>();
        row.process = s.id<ProcessId>();
        row.tid = s.integer();
        row.name = s.text();
        row.began_ns = s.integer();
        row.ended_ns = s.optional_integer();
        row.stack = s.id<StackId>();
        return row;
      });
}

std::vector<Module> Reader::modules(std::optional<ProcessId> process) {
  const ProcessFilter filter{process};
  return state_->all<Module>("SELECT id, process, path, build_id, base, low, high, opened_ns, closed_ns FROM module" +
                                 filter.where() + " ORDER BY id",
                             filter, [](Statement& s) {
                               Module row;
                               row.id = s.integer();
                               row.process = s.id<ProcessId>();
                               row.path = s.text();
                               row.build_id = s.text();
                               row.base = s.integer();
                               row.low = s.integer();
                               row.high = s.integer();
                               row.opened_ns = s.integer();
                               row.closed_ns = s.optional_integer();
                               return row;
                             });
}

const std::string& Reader::name(NameId id) {
  const auto added = state_->names.try_emplace(id);
  std::string& text = added.first->second;
  if (added.second && id != kNoName) {
    state_->each(
        "SELECT text FROM name WHERE id = ?", [&](Statement& s) { s.bind(id); },
        [&](Statement& s) { text = s.text(); });
  }
  return text;
}

std::optional<NameId> Reader::find_name(std::string_view text) {
  if (text.empty()) return kNoName;
  std::optional<NameId> id;
  state_->each(
      "SELECT id FROM name WHERE text = ?", [&](Statement& s) { s.bind(text); },
      [&](Statement& s) { id = s.id<NameId>(); });
  return id;
}

const Stack& Reader::stack(StackId id) {
  auto [found, is_new] = state_->stacks.try_emplace(id);
  Stack& stack = found->second;
  if (!is_new) return stack;
  stack.id = id;
  state_->each(
      "SELECT process, truncated FROM stack WHERE id = ?", [&](Statement& s) { s.bind(id); },
      [&](Statement& s) {
        stack.process = s.id<ProcessId>();
        stack.truncated = s.integer() != 0;
      });
  state_->each(
      "SELECT frame FROM stack_frame WHERE stack = ? ORDER BY depth", [&](Statement& s) { s.bind(id); },
      [&](Statement& s) { stack.frames.push_back(s.id<FrameId>()); });
  return stack;
}

const Frame& Reader::frame(FrameId id) {
  auto [found, is_new] = state_->frames.try_emplace(id);
  Frame& frame = found->second;
  if (!is_new) return frame;
  frame.id = id;
  state_->each(
      "SELECT function, file, line, module, address, kind FROM frame WHERE id = ?", [&](Statement& s) { s.bind(id); },
      [&](Statement& s) {
        frame.function = s.text();
        frame.file = s.text();
        frame.line = s.optional_integer();
        frame.module = s.text();
        frame.address = s.optional_integer();
        frame.kind = s.text();
      });
  return frame;
}

std::vector<Metric> Reader::metrics() {
  return state_->all<Metric>("SELECT id, name, unit, kind FROM metric ORDER BY id", kBindNothing, [](Statement& s) {
    Metric row;
    row.id = s.integer();
    row.name = s.text();
    row.unit = s.text();
    row.kind = s.text();
    return row;
  });
}

std::vector<Point> Reader::series(std::string_view metric, std::optional<ProcessId> process) {
  std::string sql =
      "SELECT process, second, width, value FROM point WHERE metric = (SELECT id FROM metric WHERE name = ?)";
  if (process) sql += " AND process = ?";
  sql += " ORDER BY process, second";
  return state_->all<Point>(
      sql,
      [&](Statement& s) {
        s.bind(metric);
        if (process) s.bind(*process);
      },
      [](Statement& s) {
        Point row;
        row.process = s.id<ProcessId>();
        row.second = s.integer();
        row.width = s.integer();
        row.value = s.real();
        return row;
      });
}

std::vector<StackWeight> Reader::cpu(const Slice& slice) {
  const SliceFilter filter{slice, true, true};
  return state_->all<StackWeight>("SELECT process, stack, sum(samples), sum(weight_ns) AS weight, 0, 0 FROM cpu" +
                                      filter.where() + " GROUP BY process, stack ORDER BY weight DESC, stack",
                                  filter, stack_weight_of);
}

std::vector<StackWeight> Reader::wait(const Slice& slice) {
  const SliceFilter filter{slice, true, false};
  return state_->all<StackWeight>("SELECT process, stack, sum(samples), sum(weight_ns) AS weight, 0, 0 FROM wait" +
                                      filter.where() + " GROUP BY process, stack ORDER BY weight DESC, stack",
                                  filter, stack_weight_of);
}

std::vector<StackWeight> Reader::alloc(const Slice& slice) {
  const SliceFilter filter{slice, false, true};
  return state_->all<StackWeight>(
      "SELECT process, stack, sum(samples), sum(bytes) AS weight, sum(objects), sum(temporary_objects) FROM alloc" +
          filter.where() + " GROUP BY process, stack ORDER BY weight DESC, stack",
      filter, stack_weight_of);
}

namespace {

// Objects born in [from, to) and alive at `at`, by stack.
std::string objects_alive_sql(const Slice& slice) {
  std::string sql =
      "SELECT process, stack, count(*), sum(bytes) AS weight, sum(objects), 0 FROM heap_object "
      "WHERE born_ns >= ? AND born_ns < ? AND born_ns <= ? AND (died_ns IS NULL OR died_ns > ?)";
  if (slice.process) sql += " AND process = ?";
  if (slice.span_name) sql += " AND span_name = ?";
  return sql + " GROUP BY process, stack ORDER BY weight DESC, stack";
}

void bind_objects_alive(Statement& s, const Slice& slice, std::int64_t from, std::int64_t to, std::int64_t at) {
  s.bind(from).bind(to).bind(at).bind(at);
  if (slice.process) s.bind(*slice.process);
  if (slice.span_name) s.bind(*slice.span_name);
}

}  // namespace

std::vector<StackWeight> Reader::live(std::int64_t at_ns, const Slice& slice) {
  return state_->all<StackWeight>(
      objects_alive_sql(slice),
      [&](Statement& s) { bind_objects_alive(s, slice, std::numeric_limits<std::int64_t>::min(), kEver, at_ns); },
      stack_weight_of);
}

std::vector<StackWeight> Reader::retained(const Slice& slice) {
  return state_->all<StackWeight>(
      objects_alive_sql(slice),
      [&](Statement& s) { bind_objects_alive(s, slice, slice.from_ns, slice.to_ns, slice.to_ns); }, stack_weight_of);
}

void Reader::each_cpu(const Slice& slice, const std::function<void(const CpuRow&)>& row) {
  const SliceFilter filter{slice, true, true};
  state_->each("SELECT process, second, thread, stack, span_name, samples, weight_ns FROM cpu" + filter.where() +
                   " ORDER BY process, second, thread, stack, span_name",
               filter, [&](Statement& s) {
                 CpuRow cpu;
                 cpu.process = s.id<ProcessId>();
                 cpu.second = s.integer();
                 cpu.thread = s.id<ThreadId>();
                 cpu.stack = s.id<StackId>();
                 cpu.span_name = s.id<NameId>();
                 cpu.samples = s.integer();
                 cpu.weight_ns = s.real();
                 row(cpu);
               });
}

void Reader::each_wait(const Slice& slice, const std::function<void(const WaitRow&)>& row) {
  const SliceFilter filter{slice, true, false};
  state_->each("SELECT process, second, thread, stack, call, samples, weight_ns FROM wait" + filter.where() +
                   " ORDER BY process, second, thread, stack, call",
               filter, [&](Statement& s) {
                 WaitRow wait;
                 wait.process = s.id<ProcessId>();
                 wait.second = s.integer();
                 wait.thread = s.id<ThreadId>();
                 wait.stack = s.id<StackId>();
                 wait.call = s.id<NameId>();
                 wait.samples = s.integer();
                 wait.weight_ns = s.real();
                 row(wait);
               });
}

void Reader::each_alloc(const Slice& slice, const std::function<void(const AllocRow&)>& row) {
  const SliceFilter filter{slice, false, true};
  state_->each("SELECT process, second, stack, span_name, samples, objects, bytes, temporary_objects FROM alloc" +
                   filter.where() + " ORDER BY process, second, stack, span_name",
               filter, [&](Statement& s) {
                 AllocRow alloc;
                 alloc.process = s.id<ProcessId>();
                 alloc.second = s.integer();
                 alloc.stack = s.id<StackId>();
                 alloc.span_name = s.id<NameId>();
                 alloc.samples = s.integer();
                 alloc.objects = s.real();
                 alloc.bytes = s.real();
                 alloc.temporary_objects = s.real();
                 row(alloc);
               });
}

void Reader::each_heap_object(std::optional<ProcessId> process, const std::function<void(const HeapObject&)>& row) {
  const ProcessFilter filter{process};
  state_->each(
      "SELECT process, sample, stack, thread, span_name, size, interval, bytes, objects, born_ns, died_ns FROM "
      "heap_object" +
          filter.where() + " ORDER BY process, sample",
      filter, [&](Statement& s) { row(heap_object_of(s)); });
}

std::vector<HeapObject> Reader::heap_objects(std::optional<ProcessId> process) {
  std::vector<HeapObject> rows;
  each_heap_object(process, [&](const HeapObject& row) { rows.push_back(row); });
  return rows;
}

std::vector<Lifetime> Reader::lifetimes(const Slice& slice) {
  const SliceFilter filter{slice};
  return state_->all<Lifetime>("SELECT process, second, octave, samples, objects, bytes FROM lifetime" +
                                   filter.where() + " ORDER BY process, second, octave",
                               filter, [](Statement& s) {
                                 Lifetime row;
                                 row.process = s.id<ProcessId>();
                                 row.second = s.integer();
                                 row.octave = s.integer();
                                 row.samples = s.integer();
                                 row.objects = s.real();
                                 row.bytes = s.real();
                                 return row;
                               });
}

std::vector<Mapping> Reader::mappings(std::optional<ProcessId> process) {
  const ProcessFilter filter{process};
  return state_->all<Mapping>("SELECT id, process, address, bytes, stack, mapped_ns, unmapped_ns FROM mapping" +
                                  filter.where() + " ORDER BY id",
                              filter, [](Statement& s) {
                                Mapping row;
                                row.id = s.integer();
                                row.process = s.id<ProcessId>();
                                row.address = s.integer();
                                row.bytes = s.integer();
                                row.stack = s.id<StackId>();
                                row.mapped_ns = s.integer();
                                row.unmapped_ns = s.optional_integer();
                                return row;
                              });
}

std::vector<Descriptor> Reader::descriptors(std::optional<ProcessId> process) {
  const ProcessFilter filter{process};
  return state_->all<Descriptor>(
      "SELECT id, process, fd, generation, kind, peer, stack, opened_ns, closed_ns, read_ops, read_bytes, write_ops, "
      "write_bytes FROM descriptor" +
          filter.where() + " ORDER BY id",
      filter, [](Statement& s) {
        Descriptor row;
        row.id = s.integer();
        row.process = s.id<ProcessId>();
        row.fd = s.integer();
        row.generation = s.integer();
        row.kind = s.text();
        row.peer = s.text();
        row.stack = s.id<StackId>();
        row.opened_ns = s.integer();
        row.closed_ns = s.optional_integer();
        row.read_ops = s.integer();
        row.read_bytes = s.integer();
        row.write_ops = s.integer();
        row.write_bytes = s.integer();
        return row;
      });
}

std::vector<DescriptorSum> Reader::descriptor_sums(const Slice& slice) {
  const SliceFilter filter{slice};
  return state_->all<DescriptorSum>(
      "SELECT process, second, kind, peer, stack, opened, closed, read_ops, read_bytes, write_ops, write_bytes FROM "
      "descriptor_sum" +
          filter.where() + " ORDER BY process, second, kind, peer, stack",
      filter, [](Statement& s) {
        DescriptorSum row;
        row.process = s.id<ProcessId>();
        row.second = s.integer();
        row.kind = s.text();
        row.peer = s.text();
        row.stack = s.id<StackId>();
        row.opened = s.integer();
        row.closed = s.integer();
        row.read_ops = s.integer();
        row.read_bytes = s.integer();
        row.write_ops = s.integer();
        row.write_bytes = s.integer();
        return row;
      });
}

std::vector<IoRow> Reader::io(const Slice& slice) {
  const SliceFilter filter{slice};
  return state_->all<IoRow>("SELECT process, second, kind, ops, bytes, errors, ns FROM io" + filter.where() +
                                " ORDER BY process, second, kind",
                            filter, [](Statement& s) {
                              IoRow row;
                              row.process = s.id<ProcessId>();
                              row.second = s.integer();
                              row.kind = s.text();
                              row.ops = s.integer();
                              row.bytes = s.integer();
                              row.errors = s.integer();
                              row.ns = s.integer();
                              return row;
                            });
}

std::vector<SpanStat> Reader::span_stats(const Slice& slice) {
  const SliceFilter filter{slice};
  return state_->all<SpanStat>("SELECT process, second, name, spans, total_ns, max_ns, latency FROM span_stat" +
                                   filter.where() + " ORDER BY process, second, name",
                               filter, [](Statement& s) {
                                 SpanStat row;
                                 row.process = s.id<ProcessId>();
                                 row.second = s.integer();
                                 row.name = s.id<NameId>();
                                 row.spans = s.integer();
                                 row.total_ns = s.integer();
                                 row.max_ns = s.integer();
                                 row.latency = s.text();
                                 return row;
                               });
}

std::vector<SpanAttribute> Reader::span_attributes(const Slice& slice) {
  const SliceFilter filter{slice};
  return state_->all<SpanAttribute>("SELECT process, second, name, key, text, spans, sum, changes FROM span_attribute" +
                                        filter.where() + " ORDER BY process, second, name, key, text",
                                    filter, [](Statement& s) {
                                      SpanAttribute row;
                                      row.process = s.id<ProcessId>();
                                      row.second = s.integer();
                                      row.name = s.id<NameId>();
                                      row.key = s.id<NameId>();
                                      row.text = s.text();
                                      row.spans = s.integer();
                                      row.sum = s.real();
                                      row.changes = s.integer();
                                      return row;
                                    });
}

std::vector<Span> Reader::spans(const Slice& slice) {
  std::string sql =
      "SELECT process, span, parent, name, began_ns, ended_ns, begin_thread, end_thread, attributes FROM span "
      "WHERE began_ns < ? AND (ended_ns IS NULL OR ended_ns >= ?)";
  if (slice.process) sql += " AND process = ?";
  if (slice.span_name) sql += " AND name = ?";
  sql += " ORDER BY began_ns, span";
  return state_->all<Span>(
      sql,
      [&](Statement& s) {
        s.bind(slice.to_ns).bind(slice.from_ns);
        if (slice.process) s.bind(*slice.process);
        if (slice.span_name) s.bind(*slice.span_name);
      },
      [](Statement& s) {
        Span row;
        row.process = s.id<ProcessId>();
        row.span = s.integer();
        row.parent = s.integer();
        row.name = s.id<NameId>();
        row.began_ns = s.integer();
        row.ended_ns = s.optional_integer();
        row.begin_thread = s.id<ThreadId>();
        if (const auto end_thread = s.optional_integer()) row.end_thread = static_cast<ThreadId>(*end_thread);
        row.attributes = s.text();
        return row;
      });
}

std::vector<LoadSource> Reader::load_sources() {
  return state_->all<LoadSource>(
      "SELECT id, tool, file, requests, errors, skew_ns, skipped, skipped_why, latency_basis FROM load_source ORDER BY "
      "id",
      kBindNothing, [](Statement& s) {
        LoadSource row;
        row.id = s.id<SourceId>();
        row.tool = s.text();
        row.file = s.text();
        row.requests = s.optional_integer();
        row.errors = s.optional_integer();
        row.skew_ns = s.optional_integer();
        row.skipped = s.integer();
        row.skipped_why = s.text();
        row.latency_basis = s.text();
        return row;
      });
}

std::vector<LoadBucket> Reader::load_buckets(std::optional<std::string_view> endpoint) {
  std::string sql =
      "SELECT source, second, width, endpoint, requests, errors, latency, p50_ms, p95_ms, p99_ms, max_ms, users FROM "
      "load_bucket";
  if (endpoint) sql += " WHERE endpoint = ?";
  sql += " ORDER BY source, second, endpoint";
  return state_->all<LoadBucket>(
      sql,
      [&](Statement& s) {
        if (endpoint) s.bind(*endpoint);
      },
      [](Statement& s) {
        LoadBucket row;
        row.source = s.id<SourceId>();
        row.second = s.integer();
        row.width = s.integer();
        row.endpoint = s.text();
        row.requests = s.integer();
        row.errors = s.integer();
        row.latency = s.optional_text();
        row.p50_ms = s.optional_real();
        row.p95_ms = s.optional_real();
        row.p99_ms = s.optional_real();
        row.max_ms = s.optional_real();
        row.users = s.optional_real();
        return row;
      });
}

std::vector<LoadWindow> Reader::load_windows() {
  return state_->all<LoadWindow>("SELECT id, source, name, kind, from_ns, to_ns FROM load_window ORDER BY from_ns, id",
                                 kBindNothing, [](Statement& s) {
                                   LoadWindow row;
                                   row.id = s.integer();
                                   if (const auto source = s.optional_integer()) {
                                     row.source = static_cast<SourceId>(*source);
                                   }
                                   row.name = s.text();
                                   row.kind = s.text();
                                   row.from_ns = s.integer();
                                   row.to_ns = s.integer();
                                   return row;
                                 });
}

std::vector<Mark> Reader::marks() {
  return state_->all<Mark>("SELECT id, at_ns, text, source FROM mark ORDER BY at_ns, id", kBindNothing,
                           [](Statement& s) {
                             Mark row;
                             row.id = s.integer();
                             row.at_ns = s.integer();
                             row.text = s.text();
                             row.source = s.text();
                             return row;
                           });
}

std::vector<Lost> Reader::lost() {
  return state_->all<Lost>("SELECT process, second, kind, records FROM lost ORDER BY process, second, kind",
                           kBindNothing, [](Statement& s) {
                             Lost row;
                             row.process = s.id<ProcessId>();
                             row.second = s.integer();
                             row.kind = s.text();
                             row.records = s.integer();
                             return row;
                           });
}

std::vector<Setting> Reader::settings() {
  return state_->all<Setting>("SELECT process, at_ns, name, value FROM setting ORDER BY process, at_ns", kBindNothing,
                              [](Statement& s) {
                                Setting row;
                                row.process = s.id<ProcessId>();
                                row.at_ns = s.integer();
                                row.name = s.text();
                                row.value = s.real();
                                return row;
                              });
}

}  // namespace camprobe::run
