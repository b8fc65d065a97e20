// collector/symbols/module_symbols.h
//
// The ELF files of all targets, each opened once, and what was found out about addresses in them.
//
// Keyed by build-id, so that a hundred workers of one program, or one library in a hundred containers, share one entry;
// a file without a build-id is keyed by device, inode and modification time. A file whose build-id is not the recorded
// one is not the code that ran and is not used.
//
// Memory is bounded (Limits): results are kept in least-recently-used order, DWARF that has grown beyond its share is
// dropped and read again when needed, and files that no process uses any more are closed. What libdw holds can only be
// guessed at, and pages of mapped files count too, so the kernel is asked now and then how much this process takes, and
// all files are unloaded where that is more than allowed. Whoever has many addresses should ask for them at once
// (resolve_all): an unload then costs one reading of one compilation unit, not one for every address.
//
// Thread-compatible: one owner, one thread at a time.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "collector/symbols/frame.h"
#include "collector/symbols/target_files.h"

namespace camprobe::symbols {

// A module as the probe recorded it.
struct RecordedModule {
  std::string path{};      // as the loader knows it; the kernel may have added " (deleted)"
  std::string build_id{};  // lower-case hexadecimal, or empty
  std::uint64_t base = 0;  // load bias: run-time address minus link-time address
  std::uint64_t low = 0;   // text, at run time: [low, high)
  std::uint64_t high = 0;
  // Wall clock: a file without a build-id that was changed later is not what was loaded. 0: not looked at.
  std::int64_t not_changed_after_ns = 0;
};

class ModuleFile;  // one opened ELF file

class ModuleSymbols {
 public:
  struct Limits {
    std::size_t result_bytes = 8u << 20;  // resolved addresses
    std::size_t debug_bytes = 24u << 20;  // DWARF and symbol tables, of all modules together
    std::size_t idle_modules = 64;        // files kept open though no process uses them
    // Of the whole process, others' memory included (where that takes more, some megabytes beyond it); 0: not looked
    // at.
    std::size_t resident_bytes = 0;
  };

  struct Usage {
    std::size_t modules = 0;
    std::size_t results = 0;
    std::size_t result_bytes = 0;
    std::size_t debug_bytes = 0;
    std::uint64_t hits = 0;
    std::uint64_t misses = 0;
    std::uint64_t unloads = 0;  // times DWARF was dropped to stay within Limits::debug_bytes
  };

  // A module's file, or why there is none: "no such file", "build-id differs", libelf's own words.
  struct Found {
    std::shared_ptr<ModuleFile> file;
    std::string why_not;
  };

  ModuleSymbols();
  explicit ModuleSymbols(Limits limits);
  ~ModuleSymbols();
  ModuleSymbols(const ModuleSymbols&) = delete;
  ModuleSymbols& operator=(const ModuleSymbols&) = delete;

  // The file of a recorded module, opened as the target sees it.
  Found find(const RecordedModule& module, const TargetFiles& files);

  struct Resolved {
    // Innermost first, at least one; Frame::module is left empty. Empty name and kind unknown if the file has no name.
    std::vector<Frame> frames;
    // The next byte is where signal handlers return to: whoever "returns" there was called by the kernel.
    bool before_signal_return = false;
  };

  // What is at a link-time address. The reference holds until the next call.
  const Resolved& resolve(const std::shared_ptr<ModuleFile>& file, std::uint64_t address);

  // Many addresses at once, file by file and in the order they lie there, for resolve() to find in the cache. A file is
  // read once and given back before the next one is read, so the largest of them is what this takes.
  using AddressesByFile = std::map<std::shared_ptr<ModuleFile>, std::vector<std::uint64_t>>;
  void resolve_all(AddressesByFile addresses);

  // Gives back all that was made of the files and can be read again; answers are kept. forget_all() gives those back as
  // well, to be called when nothing is to be named for a while.
  void unload_all();
  void forget_all();

  Usage usage() const;
  const Limits& limits() const { return limits_; }

 private:
  struct Key {
    std::uint64_t file;  // ModuleFile's serial number, never used twice
    std::uint64_t address;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const {
      return static_cast<std::size_t>((key.address ^ key.file << 48) * 0x9e3779b97f4a7c15u >> 16);
    }
  };
  // What an address was resolved to, in little room: a C++ server's function has a name of a kilobyte, and hundreds of
  // addresses.
  using Text = std::pair<const std::string, std::size_t>;  // and how many frames have it
  struct KeptFrame {
    Text* function;
    Text* file;
    std::uint64_t address;
    std::uint32_t line;
    FrameKind kind;
  };
  struct Result {
    Key key;
    std::vector<KeptFrame> frames;
    bool before_signal_return;
    std::size_t bytes;  // without texts
  };

  Text* keep(std::string text);
  void release(Text* text);
  const Resolved& answer(const Result& result);

  std::shared_ptr<ModuleFile> load(UniqueFd fd, const std::string& path, const std::string& build_id,
                                   std::string& why_not);
  void stay_within_limits();
  void stay_within_resident_bytes();

  Limits limits_;
  Usage usage_;
  std::uint64_t clock_ = 0;  // counts uses, to know what was used last
  std::uint64_t next_serial_ = 1;
  std::uint64_t next_look_at_resident_ = 0, next_unload_ = 0;  // in misses
  std::size_t at_rest_bytes_ = 0;                              // the process, when the files were last unloaded
  std::unordered_map<std::string, std::shared_ptr<ModuleFile>> files_;
  std::list<Result> results_;  // most recently used first
  std::unordered_map<Key, std::list<Result>::iterator, KeyHash> by_key_;
  std::unordered_map<std::string, std::size_t> texts_;
  Resolved answer_;
};

}  // namespace camprobe::symbols
