// collector/load/compressed.cc: gzip and zstd, told by their first bytes, unpacked in bounded memory.
#include <fmt/format.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <new>

#include "collector/load/input.h"

namespace camprobe::load {
namespace {

constexpr const char* kEndsEarly = "the compressed data ends early, as after a kill";

// Inflates gzip, several members after one another too. A tool that was killed leaves a stream without its trailer, and
// often in the middle of a block: what inflates is handed out, then problem() tells.
class GzipInput : public Input {
 public:
  explicit GzipInput(std::unique_ptr<Input> inner) : inner_(std::move(inner)) {
    if (inflateInit2(&stream_, 15 + 16) != Z_OK) throw std::bad_alloc();
  }
  GzipInput(const GzipInput&) = delete;
  GzipInput& operator=(const GzipInput&) = delete;
  ~GzipInput() override { inflateEnd(&stream_); }

  std::size_t read(char* to, std::size_t size) override {
    stream_.next_out = reinterpret_cast<Bytef*>(to);
    stream_.avail_out = static_cast<uInt>(std::min<std::size_t>(size, 1u << 30));
    const uInt wanted = stream_.avail_out;
    while (!ended_ && stream_.avail_out == wanted) {
      if (stream_.avail_in == 0) {
        stream_.next_in = packed_;
        stream_.avail_in = static_cast<uInt>(inner_->read(reinterpret_cast<char*>(packed_), sizeof packed_));
        if (stream_.avail_in == 0) {
          ended_ = true;
          problem_ = inner_->problem();
          if (problem_.empty() && !between_members_) problem_ = kEndsEarly;
          break;
        }
      }
      if (between_members_) {
        inflateReset(&stream_);
        between_members_ = false;
      }
      const int status = inflate(&stream_, Z_NO_FLUSH);
      if (status == Z_STREAM_END) {
        between_members_ = true;
      } else if (status != Z_OK && status != Z_BUF_ERROR) {
        ended_ = true;
        problem_ = fmt::format("the compressed data is damaged ({})", stream_.msg != nullptr ? stream_.msg : "zlib");
      }
    }
    return wanted - stream_.avail_out;
  }
  std::string problem() const override { return problem_; }

 private:
  std::unique_ptr<Input> inner_;
  z_stream stream_{};
  unsigned char packed_[1 << 16];
  bool between_members_ = false, ended_ = false;
  std::string problem_;
};

// Decompresses zstd, several frames after one another too; a frame may want a window of at most kLargestWindowLog.
class ZstdInput : public Input {
 public:
  static constexpr int kLargestWindowLog = 27;  // 128 MiB: what zstd itself accepts without being asked

  explicit ZstdInput(std::unique_ptr<Input> inner) : inner_(std::move(inner)), stream_(ZSTD_createDStream()) {
    if (stream_ == nullptr) throw std::bad_alloc();
    ZSTD_DCtx_setParameter(stream_, ZSTD_d_windowLogMax, kLargestWindowLog);
  }
  ZstdInput(const ZstdInput&) = delete;
  ZstdInput& operator=(const ZstdInput&) = delete;
  ~ZstdInput() override { ZSTD_freeDStream(stream_); }

  std::size_t read(char* to, std::size_t size) override {
    ZSTD_outBuffer out{to, size, 0};
    while (!ended_ && out.pos == 0 && size > 0) {
      // A full buffer may have left output behind: what is packed is asked for only when the decoder has no more.
      if (in_.pos == in_.size && !holds_output_) {
        in_ = {packed_, inner_->read(packed_, sizeof packed_), 0};
        if (in_.size == 0) {
          ended_ = true;
          problem_ = inner_->problem();
          if (problem_.empty() && !between_frames_) problem_ = kEndsEarly;
          break;
        }
      }
      const std::size_t left = ZSTD_decompressStream(stream_, &out, &in_);
      if (ZSTD_isError(left) != 0) {
        ended_ = true;
        problem_ = fmt::format("the compressed data is damaged ({})", ZSTD_getErrorName(left));
        break;
      }
      between_frames_ = left == 0;
      holds_output_ = out.pos == out.size && !between_frames_;
    }
    return out.pos;
  }
  std::string problem() const override { return problem_; }

 private:
  std::unique_ptr<Input> inner_;
  ZSTD_DStream* stream_;
  char packed_[1 << 17];
  ZSTD_inBuffer in_{packed_, 0, 0};
  bool between_frames_ = false, holds_output_ = false, ended_ = false;
  std::string problem_;
};

// A frame, or one that a decoder skips (`pzstd` and seekable archives begin with such).
bool is_zstd(std::string_view head) {
  if (head == "\x28\xb5\x2f\xfd") return true;
  return head.size() == 4 && (head[0] & 0xf0) == 0x50 && head.substr(1) == "\x2a\x4d\x18";
}

}  // namespace

std::unique_ptr<Input> decompressed(std::unique_ptr<Input> raw) {
  auto peekable = std::make_unique<PeekableInput>(std::move(raw));
  const std::string_view head = peekable->peek(4);
  if (head.starts_with("\x1f\x8b\x08")) return std::make_unique<GzipInput>(std::move(peekable));
  if (is_zstd(head)) return std::make_unique<ZstdInput>(std::move(peekable));
  return peekable;
}

}  // namespace camprobe::load
