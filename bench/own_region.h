// bench/own_region.h
//
// The region that the probe made for the benchmark's own process, looked at from inside as a collector does from
// outside: by its file.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string>

#include "shm/layout.h"

namespace camprobe::bench {

class OwnRegion {
 public:
  OwnRegion() {
    char prefix[64];
    std::snprintf(prefix, sizeof prefix, "camprobe.%u.%d.", geteuid(), getpid());
    DIR* directory = opendir("/dev/shm");
    if (directory == nullptr) return;
    std::string found;
    while (const dirent* entry = readdir(directory))
      if (std::strncmp(entry->d_name, prefix, std::strlen(prefix)) == 0) found = entry->d_name;
    closedir(directory);
    if (found.empty()) return;
    const int fd = open(("/dev/shm/" + found).c_str(), O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    void* map = mmap(nullptr, 2 * shm::kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (map != MAP_FAILED) base_ = static_cast<char*>(map);
  }

  // False where the probe is not loaded, or off.
  explicit operator bool() const { return base_ != nullptr; }
  const shm::RegionHeader& header() const { return *reinterpret_cast<const shm::RegionHeader*>(base_); }

  // Asks for another heap interval and returns when it holds. `allocate` must allocate: the probe looks at its orders
  // when a sample is due.
  template <typename Allocate>
  void set_heap_interval(std::uint64_t bytes, Allocate allocate) {
    auto& control = *reinterpret_cast<shm::ControlBlock*>(base_ + shm::kControlOffset);
    control.heap_interval.store(bytes);
    const std::uint32_t version = control.version.fetch_add(1) + 1;
    while (header().control_seen.load() != version) allocate();
  }

 private:
  char* base_ = nullptr;
};

}  // namespace camprobe::bench
