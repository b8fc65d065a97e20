// The /proc series of a process whose figures are known because it is this one, or a child made for the purpose.
#include "collector/proc/process_series.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "run/reader.h"
#include "tests/run/sample_run.h"
#include "tests/run/scratch.h"

namespace camprobe::proc {
namespace {

double last(run::Reader& reader, const char* metric) {
  const auto points = reader.series(metric);
  return points.empty() ? -1 : points.back().value;
}

TEST(ProcessSeries, WritesWhatProcSays) {
  run::Scratch scratch;
  auto writer = run::Writer::create(scratch / "a.camrun", run::sample_meta());
  ASSERT_TRUE(writer) << writer.error();
  auto files = ProcessFiles::open(getpid());
  ASSERT_TRUE(files);
  ProcessSeries series(std::move(*files));
  const auto before = series.files().count_descriptors();
  const int extra = dup(0);
  ASSERT_TRUE(series.sample(*writer, run::ProcessId{1}, 0));
  close(extra);
  ASSERT_TRUE(writer->finish(run::kTestSecond, run::kComplete));
  EXPECT_TRUE(series.notes().empty());

  auto reader = run::Reader::open(scratch / "a.camrun");
  ASSERT_TRUE(reader) << reader.error();
  EXPECT_GT(last(*reader, "process_resident_bytes"), 1e6);
  EXPECT_GT(last(*reader, "process_pss_bytes"), 1e5);
  EXPECT_LE(last(*reader, "process_private_bytes"), last(*reader, "process_resident_bytes") * 1.5);
  EXPECT_EQ(last(*reader, "process_open_fds"), static_cast<double>(*before + 1));
  EXPECT_EQ(last(*reader, "process_threads"), 1);
  EXPECT_GE(last(*reader, "process_cpu_user_ns"), 0);
  EXPECT_GT(last(*reader, "process_io_read_bytes"), 0);
  EXPECT_GE(last(*reader, "process_context_switches_voluntary"), 0);
}

TEST(ProcessSeries, ReadsTheCostlyFileOnlyEveryFewSeconds) {
  run::Scratch scratch;
  auto writer = run::Writer::create(scratch / "a.camrun", run::sample_meta());
  ASSERT_TRUE(writer);
  ProcessSeries series(std::move(*ProcessFiles::open(getpid())));
  for (std::int64_t second = 0; second < 11; ++second) ASSERT_TRUE(series.sample(*writer, run::ProcessId{1}, second));
  ASSERT_TRUE(writer->finish(11 * run::kTestSecond, run::kComplete));
  auto reader = run::Reader::open(scratch / "a.camrun");
  ASSERT_TRUE(reader);
  EXPECT_EQ(reader->series("process_resident_bytes").size(), 11u);
  EXPECT_EQ(reader->series("process_pss_bytes").size(), 3u);
}

TEST(ProcessFiles, ADeadChildIsDeadBeforeItIsWaitedForAndItsPidIsNotTrusted) {
  const pid_t child = fork();
  if (child == 0) {
    pause();
    _exit(0);
  }
  auto files = ProcessFiles::open(child);
  ASSERT_TRUE(files);
  EXPECT_FALSE(files->is_dead());
  EXPECT_TRUE(ProcessFiles::open(child, files->start_ticks()));
  EXPECT_FALSE(ProcessFiles::open(child, files->start_ticks() + 1)) << "a later process of the same pid";
  kill(child, SIGKILL);
  siginfo_t info{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);
  EXPECT_TRUE(files->is_dead());
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(files->is_dead());
}

TEST(ProcessFiles, AProcessWhoseFirstThreadHasEndedIsNotDead) {
  int alive[2];
  ASSERT_EQ(pipe(alive), 0);
  const pid_t child = fork();
  if (child == 0) {
    std::thread([&] {
      usleep(100'000);  // until the first thread has gone
      if (write(alive[1], "x", 1) != 1) _exit(1);
      pause();
    }).detach();
    syscall(SYS_exit, 0);  // this thread alone, and without unwinding through the test
  }
  auto files = ProcessFiles::open(child);
  ASSERT_TRUE(files);
  char byte = 0;
  ASSERT_EQ(read(alive[0], &byte, 1), 1);
  EXPECT_FALSE(files->is_dead());
  kill(child, SIGKILL);
  siginfo_t info{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);
  EXPECT_TRUE(files->is_dead());
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  close(alive[0]);
  close(alive[1]);
}

TEST(ProcessFiles, NamesWithSpacesAndParentheses) {
  const pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_NAME, "odd ) R 1 (");
    pause();
    _exit(0);
  }
  std::optional<ProcessStat> stat;
  for (int i = 0; i < 100 && (!stat || stat->name != "odd ) R 1 ("); ++i) {
    stat = ProcessFiles::open(child)->stat();
    usleep(5000);
  }
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->name, "odd ) R 1 (");
  EXPECT_EQ(stat->parent_pid, getpid());
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
}

TEST(Listening, IsSeenFromTheMomentOfListen) {
  auto self = ProcessFiles::open(getpid());
  ASSERT_TRUE(self);
  const bool before = is_listening(*self);
  const int server = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(bind(server, reinterpret_cast<sockaddr*>(&any), sizeof any), 0);
  EXPECT_EQ(is_listening(*self), before) << "bound is not listening";
  ASSERT_EQ(listen(server, 1), 0);
  EXPECT_TRUE(is_listening(*self));
  close(server);
}

TEST(MemoryLimit, IsAtMostTheMachines) {
  const auto limit = memory_limit(*ProcessFiles::open(getpid()));
  ASSERT_TRUE(limit);
  const auto memory = parse_meminfo(*read_file("/proc/meminfo"));
  EXPECT_LE(*limit, memory->total);
}

}  // namespace
}  // namespace camprobe::proc
