// collector/load/gatling_binary.cc
//
// Gatling's simulation.log from 3.12 on: binary records, big-endian, a kind byte first:
//   0 Run      version, class, i64 start (epoch ms), description, i32 n x scenario, i32 n x (i32 length, assertion)
//   1 Request  i32 n x group (cached), name (cached), i32 start, i32 end, bool ok, message (cached)
//   2 User     i32 scenario, bool begins, i32 time
//   3 Group    i32 n x group (cached), i32 start, i32 end, i32 cumulated, bool ok
//   4 Error    message (cached), i32 time
// Times are milliseconds since the run's start; they wrap after 24.8 days, and are taken as they are. A text is i32
// length, bytes, and a byte that says how (0: Latin-1, 1: UTF-16, in the order of the machine that wrote it); an empty
// one has no such byte. A cached text is an i32 index: above zero, it is defined here; below, it is that of -index.
//
// Records have no length and no mark at their beginning: behind damage nothing can be read. See gatling.h.
#include <fmt/format.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "collector/load/adapter.h"
#include "collector/load/byte_reader.h"
#include "collector/load/gatling.h"

namespace camprobe::load {
namespace {

constexpr std::size_t kLongestText = 1 << 20;
constexpr std::size_t kMostTexts = 1 << 16;  // kept; messages that differ every time are not, from there on
constexpr std::size_t kMostTextBytes = 8 << 20;
constexpr std::int32_t kMostGroups = 64;
constexpr std::int32_t kMostItems = 100'000;

// UTF-16 in the byte order of x86; what is no character becomes '?'.
std::string utf8_of_utf16(std::string_view bytes) {
  std::string out;
  for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) {
    const auto unit = [&](std::size_t at) {
      return static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[at]) |
                                        static_cast<unsigned char>(bytes[at + 1]) << 8);
    };
    std::uint32_t c = unit(i);
    if (c >= 0xd800 && c < 0xdc00 && i + 3 < bytes.size() && unit(i + 2) >= 0xdc00 && unit(i + 2) < 0xe000) {
      c = 0x10000 + ((c - 0xd800) << 10) + (unit(i + 2) - 0xdc00);
      i += 2;
    } else if (c >= 0xd800 && c < 0xe000) {
      c = '?';
    }
    if (c < 0x80) {
      out += static_cast<char>(c);
    } else if (c < 0x800) {
      out += static_cast<char>(0xc0 | c >> 6);
      out += static_cast<char>(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
      out += static_cast<char>(0xe0 | c >> 12);
      out += static_cast<char>(0x80 | (c >> 6 & 0x3f));
      out += static_cast<char>(0x80 | (c & 0x3f));
    } else {
      out += static_cast<char>(0xf0 | c >> 18);
      out += static_cast<char>(0x80 | (c >> 12 & 0x3f));
      out += static_cast<char>(0x80 | (c >> 6 & 0x3f));
      out += static_cast<char>(0x80 | (c & 0x3f));
    }
  }
  return out;
}

std::string utf8_of_latin1(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      out += c;
    } else {
      out += static_cast<char>(0xc0 | byte >> 6);
      out += static_cast<char>(0x80 | (byte & 0x3f));
    }
  }
  return out;
}

class Reader {
 public:
  explicit Reader(Input& input) : bytes_(input) {}

  run::Result<LoadTimeline> read() {
    LoadTimeline timeline;
    std::uint64_t record = 0, began_at = 0;
    while (bytes_.need(1)) {
      ++record;
      began_at = bytes_.offset();
      std::int32_t kind = 0;
      if (!byte(kind) || !(record == 1 ? kind == 0 && read_run() : read_record(kind))) {
        if (why_ == nullptr) why_ = "cut off";
        break;
      }
    }
    if (record <= 1 && why_ != nullptr) return run::Error{fmt::format("its first record: {}", why_)};
    if (why_ != nullptr) {
      timeline.skipped.row(fmt::format("record {}, at byte {}: {}; nothing behind it is read", record, began_at, why_));
    }
    if (const std::string problem = bytes_.problem(); !problem.empty()) timeline.skipped.note(problem);
    records_.finish(timeline);
    return timeline;
  }

 private:
  bool fail(const char* why) {
    why_ = why;
    return false;
  }
  bool byte(std::int32_t& value) {
    if (!bytes_.need(1)) return false;
    value = *bytes_.data();
    bytes_.drop(1);
    return true;
  }
  bool boolean(bool& value) {
    std::int32_t number = 0;
    if (!byte(number)) return false;
    value = number == 1;
    return number <= 1 || fail("neither true nor false where it must be one");
  }
  template <typename Number>
  bool number(Number& value) {
    if (!bytes_.need(sizeof value)) return false;
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < sizeof value; ++i) bits = bits << 8 | bytes_.data()[i];
    value = static_cast<Number>(bits);
    bytes_.drop(sizeof value);
    return true;
  }
  bool text(std::string& value) {
    std::int32_t length = 0;
    if (!number(length)) return false;
    value.clear();
    if (length == 0) return true;
    if (length < 0 || static_cast<std::size_t>(length) > kLongestText) return fail("a text of impossible length");
    const auto size = static_cast<std::size_t>(length);
    if (!bytes_.need(size + 1)) return false;
    const std::string_view raw(reinterpret_cast<const char*>(bytes_.data()), size);
    const unsigned char coder = bytes_.data()[size];
    if (coder > 1) return fail("a text in an unknown coding");
    value = coder == 0 ? utf8_of_latin1(raw) : utf8_of_utf16(raw);
    bytes_.drop(size + 1);
    return true;
  }
  // Points to a text that stays where it is until the next record.
  bool cached(const std::string*& value) {
    std::int32_t index = 0;
    if (!number(index)) return false;
    if (index == 0 || index == INT32_MIN) return fail("a reference to no text");
    const auto at = static_cast<std::size_t>(index > 0 ? index : -index) - 1;
    value = &unkept_;
    if (index < 0) {
      if (at < texts_.size() && texts_[at] != nullptr) value = texts_[at].get();
      return at < kMostTexts ? value != &unkept_ || fail("a reference to a text that was not defined") : true;
    }
    if (!text(scratch_)) return false;
    if (at >= kMostTexts) return true;
    if (at >= texts_.size()) texts_.resize(at + 1);
    text_bytes_ += scratch_.size();
    if (text_bytes_ > kMostTextBytes) scratch_.clear();
    // Defined a second time, it must not move: the record may hold it already.
    if (texts_[at] == nullptr) texts_[at] = std::make_unique<std::string>();
    *texts_[at] = scratch_;
    value = texts_[at].get();
    return true;
  }
  bool groups() {
    std::int32_t n = 0;
    if (!number(n)) return false;
    if (n < 0 || n > kMostGroups) return fail("an impossible number of groups");
    groups_.clear();
    for (std::int32_t i = 0; i < n; ++i) {
      const std::string* group = nullptr;
      if (!cached(group)) return false;
      if (i > 0) groups_ += ',';
      groups_ += *group;
    }
    return true;
  }
  WallTime time(std::int32_t ms) const { return start_ + std::chrono::milliseconds{ms}; }

  bool read_run() {
    std::int64_t start = 0;
    std::int32_t n = 0;
    if (!text(scratch_) || !text(scratch_) || !number(start) || !text(scratch_) || !number(n)) return false;
    const auto at =
        start < 0 ? std::nullopt : since_epoch(static_cast<std::uint64_t>(start), std::chrono::milliseconds{1});
    if (!at) return fail("the run's start is no time in milliseconds since the epoch");
    start_ = *at;
    if (n < 0 || n > kMostItems) return fail("an impossible number of scenarios");
    for (std::int32_t i = 0; i < n; ++i) {
      if (!text(scratch_)) return false;
    }
    if (!number(n)) return false;
    if (n < 0 || n > kMostItems) return fail("an impossible number of assertions");
    for (std::int32_t i = 0; i < n; ++i) {
      std::int32_t length = 0;
      if (!number(length)) return false;
      if (length < 0 || static_cast<std::size_t>(length) > kLongestText)
        return fail("an assertion of impossible length");
      if (!bytes_.need(static_cast<std::size_t>(length))) return false;
      bytes_.drop(static_cast<std::size_t>(length));
    }
    return true;
  }

  bool read_record(std::int32_t kind) {
    std::int32_t start = 0, end = 0;
    bool flag = false;
    const std::string *name = nullptr, *message = nullptr;
    switch (kind) {
      case 1:
        if (!groups() || !cached(name) || !number(start) || !number(end) || !boolean(flag) || !cached(message))
          return false;
        records_.add_request(groups_, *name, time(start), time(end), flag, *message);
        return true;
      case 2:
        if (!number(end) || !boolean(flag) || !number(start)) return false;
        records_.add_user(time(start), flag);
        return true;
      case 3:
        return groups() && number(start) && number(end) && number(start) && boolean(flag);
      case 4:
        if (!cached(message) || !number(start)) return false;
        records_.add_error();
        return true;
      default:
        return fail("its kind of record is not known");
    }
  }

  ByteReader bytes_;
  GatlingRecords records_;
  WallTime start_;
  std::vector<std::unique_ptr<std::string>> texts_;
  std::size_t text_bytes_ = 0;
  std::string scratch_, groups_;
  const std::string unkept_ = "text not kept";
  const char* why_ = nullptr;
};

// A Run record: 0, then a version such as 3.12.1 as the first text.
bool recognises(std::string_view head) {
  if (head.size() < 10 || head[0] != 0 || head[1] != 0 || head[2] != 0 || head[3] != 0) return false;
  const auto length = static_cast<unsigned char>(head[4]);
  const std::string_view version = head.substr(5, length);
  return length >= 3 && length < 40 &&
         version.find_first_not_of("0123456789.-abcdefghijklmnopqrstuvwxyzSNAPHOTM") == std::string_view::npos &&
         version[0] >= '3' && version[0] <= '9' && version[1] == '.';
}

run::Result<LoadTimeline> read(Input& input) {
  return Reader(input).read();
}

}  // namespace

const Adapter kGatlingBinary{"gatling", "Gatling simulation.log (binary, from 3.12)", recognises, read};

}  // namespace camprobe::load
