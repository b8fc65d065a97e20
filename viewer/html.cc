// viewer/html.cc: see html.h.
#include "viewer/html.h"

#include <stdexcept>
#include <string_view>

// The built app, put into this library's read-only data by viewer/embed.S.
extern "C" const char camprobe_viewer_html_begin[];
extern "C" const char camprobe_viewer_html_end[];

namespace camprobe::viewer {

namespace {

// Where the app leaves room; build.mjs fails if either is not in the page exactly once.
constexpr std::string_view kDataSlot = "{{camprobe-data}}";
constexpr std::string_view kConnectSlot = "{{camprobe-connect}}";

std::string_view app() {
  return {camprobe_viewer_html_begin, static_cast<std::size_t>(camprobe_viewer_html_end - camprobe_viewer_html_begin)};
}

// Inside <script> only "</script" and "<!--" mean anything to an HTML parser, so no "<" is left in the text at all.
std::string script_safe(std::string text) {
  std::string out;
  out.reserve(text.size() + text.size() / 64);
  for (const char c : text) {
    if (c == '<') {
      out += "\\u003c";
    } else {
      out += c;
    }
  }
  return out;
}

std::string filled(std::string_view connect, std::string_view data) {
  const std::string_view page = app();
  const std::size_t connect_at = page.find(kConnectSlot);
  const std::size_t data_at = page.find(kDataSlot);
  if (connect_at == std::string_view::npos || data_at == std::string_view::npos || data_at < connect_at) {
    throw std::logic_error("the built viewer has no room for its data; build it again");
  }
  std::string out;
  out.reserve(page.size() + data.size());
  out += page.substr(0, connect_at);
  out += connect;
  out += page.substr(connect_at + kConnectSlot.size(), data_at - connect_at - kConnectSlot.size());
  out += data;
  out += page.substr(data_at + kDataSlot.size());
  return out;
}

}  // namespace

std::string self_contained_page(const nlohmann::json& page) {
  return filled("'none'", script_safe(page.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)));
}

std::string served_page() {
  return filled("'self'", "");
}

}  // namespace camprobe::viewer
