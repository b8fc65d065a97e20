#include "collector/session/load_child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "collector/attach/launch.h"
#include "collector/attach/program.h"
#include "collector/load/adapter.h"
#include "collector/load/h2load_summary.h"
#include "collector/load_rows.h"
#include "collector/session/common.h"
#include "run/reader.h"

namespace camprobe {

namespace fs = std::filesystem;
using std::chrono::steady_clock;

bool take_load(Recording& recording, const std::string& file, const std::string& shown, const std::string& h2load_text,
               std::optional<load::WallTime> began) {
  auto timeline = load::read_load_file(file);
  if (!timeline) {
    say(timeline.error());
    return false;
  }
  if (!h2load_text.empty()) load::add_h2load_summary(*timeline, h2load_text);
  const std::int64_t realtime_ns = drain::to_integer(drain::clock_ns(CLOCK_REALTIME)) - recording.clock().now_ns();
  if (began) timeline->place(*began);
  if (!timeline->start) {
    say(fmt::format("{}: it does not tell when its requests were sent, so only its totals are in the run", shown));
  }
  std::optional<load::Nanoseconds> skew;
  if (began) {
    skew = load::Nanoseconds{0};
  } else if (auto reader = run::Reader::open(recording.writer().path())) {
    skew = find_skew(*reader, *timeline, realtime_ns);
    if (skew && std::chrono::abs(*skew) > std::chrono::seconds(1)) {
      say(fmt::format("{}: its clock differs from this machine's by {:.1f} s, which has been taken into account", shown,
                      std::chrono::duration<double>(*skew).count()));
    }
  }
  write_load(recording.writer(), *timeline, shown, realtime_ns, skew);
  for (const std::string& why : timeline->skipped.why) spdlog::info("{}: {}", shown, why);
  if (timeline->skipped.rows != 0) {
    say(fmt::format("{}: {} rows could not be used ({})", shown, timeline->skipped.rows,
                    timeline->skipped.why.empty() ? "see the run" : timeline->skipped.why.front()));
  }
  return true;
}

int take_timelines(Recording& recording, const std::string& shown,
                   const run::Result<std::vector<load::LoadTimeline>>& timelines) {
  if (!timelines) {
    say(timelines.error());
    return 2;
  }
  const std::int64_t realtime_ns = drain::to_integer(drain::clock_ns(CLOCK_REALTIME)) - recording.clock().now_ns();
  for (const load::LoadTimeline& timeline : *timelines)
    write_load(recording.writer(), timeline, shown, realtime_ns, load::Nanoseconds{0});
  return 0;
}

namespace {

std::string read_text(const std::string& path) {
  const auto text = proc::read_file(path);
  return text ? *text : std::string();
}

}  // namespace

LoadChild::LoadChild(const RunOptions& options, const std::string& run_path) : options_(options) {
  const std::string beside = fs::absolute(run_path).string();
  results_ = beside + ".load";
  plan_ = load::plan_load_command(options.load, results_);
  output_ = beside + ".load-stdout";
}

LoadChild::~LoadChild() {
  std::error_code ignored;
  if (captures_) fs::remove(output_, ignored);
  // A directory there is of our making: results were asked for below it.
  const bool is_ours = plan_ && !plan_->results_are_users;
  const bool is_directory = is_ours && (plan_->results != results_ || !plan_->results_below.empty());
  is_directory ? static_cast<void>(fs::remove_all(results_, ignored))
               : static_cast<void>(is_ours || skip_bytes_ != 0 ? fs::remove(results_, ignored) : false);
}

bool LoadChild::start(const sigset_t& mask) {
  attach::Launch what;
  what.path = "/bin/sh";
  what.arguments = {"sh", "-c", plan_ ? plan_->command : options_.load};
  what.environment = attach::own_environment();
  what.signal_mask = mask;
  what.own_group = true;
  // Locust, say, makes files in it, and not the directory.
  if (std::error_code ignored; plan_ && !plan_->results_are_users && plan_->results.starts_with(results_ + "/"))
    fs::create_directories(results_, ignored);
  captures_ = plan_ && (plan_->results_are_stdout || plan_->summary_is_stdout);
  int output = -1;
  if (captures_) {
    if (plan_->results_are_stdout) output_ = plan_->results;
    output = ::open(output_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (output < 0) {
      say(fmt::format("{} cannot be written: {}", output_, std::strerror(errno)));
      return false;
    }
    what.standard_output = output;
  }
  if (plan_ && plan_->appends && options_.load_results.empty()) {
    std::error_code none;
    skip_bytes_ = fs::exists(plan_->results, none) ? fs::file_size(plan_->results, none) : 0;
  }
  if (plan_ && !plan_->added.empty()) spdlog::info("load command: added {}", plan_->added);
  began_ = std::chrono::system_clock::now();
  auto started = attach::launch(what);
  if (output >= 0) ::close(output);
  if (!started) {
    say(started.error());
    return false;
  }
  pid_ = *started;
  return true;
}

void LoadChild::ended(int wait_status) {
  has_ended_ = true;
  exit_code_ = exit_code_of(wait_status);
}

void LoadChild::stop(std::chrono::seconds grace) {
  if (!is_running() || was_stopped_) return;
  was_stopped_ = true;
  kill_at_ = steady_clock::now() + grace;
  ::kill(-pid_, SIGTERM);
}

void LoadChild::kill_when_due(Instant now) const {
  if (is_running() && was_stopped_ && now >= kill_at_) ::kill(-pid_, SIGKILL);
}

int LoadChild::take(Recording& recording) {
  const bool has_failed = exit_code_ != 0 && !was_stopped_;
  if (was_stopped_) say("the load was ended before it was done");
  if (has_failed) say(fmt::format("the load command failed with exit code {}: {}", exit_code_, options_.load));
  std::string printed;
  if (captures_) printed = read_text(output_);
  // Hers: it was only looked at. JSON is not made for her.
  if (captures_ && (!plan_->results_are_stdout || plan_->results_are_text)) fmt::print("{}", printed);
  std::string file = options_.load_results;
  if (file.empty() && plan_) file = plan_->results_below.empty() ? plan_->results : newest_below();
  if (file.empty()) {
    say("no load tool was recognised in the load command, so requests and latencies are not in the run: "
        "name its results with --load-results FILE");
    return has_failed ? 1 : 0;
  }
  if (skip_bytes_ != 0) file = without_what_was_there(file);
  std::error_code none;
  if (!fs::exists(file, none) || fs::is_directory(file, none)) {
    say(fmt::format("{}: the load command left no results there", file));
    return has_failed ? 1 : was_stopped_ ? 0 : 2;
  }
  const std::string summary = plan_ && plan_->summary_is_stdout ? printed : std::string();
  const bool is_kept = !options_.load_results.empty() || (plan_ && plan_->results_are_users);
  const bool is_taken = take_load(recording, file, is_kept ? file : options_.load, summary, began_);
  return has_failed ? 1 : is_taken ? 0 : 2;
}

// The results in the directory that this load's are in; the directory itself where there are none.
std::string LoadChild::newest_below() const {
  std::error_code none;
  std::string newest = plan_->results;
  auto latest = fs::file_time_type::min();
  for (fs::recursive_directory_iterator at(plan_->results, none), end; !none && at != end; at.increment(none)) {
    if (at->path().filename() != plan_->results_below) continue;
    const auto written = at->last_write_time(none);
    // Nothing from before it began: a load that left no results must not get those of the one before.
    if (none || fs::file_time_type::clock::to_sys(written) < began_ || written < latest) continue;
    latest = written;
    newest = at->path().string();
  }
  return newest;
}

// A tool that appends: only what came after what was there is this run's.
std::string LoadChild::without_what_was_there(const std::string& file) const {
  const int from = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  const int to = ::open(results_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (from < 0 || to < 0) return file;
  ::lseek(from, static_cast<off_t>(skip_bytes_), SEEK_SET);
  char buffer[1 << 16];
  for (ssize_t got; (got = ::read(from, buffer, sizeof buffer)) > 0;) {
    if (::write(to, buffer, static_cast<std::size_t>(got)) != got) break;
  }
  ::close(from);
  ::close(to);
  return results_;
}

}  // namespace camprobe
