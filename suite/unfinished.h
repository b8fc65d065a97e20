// suite/unfinished.h
//
// The directory of a suite while it is being run: what was asked for, who runs it, and which of its runs are over; so
// that a suite that was interrupted or killed, or whose machine was started anew, goes on (camprobe suite run
// --resume).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "run/result.h"
#include "suite/conduct.h"

namespace camprobe::suite {

// Held by the suite and by its collectors as long as they live: nobody else may write there.
class Claim {
 public:
  // Waits for collectors that a killed suite left behind; an error where the suite itself is still being run.
  static run::Result<Claim> take(const std::string& directory);
  Claim(Claim&& other) noexcept;
  Claim& operator=(Claim&&) = delete;
  ~Claim();

 private:
  explicit Claim(int file) : file_(file) {}
  int file_;
};

// DIR/suite.json: the suite's file, its name in it, and the wishes.
void write_unfinished(const std::string& directory, const Suite& suite, const Wishes& wishes,
                      const std::string& started_at);

struct Unfinished {
  Suite suite;  // as in its file, without the wishes
  Wishes wishes;
  std::string started_at;
};
// What DIR/suite.json says; its file is read from the copy in the directory. wishes.gates are the caller's to read from
// tier and gates_file.
run::Result<Unfinished> read_unfinished(const std::string& directory);

// What a finished run was judged to be, in its directory.
void write_result(const RunPlan& plan, const nlohmann::ordered_json& evaluated);
std::optional<nlohmann::ordered_json> read_result(const RunPlan& plan);

}  // namespace camprobe::suite
