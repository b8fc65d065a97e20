// collector/symbols/source_map.h
//
// From generated JavaScript back to what it was written in: source maps, version 3.
//
// A map says, for positions in the generated file, which position of which source they come from; a position belongs to
// the last one before it on its line. SourceMap is one decoded map, SourceMaps finds the map of a JavaScript file
// ("//# sourceMappingURL=", beside it or inline) and keeps the most recently used ones.
//
// Maps are untrusted text: any error yields no map, and sizes are bounded.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "collector/symbols/target_files.h"

namespace camprobe::symbols {

struct OriginalPosition {
  std::string file;
  std::uint32_t line = 0;  // from 1
  bool operator==(const OriginalPosition&) const = default;
};

// Takes one base-64 VLQ number off the front of `text`; nothing if it is not one or exceeds 32 bits.
std::optional<std::int64_t> take_vlq(std::string_view& text);

class SourceMap {
 public:
  // `directory` is what relative source names are relative to: where the map lies. On failure null, and `error` says
  // why.
  static std::unique_ptr<SourceMap> parse(std::string_view json, const std::string& directory, std::string& error);

  // Line and column count from 1, as V8's do. Column 0 means that it is not known (V8 before Node.js 20 writes none):
  // then the line is found if all of it comes from one source line. Nothing if the position comes from no source.
  std::optional<OriginalPosition> find(std::uint32_t line, std::uint32_t column) const;

  std::size_t bytes() const;

 private:
  struct Segment {
    std::uint32_t line;         // generated, from 0
    std::uint32_t column;       // generated, from 0
    std::uint32_t source;       // index, or kNoSource
    std::uint32_t source_line;  // from 0
  };
  static constexpr std::uint32_t kNoSource = ~std::uint32_t{0};

  struct Reader;  // over the parsed JSON

  std::optional<OriginalPosition> original(const Segment& segment) const;
  std::optional<OriginalPosition> find_whole_line(std::uint32_t line) const;

  std::vector<Segment> segments_;  // by line, then column
  std::vector<std::string> sources_;
};

class SourceMaps {
 public:
  explicit SourceMaps(std::size_t max_bytes = 64u << 20) : max_bytes_(max_bytes) {}

  // Where a position in JavaScript file `file` was written, or nothing if there is no map, or it does not say.
  std::optional<OriginalPosition> find(const TargetFiles& files, const std::string& file, std::uint32_t line,
                                       std::uint32_t column);

  std::size_t bytes() const { return bytes_; }

 private:
  struct Entry {
    std::string file;
    std::unique_ptr<SourceMap> map;  // null: there is none
    std::size_t bytes;
  };
  const SourceMap* map_of(const TargetFiles& files, const std::string& file);

  std::size_t max_bytes_;
  std::size_t bytes_ = 0;
  std::list<Entry> entries_;  // most recently used first
  std::unordered_map<std::string, std::list<Entry>::iterator> by_file_;
};

}  // namespace camprobe::symbols
