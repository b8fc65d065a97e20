#include "collector/attach/directory_watch.h"

#include <sys/stat.h>

#include <cstdlib>
#include <ctime>

namespace camprobe::attach {

bool DirectoryWatch::may_have_changed() {
  constexpr std::int64_t kSettledNs = 100'000'000;  // ten ticks at 100 Hz
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  struct stat status {};
  if (::stat(directory_.c_str(), &status) != 0) return true;
  const auto as_ns = [](const timespec& time) {
    return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
  };
  const std::int64_t modified_ns = as_ns(status.st_mtim);
  if (is_settled_ && modified_ns == modified_ns_) return false;
  modified_ns_ = modified_ns;
  is_settled_ = std::abs(as_ns(now) - modified_ns) > kSettledNs;  // the clock may have been set back
  return true;
}

}  // namespace camprobe::attach
