// exporters/query.cc: see query.h.
#include "exporters/query.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>
#include <charconv>

namespace camprobe::exporters {

namespace {

constexpr std::int64_t kCamp = 0x63616d70;  // PRAGMA application_id of a run
constexpr std::int64_t kVersion = 1;        // PRAGMA user_version this program reads
constexpr std::int64_t kSecond = 1'000'000'000;

[[noreturn]] void fail(const std::filesystem::path& path, sqlite3* handle) {
  const int code = sqlite3_extended_errcode(handle);
  const char* why = sqlite3_errmsg(handle);
  if ((code & 0xff) == SQLITE_BUSY) {
    throw RunError(fmt::format("{}: another program holds the run locked; try again once it is done", path.string()));
  }
  throw RunError(fmt::format("{}: cannot be read as a run ({}); record it again, or copy it with its -wal file beside it",
                             path.string(), why));
}

}  // namespace

void RunFile::Close::operator()(sqlite3* handle) const { sqlite3_close_v2(handle); }
void Query::Finalize::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

RunFile::RunFile(const std::filesystem::path& path) : path_(path) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) {
    throw RunError(fmt::format("{}: no such file; name a run recorded with `camprobe run -o RUN`", path.string()));
  }
  if (!std::filesystem::is_regular_file(path, ignored)) {
    throw RunError(fmt::format("{}: not a file; name a run recorded with `camprobe run -o RUN`", path.string()));
  }
  sqlite3* handle = nullptr;
  const int opened = sqlite3_open_v2(path.c_str(), &handle, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, nullptr);
  handle_.reset(handle);
  if (opened != SQLITE_OK) fail(path_, handle);
  sqlite3_busy_timeout(handle, 2000);

  std::int64_t application = 0;
  try {
    Query id = query("PRAGMA application_id");
    if (id.next()) application = id.integer(0);
  } catch (const RunError&) {
    application = 0;  // not a database at all: the sentence below says more than SQLite's
  }
  if (application != kCamp) {
    throw RunError(fmt::format("{}: not a run file; name one recorded with `camprobe run -o RUN`", path.string()));
  }
  Query version = query("PRAGMA user_version");
  if (version.next() && version.integer(0) != kVersion) {
    throw RunError(fmt::format("{}: written in run format {}, this camprobe reads format {}; use the camprobe that recorded it",
                               path.string(), version.integer(0), kVersion));
  }

  const std::string ended = meta("ended_ns");
  std::from_chars(ended.data(), ended.data() + ended.size(), duration_ns_);
  if (duration_ns_ <= 0) {  // cut off, or still recording: up to the last thing seen
    for (const char* sql : {"SELECT max(second + width) FROM point", "SELECT max(second) + 1 FROM cpu",
                            "SELECT max(second) + 1 FROM alloc", "SELECT max(second) + 1 FROM io",
                            "SELECT max(second + width) FROM load_bucket"}) {
      Query last = query(sql);
      if (last.next() && !last.is_null(0)) {
        const std::int64_t second = std::clamp<std::int64_t>(last.integer(0), 0, INT64_MAX / kSecond);
        duration_ns_ = std::max(duration_ns_, second * kSecond);
      }
    }
  }
}

Query RunFile::query(std::string_view sql) const { return Query(handle_.get(), path_, sql); }

std::string RunFile::meta(std::string_view key) const {
  Query row = query("SELECT value FROM meta WHERE key = ?");
  row.bind(1, key);
  return row.next() ? row.text(0) : std::string();
}

Query::Query(sqlite3* handle, const std::filesystem::path& path, std::string_view sql) : handle_(handle), path_(&path) {
  sqlite3_stmt* statement = nullptr;
  const int prepared = sqlite3_prepare_v2(handle, sql.data(), static_cast<int>(sql.size()), &statement, nullptr);
  statement_.reset(statement);
  if (prepared != SQLITE_OK) fail(path, handle);
}

Query& Query::bind(int position, std::int64_t value) {
  if (sqlite3_bind_int64(statement_.get(), position, value) != SQLITE_OK) fail(*path_, handle_);
  return *this;
}

Query& Query::bind(int position, std::string_view value) {
  if (sqlite3_bind_text(statement_.get(), position, value.data(), static_cast<int>(value.size()), SQLITE_TRANSIENT) !=
      SQLITE_OK) {
    fail(*path_, handle_);
  }
  return *this;
}

bool Query::next() {
  switch (sqlite3_step(statement_.get())) {
    case SQLITE_ROW:
      return true;
    case SQLITE_DONE:
      return false;
    default:
      fail(*path_, handle_);
  }
}

void Query::rewind() { sqlite3_reset(statement_.get()); }

std::int64_t Query::integer(int column) const { return sqlite3_column_int64(statement_.get(), column); }
double Query::real(int column) const { return sqlite3_column_double(statement_.get(), column); }
bool Query::is_null(int column) const { return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL; }

std::string Query::text(int column) const {
  const auto* bytes = sqlite3_column_blob(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  return bytes == nullptr ? std::string() : std::string(static_cast<const char*>(bytes), static_cast<std::size_t>(size));
}

}  // namespace camprobe::exporters
