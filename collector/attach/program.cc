#include "collector/attach/program.h"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "collector/attach/environment.h"

namespace camprobe::attach {
namespace {

namespace fs = std::filesystem;

constexpr int kScriptDepth = 4;  // as the kernel's own limit on interpreters of interpreters

bool is_executable_file(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && ::access(path.c_str(), X_OK) == 0;
}

// Where execvp would find it; empty where it would not.
std::string search_path(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  const char* variable = std::getenv("PATH");
  std::string_view rest = variable != nullptr ? variable : "/bin:/usr/bin";
  std::string found_but_not_executable;
  for (;;) {
    const std::size_t colon = rest.find(':');
    const std::string directory(rest.substr(0, colon));
    const std::string candidate = (directory.empty() ? "." : directory) + "/" + name;
    if (is_executable_file(candidate)) return candidate;
    if (found_but_not_executable.empty() && fs::is_regular_file(candidate)) found_but_not_executable = candidate;
    if (colon == std::string_view::npos) return found_but_not_executable;
    rest.remove_prefix(colon + 1);
  }
}

class File {
 public:
  explicit File(const std::string& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  bool is_open() const { return fd_ >= 0; }
  bool read(std::uint64_t offset, void* to, std::size_t size) const {
    return ::pread(fd_, to, size, static_cast<off_t>(offset)) == static_cast<ssize_t>(size);
  }
  std::string head(std::size_t most) const {
    std::string bytes(most, '\0');
    const ssize_t got = ::pread(fd_, bytes.data(), most, 0);
    bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return bytes;
  }

 private:
  int fd_;
};

struct ElfFacts {
  bool is_readable = false;
  bool is_64_bit = false;
  bool is_our_machine = false;
  bool is_go = false;
  std::string loader;  // empty: static
};

#if defined(__x86_64__)
constexpr Elf64_Half kMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr Elf64_Half kMachine = EM_AARCH64;
#else
#error "which ELF machine is this?"
#endif

ElfFacts look_at_elf(const File& file) {
  ElfFacts facts;
  Elf64_Ehdr header;
  if (!file.read(0, &header, sizeof header)) return facts;
  facts.is_64_bit = header.e_ident[EI_CLASS] == ELFCLASS64;
  facts.is_our_machine = header.e_machine == kMachine;
  if (!facts.is_64_bit || header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phnum > 256) return facts;
  facts.is_readable = true;
  for (Elf64_Half i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    if (!file.read(header.e_phoff + std::uint64_t{i} * sizeof segment, &segment, sizeof segment)) break;
    if (segment.p_type == PT_INTERP && segment.p_filesz > 1 && segment.p_filesz < 4096) {
      facts.loader.resize(segment.p_filesz);
      if (!file.read(segment.p_offset, facts.loader.data(), facts.loader.size())) facts.loader.clear();
      facts.loader.resize(std::strlen(facts.loader.c_str()));
    }
    if (segment.p_type == PT_NOTE && segment.p_filesz < 65536) {
      std::string notes(segment.p_filesz, '\0');
      if (file.read(segment.p_offset, notes.data(), notes.size()) &&
          notes.find(std::string("Go\0\0", 4)) != std::string::npos) {
        facts.is_go = true;
      }
    }
  }
  return facts;
}

// "#!/usr/bin/env node" -> "/usr/bin/env", then what env would run.
std::string interpreter_of(std::string head) {
  head = head.substr(2, head.find('\n') - 2);
  std::vector<std::string> words;
  for (std::size_t at = 0; at < head.size();) {
    const std::size_t begin = head.find_first_not_of(" \t\r", at);
    if (begin == std::string::npos) break;
    const std::size_t end = std::min(head.find_first_of(" \t\r", begin), head.size());
    words.push_back(head.substr(begin, end - begin));
    at = end;
  }
  if (words.empty()) return {};
  if (fs::path(words[0]).filename() != "env") return words[0];
  for (std::size_t i = 1; i < words.size(); ++i) {
    if (words[i][0] == '-' || words[i].find('=') != std::string::npos) continue;
    return search_path(words[i]);
  }
  return words[0];
}

run::Result<Program> look_into(const std::string& name, const std::string& path, int depth) {
  const File file(path);
  if (!file.is_open()) {
    return run::Error{fmt::format("{}: cannot be read ({}), so it cannot be told whether the probe would load", path,
                                  std::strerror(errno))};
  }
  const std::string head = file.head(512);
  Program program;
  program.path = path;
  program.executable = path;
  if (head.starts_with("#!")) {
    const std::string interpreter = interpreter_of(head);
    if (interpreter.empty() || !fs::exists(interpreter)) {
      return run::Error{
          fmt::format("{}: its interpreter {} is not there", name, interpreter.empty() ? "(none named)" : interpreter)};
    }
    if (depth == 0) return run::Error{fmt::format("{}: too many interpreters of interpreters", name)};
    auto inner = look_into(interpreter, interpreter, depth - 1);
    if (!inner) return inner;
    program.executable = inner->executable;
    program.loader = inner->loader;
    program.is_go = inner->is_go;
    program.is_script = true;
    return program;
  }
  if (!head.starts_with(ELFMAG)) {
    return run::Error{fmt::format(
        "{} is neither a program nor a script with #!: run its interpreter, as in camprobe run -- sh {}", name, name)};
  }
  const ElfFacts facts = look_at_elf(file);
  if (!facts.is_readable || !facts.is_our_machine) {
    return run::Error{
        fmt::format("{} is a program of another kind of machine: libcamprobe.so cannot be loaded into it", name)};
  }
  program.is_go = facts.is_go;
  program.loader = facts.loader;
  if (facts.loader.empty()) {
    return run::Error{fmt::format("{} is statically linked{}, so nothing can be preloaded into it: link it dynamically",
                                  name, facts.is_go ? " (Go)" : "")};
  }
  if (facts.loader.find("ld-musl") != std::string::npos) {
    return run::Error{fmt::format("{} runs on musl, and libcamprobe.so needs glibc: build it for glibc", name)};
  }
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0 && ((status.st_mode & S_ISUID) != 0 || (status.st_mode & S_ISGID) != 0) &&
      (::geteuid() != status.st_uid || (status.st_mode & S_ISGID) != 0)) {
    return run::Error{
        fmt::format("{} is setuid or setgid, so the loader ignores LD_PRELOAD: run a copy without that bit", name)};
  }
  return program;
}

}  // namespace

run::Result<std::string> locate_program(const std::string& name) {
  const std::string path = search_path(name);
  struct stat status {};
  if (path.empty() || ::stat(path.c_str(), &status) != 0) {
    return run::Error{fmt::format("{}: no such program{}", name,
                                  name.find('/') == std::string::npos ? " in PATH: give its path" : "")};
  }
  if (S_ISDIR(status.st_mode)) return run::Error{fmt::format("{} is a directory, not a program", path)};
  if (::access(path.c_str(), X_OK) != 0) {
    return run::Error{fmt::format("{} is not executable: chmod +x it, or run its interpreter", path)};
  }
  return path;
}

run::Result<Program> find_program(const std::string& name) {
  const auto path = locate_program(name);
  if (!path) return run::Error{path.error()};
  return look_into(name, *path, kScriptDepth);
}

run::Result<std::string> find_probe_library() {
  std::vector<fs::path> candidates;
  if (const char* named = std::getenv(kLibraryVariable.name); named != nullptr && *named != '\0') {
    candidates.emplace_back(named);
  } else {
    std::error_code ignored;
    const fs::path here = fs::read_symlink("/proc/self/exe", ignored).parent_path();
    // As installed (a path from the command's directory, so that the whole tree may be moved), then as built.
    candidates = {here / CAMPROBE_LIBRARY_FROM_COMMAND, here / "../lib/libcamprobe.so", here / "libcamprobe.so"};
  }
  for (const fs::path& candidate : candidates) {
    std::error_code failed;
    const fs::path found = fs::canonical(candidate, failed);
    if (failed) continue;
    if (found.string().find_first_of(" :") != std::string::npos) {
      return run::Error{
          fmt::format("{}: LD_PRELOAD cannot name a file with a space or colon in its path: move it", found.string())};
    }
    return found.string();
  }
  std::string places;
  for (const fs::path& candidate : candidates)
    places += (places.empty() ? "" : ", ") + candidate.lexically_normal().string();
  return run::Error{
      fmt::format("libcamprobe.so is not at {}: build or install it, or name it in {}", places, kLibraryVariable.name)};
}

std::vector<std::string> own_environment() {
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) all.emplace_back(*entry);
  return all;
}

std::vector<std::string> target_environment(const std::vector<std::string>& ours, const std::string& library,
                                            const std::string& run_id, long collector_pid) {
  constexpr std::string_view kPreload = "LD_PRELOAD=", kNode = "NODE_OPTIONS=", kRun = "CAMPROBE_RUN=";
  const std::string own = std::string(kLibraryVariable.name) + "=";
  std::string preload = std::string(kPreload) + library, node = std::string(kNode);
  std::vector<std::string> environment;
  for (const std::string& entry : ours) {
    if (entry.starts_with(kPreload)) {
      // First, so that the probe stands in front of an allocator that is preloaded too.
      if (entry.size() > kPreload.size()) preload += ":" + entry.substr(kPreload.size());
    } else if (entry.starts_with(kNode)) {
      node = entry;
    } else if (!entry.starts_with(kRun) && !entry.starts_with(own)) {
      environment.push_back(entry);
    }
  }
  for (const std::string_view option : {"--perf-basic-prof", "--interpreted-frames-native-stack"}) {
    if (node.find(option) != std::string::npos) continue;
    if (node.size() > kNode.size()) node += ' ';
    node += option;
  }
  environment.push_back(preload);
  environment.push_back(node);
  environment.push_back(fmt::format("{}{}:{}", kRun, run_id, collector_pid));
  return environment;
}

}  // namespace camprobe::attach
