// collector/load/input.h
//
// Where a load tool's output comes from, read in chunks, so that a file of any size takes the same memory. Compressed
// input (gzip, zstd) is told by its first bytes, never by its name, and yields what it holds up to where it was cut
// off.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "run/result.h"

namespace camprobe::load {

class Input {
 public:
  virtual ~Input() = default;
  // Fills up to `size` bytes; 0 is the end. After the end, problem() says whether it was the true one.
  virtual std::size_t read(char* to, std::size_t size) = 0;
  // Empty, or why the input ended before its time.
  virtual std::string problem() const { return {}; }
};

// Text in memory, handed out in pieces of at most `chunk` bytes. The text must outlive it.
std::unique_ptr<Input> memory_input(std::string_view text, std::size_t chunk = 1 << 16);

// A file. The error is one sentence: what, where, what to do.
run::Result<std::unique_ptr<Input>> file_input(const std::string& path);

// `raw` itself, or its decompressed content where it is gzip or zstd.
std::unique_ptr<Input> decompressed(std::unique_ptr<Input> raw);

// Looks at the beginning of an input without using it up.
class PeekableInput : public Input {
 public:
  explicit PeekableInput(std::unique_ptr<Input> inner) : inner_(std::move(inner)) {}
  std::string_view peek(std::size_t size);  // at most `size` bytes of what comes next; less only at the end
  std::size_t read(char* to, std::size_t size) override;
  std::string problem() const override { return inner_->problem(); }

 private:
  std::unique_ptr<Input> inner_;
  std::string ahead_;
  std::size_t used_ = 0;
};

// Lines of an input. A line longer than kLongestLine is dropped: an empty one is handed out with too_long() set.
class LineReader {
 public:
  static constexpr std::size_t kLongestLine = 1 << 20;
  // So many bytes behind a line may be read (not used): parsers that work in vectors read beyond its end.
  static constexpr std::size_t kPadding = 64;

  explicit LineReader(Input& input) : input_(input), buffer_((1 << 18) + kPadding, '\0') {}

  // The next line without its "\n" or "\r\n"; false at the end. Valid until the next call.
  bool next(std::string_view& line);
  std::uint64_t number() const { return number_; }     // of the line last handed out, from 1
  bool unterminated() const { return unterminated_; }  // that line had no newline: it may be cut off
  bool too_long() const { return too_long_; }
  std::string problem() const { return input_.problem(); }

 private:
  bool fill();

  Input& input_;
  std::string buffer_;
  std::size_t begin_ = 0, end_ = 0;  // what of buffer_ is filled and not handed out
  bool at_end_ = false;
  std::uint64_t number_ = 0;
  bool unterminated_ = false, too_long_ = false;
};

}  // namespace camprobe::load
