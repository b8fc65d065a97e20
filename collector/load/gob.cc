// collector/load/gob.cc: see gob.h.
#include "collector/load/gob.h"

#include <iterator>
#include <utility>

namespace camprobe::load {
namespace {

constexpr std::size_t kMostTypes = 1024;
constexpr std::size_t kMostFields = 256;
constexpr int kDeepest = 32;

// Ids of the types that need no definition.
enum Basic : std::int64_t { kBool = 1, kInt, kUint, kFloat, kBytes, kString, kComplex, kInterface };

}  // namespace

// Reads one message. Every read fails once one has.
class GobReader::Cursor {
 public:
  explicit Cursor(std::string_view text) : left_(text) {}

  bool natural(std::uint64_t& value) {
    if (left_.empty()) return false;
    const auto first = static_cast<unsigned char>(left_.front());
    left_.remove_prefix(1);
    value = first;
    if (first < 128) return true;
    const std::size_t length = 256u - first;  // how many bytes follow, negated
    if (length > 8 || left_.size() < length) return false;
    value = 0;
    for (const char c : left_.substr(0, length)) value = value << 8 | static_cast<unsigned char>(c);
    left_.remove_prefix(length);
    return true;
  }
  bool integer(std::int64_t& value) {  // the sign is the lowest bit
    std::uint64_t bits = 0;
    if (!natural(bits)) return false;
    value = static_cast<std::int64_t>(bits & 1 ? ~(bits >> 1) : bits >> 1);
    return true;
  }
  bool text(std::string_view& value) {
    std::uint64_t length = 0;
    if (!natural(length) || length > left_.size()) return false;
    value = left_.substr(0, length);
    left_.remove_prefix(length);
    return true;
  }
  // How many elements follow. Each takes a byte at least.
  bool count(std::uint64_t& value) { return natural(value) && value <= left_.size(); }

  // Calls read(number) for the fields of a struct, which are numbered by their distance from the one before.
  template <typename ReadField>
  bool structure(ReadField read) {
    std::uint64_t number = 0;  // from 1
    for (;;) {
      std::uint64_t step = 0;
      if (!natural(step)) return false;
      if (step == 0) return true;
      if (step > kMostFields || (number += step) > kMostFields) return false;
      if (!read(number - 1)) return false;
    }
  }

 private:
  std::string_view left_;
};

GobReader::Read GobReader::next() {
  fields_.clear();
  for (;;) {
    bytes_.drop(std::exchange(to_drop_, 0));
    if (!bytes_.need(1)) return Read::kEnd;
    ++messages_;
    const unsigned char first = *bytes_.data();
    const std::size_t prefix = first < 128 ? 1 : 257u - first;
    std::uint64_t length = 0;
    const bool has_length = prefix <= 9 && bytes_.need(prefix) &&
                            Cursor({reinterpret_cast<const char*>(bytes_.data()), prefix}).natural(length) &&
                            length <= ByteReader::kMost;
    if (!has_length || !bytes_.need(prefix + length)) {
      why_ = !has_length && bytes_.held() >= 9 ? "its length is damaged: what follows cannot be read" : "cut off";
      to_drop_ = 0;
      bytes_.drop(bytes_.held());
      while (bytes_.need(1)) bytes_.drop(bytes_.held());
      return Read::kBad;
    }
    to_drop_ = prefix + length;
    Cursor at({reinterpret_cast<const char*>(bytes_.data()) + prefix, length});
    std::int64_t id = 0;
    if (!at.integer(id)) {
      why_ = "it has no type";
      return Read::kBad;
    }
    if (id < 0) {
      if (id > -64 || !define(at, -id)) {
        why_ = "its type definition makes no sense";
        return Read::kBad;
      }
      --messages_;  // values are counted
      continue;
    }
    const auto type = types_.find(id);
    if (type == types_.end() || type->second.kind != Type::kStruct) {
      why_ = "it is no struct";
      return Read::kBad;
    }
    if (!read_value(at, type->second)) {
      fields_.clear();
      why_ = "its fields do not fit its type";
      return Read::kBad;
    }
    return Read::kValue;
  }
}

// Reads a wireType: a struct of which one field is set, numbered by the kind of the type it defines.
bool GobReader::define(Cursor& at, std::int64_t id) {
  if (types_.size() >= kMostTypes) return false;
  Type type;
  const auto skip_common = [&] {  // CommonType{Name string, Id int}
    std::string_view name;
    std::int64_t number = 0;
    return at.structure([&](std::uint64_t field) { return field == 0 ? at.text(name) : at.integer(number); });
  };
  const auto read_fields = [&] {  // []fieldType{Name string, Id int}
    std::uint64_t n = 0;
    if (!at.count(n) || n > kMostFields) return false;
    for (std::uint64_t i = 0; i < n; ++i) {
      std::string_view name;
      std::int64_t number = 0;
      if (!at.structure([&](std::uint64_t field) { return field == 0 ? at.text(name) : at.integer(number); }))
        return false;
      type.fields.emplace_back(name, number);
    }
    return true;
  };
  static constexpr Type::Kind kKinds[] = {Type::kArray, Type::kSlice, Type::kStruct, Type::kMap};
  const bool is_read = at.structure([&](std::uint64_t kind) {
    type.kind = kind < std::size(kKinds) ? kKinds[kind] : Type::kOpaque;
    return at.structure([&](std::uint64_t field) {
      if (field == 0) return skip_common();
      std::int64_t number = 0;
      switch (type.kind) {
        case Type::kStruct:
          return field == 1 && read_fields();
        case Type::kMap:
          return at.integer(field == 1 ? type.key : type.element);
        case Type::kArray:
        case Type::kSlice:
          return at.integer(field == 1 ? type.element : number);  // an array's length comes with each value again
        case Type::kOpaque:
          break;
      }
      return false;
    });
  });
  if (is_read) types_[id] = std::move(type);
  return is_read;
}

bool GobReader::read_value(Cursor& at, const Type& type) {
  return at.structure([&](std::uint64_t number) {
    if (number >= type.fields.size()) return false;
    Field field;
    field.name = type.fields[number].first;
    if (!read_field(at, type.fields[number].second, field)) return false;
    fields_.push_back(field);
    return true;
  });
}

bool GobReader::read_field(Cursor& at, std::int64_t type, Field& field) {
  switch (type) {
    case kInt:
      return at.integer(field.integer);
    case kUint:
      return at.natural(field.natural);
    case kBytes:
    case kString:
      return at.text(field.bytes);
    default:
      break;
  }
  const auto defined = types_.find(type);
  if (defined != types_.end() && defined->second.kind == Type::kOpaque) return at.text(field.bytes);
  return skip(at, type, 0);
}

bool GobReader::skip(Cursor& at, std::int64_t type, int depth) {
  if (depth > kDeepest) return false;
  std::uint64_t number = 0;
  std::string_view text;
  switch (type) {
    case kBool:
    case kInt:
    case kUint:
    case kFloat:
      return at.natural(number);
    case kBytes:
    case kString:
      return at.text(text);
    case kComplex:
      return at.natural(number) && at.natural(number);
    case kInterface: {
      std::int64_t id = 0;
      return at.text(text) && (text.empty() || (at.integer(id) && at.text(text)));
    }
    default:
      break;
  }
  const auto found = types_.find(type);
  if (found == types_.end()) return false;
  const Type& defined = found->second;
  switch (defined.kind) {
    case Type::kOpaque:
      return at.text(text);
    case Type::kStruct:
      return at.structure([&](std::uint64_t field) {
        return field < defined.fields.size() && skip(at, defined.fields[field].second, depth + 1);
      });
    case Type::kArray:
    case Type::kSlice:
    case Type::kMap:
      if (!at.count(number)) return false;
      for (std::uint64_t i = 0; i < number; ++i) {
        if (defined.kind == Type::kMap && !skip(at, defined.key, depth + 1)) return false;
        if (!skip(at, defined.element, depth + 1)) return false;
      }
      return true;
  }
  return false;
}

}  // namespace camprobe::load
