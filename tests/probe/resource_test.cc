// tests/probe/resource_test.cc
//
// Machines and limits under which the probe cannot have what it wants: the program runs as it would without. Each test
// that needs a right which this machine or user does not have is skipped with the reason.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/probe/probed.h"

namespace camprobe::tests {
namespace {

const std::map<std::string, std::string> kDensest = {{"CAMPROBE_HEAP_INTERVAL", "64"}, {"CAMPROBE_CPU_HZ", "4000"}};
constexpr uid_t kNobody = 65534;
constexpr int kSetupFailed = 77;

// A directory for one test, readable by everybody.
class Scratch {
 public:
  Scratch() {
    std::string name = "/tmp/camprobe-resource-XXXXXX";
    path_ = mkdtemp(name.data());
    chmod(path_.c_str(), 0755);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() { std::filesystem::remove_all(path_); }
  std::string operator/(const char* name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// In the child: mounts of its own from here on.
void own_mounts() {
  if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) _exit(kSetupFailed);
}
void must(bool done) {
  if (!done) _exit(kSetupFailed);
}
void limit(__rlimit_resource resource, rlim_t value) {
  const rlimit both = {value, value};
  must(setrlimit(resource, &both) == 0);
}

// The same program in the same straits, without the probe and with it.
void expect_same(const Program& with_probe, const Probed& with) {
  Program plain = with_probe;
  plain.preload = "";
  Probed without(plain);
  EXPECT_EQ(with.status, without.status) << "signal " << with.signal << "; " << with.err;
  EXPECT_EQ(with.signal, without.signal);
  EXPECT_EQ(with.out, without.out);
}

#define SKIP_WITHOUT_ROOT(what) \
  if (geteuid() != 0) GTEST_SKIP() << what << " needs root"
#define SKIP_IF_SETUP_FAILED(probed, what) \
  if ((probed).status == kSetupFailed) GTEST_SKIP() << "no " << what << " on this machine"

// The path that a process's first region has, asked for in that process.
std::string own_region_path(std::uint32_t image = 0) {
  std::ifstream file("/proc/self/stat");
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  std::istringstream fields(text.substr(text.rfind(')') + 2));
  std::string field;
  for (int i = 3; i <= 22; ++i) fields >> field;
  char path[shm::kRegionPathMax];
  shm::format_region_path({geteuid(), static_cast<std::uint32_t>(getpid()), std::stoull(field), image}, path);
  return path;
}

TEST(Resources, NoDevShmAtAll) {
  SKIP_WITHOUT_ROOT("hiding /dev/shm");
  const Program program = {.arguments = {CAMPROBE_PLAIN}, .before_exec = [] {
                             own_mounts();
                             must(mount("tmpfs", "/dev", "tmpfs", 0, "") == 0);
                           }};
  Probed with(program);
  SKIP_IF_SETUP_FAILED(with, "mount namespaces");
  EXPECT_EQ(with.status, 6) << with.signal;
  EXPECT_NE(with.err.find("/dev/shm is not there"), std::string::npos) << with.err;
}

TEST(Resources, ADevShmThatFillsUpLater) {
  SKIP_WITHOUT_ROOT("another /dev/shm");
  for (const char* size : {"size=200k", "size=1m", "size=4m"}) {
    const Program program = {.arguments = {CAMPROBE_SEALED, "fill"}, .environment = kDensest, .before_exec = [size] {
                               own_mounts();
                               must(mount("tmpfs", "/dev/shm", "tmpfs", 0, size) == 0);
                             }};
    Probed with(program);
    SKIP_IF_SETUP_FAILED(with, "mount namespaces");
    EXPECT_EQ(with.status, 31) << size << ": ended by signal " << with.signal << "; " << with.err;
    EXPECT_EQ(with.out, "filled\n");
  }
}

TEST(Resources, SomebodyElsesFileInTheWay) {
  SKIP_WITHOUT_ROOT("files of other owners");
  const Scratch scratch;
  const std::string victim = scratch / "victim";
  std::ofstream(victim) << "untouched";
  const std::function<void(const std::string&)> obstacles[] = {
      [](const std::string& path) {
        const int fd = open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
        must(fd >= 0 && fchown(fd, kNobody, kNobody) == 0);
      },
      [&](const std::string& path) { must(symlink(victim.c_str(), path.c_str()) == 0); },
      [](const std::string& path) { must(mkdir(path.c_str(), 0777) == 0); },
      [](const std::string& path) { must(mkfifo(path.c_str(), 0666) == 0); },
  };
  for (std::size_t kind = 0; kind < std::size(obstacles); ++kind) {
    Probed probed(
        {.arguments = {CAMPROBE_PLAIN}, .seconds = 20, .before_exec = [&] { obstacles[kind](own_region_path()); }});
    EXPECT_EQ(probed.status, 6) << kind << ": signal " << probed.signal << "; " << probed.err;
    EXPECT_EQ(probed.err, "") << kind;
    EXPECT_EQ(probed.region().info().image, 1u) << kind;
    std::string content;
    std::getline(std::ifstream(victim), content);
    EXPECT_EQ(content, "untouched");
    for (const auto& path : all_regions()) {
      shm::RegionName name;
      if (shm::parse_region_name(std::filesystem::path(path).filename().c_str(), &name) &&
          name.pid == static_cast<std::uint32_t>(probed.pid) && name.image == 0)
        std::filesystem::remove(path);
    }
  }
  // Every name taken.
  const Program program = {.arguments = {CAMPROBE_PLAIN}, .before_exec = [] {
                             own_mounts();
                             must(mount("tmpfs", "/dev/shm", "tmpfs", 0, "") == 0);
                             for (std::uint32_t image = 0; image < 64; ++image)
                               must(mkdir(own_region_path(image).c_str(), 0777) == 0);
                           }};
  Probed taken(program);
  SKIP_IF_SETUP_FAILED(taken, "mount namespaces");
  EXPECT_EQ(taken.status, 6);
  EXPECT_NE(taken.err.find("the name is taken"), std::string::npos) << taken.err;
}

TEST(Resources, ALimitedAddressSpace) {
  for (const rlim_t mebibytes : {20, 32, 64, 128, 256}) {
    const Program program = {
        .arguments = {CAMPROBE_RUDE, "descriptors"}, .environment = kDensest, .run = Run::kNamed, .before_exec = [=] {
          limit(RLIMIT_AS, mebibytes << 20);
        }};
    Probed with(program);
    SCOPED_TRACE(mebibytes);
    expect_same(program, with);
    EXPECT_EQ(with.status, 0);
  }
}

TEST(Resources, NoDescriptorLeft) {
  Program program = {.arguments = {CAMPROBE_RUDE, "descriptors"}, .environment = kDensest, .run = Run::kNamed};
  Probed with(program);
  expect_same(program, with);
  EXPECT_EQ(with.status, 0);
  // As few as the loader needs, from the start.
  program.before_exec = [] { limit(RLIMIT_NOFILE, 5); };
  program.arguments = {CAMPROBE_RUDE, "alternate-stack"};
  Probed few(program);
  expect_same(program, few);
  EXPECT_EQ(few.status, 0);
}

TEST(Resources, ALimitedFileSize) {
  for (const rlim_t bytes : {rlim_t{0}, rlim_t{4096}, rlim_t{1} << 20}) {
    Probed probed({.arguments = {CAMPROBE_RUDE, "alternate-stack"}, .environment = kDensest, .before_exec = [=] {
                     limit(RLIMIT_FSIZE, bytes);
                   }});
    EXPECT_EQ(probed.status, 0) << "signal " << probed.signal;
    EXPECT_TRUE(probed.regions().empty());
    if (bytes >= 4096) {
      EXPECT_NE(probed.err.find("ulimit -f"), std::string::npos) << probed.err;
    }
  }
}

TEST(Resources, NobodyWhoReadsWhatTheProbeSays) {
  Probed probed({.arguments = {CAMPROBE_RUDE, "alternate-stack"},
                 .environment = {{"CAMPROBE_CPU_HZ", "often"}},
                 .before_exec = [] {
                   int ends[2];
                   must(pipe(ends) == 0 && dup2(ends[1], 2) == 2);
                   close(ends[0]);
                   close(ends[1]);
                 }});
  EXPECT_EQ(probed.status, 0) << "signal " << probed.signal;
}

TEST(Resources, ASetuidProgramHasNoRegion) {
  SKIP_WITHOUT_ROOT("a setuid program");
  const std::string stand_in = std::string("/usr/lib/") + CAMPROBE_MULTIARCH + "/libmemusage.so";
  if (!std::filesystem::exists(stand_in)) GTEST_SKIP() << stand_in << " is not there to stand in for a trusted library";
  const Scratch scratch;
  // The loader preloads into such programs only what lies in a system directory and has the setuid bit itself.
  for (const char* name : {"library", "setuid", "plain"})
    std::filesystem::copy_file(std::string(name) == "library" ? library() : "/bin/cat", scratch / name);
  must(chmod((scratch / "library").c_str(), 04755) == 0 && chmod((scratch / "setuid").c_str(), 04755) == 0);
  for (const bool is_setuid : {false, true}) {
    Probed probed({.arguments = {scratch / (is_setuid ? "setuid" : "plain"), "/proc/self/maps"},
                   .preload = "libmemusage.so",
                   .before_exec = [&] {
                     own_mounts();
                     must(mount((scratch / "library").c_str(), stand_in.c_str(), nullptr, MS_BIND, nullptr) == 0);
                     must(setgid(kNobody) == 0 && setuid(kNobody) == 0);
                   }});
    SKIP_IF_SETUP_FAILED(probed, "mount namespaces");
    ASSERT_EQ(probed.status, 0) << probed.err;
    EXPECT_NE(probed.out.find("libmemusage.so"), std::string::npos) << "the probe was not even loaded";
    EXPECT_EQ(probed.out.find("/dev/shm/camprobe") != std::string::npos, !is_setuid);
    EXPECT_EQ(probed.regions().empty(), is_setuid);
    EXPECT_EQ(probed.err, "");
  }
}

// A root directory with the system's programs and nothing else in it.
void change_root(const std::string& root, bool with_shm) {
  own_mounts();
  must(mount("tmpfs", root.c_str(), "tmpfs", 0, "") == 0);
  for (const char* directory : {"/usr", "/lib", "/lib64", "/bin"}) {
    if (!std::filesystem::exists(directory)) continue;
    const std::string inside = root + directory;
    must(mkdir(inside.c_str(), 0755) == 0);
    must(mount(directory, inside.c_str(), nullptr, MS_BIND | MS_REC, nullptr) == 0);
  }
  for (const std::string& file : {library(), std::string(CAMPROBE_RUDE)}) {
    const std::string inside = root + file;
    std::filesystem::create_directories(std::filesystem::path(inside).parent_path());
    std::filesystem::copy_file(file, inside);
  }
  must(mkdir((root + "/dev").c_str(), 0755) == 0 &&
       mknod((root + "/dev/null").c_str(), S_IFCHR | 0666, makedev(1, 3)) == 0);
  if (with_shm) {
    must(mkdir((root + "/dev/shm").c_str(), 0755) == 0);
    must(mount("/dev/shm", (root + "/dev/shm").c_str(), nullptr, MS_BIND, nullptr) == 0);
  }
  must(chroot(root.c_str()) == 0 && chdir("/") == 0);
}

TEST(Resources, AnotherRootDirectory) {
  SKIP_WITHOUT_ROOT("chroot");
  const Scratch scratch;
  for (const bool with_shm : {false, true}) {
    const Program program = {.arguments = {CAMPROBE_RUDE, "descriptors"}, .environment = kDensest, .before_exec = [&] {
                               change_root(scratch.path(), with_shm);
                             }};
    Probed with(program);
    SKIP_IF_SETUP_FAILED(with, "mount namespaces");
    expect_same(program, with);
    EXPECT_EQ(with.status, 0) << with.err;
    // Without /proc nobody tells when the process began; it is recorded all the same.
    EXPECT_EQ(with.regions_of(with.pid).empty(), !with_shm);
    if (with_shm) {
      EXPECT_GT(with.region().status()->samples_taken, 10u);
    }
  }
}

TEST(Resources, AProcessNamespace) {
  SKIP_WITHOUT_ROOT("a pid namespace");
  Probed probed({.arguments = {"unshare", "--pid", "--fork", "--mount-proc", CAMPROBE_RUDE, "descriptors"},
                 .environment = kDensest});
  if (probed.err.find("unshare failed") != std::string::npos) GTEST_SKIP() << probed.err;
  EXPECT_EQ(probed.status, 0) << probed.err;
  // Process 1 of the namespace, and its child.
  const auto paths = probed.regions_of(1);
  ASSERT_FALSE(paths.empty());
  std::string error;
  auto region = shm::RegionReader::open(paths.back(), &error);
  ASSERT_TRUE(region) << error;
  EXPECT_GT(region->status()->samples_taken, 10u);
  EXPECT_EQ(region->status()->exit_status, 0);
}

TEST(Resources, AClockThatIsElsewhere) {
  Program program = {
      .arguments = {"unshare", "--time", "--monotonic", "123456789", "--fork", CAMPROBE_RUDE, "affinity"},
      .environment = kDensest};
  Probed probed(program);
  if (probed.err.find("unshare") != std::string::npos) GTEST_SKIP() << probed.err;
  EXPECT_EQ(probed.status, 0) << probed.err;
  int found = 0;
  for (const auto& path : probed.regions()) {
    std::string error;
    auto region = shm::RegionReader::open(path, &error);
    if (!region || region->info().created_ns < 123'456'789'000'000'000) continue;
    found += 1;
    for (const auto& event : events_of(*region)) EXPECT_GE(event.record.time_ns, region->info().created_ns);
  }
  EXPECT_GE(found, 1);  // unshare's child, which then becomes the program
}

TEST(Resources, ProcessorsThatComeAndGo) {
  Probed probed({.arguments = {CAMPROBE_RUDE, "affinity"}, .environment = {{"CAMPROBE_CPU_HZ", "250"}}});
  ASSERT_EQ(probed.status, 0) << probed.signal;
  auto region = probed.region();
  double sampled = 0;
  for (const auto& event : events_of(region, shm::RecordKind::kCpu))
    sampled += static_cast<double>(event.record.cpu.weight_ns);
  // One period may be cut off at each end, and the program begins before it counts.
  EXPECT_NEAR(sampled, probed.printed("used_ns"), 0.05e9);
}

TEST(Resources, ALongStop) {
  // A program that stops itself, and is continued by a child after a while, counts its work exactly.
  Probed probed({.arguments = {"bash", "-c", "(sleep 2; kill -CONT $$) & kill -STOP $$; wait; echo on; exit 3"},
                 .environment = kDensest});
  EXPECT_EQ(probed.status, 3) << probed.signal;
  EXPECT_EQ(probed.out, "on\n");
  EXPECT_EQ(probed.region().status()->exit_status, 3);
}

}  // namespace
}  // namespace camprobe::tests
