// collector/analysis/own_frame.cc: see collector/analysis/own_frame.h.
#include "collector/analysis/own_frame.h"

#include <algorithm>
#include <cctype>
#include <string>
#include <string_view>

namespace camprobe::analysis {

namespace {

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// Allocators of C programs: zmalloc, zrealloc_usable, g_malloc0, ngx_palloc, PyObject_Malloc, xstrdup. A word that ends
// so makes one anywhere in the name, "alloc" alone only as the last: alloc_session is somebody's constructor. A method
// of a class is somebody's own.
bool is_c_allocator(std::string_view name) {
  if (contains(name, "::")) return false;
  std::string plain;
  for (const char c : name) plain += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  for (const std::string_view ending : {"alloc", "strdup", "memalign", "mmap"}) {
    if (plain.ends_with(ending)) return true;
  }
  if (contains(plain, "malloc")) return true;
  plain += '_';
  for (const std::string_view word : {"calloc_", "realloc_", "palloc_", "zalloc_", "reallocarray_"}) {
    if (contains(plain, word)) return true;
  }
  return false;
}

}  // namespace

bool is_v8(std::string_view function) {
  return function.starts_with("v8::");
}

bool is_library_frame(const run::Frame& frame) {
  if (frame.kind == "unknown" || frame.kind == "lost" || frame.kind == "kernel") return true;
  const std::string_view module = frame.module;
  const std::string_view file = module.substr(module.rfind('/') == std::string_view::npos ? 0 : module.rfind('/') + 1);
  for (const std::string_view library : {"libc.so", "libc-", "libstdc++", "libcamprobe", "ld-linux", "libpthread",
                                         "libjemalloc", "libtcmalloc", "libmimalloc", "libc++"}) {
    if (file.starts_with(library)) return true;
  }
  std::string_view name = frame.function;
  // A demangled template begins with its return type: "void std::vector<...>::push_back(...)".
  const std::string_view before_arguments = name.substr(0, std::min(name.find('('), name.find('<')));
  if (const auto space = before_arguments.rfind(' ');
      space != std::string_view::npos && !name.starts_with("operator")) {
    name = name.substr(space + 1);
  }
  if (frame.kind == "js") return frame.file.starts_with("node:");
  const bool in_node = file == "node" || file == "nodejs" || file.starts_with("libnode.so");
  if (in_node && (name.starts_with("node::") || name.starts_with("Builtins_"))) return true;
  if (is_v8(name) || name.starts_with("uv_") || contains(frame.file, "/deps/uv/src/")) return true;
  if (frame.file.starts_with("/usr/include/") || frame.file.starts_with("/usr/lib/"))
    return true;  // headers of libraries
  for (const std::string_view prefix :
       {"std::", "__gnu_cxx::", "operator new", "operator delete", "boost::", "boost_asio", "asio::", "decltype"}) {
    if (name.starts_with(prefix)) return true;
  }
  const std::string_view plain = name.substr(0, name.find_first_of("(<"));
  if (is_c_allocator(plain)) return true;
  for (const std::string_view call :
       {"socket", "connect", "accept", "accept4", "open", "openat", "pipe", "pipe2", "dup", "dup2", "dup3",
        "socketpair", "epoll_create1", "eventfd", "pthread_create", "thrd_create", "_start", "start_thread"}) {
    if (plain == call) return true;
  }
  return false;
}

std::size_t own_frame(const std::vector<run::Frame>& frames) {
  for (std::size_t i = 0; i < frames.size(); ++i) {
    if (!is_library_frame(frames[i])) return i;
  }
  // Node's own JavaScript says more than the native code beneath it.
  for (std::size_t i = 0; i < frames.size(); ++i) {
    if (frames[i].kind == "js") return i;
  }
  return 0;
}

std::uint64_t hash_of_name(std::string_view name) {  // FNV-1a
  std::uint64_t hash = 1469598103934665603ull;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  return hash | 1;  // 0 means unknown
}

}  // namespace camprobe::analysis
