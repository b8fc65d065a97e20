// sampler/unwind_table.cc: see unwind_table.h.
#include "sampler/unwind_table.h"

#include "sampler/unwind_registers.h"

namespace camprobe::sampler {
namespace {

// One length-prefixed record, a CIE or an FDE; `id_at` is where its second field stands, from which an FDE's CIE is
// counted back.
Bytes record_at(const Image& image, std::uintptr_t address, std::uintptr_t* id_at) {
  Bytes rest = bytes_at(image, address);
  const std::uint32_t length = rest.take<std::uint32_t>();
  *id_at = reinterpret_cast<std::uintptr_t>(rest.at());
  if (rest.bad() || length == 0 || length == 0xffffffff ||
      length > static_cast<std::uintptr_t>(rest.end() - rest.at())) {
    return {};
  }
  return Bytes(rest.at(), rest.at() + length);
}

// The last entry of the look-up table that begins at or before `pc`: the address of its FDE, or 0.
std::uintptr_t find_in_table(const Image& image, std::uintptr_t header, std::uintptr_t pc) {
  Bytes bytes = bytes_at(image, header);
  const std::uint8_t version = bytes.take<std::uint8_t>();
  const std::uint8_t section_encoding = bytes.take<std::uint8_t>();
  const std::uint8_t count_encoding = bytes.take<std::uint8_t>();
  const std::uint8_t table_encoding = bytes.take<std::uint8_t>();
  if (version != 1 || count_encoding == kEncOmit || table_encoding != (kEncDataRelative | kEncS4)) {
    return 0;
  }
  bytes.encoded(section_encoding, header);
  std::uint64_t count = bytes.encoded(count_encoding, header);
  if (bytes.bad()) {
    return 0;
  }
  struct Entry {
    std::int32_t begin, fde;  // both relative to the header
  };
  const std::uint64_t room = static_cast<std::uint64_t>(bytes.end() - bytes.at()) / sizeof(Entry);
  count = count < room ? count : room;
  const auto entry = [&](std::uint64_t index) {
    Entry read;
    __builtin_memcpy(&read, bytes.at() + index * sizeof(Entry), sizeof(Entry));
    return read;
  };
  const std::int64_t wanted = static_cast<std::int64_t>(pc - header);
  std::uint64_t low = 0;
  while (count > 0) {
    const std::uint64_t half = count / 2;
    if (entry(low + half).begin <= wanted) {
      low += half + 1;
      count -= half + 1;
    } else {
      count = half;
    }
  }
  return low == 0 ? 0 : header + static_cast<std::uint64_t>(std::int64_t{entry(low - 1).fde});
}

bool parse_cie(const Image& image, std::uintptr_t address, Cie* cie) {
  std::uintptr_t id_at;
  Bytes bytes = record_at(image, address, &id_at);
  const std::uint32_t id = bytes.take<std::uint32_t>();
  const std::uint8_t version = bytes.take<std::uint8_t>();
  if (bytes.bad() || id != 0 || (version != 1 && version != 3)) {
    return false;
  }
  const std::uint8_t* augmentation = bytes.at();
  while (bytes.take<std::uint8_t>() != 0) {
  }
  cie->code_align = bytes.uleb();
  cie->data_align = bytes.sleb();
  const std::uint64_t return_column = version == 1 ? bytes.take<std::uint8_t>() : bytes.uleb();
  if (bytes.bad() || return_column != kReturnAddress) {
    return false;
  }
  cie->pointer_encoding = kEncAbsolute;
  cie->is_signal_frame = false;
  cie->has_augmentation = *augmentation == 'z';
  if (!cie->has_augmentation && *augmentation != 0) {
    return false;
  }
  if (cie->has_augmentation) {
    const std::uint64_t size = bytes.uleb();
    Bytes data = bytes;
    bytes.skip(size);
    for (const std::uint8_t* letter = augmentation + 1; *letter != 0; ++letter) {
      switch (*letter) {
        case 'R':
          cie->pointer_encoding = data.take<std::uint8_t>();
          break;
        case 'L':
          data.skip(1);
          break;
        case 'P': {
          const std::uint8_t encoding = data.take<std::uint8_t>();
          data.encoded(encoding & 0x7f, 0);
          break;
        }
        case 'S':
          cie->is_signal_frame = true;
          break;
        default:
          return false;
      }
    }
    if (data.bad()) {
      return false;
    }
  }
  cie->program = bytes;
  return !bytes.bad();
}

}  // namespace

RowStatus find_entry(const Image& image, std::uintptr_t header, std::uintptr_t pc, FunctionEntry* entry) {
  const std::uintptr_t fde_at = find_in_table(image, header, pc);
  std::uintptr_t id_at;
  Bytes fde = record_at(image, fde_at, &id_at);
  const std::uint32_t back_to_cie = fde.take<std::uint32_t>();
  if (fde.bad() || back_to_cie == 0) {
    return RowStatus::no_entry;
  }
  Cie& cie = entry->cie;
  if (!parse_cie(image, id_at - back_to_cie, &cie) || (cie.pointer_encoding & kEncIndirect) != 0) {
    return RowStatus::unsupported;
  }
  entry->begin = fde.encoded(cie.pointer_encoding, header);
  const std::uint64_t length = fde.encoded(cie.pointer_encoding & 0x0f, header);
  if (cie.has_augmentation) {
    fde.skip(fde.uleb());
  }
  if (fde.bad()) {
    return RowStatus::unsupported;
  }
  if (pc - entry->begin >= length) {
    return RowStatus::no_entry;
  }
  entry->program = fde;
  entry->base = reinterpret_cast<const std::uint8_t*>(fde_at);
  entry->limit = bytes_at(image, fde_at).end();
  return RowStatus::found;
}

}  // namespace camprobe::sampler
