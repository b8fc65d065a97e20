#include "collector/status_line.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace camprobe {
namespace {

StatusLine* standing = nullptr;

std::size_t columns_of_terminal() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

// Bytes that begin a character; names of functions may hold any.
bool begins_character(char byte) {
  return (static_cast<unsigned char>(byte) & 0xc0) != 0x80;
}
std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), begins_character));
}

std::string cut(const std::string& text, std::size_t columns) {
  if (width_of(text) <= columns) return text;
  const std::size_t kept = columns > 3 ? columns - 3 : columns;
  std::size_t end = 0, characters = 0;
  while (end < text.size() && (characters += begins_character(text[end])) <= kept) ++end;
  return text.substr(0, end) + (columns > 3 ? "..." : "");
}

std::string joined(const std::vector<StatusPart>& parts) {
  std::string line;
  for (const StatusPart& part : parts) line += (line.empty() ? "" : " | ") + part.text;
  return line;
}

}  // namespace

std::string status_text(std::vector<StatusPart> parts, std::size_t columns) {
  for (StatusPart& part : parts) {  // a name must not move the cursor
    std::replace_if(
        part.text.begin(), part.text.end(),
        [](char byte) { return static_cast<unsigned char>(byte) < 0x20 || byte == 0x7f; }, ' ');
  }
  // The last part, a title, is cut rather than dropped as long as a word of it can be read.
  constexpr std::size_t kReadable = 12;
  while (parts.size() > 1 && width_of(joined(parts)) > columns) {
    const std::size_t rest = width_of(joined({parts.begin(), parts.end() - 1})) + 3;
    const auto dearest = std::max_element(parts.begin(), parts.end(),
                                          [](const StatusPart& a, const StatusPart& b) { return a.rank < b.rank; });
    if (dearest == parts.end() - 1 && rest + kReadable <= columns) break;
    parts.erase(dearest);
  }
  return cut(joined(parts), columns);
}

StatusLine::StatusLine(bool is_wanted) {
  const char* terminal = std::getenv("TERM");
  is_possible_ = is_wanted && ::isatty(STDERR_FILENO) == 1 && terminal != nullptr && *terminal != '\0' &&
                 std::string_view(terminal) != "dumb";
}

void StatusLine::show(std::vector<StatusPart> parts) {
  if (!is_possible_) return;
  erase();
  // The last column stays free: a line that fills it would wrap on some terminals.
  const std::string line = status_text(std::move(parts), columns_of_terminal() - 1);
  std::fputs(line.c_str(), stderr);
  std::fflush(stderr);
  shown_ = width_of(line);
  standing = this;
}

void StatusLine::erase() {
  if (shown_ == 0) return;
  // Never a row above: on a terminal that became narrower the rest of the line may stand there, but so may what the
  // program has said since.
  std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
  shown_ = 0;
  standing = nullptr;
}

void StatusLine::erase_current() {
  if (standing != nullptr) standing->erase();
}

}  // namespace camprobe
