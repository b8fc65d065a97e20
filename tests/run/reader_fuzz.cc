// Any bytes for a run file: opening says what is wrong, or every question is answered without a crash.
#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <string>

#include "run/reader.h"
#include "tests/run/scratch.h"

using namespace camprobe::run;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Scratch scratch;
  static const std::string path = scratch / "fuzz.camrun";
  static const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (::ftruncate(file, 0) != 0 || ::pwrite(file, data, size, 0) != static_cast<ssize_t>(size)) return 0;

  auto opened = Reader::open(path);
  if (!opened) return 0;
  Reader& reader = *opened;
  reader.pin();
  (void)reader.meta();
  (void)reader.duration_ns();
  (void)reader.processes();
  (void)reader.threads();
  (void)reader.modules();
  for (const Metric& metric : reader.metrics()) (void)reader.series(metric.name);
  const Slice slice{.from_ns = kEver / 2, .to_ns = kEver};
  for (const StackWeight& weight : reader.cpu()) {
    for (const FrameId frame : reader.stack(weight.stack).frames) (void)reader.frame(frame);
  }
  (void)reader.cpu(slice);
  (void)reader.wait();
  (void)reader.alloc();
  (void)reader.live(5'000'000'000);
  (void)reader.retained({.from_ns = 1, .to_ns = 9'000'000'000});
  (void)reader.heap_objects();
  (void)reader.lifetimes();
  (void)reader.mappings();
  (void)reader.descriptors();
  (void)reader.descriptor_sums();
  (void)reader.io();
  for (const SpanStat& stat : reader.span_stats()) (void)reader.name(stat.name);
  (void)reader.span_attributes();
  (void)reader.spans();
  (void)reader.load_sources();
  (void)reader.load_buckets();
  (void)reader.load_windows();
  (void)reader.marks();
  (void)reader.lost();
  (void)reader.settings();
  reader.unpin();
  return 0;
}
