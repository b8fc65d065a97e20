// collector/load/byte_reader.h
//
// Reads a binary input of any size front to back in bounded memory. What a length in the input says is never trusted:
// more than `most` bytes at once are refused.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "collector/load/input.h"

namespace camprobe::load {

class ByteReader {
 public:
  static constexpr std::size_t kMost = 1 << 24;

  explicit ByteReader(Input& input) : input_(input), buffer_(1 << 18) {}

  // Makes `n` bytes readable at data(). False: the input ends before, or n is more than kMost.
  bool need(std::size_t n) { return end_ - begin_ >= n || fill(n); }
  const unsigned char* data() const { return buffer_.data() + begin_; }
  void drop(std::size_t n) { begin_ += n; }  // of what need() made readable
  std::size_t held() const { return end_ - begin_; }
  std::uint64_t offset() const { return dropped_ + begin_; }  // of data() in the input
  std::string problem() const { return input_.problem(); }

 private:
  bool fill(std::size_t n) {
    if (n > kMost) return false;
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    dropped_ += begin_;
    end_ -= begin_;
    begin_ = 0;
    if (buffer_.size() < n) buffer_.resize(n);
    while (end_ < n) {
      const std::size_t got = input_.read(reinterpret_cast<char*>(buffer_.data()) + end_, buffer_.size() - end_);
      if (got == 0) return false;
      end_ += got;
    }
    return true;
  }

  Input& input_;
  std::vector<unsigned char> buffer_;
  std::size_t begin_ = 0, end_ = 0;
  std::uint64_t dropped_ = 0;
};

}  // namespace camprobe::load
