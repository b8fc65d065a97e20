// collector/symbols/source_map.cc
//
// VLQ, the JSON around it, and where a JavaScript file says its map is.
#include "collector/symbols/source_map.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>

namespace camprobe::symbols {
namespace {

constexpr off_t kMaxFile = off_t{64} << 20;
constexpr std::size_t kMaxSegments = 8u << 20;
constexpr std::size_t kMaxKnownFiles = 4096;

constexpr std::array<std::int8_t, 256> base64_digits() {
  std::array<std::int8_t, 256> digits{};
  digits.fill(-1);
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (std::size_t i = 0; i < kAlphabet.size(); ++i)
    digits[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::int8_t>(i);
  digits['-'] = 62;  // the URL-safe alphabet
  digits['_'] = 63;
  return digits;
}
constexpr auto kDigits = base64_digits();

std::optional<std::string> decode_base64(std::string_view text) {
  std::string out;
  std::uint32_t bits = 0;
  int held = 0;
  for (char c : text) {
    if (c == '=') break;
    const std::int8_t digit = kDigits[static_cast<unsigned char>(c)];
    if (digit < 0) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(digit);
    held += 6;
    if (held >= 8) out += static_cast<char>(bits >> (held -= 8) & 0xff);
  }
  return out;
}

std::string decode_percent(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto hex = [](char c) { return std::string_view("0123456789abcdef").find(static_cast<char>(c | 0x20)); };
    if (text[i] == '%' && i + 2 < text.size() && hex(text[i + 1]) < 16 && hex(text[i + 2]) < 16) {
      out += static_cast<char>(hex(text[i + 1]) << 4 | hex(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

// `name` as a path: absolute ones and URLs with other schemes ("webpack://") as they are, others below `directory`.
std::string resolve_path(const std::string& directory, std::string_view name) {
  if (name.starts_with("file://")) return decode_percent(name.substr(7));
  if (name.find("://") != std::string_view::npos) return std::string(name);
  return (std::filesystem::path(directory) / std::filesystem::path(name)).lexically_normal().string();
}

std::optional<std::string> read_text(const TargetFiles& files, const std::string& path) {
  const UniqueFd fd = files.open(path);
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0 || status.st_size > kMaxFile) return std::nullopt;
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  std::size_t have = 0;
  while (have < text.size()) {
    const ssize_t got = ::pread(fd.get(), text.data() + have, text.size() - have, static_cast<off_t>(have));
    if (got <= 0) break;
    have += static_cast<std::size_t>(got);
  }
  text.resize(have);
  return text;
}

// The last "//# sourceMappingURL=" of a script ("//@" is its older spelling), or nothing.
std::optional<std::string_view> mapping_url(std::string_view script) {
  constexpr std::string_view kKey = "sourceMappingURL=";
  const std::size_t at = script.rfind(kKey);
  if (at == std::string_view::npos || at < 4) return std::nullopt;
  const std::string_view before = script.substr(at - 4, 4);
  if (before != "//# " && before != "//@ ") return std::nullopt;
  const std::string_view rest = script.substr(at + kKey.size());
  return rest.substr(0, rest.find_first_of(" \t\r\n"));
}

}  // namespace

std::optional<std::int64_t> take_vlq(std::string_view& text) {
  std::uint64_t value = 0;
  for (unsigned shift = 0, i = 0; i < text.size(); ++i, shift += 5) {
    const std::int8_t digit = kDigits[static_cast<unsigned char>(text[i])];
    if (digit < 0 || shift > 30) return std::nullopt;
    value |= static_cast<std::uint64_t>(digit & 31) << shift;
    if ((digit & 32) != 0) continue;
    text.remove_prefix(i + 1);
    const auto magnitude = static_cast<std::int64_t>(value >> 1);
    return (value & 1) != 0 ? -magnitude : magnitude;
  }
  return std::nullopt;
}

struct SourceMap::Reader {
  SourceMap& map;
  const std::string& directory;

  // One map whose generated positions begin at (line, column). Index maps hold several; they do not nest.
  bool read(const nlohmann::json& json, std::uint32_t line, std::uint32_t column, std::string& error) {
    const auto mappings = json.find("mappings");
    const auto sources = json.find("sources");
    if (mappings == json.end() || !mappings->is_string() || sources == json.end() || !sources->is_array()) {
      error = "no mappings or sources";
      return false;
    }
    std::string root;
    if (const auto given = json.find("sourceRoot"); given != json.end() && given->is_string())
      root = given->get<std::string>();
    if (!root.empty() && !root.ends_with('/')) root += '/';
    const std::size_t first = map.sources_.size();
    for (const auto& source : *sources) {
      const std::string name = source.is_string() ? source.get<std::string>() : std::string();
      const bool rooted = name.starts_with('/') || name.find("://") != std::string::npos;
      map.sources_.push_back(name.empty() ? name : resolve_path(directory, rooted ? name : root + name));
    }
    return read_mappings(mappings->get_ref<const std::string&>(), first, line, column, error);
  }

  bool read_mappings(std::string_view text, std::size_t first, std::uint32_t line, std::uint32_t column,
                     std::string& error) {
    std::int64_t generated = column;
    std::int64_t source = 0;
    std::int64_t source_line = 0;
    while (!text.empty()) {
      if (text.front() == ';') {
        ++line;
        generated = 0;
        text.remove_prefix(1);
        continue;
      }
      if (text.front() == ',') {
        text.remove_prefix(1);
        continue;
      }
      // generated column [, source, line, column [, name]], each relative to the one before
      std::array<std::int64_t, 5> fields{};
      std::size_t count = 0;
      while (!text.empty() && text.front() != ',' && text.front() != ';') {
        const auto field = take_vlq(text);
        if (!field || count == fields.size()) {
          error = "mappings are not VLQ";
          return false;
        }
        fields[count++] = *field;
      }
      generated += fields[0];
      if (count >= 4) {
        source += fields[1];
        source_line += fields[2];
      }
      const bool fits = generated >= 0 && generated <= INT32_MAX && source_line >= 0 && source_line < INT32_MAX &&
                        (count == 1 || count >= 4);
      const bool known = source >= 0 && static_cast<std::uint64_t>(source) < map.sources_.size() - first;
      if (!fits || (count >= 4 && !known) || map.segments_.size() >= kMaxSegments) {
        error = "mappings lead outside of the sources";
        return false;
      }
      map.segments_.push_back(
          {line, static_cast<std::uint32_t>(generated),
           count >= 4 ? static_cast<std::uint32_t>(first + static_cast<std::size_t>(source)) : kNoSource,
           static_cast<std::uint32_t>(source_line)});
    }
    return true;
  }
};

std::unique_ptr<SourceMap> SourceMap::parse(std::string_view text, const std::string& directory, std::string& error) {
  if (text.starts_with(")]}"))
    text.remove_prefix(std::min(text.find('\n'), text.size()));  // a guard against script inclusion
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) {
    error = "not JSON";
    return nullptr;
  }
  if (json.value("version", nlohmann::json()) != 3) {
    error = "not version 3";
    return nullptr;
  }
  std::unique_ptr<SourceMap> map(new SourceMap);
  Reader reader{*map, directory};
  if (const auto sections = json.find("sections"); sections != json.end()) {
    if (!sections->is_array()) {
      error = "sections are no array";
      return nullptr;
    }
    for (const auto& section : *sections) {
      const auto number = [&](const char* name) -> std::optional<std::uint32_t> {
        const auto offset = section.is_object() ? section.find("offset") : section.end();
        if (offset == section.end() || !offset->is_object()) return std::nullopt;
        const auto value = offset->find(name);
        if (value == offset->end() || !value->is_number_unsigned() || value->get<std::uint64_t>() > INT32_MAX)
          return std::nullopt;
        return value->get<std::uint32_t>();
      };
      const auto line = number("line");
      const auto column = number("column");
      if (!line || !column || !section.contains("map") || !section["map"].is_object()) {
        error = "a section without offset or map";
        return nullptr;
      }
      if (!reader.read(section["map"], *line, *column, error)) return nullptr;
    }
  } else if (!reader.read(json, 0, 0, error)) {
    return nullptr;
  }
  std::stable_sort(map->segments_.begin(), map->segments_.end(), [](const Segment& a, const Segment& b) {
    return a.line != b.line ? a.line < b.line : a.column < b.column;
  });
  map->segments_.shrink_to_fit();
  return map;
}

std::optional<OriginalPosition> SourceMap::original(const Segment& segment) const {
  if (segment.source == kNoSource || sources_[segment.source].empty()) return std::nullopt;
  return OriginalPosition{sources_[segment.source], segment.source_line + 1};
}

std::optional<OriginalPosition> SourceMap::find(std::uint32_t line, std::uint32_t column) const {
  if (line == 0) return std::nullopt;
  if (column == 0) return find_whole_line(line - 1);
  const Segment wanted{line - 1, column - 1, 0, 0};
  auto after = std::upper_bound(segments_.begin(), segments_.end(), wanted, [](const Segment& a, const Segment& b) {
    return a.line != b.line ? a.line < b.line : a.column < b.column;
  });
  if (after == segments_.begin() || std::prev(after)->line != wanted.line) return std::nullopt;
  return original(*std::prev(after));
}

// `line` counts from 0. A line that was put together from several (a minified one) is not guessed at.
std::optional<OriginalPosition> SourceMap::find_whole_line(std::uint32_t line) const {
  // Iterators, not std::ranges: clang 14, with which the fuzz targets are built, cannot compile libstdc++'s views.
  const auto begin = std::lower_bound(segments_.begin(), segments_.end(), line,
                                      [](const Segment& segment, std::uint32_t at) { return segment.line < at; });
  const auto end = std::find_if(begin, segments_.end(), [&](const Segment& segment) { return segment.line != line; });
  if (begin == end) return std::nullopt;
  const Segment& first = *begin;
  const bool one_line = std::all_of(begin, end, [&](const Segment& segment) {
    return segment.source == first.source && segment.source_line == first.source_line;
  });
  return one_line ? original(first) : std::nullopt;
}

std::size_t SourceMap::bytes() const {
  std::size_t bytes = segments_.capacity() * sizeof(Segment);
  for (const std::string& source : sources_) bytes += sizeof(std::string) + source.capacity();
  return bytes;
}

const SourceMap* SourceMaps::map_of(const TargetFiles& files, const std::string& file) {
  if (const auto known = by_file_.find(file); known != by_file_.end()) {
    entries_.splice(entries_.begin(), entries_, known->second);
    return entries_.front().map.get();
  }
  Entry entry{file, nullptr, sizeof(Entry) + file.size()};
  if (const auto script = read_text(files, file)) {
    if (const auto url = mapping_url(*script)) {
      std::string directory = std::filesystem::path(file).parent_path().string();
      std::optional<std::string> json;
      if (url->starts_with("data:")) {
        const std::size_t comma = url->find(',');
        const bool base64 = comma != std::string_view::npos && url->substr(0, comma).ends_with(";base64");
        if (base64)
          json = decode_base64(url->substr(comma + 1));
        else if (comma != std::string_view::npos)
          json = decode_percent(url->substr(comma + 1));
      } else {
        const std::string path = resolve_path(directory, decode_percent(*url));
        directory = std::filesystem::path(path).parent_path().string();
        json = read_text(files, path);
      }
      std::string error;
      if (json) entry.map = SourceMap::parse(*json, directory, error);
      if (entry.map) entry.bytes += entry.map->bytes();
    }
  }
  bytes_ += entry.bytes;
  entries_.push_front(std::move(entry));
  by_file_[file] = entries_.begin();
  while (entries_.size() > 1 && (bytes_ > max_bytes_ || entries_.size() > kMaxKnownFiles)) {
    bytes_ -= entries_.back().bytes;
    by_file_.erase(entries_.back().file);
    entries_.pop_back();
  }
  return entries_.front().map.get();
}

std::optional<OriginalPosition> SourceMaps::find(const TargetFiles& files, const std::string& file, std::uint32_t line,
                                                 std::uint32_t column) {
  if (!file.starts_with('/')) return std::nullopt;  // node:internal/..., evalmachine, URLs
  const SourceMap* map = map_of(files, file);
  return map == nullptr ? std::nullopt : map->find(line, column);
}

}  // namespace camprobe::symbols
