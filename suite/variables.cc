#include "suite/variables.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdlib>
#include <sstream>

#include "suite/http.h"

namespace camprobe::suite {

std::string Variables::port(const std::string& name) {
  std::string& port = values_[name.empty() ? "port" : "port:" + name];
  for (int attempts = 0; port.empty() && attempts < 100; ++attempts) {
    const std::string candidate = std::to_string(free_port());
    bool is_taken = false;
    for (const auto& [key, value] : values_) is_taken |= key.starts_with("port") && value == candidate;
    if (!is_taken) port = candidate;
  }
  return port;
}

run::Result<std::string> Variables::fill(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    if (text.compare(at, 3, "$${") == 0) {
      out += "${";
      at += 3;
      continue;
    }
    if (text.compare(at, 2, "${") != 0) {
      out += text[at++];
      continue;
    }
    const std::size_t end = text.find('}', at);
    if (end == std::string::npos) return run::Error{fmt::format("\"{}\": ${{ has no }}", text.substr(0, 60))};
    const std::string name = text.substr(at + 2, end - at - 2);
    if (name == "port" || name.starts_with("port:")) {
      out += port(name == "port" ? "" : name.substr(5));
    } else if (name.starts_with("fill:")) {
      constexpr unsigned kMost = 1 << 26;
      unsigned bytes = 0;
      const char* const last = name.data() + name.size();
      if (const auto [at, error] = std::from_chars(name.data() + 5, last, bytes);
          error != std::errc() || at != last || bytes > kMost)
        return run::Error{fmt::format("${{{}}}: write a number of bytes up to {}, as in ${{fill:60000}}", name, kMost)};
      // Words of seven letters: what reads it may treat it as text.
      for (unsigned i = 0; i < bytes; ++i) out += i % 8 == 7 ? ' ' : static_cast<char>('a' + (i / 8 + i) % 26);
    } else if (name.starts_with("env:")) {
      const char* value = std::getenv(name.substr(4).c_str());
      if (value == nullptr) return run::Error{fmt::format("${{{}}}: the environment has no {}", name, name.substr(4))};
      out += value;
    } else if (const auto found = values_.find(name); found != values_.end()) {
      out += found->second;
    } else {
      return run::Error{
          fmt::format("there is no variable ${{{}}}; known are port, port:NAME, dir, bin, suite, cores, instances, "
                      "fill:BYTES and env:NAME",
                      name)};
    }
    at = end + 1;
  }
  return out;
}

run::Result<std::vector<std::string>> Variables::fill(const std::vector<std::string>& texts) {
  std::vector<std::string> out;
  for (const std::string& text : texts) {
    auto filled = fill(text);
    if (!filled) return run::Error{filled.error()};
    out.push_back(std::move(*filled));
  }
  return out;
}

run::Result<std::string> Variables::fill_file(const std::string& text, int instances) {
  std::string expanded;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const bool is_each = line.find("${each_port}") != std::string::npos;
    for (int i = 1; i <= (is_each ? instances : 1); ++i) {
      std::string one = line;
      for (std::size_t at; (at = one.find("${each_port}")) != std::string::npos;)
        one.replace(at, 12, port("instance" + std::to_string(i)));
      expanded += one + "\n";
    }
  }
  return fill(expanded);
}

}  // namespace camprobe::suite
