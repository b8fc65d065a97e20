// collector/symbols/module_file.cc
//
// Which of stub, DWARF and symbol table has the say about an address.
#include "collector/symbols/module_file.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "collector/symbols/demangle.h"

namespace camprobe::symbols {
namespace {

// Without the version that .symtab attaches ("memcpy@GLIBC_2.2.5").
std::string readable(const SymbolTable::Match& symbol) {
  const std::string_view name = symbol.name;
  const std::size_t version = name.find('@');
  return demangle(version == 0 ? name : name.substr(0, version));
}

}  // namespace

std::shared_ptr<ModuleFile> ModuleFile::open(UniqueFd fd, const std::string& path, std::uint64_t serial,
                                             std::string& error) {
  std::shared_ptr<ModuleFile> file(new ModuleFile(std::move(fd), path, serial));
  // Only a look at what it is: most files are opened long before anything in them is asked for, or never.
  return ElfFile::open(file->another_descriptor(), path, error) ? file : nullptr;
}

UniqueFd ModuleFile::another_descriptor() const {
  return UniqueFd(::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0));
}

bool ModuleFile::load(std::string& error) {
  if (content_) return true;
  auto content = std::make_unique<Content>();
  content->elf = ElfFile::open(another_descriptor(), path_, error);
  if (!content->elf) return false;
  content->symbols.emplace(*content->elf);
  content->stubs.emplace(*content->elf);
  content->debug.emplace(*content->elf);
  content_ = std::move(content);
  return true;
}

std::size_t ModuleFile::bytes() const {
  return content_ ? content_->symbols->bytes() + content_->debug->bytes() : 0;
}

std::vector<Frame> ModuleFile::resolve(std::uint64_t address) {
  Frame unnamed;
  unnamed.address = address;
  std::string error;
  if (!load(error) || !content_->elf->is_code(address)) return {unnamed};

  if (const auto stub = content_->stubs->find(address)) {
    unnamed.function = demangle(*stub) + "@plt";
    unnamed.kind = FrameKind::kNative;
    return {unnamed};
  }
  const auto symbol = content_->symbols->find(address);
  std::vector<Frame> frames;
  for (DebugInfo::Function& function : content_->debug->find(address)) {
    Frame frame;
    frame.function = std::move(function.name);
    frame.file = std::move(function.file);
    frame.line = function.line;
    frame.address = address;
    frame.kind = function.inlined ? FrameKind::kInlined : FrameKind::kNative;
    if (!function.inlined && frame.function.empty() && symbol) frame.function = readable(*symbol);
    if (!function.inlined && !function.has_linkage_name) {
      // The symbol at the function's entry may know better than the source's bare name: the arguments of a static C++
      // function, or, for a C library's __GI___libc_read, the name callers know. The cold part of a function, which has
      // a symbol of its own, thus keeps the name of the rest.
      const auto entry = content_->symbols->find(function.entry);
      if (entry && entry->begin == function.entry) {
        const std::string better = readable(*entry);
        const bool mangled = better != entry->name && better.find('(') != std::string::npos;
        const bool public_name = frame.function.starts_with('_') && entry->exported;
        if (mangled || public_name) frame.function = better.substr(0, better.find(" [clone "));
      }
    }
    if (frame.function.empty()) frame.kind = FrameKind::kUnknown;
    frames.push_back(std::move(frame));
  }
  if (!frames.empty()) return frames;
  if (symbol) {
    unnamed.function = readable(*symbol);
    unnamed.kind = FrameKind::kNative;
  }
  return {unnamed};
}

bool ModuleFile::is_signal_return(std::uint64_t address) {
  // mov $15, %rax; syscall: the kernel's rt_sigreturn, by which libc and the vdso return from a handler.
  static constexpr std::array<std::uint8_t, 9> kX86 = {0x48, 0xc7, 0xc0, 0x0f, 0x00, 0x00, 0x00, 0x0f, 0x05};
  std::string error;
  if (!load(error) || content_->elf->machine() != EM_X86_64) return false;
  const std::vector<std::uint8_t> code = content_->elf->bytes_at(address, kX86.size());
  return std::equal(code.begin(), code.end(), kX86.begin(), kX86.end());
}

}  // namespace camprobe::symbols
