// tests/probe/target.cc
//
// The program that the probe's tests run: `probe_target WHAT ARGUMENTS...` does one thing and prints what is true of
// it, one "name value" a line. It knows nothing of the probe but the public header. Here: CPU, spans, threads.
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <threads.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <vector>

#include "probe/include/camprobe.h"
#include "tests/probe/target.h"

namespace camprobe::target {

namespace {

// SECONDS THREADS: burns CPU and prints what each thread used.
void cpu(double cpu_seconds, int threads) {
  std::vector<std::thread> crew;
  std::vector<double> used(static_cast<size_t>(threads));
  std::vector<long> tids(static_cast<size_t>(threads));
  for (int t = 0; t < threads; ++t)
    crew.emplace_back([&, t] {
      pthread_setname_np(pthread_self(), ("burner" + std::to_string(t)).c_str());
      tids[static_cast<size_t>(t)] = syscall(SYS_gettid);
      burn(cpu_seconds);
      used[static_cast<size_t>(t)] = seconds(CLOCK_THREAD_CPUTIME_ID);
    });
  for (auto& thread : crew) thread.join();
  for (int t = 0; t < threads; ++t) {
    say("tid", static_cast<double>(tids[static_cast<size_t>(t)]));
    say("used", used[static_cast<size_t>(t)]);
  }
  die_by_kill();
}

void spans() {
  camprobe_span outer = camprobe_begin("outer");
  camprobe_set_text(outer, "provider", "openai");
  camprobe_set_number(outer, "cost", 0.5);
  camprobe_set_number(outer, "cost", 0.25);
  {
    camprobe::Span inner("inner");
    inner.set("tokens", 42.0);
    g_sink = malloc(50'001);
  }
  g_sink = malloc(50'002);
  camprobe_span handed = camprobe_begin("handed");
  std::thread([&] {
    camprobe_enter(handed);
    g_sink = malloc(50'003);
    camprobe_leave(handed);
    g_sink = malloc(50'004);
    camprobe_end(handed);
    camprobe_end(handed);
  }).join();
  camprobe_span root = camprobe_begin_under("root", 0);
  camprobe_set_number(root, "before", 1);
  for (const char* text : {"00-0123456789abcdeffedcba9876543210-00f067aa0ba902b7-00", "no traceparent at all",
                           "00-0123456789abcdeffedcba9876543211-00f067aa0ba902b8-01"})
    camprobe_set_text(root, "traceparent", text);
  camprobe_set_number(root, "after", 2);
  g_sink = malloc(50'005);
  camprobe_end(root);
  g_sink = malloc(50'006);
  const char* const many[] = {"k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8", "k9"};
  for (const char* key : many) camprobe_set_number(outer, key, 1);
  camprobe_end(outer);
  camprobe_end(0);
  g_sink = malloc(50'007);
  camprobe_mark("deployed");
  const camprobe_span open = camprobe_begin("still open");
  say("loaded", camprobe_is_loaded());
  say("handles", outer != 0 && handed != 0 && open != 0);
  if (camprobe_is_loaded()) die_by_kill();
}

void short_threads(long count) {
  for (long i = 0; i < count; ++i) {
    pthread_t thread;
    pthread_create(
        &thread, nullptr,
        [](void*) -> void* {
          void* block = malloc(100);
          free(block);
          return nullptr;
        },
        nullptr);
    pthread_join(thread, nullptr);
  }
  die_by_kill();
}

// The same with C's own threads, which pass no hook at their start.
void c_threads(long count) {
  for (long i = 0; i < count; ++i) {
    thrd_t thread;
    thrd_create(
        &thread,
        [](void*) -> int {
          burn(0.0004);
          free(sink(malloc(100)));
          return 0;
        },
        nullptr);
    thrd_join(thread, nullptr);
  }
  die_by_kill();
}

// THREADS at once, each with 50 blocks of 1,000 bytes.
void many_threads(int threads) {
  pthread_barrier_t all;
  pthread_barrier_init(&all, nullptr, static_cast<unsigned>(threads));
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 64 << 10);
  std::vector<pthread_t> crew(static_cast<size_t>(threads));
  for (auto& thread : crew)
    pthread_create(
        &thread, &small,
        [](void* barrier) -> void* {
          pthread_barrier_wait(static_cast<pthread_barrier_t*>(barrier));
          for (int i = 0; i < 50; ++i) free(sink(malloc(1000)));
          pthread_barrier_wait(static_cast<pthread_barrier_t*>(barrier));
          return nullptr;
        },
        &all);
  for (auto& thread : crew) pthread_join(thread, nullptr);
  die_by_kill();
}

// Threads on the smallest stack that POSIX allows, burning, allocating, cancelled and leaving by every door.
void small_stacks() {
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 16 << 10);
  int bad = 0;
  for (int i = 0; i < 40; ++i) {
    pthread_t thread;
    bad += pthread_create(
        &thread, &small,
        [](void* how) -> void* {
          const double end = seconds(CLOCK_THREAD_CPUTIME_ID) + 0.01;
          while (seconds(CLOCK_THREAD_CPUTIME_ID) < end) free(sink(malloc(3000)));
          if (how == nullptr) return nullptr;
          if (how == reinterpret_cast<void*>(1)) pthread_exit(nullptr);
          for (;;) {
            free(sink(malloc(3000)));
            pthread_testcancel();
          }
        },
        reinterpret_cast<void*>(static_cast<intptr_t>(i % 3)));
    if (i % 3 == 2) pthread_cancel(thread);
    bad += pthread_join(thread, nullptr);
  }
  say("bad", bad);
  die_by_kill();
}

}  // namespace

}  // namespace camprobe::target

int main(int count, char** arguments) {
  using namespace camprobe::target;
  const std::string what = count > 1 ? arguments[1] : "nothing";
  const auto number = [&](int at) { return count > at ? atof(arguments[at]) : 0; };
  const auto whole = [&](int at) { return static_cast<long>(number(at)); };
  if (what == "exact") exact(static_cast<int>(whole(2)), whole(3)), die_by_kill();
  if (what == "keep") keep(whole(2), whole(3), whole(4));
  if (what == "realloc") realloc_failing();
  if (what == "operators") operators();
  if (what == "new") new_count(whole(2));
  if (what == "cross") cross_thread();
  if (what == "mappings") mappings();
  if (what == "forks") forks();
  if (what == "raw-fork") raw_fork();
  if (what == "vforks") vforks(arguments[0]);
  if (what == "execs") execs(arguments[0], static_cast<int>(whole(2)));
  if (what == "cpu") cpu(number(2), static_cast<int>(whole(3)));
  if (what == "interruptions") interruptions(number(2));
  if (what == "own-interruption") own_interruption();
  if (what == "all-signals") all_signals();
  if (what == "spans") spans();
  if (what == "short-threads") short_threads(whole(2));
  if (what == "c-threads") c_threads(whole(2));
  if (what == "many-threads") many_threads(static_cast<int>(whole(2)));
  if (what == "small-stacks") small_stacks();
  if (what == "fork-storm") fork_storm(static_cast<int>(whole(2)));
  if (what == "daemon") become_daemon();
  if (what == "late") late_allocations(static_cast<int>(whole(2)));
  if (what == "churn") churn(number(2));
  if (what == "deep-binding") deep_binding(arguments[2]);
  if (what == "libraries") libraries(arguments[2]);
  return what == "nothing" || count > 1 ? 0 : 2;
}
