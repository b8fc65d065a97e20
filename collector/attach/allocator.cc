#include "collector/attach/allocator.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <vector>

namespace camprobe::attach {
namespace {

namespace fs = std::filesystem;

struct Allocator {
  const char* name;
  std::array<const char*, 2> files;  // the first that is there
  const char* package;               // Debian's
};

constexpr std::array kAllocators{
    Allocator{"tcmalloc", {"libtcmalloc_minimal.so.4", "libtcmalloc.so.4"}, "libtcmalloc-minimal4"},
    Allocator{"jemalloc", {"libjemalloc.so.2", "libjemalloc.so.1"}, "libjemalloc2"},
    Allocator{"mimalloc", {"libmimalloc.so.2", "libmimalloc.so.2.0"}, "libmimalloc2.0"},
};

// Where the loader found libc, and where else libraries of this machine's kind lie.
std::vector<fs::path> library_directories() {
  std::vector<fs::path> directories{"/usr/local/lib", "/usr/lib64", "/usr/lib"};
  Dl_info info{};
  if (::dladdr(reinterpret_cast<const void*>(&::getenv), &info) != 0 && info.dli_fname != nullptr)
    directories.insert(directories.begin(), fs::path(info.dli_fname).parent_path());
  return directories;
}

}  // namespace

run::Result<std::string> find_allocator(const std::string& name) {
  for (const Allocator& allocator : kAllocators) {
    if (name != allocator.name) continue;
    for (const fs::path& directory : library_directories()) {
      for (const char* file : allocator.files) {
        std::error_code failed;
        if (fs::exists(directory / file, failed)) return (directory / file).string();
      }
    }
    return run::Error{fmt::format("{} is not installed ({}): on Debian it is in {}", name, allocator.files.front(),
                                  allocator.package)};
  }
  return run::Error{fmt::format("there is no allocator {}: known are tcmalloc, jemalloc and mimalloc", name)};
}

}  // namespace camprobe::attach
