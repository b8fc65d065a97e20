// collector/load/vegeta_gob.cc
//
// vegeta attack's own output: Result structs in Go's encoding/gob. See vegeta.h and gob.h.
//
// The timestamp is a time.Time, which encodes itself: a version byte, seconds since the year 1 and nanoseconds, both
// big-endian, then the zone's offset, which does not matter.
#include <fmt/format.h>

#include "collector/load/adapter.h"
#include "collector/load/gob.h"
#include "collector/load/vegeta.h"

namespace camprobe::load {
namespace {

constexpr std::uint64_t kYearOneToEpoch = 62'135'596'800;  // seconds

std::optional<WallTime> parse_go_time(std::string_view bytes) {
  if (bytes.size() < 15 || (bytes[0] != 1 && bytes[0] != 2)) return std::nullopt;
  const auto big_endian = [&](std::size_t from, std::size_t n) {
    std::uint64_t value = 0;
    for (const char c : bytes.substr(from, n)) value = value << 8 | static_cast<unsigned char>(c);
    return value;
  };
  const std::uint64_t seconds = big_endian(1, 8), nanoseconds = big_endian(9, 4);
  if (seconds < kYearOneToEpoch || nanoseconds >= 1'000'000'000) return std::nullopt;
  const auto at = since_epoch(seconds - kYearOneToEpoch, std::chrono::seconds{1});
  return at ? std::optional(*at + Nanoseconds{nanoseconds}) : std::nullopt;
}

const char* parse_result(const GobReader& gob, VegetaResult& result) {
  bool has_time = false;
  for (const GobReader::Field& field : gob.fields()) {
    if (field.name == "Timestamp") {
      const auto at = parse_go_time(field.bytes);
      if (!at) return "its timestamp is no time";
      result.sent = *at;
      has_time = true;
    } else if (field.name == "Code") {
      if (field.natural > 999) return "there is no such code";
      result.code = static_cast<int>(field.natural);
    } else if (field.name == "Latency") {
      result.latency_ns = field.integer;
    } else if (field.name == "Error") {
      result.error = field.bytes;
    } else if (field.name == "Method") {
      result.method = field.bytes;
    } else if (field.name == "URL") {
      result.url = field.bytes;
    }
  }
  return has_time ? nullptr : "it has no timestamp";
}

// The stream begins with the definition of the struct Result.
bool recognises(std::string_view head) {
  const std::string_view begin = head.substr(0, 256);
  return begin.find("\x06Result\x01") != std::string_view::npos &&
         begin.find("\x09Timestamp") != std::string_view::npos && begin.find("\x07Latency") != std::string_view::npos;
}

run::Result<LoadTimeline> read(Input& input) {
  LoadTimeline timeline;
  VegetaResults results;
  GobReader gob(input);
  for (;;) {
    const GobReader::Read read = gob.next();
    if (read == GobReader::Read::kEnd) break;
    const char* wrong = nullptr;
    if (read == GobReader::Read::kBad) {
      wrong = gob.why();
    } else {
      VegetaResult result;
      wrong = parse_result(gob, result);
      if (wrong == nullptr) wrong = results.add(result);
    }
    if (wrong != nullptr) timeline.skipped.row(fmt::format("result {}: {}", gob.message(), wrong));
  }
  if (const std::string problem = gob.problem(); !problem.empty()) timeline.skipped.note(problem);
  results.finish(timeline);
  return timeline;
}

}  // namespace

const Adapter kVegetaGob{"vegeta", "vegeta attack (gob)", recognises, read};

}  // namespace camprobe::load
