// push/push_live_profiles.cc: what the processes with the probe do right now, as profiles for Pyroscope. See session.h.
//
// Profiles have names of functions, and what is alive has to be followed: so all processes are recorded, as by somebody
// who only looks (Recording::observe_all), into a run of our own in a private directory, and each stretch of it is
// pushed as a stretch of any run would be. A stretch is pushed some seconds late, when its stacks have been named. The
// run is begun anew every hour, so that its file stays small.
//
// Three threads: this one drains rings, a second makes profiles of the file, the outbox's sends them. None waits for
// another.
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "collector/attach/recordings.h"
#include "collector/drain/run_clock.h"
#include "collector/naming/stack_namer.h"
#include "collector/recording.h"
#include "exporters/filter.h"
#include "push/profile_request.h"
#include "push/session.h"

namespace camprobe::push {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::int64_t kRunSeconds = 3600;

struct Stretch {
  std::string run;
  std::int64_t from_s = 0, to_s = 0;
};

// Profiles of stretches, one after the other, on a thread of its own and at a low priority.
class ProfileMaker {
 public:
  explicit ProfileMaker(Session& session) : session_(session), thread_([this] { run(); }) {}
  ~ProfileMaker() {
    {
      const std::lock_guard lock(mutex_);
      is_to_end_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  ProfileMaker(const ProfileMaker&) = delete;
  ProfileMaker& operator=(const ProfileMaker&) = delete;

  void add(Stretch stretch) {
    {
      const std::lock_guard lock(mutex_);
      stretches_.push_back(std::move(stretch));
    }
    changed_.notify_all();
  }
  bool is_idle() const {
    const std::lock_guard lock(mutex_);
    return stretches_.empty();
  }
  void wait_until_idle(std::chrono::seconds limit) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, limit, [&] { return stretches_.empty(); });
  }

 private:
  void run() {
    ::setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)), 10);
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return is_to_end_ || !stretches_.empty(); });
      if (is_to_end_) return;
      const Stretch stretch = stretches_.front();
      lock.unlock();
      make(stretch);
      lock.lock();
      stretches_.pop_front();
      changed_.notify_all();
    }
  }

  void make(const Stretch& stretch) {
    auto run = naming::open_named(stretch.run);
    if (!run) return say(run.error());
    try {
      for (Parcel& parcel : profile_requests(*run, stretch.from_s, stretch.to_s, session_.receiver, session_.labels))
        session_.outbox->put(std::move(parcel));
    } catch (const exporters::SliceError& error) {
      say(error.what());
    }
  }

  Session& session_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Stretch> stretches_;  // the first is being worked on
  bool is_to_end_ = false;
  std::thread thread_;
};

// A run while it is recorded, cut into stretches.
class Observation {
 public:
  static run::Result<std::unique_ptr<Observation>> begin(const fs::path& path, pid_t pid) {
    run::Meta meta;
    meta.command = {"push"};
    auto recording = Recording::create(path.string(), meta);
    if (!recording) return run::Error{recording.error()};
    if (pid != 0)
      (*recording)->observe(pid);
    else
      (*recording)->observe_all();
    return std::unique_ptr<Observation>(new Observation(path, std::move(*recording)));
  }
  ~Observation() {
    recording_.reset();
    for (const char* suffix : {"", "-wal", "-shm"}) ::unlink((path_ + suffix).c_str());
  }
  Observation(const Observation&) = delete;
  Observation& operator=(const Observation&) = delete;

  milliseconds poll(ProfileMaker& maker) {
    const milliseconds wait = recording_->poll();
    if (const auto error = recording_->take_error()) say(*error);
    const std::int64_t second = this->second();
    if (waiting_.empty() || recording_->is_naming()) return wait;
    switch (step_) {
      case Step::kRecorded:  // a second later all its records are in the file
        if (second > waiting_.back().to_s) {
          recording_->name_stacks(run::StacksOf::kEverything);
          step_ = Step::kNamed;
        }
        break;
      case Step::kNamed:
        written_at_s_ = second + 2;  // when the names are in the file
        step_ = Step::kWritten;
        break;
      case Step::kWritten:
        if (second < written_at_s_) break;
        for (Stretch& stretch : waiting_) maker.add(std::move(stretch));
        waiting_.clear();
        step_ = Step::kRecorded;
        break;
    }
    return wait;
  }

  // Where the present stretch has lasted `every_s` it ends, and the next begins.
  bool cut(std::int64_t every_s) {
    if (second() < from_s_ + every_s) return false;
    if (step_ == Step::kRecorded || waiting_.empty()) {
      waiting_.push_back({path_, from_s_, from_s_ + every_s});
      from_s_ += every_s;
      return true;
    }
    return false;  // names of earlier ones are being looked up: this one is cut when they have gone
  }
  // What has come since the last cut is the last stretch, of which names are looked up like of any other.
  void leave() {
    if (second() > from_s_) waiting_.push_back({path_, from_s_, second()});
    has_left_ = true;
  }
  // All of it, whatever length it has; the recording ends.
  void finish(ProfileMaker& maker) {
    const std::int64_t to_s = second() + 1;
    if (const auto finished = recording_->finish(run::kComplete); !finished) say(finished.error());
    for (Stretch& stretch : waiting_) maker.add(std::move(stretch));
    waiting_.clear();
    if (!has_left_) maker.add({path_, from_s_, to_s});
  }
  std::int64_t second() const { return recording_->clock().now_ns() / drain::kSecondNs; }
  bool is_done() const { return waiting_.empty(); }

 private:
  Observation(const fs::path& path, std::unique_ptr<Recording> recording)
      : path_(path.string()), recording_(std::move(recording)) {}

  enum class Step { kRecorded, kNamed, kWritten };
  std::string path_;
  std::unique_ptr<Recording> recording_;
  std::int64_t from_s_ = 0, written_at_s_ = 0;
  std::vector<Stretch> waiting_;
  Step step_ = Step::kRecorded;
  bool has_left_ = false;
};

// A directory that only we can read, gone at the end.
class PrivateDirectory {
 public:
  PrivateDirectory() {
    std::error_code failed;
    const fs::path parent = fs::temp_directory_path(failed);
    std::string name = ((failed ? fs::path("/tmp") : parent) / "camprobe-push-XXXXXX").string();
    if (::mkdtemp(name.data()) != nullptr) path_ = name;
  }
  ~PrivateDirectory() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  PrivateDirectory(const PrivateDirectory&) = delete;
  PrivateDirectory& operator=(const PrivateDirectory&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

}  // namespace

int push_live_profiles(Session& session) {
  const PrivateDirectory directory;
  if (directory.path().empty()) {
    say(fmt::format("no directory for temporary files: {} (TMPDIR names another)", std::strerror(errno)));
    return 2;
  }
  int number = 0;
  const auto begin = [&] {
    return Observation::begin(directory.path() / std::to_string(++number) / attach::kObservationName,
                              session.options.pid);
  };
  const auto make_room = [&] { fs::create_directory(directory.path() / std::to_string(number + 1)); };
  make_room();
  auto first = begin();
  if (!first) {
    say(first.error());
    return 2;
  }
  std::unique_ptr<Observation> present = std::move(*first), leaving;
  {
    ProfileMaker maker(session);
    while (!is_to_end() && !session.outbox->barred()) {
      milliseconds wait = present->poll(maker);
      if (leaving) {
        wait = std::min(wait, leaving->poll(maker));
        if (leaving->is_done() && maker.is_idle()) leaving.reset();
      }
      if (present->cut(session.options.every_s) && !leaving && present->second() >= kRunSeconds) {
        make_room();
        if (auto next = begin()) {
          present->leave();
          leaving = std::move(present);
          present = std::move(*next);
        } else {
          say(next.error());
        }
      }
      sleep_for(std::clamp(wait, milliseconds(1), milliseconds(100)));
    }
    if (!session.outbox->barred()) {
      if (leaving) leaving->finish(maker);
      present->finish(maker);
      maker.wait_until_idle(std::chrono::seconds(10));
      say_farewell(session);
    }
  }
  return conclude(session);
}

}  // namespace camprobe::push
