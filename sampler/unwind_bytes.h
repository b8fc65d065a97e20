// sampler/unwind_bytes.h
//
// Takes numbers off the bytes of a mapped module, in the forms that .eh_frame uses, and never reads past their end.
//
// The bytes are a module's own and may be wrong. Async-signal-safe.
#pragma once

#include <cstdint>

namespace camprobe::sampler {

// The readable parts of a mapped module.
struct Image {
  static constexpr std::uint32_t kMostSegments = 8;
  struct Segment {
    std::uintptr_t low;
    std::uintptr_t high;
  };
  Segment segments[kMostSegments];
  std::uint32_t count;
};

// Bytes of a DWARF expression, inside the image.
struct Expression {
  const std::uint8_t* begin;
  std::uint32_t size;
};

// Pointer encodings (Linux Standard Base, "DWARF Exception Header Encoding").
enum : std::uint8_t {
  kEncAbsolute = 0x00,
  kEncUleb = 0x01,
  kEncU2 = 0x02,
  kEncU4 = 0x03,
  kEncU8 = 0x04,  // clang-format off
  kEncSleb = 0x09, kEncS2 = 0x0a, kEncS4 = 0x0b, kEncS8 = 0x0c,
  kEncPcRelative = 0x10, kEncDataRelative = 0x30, kEncIndirect = 0x80, kEncOmit = 0xff,  // clang-format on
};

// Takes values off a range of bytes. After a read past its end it is `bad` and yields zeros.
class Bytes {
 public:
  Bytes() = default;  // no bytes at all
  Bytes(const std::uint8_t* begin, const std::uint8_t* end) : at_(begin), end_(end) {}

  bool bad() const { return bad_; }
  bool done() const { return bad_ || at_ >= end_; }
  const std::uint8_t* at() const { return at_; }
  const std::uint8_t* end() const { return end_; }

  template <typename T>
  T take() {
    T value{};
    if (static_cast<std::uintptr_t>(end_ - at_) < sizeof(T)) {
      return fail();
    }
    __builtin_memcpy(&value, at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }

  std::uint64_t uleb() {
    std::uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
      const std::uint8_t byte = take<std::uint8_t>();
      if (bad_) return 0;
      if (shift < 64) value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return value;
    }
  }

  std::int64_t sleb() {
    std::uint64_t value = 0;
    for (unsigned shift = 0;;) {
      const std::uint8_t byte = take<std::uint8_t>();
      if (bad_) return 0;
      if (shift < 64) value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      shift += 7;
      if ((byte & 0x80) == 0) {
        if (shift < 64 && (byte & 0x40) != 0) value |= ~std::uint64_t{0} << shift;
        return static_cast<std::int64_t>(value);
      }
    }
  }

  // A pointer in one of the encodings above; `data` is what data-relative ones are relative to.
  std::uint64_t encoded(std::uint8_t encoding, std::uintptr_t data) {
    const std::uintptr_t here = reinterpret_cast<std::uintptr_t>(at_);
    std::uint64_t value = 0;
    switch (encoding & 0x0f) {
      case kEncAbsolute:
      case kEncU8:
      case kEncS8:
        value = take<std::uint64_t>();
        break;
      case kEncUleb:
        value = uleb();
        break;
      case kEncSleb:
        value = static_cast<std::uint64_t>(sleb());
        break;
      case kEncU2:
        value = take<std::uint16_t>();
        break;
      case kEncS2:
        value = static_cast<std::uint64_t>(std::int64_t{take<std::int16_t>()});
        break;
      case kEncU4:
        value = take<std::uint32_t>();
        break;
      case kEncS4:
        value = static_cast<std::uint64_t>(std::int64_t{take<std::int32_t>()});
        break;
      default:
        return fail();
    }
    switch (encoding & 0xf0) {
      case 0:
        return value;
      case kEncPcRelative:
        return value + here;
      case kEncDataRelative:
        return value + data;
      default:
        return fail();
    }
  }

  void skip(std::uint64_t count) {
    if (static_cast<std::uint64_t>(end_ - at_) < count) {
      fail();
    } else {
      at_ += count;
    }
  }

  // The next `size` bytes as an expression.
  Expression expression() {
    const std::uint64_t size = uleb();
    const Expression taken{at_, static_cast<std::uint32_t>(size)};
    skip(size);
    return bad_ ? Expression{nullptr, 0} : taken;
  }

  std::uint8_t fail() {
    bad_ = true;
    at_ = end_;
    return 0;
  }

 private:
  const std::uint8_t* at_ = nullptr;
  const std::uint8_t* end_ = nullptr;
  bool bad_ = false;
};

// From `address` to the end of the segment that holds it; empty if none does.
inline Bytes bytes_at(const Image& image, std::uintptr_t address) {
  for (std::uint32_t i = 0; i < image.count; ++i) {
    const Image::Segment& segment = image.segments[i];
    if (address >= segment.low && address < segment.high) {
      return Bytes(reinterpret_cast<const std::uint8_t*>(address), reinterpret_cast<const std::uint8_t*>(segment.high));
    }
  }
  return {};
}

}  // namespace camprobe::sampler
