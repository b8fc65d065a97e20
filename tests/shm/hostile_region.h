// tests/shm/hostile_region.h
//
// A region whose target is an enemy of its reader: a whole, lived-in region in a sparse file without a name, and a list
// of edits that a hostile program could make to it. Edits know the layout (shm/layout.h): records with right or forged
// sequence numbers, interned bytes with the right hash, tables filled to the brim, wrapped heads, holes, truncation.
// Some wait until the reader has made a number of reads, so that memory changes between two looks at it.
//
// The file's bytes are the input of every fuzz target that reads regions; tests/shm/hostile_mutator.cc makes and
// changes such inputs. One a process, because it watches pread().
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "shm/layout.h"

namespace camprobe::shm {

enum class Part : std::uint8_t {
  kHeader,
  kControl,
  kNameIndex,
  kNameArena,
  kModules,
  kStackIndex,
  kStackArena,
  kLiveKeys,
  kLiveSamples,
  kDescriptors,
  kSpans,
  kLanes,
  kRing,        // element: lane, slot (index = lane + kLanes * slot)
  kSignalRing,  // the same
  kSampleIndex,
  kSampleArena,
  kParts
};

enum class EditKind : std::uint8_t {
  kStore,     // data at field `field` of element `index`
  kRecord,    // a whole record at the head of lane `index`'s ring; data: what follows the sequence number
  kIntern,    // data as an entry with the right hash at id `index`, its text or frames repeated
  kLive,      // data (key, sample) in slot `index` of the live table
  kHole,      // pages of zeros from element `index` on
  kTruncate,  // the file ends at byte `argument`
  kRound,     // what follows happens after another round of reading; see the target
  kKinds
};

struct Edit {
  EditKind kind = EditKind::kStore;
  Part part = Part::kHeader;
  std::uint16_t after_reads = 0;  // 0: between rounds; n: before the round's n-th read of the file
  std::uint32_t index = 0;
  std::uint16_t field = 0;
  std::uint8_t repeat = 0;  // 2^repeat elements from `index` on, `argument` added each time to the word at `field`
  std::uint32_t argument = 0;
  std::vector<std::uint8_t> data;  // at most kMostData
};
inline constexpr std::size_t kMostData = 96, kMostEdits = 64;
inline constexpr std::uint32_t kMostRepeat = 16;

// Any bytes are edits, and edits are bytes again.
std::vector<Edit> parse_edits(const std::uint8_t* data, std::size_t size);
std::vector<std::uint8_t> serialise(const std::vector<Edit>& edits);

class HostileRegion {
 public:
  static constexpr std::uint64_t kCreatedNs = 1'000'000'000'000;
  // No process has it, so what the reader looks up in /proc is the same on every machine.
  static constexpr std::uint32_t kPid = 0x7ffffff0;

  static HostileRegion& instance();

  // Opens anew by this name.
  const std::string& path() const { return path_; }
  // A descriptor that reads the region; a round's edits take note of the reads through it.
  int open_reader();
  bool is_reader(int fd) const { return fd == reader_; }

  void begin_round();
  void apply(const Edit& edit);
  // As it was at first.
  void restore();
  // Whether an edit since restore() reached what lies there; a table that none reached reads as it always does.
  bool has_changed(std::uint64_t from, std::uint64_t to) const;
  // Everything ever there since restore(), in words of eight bytes: what a reader could make of it is in proportion.
  std::uint64_t words_written() const { return words_written_; }

  void before_read();

 private:
  HostileRegion();
  void now(const Edit& edit);
  void write(std::uint64_t offset, const void* data, std::size_t bytes);
  std::uint64_t read_word(std::uint64_t offset) const;

  int fd_ = -1, reader_ = -1;
  char* mapping_ = nullptr;  // to write through, as long as the file has its size
  std::string path_;
  std::vector<std::pair<std::uint64_t, std::vector<char>>> pages_;  // of the lived-in region, those that are not zero
  std::vector<std::uint64_t> touched_;                              // pages, 1 bit each
  std::vector<Edit> waiting_;
  std::uint64_t reads_ = 0;
  std::uint64_t words_written_ = 0;
  bool is_resized_ = false;
};

// Where a part's element lies, and how many there are.
std::uint64_t offset_of(Part part, std::uint32_t index);
std::uint32_t elements_of(Part part);
std::uint32_t stride_of(Part part);

}  // namespace camprobe::shm
