// run/writer_file.cc
//
// The file's life: made with its schema, written to in transactions, made one plain file at the end.
#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "run/schema.h"
#include "run/text.h"
#include "run/writer_state.h"

namespace camprobe::run {
namespace {

std::string random_id() {
  std::uint64_t bits = 0;
  if (::getrandom(&bits, sizeof bits, 0) != sizeof bits) bits = static_cast<std::uint64_t>(::getpid());
  return fmt::format("{:016x}", bits);
}

}  // namespace

Result<Writer> Writer::create(const std::string& path, Meta meta) {
  // O_EXCL first: SQLite itself would take over a file that is there.
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) {
    if (errno == EEXIST) return Error{fmt::format("{} exists already: remove it or name another run with -o", path)};
    return Error{fmt::format("{} cannot be written: {}; name another run with -o", path, std::strerror(errno))};
  }
  ::close(fd);

  auto state = std::make_unique<State>();
  state->path = path;
  const auto give_up = [&]() -> Error {
    const std::string why = state->database != nullptr ? sqlite3_errmsg(state->database) : "out of memory";
    ::unlink(path.c_str());
    return {fmt::format("{} cannot be written: {}; name another run with -o", path, why)};
  };
  if (sqlite3_open_v2(path.c_str(), &state->database, SQLITE_OPEN_READWRITE, nullptr) != SQLITE_OK) return give_up();
  sqlite3_busy_timeout(state->database, kBusyTimeoutMs);
  // The schema goes in before WAL is on, so that the file's own header says from the first moment what it is. NORMAL:
  // nothing is lost when a process dies; after a power cut the last seconds may be.
  if (!state->execute("PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -2048") ||
      !state->execute("BEGIN") || !state->execute(kSchemaSql) || !state->execute("COMMIT") ||
      !state->execute("PRAGMA journal_mode = WAL; PRAGMA journal_size_limit = 8388608")) {
    return give_up();
  }

  if (meta.run_id.empty()) meta.run_id = random_id();
  state->folder.emplace(state->database, meta.run_id);
  if (meta.state.empty()) meta.state = kRecording;
  state->run_id = meta.run_id;
  Writer writer(std::move(state));
  for (const auto& [key, value] : meta.all) writer.set_meta(key, value);
  writer.set_meta("schema", std::to_string(kSchemaVersion));
  writer.set_meta("run_id", meta.run_id);
  writer.set_meta("camprobe_version", meta.camprobe_version);
  writer.set_meta("started_realtime_ns", std::to_string(meta.started_realtime_ns));
  writer.set_meta("started_monotonic_ns", std::to_string(meta.started_monotonic_ns));
  if (meta.ended_ns) writer.set_meta("ended_ns", std::to_string(*meta.ended_ns));
  writer.set_meta("command",
                  nlohmann::json(meta.command).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  writer.set_meta("host", meta.host);
  writer.set_meta("kernel", meta.kernel);
  writer.set_meta("cpus", std::to_string(meta.cpus));
  writer.set_meta("memory_bytes", std::to_string(meta.memory_bytes));
  writer.set_meta("state", meta.state);
  writer.set_meta("load_command", meta.load_command);
  writer.set_meta("heap_object_min_age_ns", std::to_string(meta.heap_object_min_age_ns));
  if (const auto written = writer.flush(); !written) {
    ::unlink(path.c_str());
    return Error{written.error()};
  }
  return writer;
}

Result<Writer> Writer::resume(const std::string& path) {
  auto state = std::make_unique<State>();
  state->path = path;
  if (sqlite3_open_v2(path.c_str(), &state->database, SQLITE_OPEN_READWRITE, nullptr) != SQLITE_OK ||
      sqlite3_busy_timeout(state->database, kBusyTimeoutMs) != SQLITE_OK ||
      !state->execute("PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -2048") ||
      !state->execute("PRAGMA journal_mode = WAL; PRAGMA journal_size_limit = 8388608") ||
      !state->execute("DELETE FROM meta WHERE key = 'ended_ns'")) {
    return Error{fmt::format("{} cannot be written to: {}", path,
                             state->database != nullptr ? sqlite3_errmsg(state->database) : "out of memory")};
  }
  const auto last_id = [&](const char* table) {
    Statement rows(state->database, fmt::format("SELECT coalesce(max(id), 0) FROM {}", table));
    return rows.step() ? rows.integer() : 0;
  };
  state->processes = last_id("process");
  state->threads = last_id("thread");
  state->modules = last_id("module");
  state->mappings = last_id("mapping");
  state->descriptors = last_id("descriptor");
  state->stacks = last_id("stack");
  state->sources = last_id("load_source");
  Statement names(state->database, "SELECT id, text FROM name");
  while (names.step()) {
    const auto id = names.id<NameId>();
    state->names.emplace(names.text(), id);
  }
  Statement metrics(state->database, "SELECT id, name FROM metric");
  while (metrics.step()) {
    const std::int64_t id = metrics.integer();
    state->metrics.emplace(metrics.text(), id);
  }
  Statement frames(state->database, "SELECT id, function, file, line, module, kind FROM frame");
  while (frames.step()) {
    const auto id = frames.id<FrameId>();
    Frame frame;
    frame.function = frames.text();
    frame.file = frames.text();
    frame.line = frames.optional_integer();
    frame.module = frames.text();
    frame.kind = frames.text();
    state->frames.emplace(key_of(frame), id);
  }
  Statement run_id(state->database, "SELECT value FROM meta WHERE key = 'run_id'");
  if (run_id.step()) state->run_id = run_id.text();
  if (!names.ok() || !metrics.ok() || !frames.ok() || state->run_id.empty())
    return Error{fmt::format("{} is damaged and cannot be gone on with: {}", path, sqlite3_errmsg(state->database))};
  // A run that was begun before rows of what ended could stand for others.
  for (const auto& [table, ended] :
       {std::pair{"thread", "ended_ns"}, {"mapping", "unmapped_ns"}, {"descriptor", "closed_ns"}}) {
    if (sqlite3_table_column_metadata(state->database, nullptr, table, "kept_of", nullptr, nullptr, nullptr, nullptr,
                                      nullptr) == SQLITE_OK)
      continue;
    const std::string add = fmt::format(
        "ALTER TABLE {0} ADD COLUMN kept_of INTEGER NOT NULL DEFAULT 1; "
        "CREATE INDEX IF NOT EXISTS {0}_ended ON {0} ({1}) WHERE {1} IS NOT NULL",
        table, ended);
    if (!state->execute(add.c_str()))
      return Error{fmt::format("{} cannot be written to: {}", path, sqlite3_errmsg(state->database))};
  }
  state->folder.emplace(state->database, state->run_id);
  Writer writer(std::move(state));
  writer.set_meta("state", kRecording);
  return writer;
}

Writer::Writer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Writer::Writer(Writer&&) noexcept = default;
Writer& Writer::operator=(Writer&&) noexcept = default;
Writer::~Writer() = default;

const std::string& Writer::path() const {
  return state_->path;
}
const std::string& Writer::run_id() const {
  return state_->run_id;
}

Result<void> Writer::flush() {
  State::Pending rows = std::exchange(state_->pending, {});
  if (state_->failed) return {};
  if (state_->execute("BEGIN IMMEDIATE") && state_->write(rows) && state_->folder->fold(state_->present) &&
      state_->execute("COMMIT"))
    return {};
  Error error = state_->failure();
  state_->execute("ROLLBACK");
  state_->failed = true;
  return error;
}

Result<void> Writer::finish(std::int64_t ended_ns, std::string_view how) {
  set_meta("ended_ns", std::to_string(ended_ns));
  set_meta("state", how);
  if (auto flushed = flush(); !flushed) return flushed;
  if (state_->failed) return {};
  // A reader that is open right now keeps the log alive; then the file stays in WAL mode, which is as readable.
  state_->forget_statements();
  sqlite3_busy_timeout(state_->database, 200);
  state_->execute("PRAGMA wal_checkpoint(TRUNCATE)");
  state_->execute("PRAGMA journal_mode = DELETE");
  return {};
}

Result<void> add_mark(const std::string& path, const Mark& mark) {
  sqlite3* database = nullptr;
  const auto close = [&](Result<void> result) {
    sqlite3_close_v2(database);
    return result;
  };
  if (sqlite3_open_v2(path.c_str(), &database, SQLITE_OPEN_READWRITE, nullptr) != SQLITE_OK) {
    return close(Error{fmt::format("{}: cannot be written to: {}", path, sqlite3_errmsg(database))});
  }
  sqlite3_busy_timeout(database, kBusyTimeoutMs);
  Statement insert(database, "INSERT INTO mark(at_ns, text, source) VALUES (?, ?, ?)");
  insert.bind(mark.at_ns).bind(valid_utf8(mark.text)).bind(mark.source);
  if (!insert.run()) {
    return close(Error{fmt::format("{}: the mark could not be written: {}", path, sqlite3_errmsg(database))});
  }
  return close({});
}

}  // namespace camprobe::run
