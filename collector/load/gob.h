// collector/load/gob.h
//
// Reads Go's encoding/gob: a stream of struct values that describes its own types (https://pkg.go.dev/encoding/gob,
// "Encoding Details"). Only what is asked for is decoded: the numbers, texts and bytes directly in each struct. Fields
// of other types are passed over with the help of the stream's type definitions.
//
// Messages carry their length, so one that makes no sense is left out and reading goes on behind it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "collector/load/byte_reader.h"

namespace camprobe::load {

class GobReader {
 public:
  // A field that the value has: gob leaves out those that are zero.
  struct Field {
    std::string_view name;
    std::int64_t integer = 0;   // of an int
    std::uint64_t natural = 0;  // of a uint
    std::string_view bytes;     // of a string, []byte, or a type that encodes itself (time.Time)
  };

  explicit GobReader(Input& input) : bytes_(input) {}

  enum class Read { kValue, kBad, kEnd };
  // The next value. kBad: a message that could not be used, why() says so; reading goes on behind it.
  Read next();
  const std::vector<Field>& fields() const { return fields_; }  // valid until next()
  std::uint64_t message() const { return messages_; }           // number of the last one, from 1
  const char* why() const { return why_; }
  std::string problem() const { return bytes_.problem(); }

 private:
  struct Type {
    enum Kind { kArray, kSlice, kStruct, kMap, kOpaque } kind = kOpaque;
    std::vector<std::pair<std::string, std::int64_t>> fields;  // name and type of a struct's
    std::int64_t key = 0, element = 0;
  };
  class Cursor;

  bool define(Cursor& at, std::int64_t id);
  bool read_value(Cursor& at, const Type& type);
  bool read_field(Cursor& at, std::int64_t type, Field& field);
  bool skip(Cursor& at, std::int64_t type, int depth);

  ByteReader bytes_;
  std::size_t to_drop_ = 0;  // the message that fields_ looks into
  std::map<std::int64_t, Type> types_;
  std::vector<Field> fields_;
  std::uint64_t messages_ = 0;
  const char* why_ = "";
};

}  // namespace camprobe::load
