// collector/symbols/module_symbols.cc
//
// Finds the right file for a recorded module, and keeps the cache within its limits.
#include "collector/symbols/module_symbols.h"

#include <elf.h>
#include <malloc.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "collector/symbols/module_file.h"

namespace camprobe::symbols {
namespace {

constexpr std::string_view kDeleted = " (deleted)";

bool is_vdso(std::string_view path) {
  return path == "[vdso]" || path.starts_with("linux-vdso.so") || path.starts_with("linux-gate.so");
}

// The kernel maps the same vdso into every process of one architecture; a target's is read from our own, as a file in
// memory.
UniqueFd copy_own_vdso() {
  const unsigned long begin = ::getauxval(AT_SYSINFO_EHDR);
  std::ifstream maps("/proc/self/maps");
  for (std::string line; begin != 0 && std::getline(maps, line);) {
    unsigned long low = 0;
    unsigned long high = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx", &low, &high) != 2 || low != begin) continue;
    UniqueFd file(::memfd_create("vdso", MFD_CLOEXEC));
    const auto size = static_cast<ssize_t>(high - low);
    if (!file || ::pwrite(file.get(), reinterpret_cast<const void*>(begin), high - low, 0) != size) return {};
    return file;
  }
  return {};
}

std::size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::size_t size = 0, resident = 0;
  statm >> size >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

// When the file's content or its place was last changed, on the wall clock.
std::int64_t changed_ns(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return 0;
  const auto ns = [](const timespec& time) { return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; };
  return std::max(ns(status.st_mtim), ns(status.st_ctim));
}

std::size_t heap_bytes(const std::string& text) {
  return text.capacity() > 15 ? text.capacity() + 1 : 0;
}

}  // namespace

ModuleSymbols::ModuleSymbols() : ModuleSymbols(Limits{}) {}
ModuleSymbols::ModuleSymbols(Limits limits) : limits_(limits) {}
ModuleSymbols::~ModuleSymbols() = default;

ModuleSymbols::Found ModuleSymbols::find(const RecordedModule& module, const TargetFiles& files) {
  if (!module.build_id.empty()) {
    const auto known = files_.find(module.build_id);
    if (known != files_.end()) return {known->second, {}};
  }
  std::string why_not = "no such file";
  // A candidate counts if it has the recorded build-id; without one on record, if it cannot be another file.
  const auto attempt = [&](UniqueFd fd, const std::string& path, bool surely_the_same) -> std::shared_ptr<ModuleFile> {
    if (!fd) return nullptr;
    const std::string build_id = ElfFile::build_id_of(fd.get());
    if (module.build_id.empty() ? !surely_the_same : build_id != module.build_id) {
      why_not = module.build_id.empty() ? "file was deleted" : "build-id differs";
      return nullptr;
    }
    if (module.build_id.empty() && module.not_changed_after_ns != 0 &&
        changed_ns(fd.get()) > module.not_changed_after_ns) {
      why_not = "file was changed since";
      return nullptr;
    }
    return load(std::move(fd), path, build_id, why_not);
  };
  if (is_vdso(module.path)) return {attempt(copy_own_vdso(), "[vdso]", true), why_not};

  const bool deleted = module.path.ends_with(kDeleted);
  const std::string path = deleted ? module.path.substr(0, module.path.size() - kDeleted.size()) : module.path;
  Found found;
  if ((found.file = attempt(files.open(path), path, !deleted))) return found;
  if ((found.file = attempt(files.open_mapped(module.low), path, true))) return found;
  // Our rights may not reach map_files; the executable itself needs none. Without a build-id it could be any module's.
  if (!module.build_id.empty() && (found.file = attempt(files.open_executable(), path, false))) return found;
  found.why_not = why_not;
  return found;
}

std::shared_ptr<ModuleFile> ModuleSymbols::load(UniqueFd fd, const std::string& path, const std::string& build_id,
                                                std::string& why_not) {
  std::string key = build_id;
  if (key.empty()) {
    struct stat status {};
    ::fstat(fd.get(), &status);
    key = std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino) + ":" +
          std::to_string(status.st_mtim.tv_sec) + "." + std::to_string(status.st_mtim.tv_nsec);
    // A memory file of ours has no lasting inode.
    if (path == "[vdso]") key = path;
  }
  const auto known = files_.find(key);
  if (known != files_.end()) return known->second;
  auto file = ModuleFile::open(std::move(fd), path, next_serial_++, why_not);
  if (!file) return nullptr;
  file->last_use = ++clock_;
  files_.emplace(std::move(key), file);
  stay_within_limits();
  return file;
}

const ModuleSymbols::Resolved& ModuleSymbols::resolve(const std::shared_ptr<ModuleFile>& file, std::uint64_t address) {
  const Key key{file->serial(), address};
  const auto known = by_key_.find(key);
  if (known != by_key_.end()) {
    ++usage_.hits;
    results_.splice(results_.begin(), results_, known->second);
    return answer(*known->second);
  }
  ++usage_.misses;
  file->last_use = ++clock_;
  Result result{key, {}, file->is_signal_return(address + 1), 0};
  for (Frame& frame : file->resolve(address)) {
    Text* function = keep(std::move(frame.function));
    result.frames.push_back({function, keep(std::move(frame.file)), frame.address, frame.line, frame.kind});
  }
  result.frames.shrink_to_fit();
  result.bytes = sizeof(Result) + 64 + result.frames.size() * sizeof(KeptFrame);  // and the nodes of list and map
  usage_.result_bytes += result.bytes;
  results_.push_front(std::move(result));
  by_key_.emplace(key, results_.begin());
  stay_within_limits();
  stay_within_resident_bytes();
  return answer(results_.front());
}

const ModuleSymbols::Resolved& ModuleSymbols::answer(const Result& result) {
  answer_.before_signal_return = result.before_signal_return;
  answer_.frames.resize(result.frames.size());
  for (std::size_t i = 0; i < result.frames.size(); ++i) {
    const KeptFrame& kept = result.frames[i];
    Frame& frame = answer_.frames[i];
    frame.function = kept.function->first;
    frame.file = kept.file->first;
    frame.line = kept.line;
    frame.address = kept.address;
    frame.kind = kept.kind;
  }
  return answer_;
}

namespace {

// And the node of the map.
std::size_t bytes_of(const std::string& text) {
  return sizeof text + heap_bytes(text) + 48;
}

}  // namespace

ModuleSymbols::Text* ModuleSymbols::keep(std::string text) {
  text.shrink_to_fit();
  const auto [at, is_new] = texts_.try_emplace(std::move(text), 0);
  if (is_new) usage_.result_bytes += bytes_of(at->first);
  ++at->second;
  return &*at;
}

void ModuleSymbols::release(Text* text) {
  if (--text->second > 0) return;
  usage_.result_bytes -= bytes_of(text->first);
  texts_.erase(texts_.find(text->first));
}

void ModuleSymbols::resolve_all(AddressesByFile by_file) {
  for (auto& [file, addresses] : by_file) {
    std::sort(addresses.begin(), addresses.end());
    addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
    constexpr std::size_t kBetweenDrops = 64;
    for (std::size_t i = 0; i < addresses.size(); ++i) {
      resolve(file, addresses[i]);
      if (limits_.resident_bytes != 0 && i % kBetweenDrops == kBetweenDrops - 1) file->drop_pages();
    }
    if (file->bytes() == 0) continue;
    file->unload();
    ++usage_.unloads;
    ::malloc_trim(0);
  }
}

void ModuleSymbols::unload_all() {
  for (const auto& [key, file] : files_) {
    usage_.unloads += file->bytes() > 0;
    file->unload();
  }
  ::malloc_trim(0);
  if (limits_.resident_bytes != 0) at_rest_bytes_ = resident_bytes();
}

void ModuleSymbols::forget_all() {
  results_.clear();
  by_key_.clear();
  texts_.clear();
  usage_.result_bytes = 0;
  unload_all();
}

void ModuleSymbols::stay_within_resident_bytes() {
  constexpr std::uint64_t kOften = 8, kBetweenDrops = 64;
  // A file that was unloaded is read again, a tenth of a second for a large one: for hundreds of addresses, not for
  // each few of them.
  constexpr std::uint64_t kBetweenUnloads = 256;
  constexpr std::size_t kLeast = std::size_t{20} << 20;  // what a look-up may need, whatever others in the process take
  if (limits_.resident_bytes == 0 || usage_.misses < next_look_at_resident_) return;
  next_look_at_resident_ = usage_.misses + kOften;
  const std::size_t allowed = std::max(limits_.resident_bytes, at_rest_bytes_ == 0 ? 0 : at_rest_bytes_ + kLeast);
  if (resident_bytes() <= allowed) return;
  // Reading a large program's names touches most of its file once; that is soon given back.
  for (const auto& [key, file] : files_) file->drop_pages();
  next_look_at_resident_ = usage_.misses + kBetweenDrops;
  if (usage_.misses < next_unload_ || resident_bytes() <= allowed) return;
  unload_all();
  next_unload_ = usage_.misses + kBetweenUnloads;
}

void ModuleSymbols::stay_within_limits() {
  while (usage_.result_bytes > limits_.result_bytes && results_.size() > 1) {
    usage_.result_bytes -= results_.back().bytes;
    for (const KeptFrame& frame : results_.back().frames) {
      release(frame.function);
      release(frame.file);
    }
    by_key_.erase(results_.back().key);
    results_.pop_back();
  }

  std::size_t debug_bytes = 0;
  std::size_t idle = 0;
  for (const auto& [key, file] : files_) {
    debug_bytes += file->bytes();
    idle += file.use_count() == 1;
  }
  while (debug_bytes > limits_.debug_bytes) {
    ModuleFile* oldest = nullptr;
    for (const auto& [key, file] : files_) {
      if (file->bytes() > 0 && (oldest == nullptr || file->last_use < oldest->last_use)) oldest = file.get();
    }
    if (oldest == nullptr) break;
    debug_bytes -= oldest->bytes();
    oldest->unload();
    ++usage_.unloads;
  }
  while (idle > limits_.idle_modules) {
    auto oldest = files_.end();
    for (auto i = files_.begin(); i != files_.end(); ++i) {
      if (i->second.use_count() == 1 && (oldest == files_.end() || i->second->last_use < oldest->second->last_use))
        oldest = i;
    }
    files_.erase(oldest);
    --idle;
  }
}

ModuleSymbols::Usage ModuleSymbols::usage() const {
  Usage usage = usage_;
  usage.modules = files_.size();
  usage.results = results_.size();
  for (const auto& [key, file] : files_) usage.debug_bytes += file->bytes();
  return usage;
}

}  // namespace camprobe::symbols
