// tests/exporters/run_builder.h: a run file made by hand, row by row, straight from run/schema.sql.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

namespace camprobe::tests {

struct TestFrame {
  std::string function;
  std::string module = "/srv/bin/cam-server";
  std::string file = "";
  int line = 0;
  std::string kind = "native";
};

// Writes rows; everything in one transaction, which finish() ends.
class RunBuilder {
 public:
  using Value = std::variant<std::nullptr_t, std::int64_t, double, std::string>;

  explicit RunBuilder(const std::filesystem::path& path);
  RunBuilder(const RunBuilder&) = delete;
  RunBuilder& operator=(const RunBuilder&) = delete;
  ~RunBuilder();

  void insert(const std::string& table, const std::vector<Value>& values);
  void meta(const std::string& key, const std::string& value) { insert("meta", {key, value}); }
  std::int64_t name(const std::string& text);
  std::int64_t metric(const std::string& name, const std::string& unit, const std::string& kind);
  std::int64_t process(std::int64_t pid, const std::string& executable);
  std::int64_t stack(std::int64_t process, const std::vector<TestFrame>& root_first, bool truncated = false);
  void point(std::int64_t metric, std::int64_t process, std::int64_t second, double value, std::int64_t width = 1);
  void cpu(std::int64_t process, std::int64_t second, std::int64_t stack, std::int64_t samples, double ns);
  void alloc(std::int64_t process, std::int64_t second, std::int64_t stack, double bytes, double temporary_objects = 0);
  void object(std::int64_t process, std::int64_t stack, double bytes, std::int64_t born_ns,
              std::optional<std::int64_t> died_ns);
  void finish();

 private:
  sqlite3* database_ = nullptr;
  std::map<std::string, sqlite3_stmt*> inserts_;
  std::map<std::string, std::int64_t> names_;
  std::map<std::tuple<std::string, std::string, std::string, int>, std::int64_t> frames_;
  std::int64_t next_ = 1;
};

}  // namespace camprobe::tests
