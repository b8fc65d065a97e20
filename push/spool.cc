#include "push/spool.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string_view>

namespace camprobe::push {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMagic = "camprobe parcel 1";
constexpr std::string_view kSuffix = ".parcel", kUnfinished = ".part";
constexpr std::size_t kDigits = 16;

// Lines, an empty one, then the body, whose length stands in a line: a file that was cut short is found out.
std::string text_of(const Parcel& parcel) {
  std::string text = fmt::format("{}\n{}\n{}\n{} {} {}\n", kMagic, parcel.method, parcel.url, parcel.from_ms,
                                 parcel.to_ms, parcel.body.size());
  for (const std::string& header : parcel.headers) text += header + "\n";
  return text + "\n" + parcel.body;
}

std::optional<Parcel> parcel_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  Parcel parcel;
  std::string magic, numbers, header;
  if (!std::getline(file, magic) || magic != kMagic || !std::getline(file, parcel.method) ||
      !std::getline(file, parcel.url) || !std::getline(file, numbers))
    return std::nullopt;
  std::size_t size = 0;
  if (!(std::istringstream(numbers) >> parcel.from_ms >> parcel.to_ms >> size)) return std::nullopt;
  while (std::getline(file, header) && !header.empty()) parcel.headers.push_back(header);
  parcel.body.assign(std::istreambuf_iterator<char>(file), {});
  return parcel.body.size() == size ? std::optional(std::move(parcel)) : std::nullopt;
}

// Of "0000000000000012.parcel" 12; nothing of other names.
std::optional<std::uint64_t> number_of(std::string_view name) {
  if (name.size() != kDigits + kSuffix.size() || !name.ends_with(kSuffix)) return std::nullopt;
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + kDigits, number);
  return error == std::errc() && end == name.data() + kDigits ? std::optional(number) : std::nullopt;
}

}  // namespace

std::string Spool::path_of(std::uint64_t number) const {
  return fmt::format("{}/{:0{}}{}", directory_, number, kDigits, kSuffix);
}

run::Result<std::unique_ptr<Spool>> Spool::open(const std::string& directory, const std::string& address) {
  const auto cannot = [&](const std::string& why) {
    return run::Error{fmt::format("--spool {}: {}; name another directory", directory, why)};
  };
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) return cannot(std::strerror(errno));
  struct stat status {};
  if (::stat(directory.c_str(), &status) != 0) return cannot(std::strerror(errno));
  if (!S_ISDIR(status.st_mode)) return cannot("no directory");
  // What lies there is sent in our name.
  if (status.st_uid != ::geteuid() || (status.st_mode & 022) != 0)
    return cannot("somebody else may write there: it has to be yours, with mode 0700");
  const int lock = ::open((directory + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (lock < 0) return cannot(std::strerror(errno));
  if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
    ::close(lock);
    return cannot("another camprobe push uses it");
  }
  std::unique_ptr<Spool> spool(new Spool(directory, lock));
  if (auto found = spool->find_left(address); !found) return run::Error{found.error()};
  return spool;
}

Spool::~Spool() {
  ::close(lock_);
}

run::Result<void> Spool::find_left(const std::string& address) {
  std::error_code failed;
  for (const fs::directory_entry& file : fs::directory_iterator(directory_, failed)) {
    const std::string text = file.path().filename().string();
    std::string_view name = text;
    const bool is_unfinished = name.ends_with(kUnfinished);
    if (is_unfinished) name.remove_suffix(kUnfinished.size());
    const auto number = number_of(name);
    if (!number) continue;  // not ours: whoever named the directory may keep other things there
    next_ = std::max(next_, *number + 1);
    const auto parcel = is_unfinished ? std::nullopt : parcel_of(file.path().string());
    std::error_code ignored;
    if (!parcel) {
      fs::remove(file.path(), ignored);
    } else if (!parcel->url.starts_with(address + "/")) {
      return run::Error{
          fmt::format("--spool {}: what waits there is for {}; push that first, or name another directory", directory_,
                      parcel->url)};
    } else {
      left_.push_back({*number, parcel->bytes(), parcel->from_ms, parcel->to_ms});
    }
  }
  if (failed) return run::Error{fmt::format("--spool {}: {}; name another directory", directory_, failed.message())};
  std::sort(left_.begin(), left_.end(), [](const Entry& a, const Entry& b) { return a.number < b.number; });
  return {};
}

run::Result<Spool::Entry> Spool::put(const Parcel& parcel) {
  const Entry entry{next_++, parcel.bytes(), parcel.from_ms, parcel.to_ms};
  const std::string path = path_of(entry.number), part = path + std::string(kUnfinished);
  const auto failed = [&](int why) {
    return run::Error{fmt::format("{} cannot be written: {}", directory_, std::strerror(why))};
  };
  const int file = ::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file < 0) return failed(errno);
  const std::string text = text_of(parcel);
  std::size_t written = 0;
  while (written < text.size()) {
    const ssize_t more = ::write(file, text.data() + written, text.size() - written);
    if (more < 0 && errno == EINTR) continue;
    if (more <= 0) break;
    written += static_cast<std::size_t>(more);
  }
  int why = written == text.size() ? 0 : errno;
  if (::close(file) != 0 && why == 0) why = errno;
  if (why == 0 && ::rename(part.c_str(), path.c_str()) != 0) why = errno;
  if (why == 0) return entry;
  ::unlink(part.c_str());
  return failed(why);
}

std::optional<Parcel> Spool::read(const Entry& entry) const {
  return parcel_of(path_of(entry.number));
}

void Spool::remove(const Entry& entry) {
  ::unlink(path_of(entry.number).c_str());
}

}  // namespace camprobe::push
