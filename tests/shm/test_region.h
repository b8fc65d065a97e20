// tests/shm/test_region.h
//
// A region of the test process itself, removed at the end, and a reader of it.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "shm/region.h"
#include "shm/region_reader.h"
#include "shm/ring.h"

namespace camprobe::shm {

class TestRegion {
 public:
  TestRegion() {
    CreateFailure failure;
    Region::Options options;
    options.run_id = "test-run";
    created_ = region_->create(options, &failure);
    if (!created_) error_ = std::string(failure.what) + " (" + std::to_string(failure.error) + ")";
  }
  ~TestRegion() {
    region_->unlink();
    region_->abandon();
  }
  TestRegion(const TestRegion&) = delete;
  TestRegion& operator=(const TestRegion&) = delete;

  Region& operator*() { return *region_; }
  Region* operator->() { return region_.get(); }
  bool created() const { return created_; }
  const std::string& error() const { return error_; }

  RegionReader reader() {
    std::string error;
    auto reader = RegionReader::open(region_->path(), &error);
    EXPECT_TRUE(reader.has_value()) << error;
    return std::move(*reader);
  }

  // The ring of a lane, attached.
  RingWriter ring(int lane) {
    RingWriter writer, signal_writer;
    region_->attach_rings(lane, &writer, &signal_writer);
    return writer;
  }

 private:
  std::unique_ptr<Region> region_ = std::make_unique<Region>();
  bool created_ = false;
  std::string error_;
};

// A record whose every word tells its number, so that a mixture of two is found out.
inline void write_numbered(RingWriter& ring, std::uint64_t n) {
  const std::uint64_t words[4] = {n, n * 3, ~n, n ^ 0x5555};
  ring.write(n, RecordKind::kAlloc, static_cast<std::uint16_t>(n), static_cast<StackId>(n), n, words);
}
inline bool is_whole(const ReadRecord& r) {
  const std::uint64_t n = r.time_ns;
  return r.kind == RecordKind::kAlloc && r.flags == static_cast<std::uint16_t>(n) &&
         r.stack == static_cast<StackId>(n) && r.span == n && r.words[0] == n && r.words[1] == n * 3 &&
         r.words[2] == ~n && r.words[3] == (n ^ 0x5555);
}

}  // namespace camprobe::shm
