// run/reader_open.cc
//
// Opening a run: is this file one, and from where can SQLite read it.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "run/reader_state.h"
#include "run/schema.h"

namespace camprobe::run {
namespace {

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
  if (version == 0) {
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
  state->each("SELECT count(*) FROM sqlite_schema WHERE name = 'folded'", kBindNothing,
              [&](Statement& s) { state->is_current = s.integer() != 0; });
  state->read_folds();
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

void Reader::State::read_folds() {
  if (!is_current) return;
  each("SELECT width, until FROM folded ORDER BY width", kBindNothing, [&](Statement& s) {
    Fold fold;
    fold.width = s.integer();
    fold.until = s.integer();
    for (Fold& level : folded.levels) {
      if (level.width == fold.width) level.until = fold.until;
    }
  });
}

std::int64_t Reader::width_at(std::int64_t second) const {
  return state_->width_at(second);
}

void Reader::pin() {
  if (state_->pins++ > 0) return;
  Statement begin(state_->database, "BEGIN");
  begin.run();
  state_->check(begin);
  state_->read_folds();
}
void Reader::unpin() {
  if (--state_->pins > 0) return;
  sqlite3_exec(state_->database, "COMMIT", nullptr, nullptr, nullptr);
}

}  // namespace camprobe::run
