// tests/exporters/run_builder.cc: see run_builder.h.
#include "tests/exporters/run_builder.h"

#include <fstream>
#include <sstream>
#include <stdexcept>

namespace camprobe::tests {

namespace {

void check(int status, sqlite3* database) {
  if (status != SQLITE_OK && status != SQLITE_DONE && status != SQLITE_ROW)
    throw std::runtime_error(sqlite3_errmsg(database));
}

}  // namespace

RunBuilder::RunBuilder(const std::filesystem::path& path) {
  std::filesystem::remove(path);
  check(sqlite3_open(path.c_str(), &database_), database_);
  std::ifstream schema(std::string(CAMPROBE_SOURCE_DIR) + "/run/schema.sql");
  std::stringstream text;
  text << schema.rdbuf();
  check(sqlite3_exec(database_, "PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY", nullptr, nullptr, nullptr),
        database_);
  check(sqlite3_exec(database_, text.str().c_str(), nullptr, nullptr, nullptr), database_);
  check(sqlite3_exec(database_, "BEGIN", nullptr, nullptr, nullptr), database_);
  meta("run_id", "00112233445566778899aabbccddeeff");
  meta("camprobe_version", "0.1.0");
  insert("name", {std::int64_t{0}, ""});
}

RunBuilder::~RunBuilder() {
  for (auto& [table, statement] : inserts_) sqlite3_finalize(statement);
  sqlite3_close_v2(database_);
}

void RunBuilder::insert(const std::string& table, const std::vector<Value>& values) {
  sqlite3_stmt*& statement = inserts_[table];
  if (statement == nullptr) {
    std::string sql = "INSERT INTO " + table + " VALUES (";
    for (std::size_t i = 0; i < values.size(); ++i) sql += i == 0 ? "?" : ", ?";
    check(sqlite3_prepare_v2(database_, (sql + ")").c_str(), -1, &statement, nullptr), database_);
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    const int at = static_cast<int>(i) + 1;
    if (const auto* integer = std::get_if<std::int64_t>(&values[i])) {
      sqlite3_bind_int64(statement, at, *integer);
    } else if (const auto* real = std::get_if<double>(&values[i])) {
      sqlite3_bind_double(statement, at, *real);
    } else if (const auto* text = std::get_if<std::string>(&values[i])) {
      sqlite3_bind_text(statement, at, text->data(), static_cast<int>(text->size()), SQLITE_TRANSIENT);
    } else {
      sqlite3_bind_null(statement, at);
    }
  }
  check(sqlite3_step(statement), database_);
  sqlite3_reset(statement);
}

std::int64_t RunBuilder::name(const std::string& text) {
  const auto [found, is_new] = names_.try_emplace(text, static_cast<std::int64_t>(names_.size()) + 1);
  if (is_new) insert("name", {found->second, text});
  return found->second;
}

std::int64_t RunBuilder::metric(const std::string& name, const std::string& unit, const std::string& kind) {
  insert("metric", {next_, name, unit, kind});
  return next_++;
}

std::int64_t RunBuilder::process(std::int64_t pid, const std::string& executable) {
  const std::int64_t id = next_++;
  insert("process", {id, pid, std::int64_t{1}, nullptr, std::int64_t{0}, executable, executable + " --port 8080",
                     std::int64_t{0}, nullptr, "exited", std::int64_t{0}, "sampling", std::int64_t{4} << 30, nullptr});
  return id;
}

std::int64_t RunBuilder::stack(std::int64_t process, const std::vector<TestFrame>& root_first, bool truncated) {
  const std::int64_t id = next_++;
  insert("stack", {id, process, std::int64_t{truncated}, nullptr, nullptr});
  for (std::size_t i = 0; i < root_first.size(); ++i) {
    const TestFrame& frame = root_first[i];
    const auto [found, is_new] = frames_.try_emplace({frame.function, frame.module, frame.file, frame.line}, next_);
    if (is_new) {
      insert("frame", {next_++, frame.function, frame.file.empty() ? Value(nullptr) : Value(frame.file),
                       frame.line == 0 ? Value(nullptr) : Value(std::int64_t{frame.line}), frame.module,
                       std::int64_t{0x1000}, frame.kind});
    }
    insert("stack_frame", {id, static_cast<std::int64_t>(root_first.size() - 1 - i), found->second});
  }
  return id;
}

void RunBuilder::point(std::int64_t metric, std::int64_t process, std::int64_t second, double value,
                       std::int64_t width) {
  insert("point", {metric, process, second, width, value, nullptr});
}
void RunBuilder::cpu(std::int64_t process, std::int64_t second, std::int64_t stack, std::int64_t samples, double ns) {
  insert("cpu", {process, second, std::int64_t{1}, stack, std::int64_t{0}, samples, ns});
}
void RunBuilder::alloc(std::int64_t process, std::int64_t second, std::int64_t stack, double bytes,
                       double temporary_objects) {
  insert("alloc", {process, second, stack, std::int64_t{0}, std::int64_t{1}, bytes / 128, bytes, temporary_objects});
}
void RunBuilder::object(std::int64_t process, std::int64_t stack, double bytes, std::int64_t born_ns,
                        std::optional<std::int64_t> died_ns) {
  insert("heap_object", {process, next_++, stack, std::int64_t{1}, std::int64_t{0}, std::int64_t{256},
                         std::int64_t{65536}, bytes, bytes / 256, born_ns, died_ns ? Value(*died_ns) : Value(nullptr)});
}
void RunBuilder::finish() {
  check(sqlite3_exec(database_, "COMMIT", nullptr, nullptr, nullptr), database_);
}

}  // namespace camprobe::tests
