// cli/output.h: where a command's result goes: standard output, or a file that appears whole or not at all.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

#include "run/result.h"

namespace camprobe::cli {

// For what is written piece by piece. Nothing is touched before the first piece, and no file is replaced before the new
// one is complete; what was not finish()ed is gone again, also where we were killed.
class OutputFile {
 public:
  // `path` "" or "-" is standard output.
  explicit OutputFile(std::string path) : path_(std::move(path)) {}
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();

  run::Result<void> write(std::string_view piece);
  run::Result<void> finish();
  // False once the reader of standard output went away (a closed pipe): no error, and what follows is not looked at.
  bool has_reader() const { return has_reader_; }

 private:
  bool is_standard_output() const { return path_.empty() || path_ == "-"; }
  run::Result<void> open();
  std::string name_beside() const;
  int put_in_place();  // 0 or an errno
  run::Error error(int reason) const;

  std::string path_;
  std::string written_;  // what is written to until it is finished; empty: it has no name
  std::FILE* file_ = nullptr;
  bool is_special_ = false;  // a device or a pipe is written to as it is
  bool has_reader_ = true;
};

// All at once.
run::Result<void> write_output(const std::string& path, std::string_view text);

}  // namespace camprobe::cli
