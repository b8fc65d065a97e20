// tests/survival/victim_threads.cc
//
// Threads that come by the thousand and leave by every door: return, exit, cancellation while they wait or while the
// probe is at work in them, a jump out of a handler. And what programs still do when they are nearly gone.
#include <fcntl.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <atomic>
#include <thread>

#include "probe/include/camprobe.h"
#include "tests/survival/victim.h"

namespace victim {
namespace {

// ------------------------------------------------------------------------------------------------ many and short

struct ThreadGrave {
  ~ThreadGrave() { free(sink(malloc(3'000))); }
};
pthread_key_t g_key;

// COUNT SPAWNERS: so many threads, one after the other from each spawner; each allocates in its body, in the destructor
// of a thread-local object and in all four rounds of a key's destructor.
void short_lived(const Arguments& arguments) {
  pthread_key_create(&g_key, [](void* round) {
    free(sink(malloc(2'000)));
    const auto left = reinterpret_cast<intptr_t>(round);
    if (left > 1) pthread_setspecific(g_key, reinterpret_cast<void*>(left - 1));
  });
  const long spawners = arguments.number(1);
  std::vector<std::thread> crew;
  std::atomic<long> bad{0};
  for (long s = 0; s < spawners; ++s)
    crew.emplace_back([&, s] {
      for (long i = s; i < arguments.number(0); i += spawners) {
        pthread_t thread;
        const auto body = [](void*) -> void* {
          static thread_local ThreadGrave grave;
          sink(&grave);
          pthread_setspecific(g_key, reinterpret_cast<void*>(4));
          free(sink(malloc(1'000)));
          return nullptr;
        };
        bad += pthread_create(&thread, nullptr, body, nullptr) != 0 || pthread_join(thread, nullptr) != 0;
      }
    });
  for (auto& thread : crew) thread.join();
  say("bad", static_cast<double>(bad));
  die_by_kill();
}

// COUNT: allocates COUNT times in each of the last moments of a process: two atexit() handlers, a destructor of a
// static object, a thread that is started by one of them.
long g_last_words = 0;
void last_words() {
  for (long i = 0; i < g_last_words; ++i) free(sink(malloc(1'000)));
}
struct Static {
  ~Static() {
    if (g_last_words != 0) std::thread(last_words).join();
  }
};
Static g_static;
void at_the_end(const Arguments& arguments) {
  g_last_words = arguments.number(0);
  atexit(last_words);
  atexit([] {
    atexit(last_words);  // registered while the process is on its way out
    last_words();
  });
  puts("going");
  exit(29);
}

// ------------------------------------------------------------------------------------------------ cancellation

struct Waiting {
  int sockets[2], pipe[2], listening, epoll, queue;
  sem_t semaphore;
};
Waiting g_waiting;
std::atomic<long> g_cleaned{0};
struct CountsItsEnd {
  ~CountsItsEnd() { ++g_cleaned; }
};

// Each waits for ever in another call that is a cancellation point.
constexpr int kWaits = 20;
void wait_for_ever(int how) {
  char buffer[64];
  iovec piece = {buffer, sizeof buffer};
  msghdr message = {};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  pollfd polled = {g_waiting.sockets[0], POLLIN, 0};
  epoll_event event;
  fd_set set;
  FD_ZERO(&set);
  FD_SET(g_waiting.sockets[0], &set);
  const timespec year = {31'000'000, 0};
  timespec never = {};
  clock_gettime(CLOCK_REALTIME, &never);
  never.tv_sec += 31'000'000;
  sigset_t none, signals;
  sigemptyset(&none);
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR2);
  long result = 0;
  switch (how) {
    case 0:
      result = read(g_waiting.pipe[0], buffer, sizeof buffer);
      break;
    case 1:
      result = readv(g_waiting.pipe[0], &piece, 1);
      break;
    case 2:
      result = recv(g_waiting.sockets[0], buffer, sizeof buffer, 0);
      break;
    case 3:
      result = recvfrom(g_waiting.sockets[0], buffer, sizeof buffer, 0, nullptr, nullptr);
      break;
    case 4:
      result = recvmsg(g_waiting.sockets[0], &message, 0);
      break;
    case 5:
      result = accept(g_waiting.listening, nullptr, nullptr);
      break;
    case 6:
      result = accept4(g_waiting.listening, nullptr, nullptr, SOCK_CLOEXEC);
      break;
    case 7:
      result = poll(&polled, 1, -1);
      break;
    case 8:
      result = ppoll(&polled, 1, nullptr, nullptr);
      break;
    case 9:
      result = select(g_waiting.sockets[0] + 1, &set, nullptr, nullptr, nullptr);
      break;
    case 10:
      result = pselect(g_waiting.sockets[0] + 1, &set, nullptr, nullptr, nullptr, nullptr);
      break;
    case 11:
      result = epoll_wait(g_waiting.epoll, &event, 1, -1);
      break;
    case 12:
      result = epoll_pwait(g_waiting.epoll, &event, 1, -1, nullptr);
      break;
    case 13:
      result = nanosleep(&year, nullptr);
      break;
    case 14:
      result = clock_nanosleep(CLOCK_MONOTONIC, 0, &year, nullptr);
      break;
    case 15:
      result = usleep(2'000'000'000);
      break;
    case 16:
      result = sem_timedwait(&g_waiting.semaphore, &never);
      break;
    case 17:
      result = msgrcv(g_waiting.queue, buffer, 8, 0, 0);
      break;
    case 18:
      result = pause();
      break;
    default:
      result = sigsuspend(&none);
      break;
  }
  printf("wait %d ended: %ld, %s\n", how, result, strerror(errno));
}

// ROUNDS: cancels a thread in each of the calls that wait; then threads that may be cancelled anywhere, while they map
// and unmap as fast as they can.
void cancellation(const Arguments& arguments) {
  socketpair(AF_UNIX, SOCK_STREAM, 0, g_waiting.sockets);
  (void)!pipe(g_waiting.pipe);
  g_waiting.listening = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  bind(g_waiting.listening, reinterpret_cast<sockaddr*>(&address), sizeof address);
  listen(g_waiting.listening, 4);
  g_waiting.epoll = epoll_create1(0);
  g_waiting.queue = msgget(IPC_PRIVATE, 0600);
  sem_init(&g_waiting.semaphore, 0, 0);

  long not_cancelled = 0, started = 0;
  for (long round = 0; round < arguments.number(0); ++round) {
    std::vector<pthread_t> crew(kWaits);
    for (int how = 0; how < kWaits; ++how, ++started)
      pthread_create(
          &crew[static_cast<size_t>(how)], nullptr,
          [](void* raw) -> void* {
            const CountsItsEnd end;
            free(sink(malloc(5'000)));
            wait_for_ever(static_cast<int>(reinterpret_cast<intptr_t>(raw)));
            return nullptr;
          },
          reinterpret_cast<void*>(static_cast<intptr_t>(how)));
    usleep(20'000);
    for (const pthread_t thread : crew) pthread_cancel(thread);
    for (const pthread_t thread : crew) {
      void* result = nullptr;
      pthread_join(thread, &result);
      not_cancelled += result != PTHREAD_CANCELED;
    }
  }
  msgctl(g_waiting.queue, IPC_RMID, nullptr);
  say("not_cancelled", static_cast<double>(not_cancelled));
  say("not_cleaned", static_cast<double>(started - g_cleaned));

  long not_ended = 0;
  for (long i = 0; i < 10 * arguments.number(0); ++i) {
    pthread_t thread;
    pthread_create(
        &thread, nullptr,
        [](void*) -> void* {
          pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, nullptr);
          for (;;) {
            void* block = mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            munmap(block, 1 << 20);
          }
        },
        nullptr);
    usleep(1'000 + static_cast<useconds_t>(i * 7 % 500));
    pthread_cancel(thread);
    void* result = nullptr;
    pthread_join(thread, &result);
    not_ended += result != PTHREAD_CANCELED;
  }
  say("not_ended", static_cast<double>(not_ended));
  // The recording goes on.
  sink(malloc(70'001));
  die_by_kill();
}

// ------------------------------------------------------------------------------------------------ jumps

sigjmp_buf g_way_out;
volatile long g_begun = 0, g_done = 0;

void alarm_in(long microseconds) {
  const itimerspec once = {{0, 0}, {0, microseconds * 1'000}};
  static timer_t timer;
  static bool is_made = false;
  if (!is_made) {
    sigevent event = {};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SIGALRM;
    event._sigev_un._tid = static_cast<pid_t>(syscall(SYS_gettid));
    timer_create(CLOCK_MONOTONIC, &event, &timer);
    is_made = true;
  }
  timer_settime(timer, 0, &once, nullptr);
}

// JUMPS: leaves a handler by siglongjmp() again and again, wherever it came: in malloc() and free() (over an allocator
// that has no lock, see bump_allocator.c), in spans, in reads and writes.
void jumps(const Arguments& arguments) {
  struct sigaction action = {};
  action.sa_handler = [](int) { siglongjmp(g_way_out, 1); };
  sigaction(SIGALRM, &action, nullptr);
  const int zero = open("/dev/zero", O_RDONLY), null = open("/dev/null", O_WRONLY);
  volatile long jumped = 0;
  while (jumped < arguments.number(0)) {
    if (sigsetjmp(g_way_out, 1) != 0) {
      jumped = jumped + 1;
      continue;
    }
    alarm_in(60 + jumped % 40);
    for (;;) {
      char buffer[64];
      g_begun = g_begun + 1;
      void* block = malloc(600);
      free(block);
      g_done = g_done + 1;
      const camprobe_span span = camprobe_begin("jumping");
      camprobe_set_number(span, "number", 1);
      camprobe_end(span);
      (void)!read(zero, buffer, sizeof buffer);
      (void)!write(null, buffer, sizeof buffer);
    }
  }
  alarm_in(0);
  say("begun", static_cast<double>(g_begun));
  say("done", static_cast<double>(g_done));
  sink(malloc(70'003));
  die_by_kill();
}

}  // namespace

const std::vector<Act> kThreadActs = {
    {"short-lived", short_lived}, {"at-the-end", at_the_end}, {"cancellation", cancellation}, {"jumps", jumps}};

}  // namespace victim
