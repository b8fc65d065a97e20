#include "run/sqlite.h"

#include "run/text.h"

namespace camprobe::run {

Statement::Statement(sqlite3* database, std::string_view sql) {
  status_ = sqlite3_prepare_v2(database, sql.data(), static_cast<int>(sql.size()), &statement_, nullptr);
}

Statement::~Statement() {
  sqlite3_finalize(statement_);
}

Statement& Statement::bind(std::int64_t value) {
  sqlite3_bind_int64(statement_, ++parameter_, value);
  return *this;
}

Statement& Statement::bind(double value) {
  sqlite3_bind_double(statement_, ++parameter_, value);
  return *this;
}

Statement& Statement::bind(std::string_view text) {
  sqlite3_bind_text(statement_, ++parameter_, text.data() != nullptr ? text.data() : "", static_cast<int>(text.size()),
                    SQLITE_TRANSIENT);
  return *this;
}

Statement& Statement::bind_blob(std::string_view bytes) {
  sqlite3_bind_blob(statement_, ++parameter_, bytes.data(), static_cast<int>(bytes.size()), SQLITE_TRANSIENT);
  return *this;
}

Statement& Statement::bind_null() {
  sqlite3_bind_null(statement_, ++parameter_);
  return *this;
}

bool Statement::step() {
  if (statement_ == nullptr || !ok()) return false;
  column_ = 0;
  status_ = sqlite3_step(statement_);
  return status_ == SQLITE_ROW;
}

bool Statement::run() {
  while (step()) {
  }
  const bool done = status_ == SQLITE_DONE;
  const int status = status_;
  reset();
  if (!done) status_ = status;
  return done;
}

void Statement::reset() {
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
  status_ = statement_ != nullptr ? SQLITE_OK : SQLITE_ERROR;
  parameter_ = 0;
  column_ = 0;
}

std::int64_t Statement::integer() {
  return sqlite3_column_int64(statement_, column_++);
}
double Statement::real() {
  return sqlite3_column_double(statement_, column_++);
}

std::string Statement::text() {
  const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column_));
  const int size = sqlite3_column_bytes(statement_, column_);
  ++column_;
  return bytes != nullptr ? valid_utf8({bytes, static_cast<std::size_t>(size)}) : std::string();
}

std::string Statement::blob() {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column_));
  const int size = sqlite3_column_bytes(statement_, column_);
  ++column_;
  return bytes != nullptr ? std::string(bytes, static_cast<std::size_t>(size)) : std::string();
}

bool Statement::is_null() {
  if (sqlite3_column_type(statement_, column_) != SQLITE_NULL) return false;
  ++column_;
  return true;
}

std::optional<std::int64_t> Statement::optional_integer() {
  return is_null() ? std::nullopt : std::optional(integer());
}
std::optional<double> Statement::optional_real() {
  return is_null() ? std::nullopt : std::optional(real());
}
std::optional<std::string> Statement::optional_text() {
  return is_null() ? std::nullopt : std::optional(text());
}

}  // namespace camprobe::run
