#include "collector/attach/service.h"

#include <fmt/format.h>

#include <cctype>
#include <string_view>

namespace camprobe::attach {
namespace {

constexpr std::string_view kSuffix = ".service";
constexpr std::size_t kLongestName = 255;  // systemd's own limit

// systemd puts other things in for %n and its like.
std::string without_specifiers(const std::string& text) {
  std::string result;
  for (const char c : text) result += c == '%' ? "%%" : std::string(1, c);
  return result;
}

}  // namespace

run::Result<std::string> service_name(const std::string& unit) {
  if (unit.empty()) return run::Error{"the name of the unit is empty: give a service's, as systemctl lists it"};
  for (const char c : unit) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 &&
        std::string_view(":-_.\\@").find(c) == std::string_view::npos)
      return run::Error{fmt::format("{} is no name of a systemd unit: give one as systemctl lists it", unit)};
  }
  for (const char* other :
       {".socket", ".target", ".timer", ".mount", ".automount", ".path", ".slice", ".scope", ".swap", ".device"}) {
    if (unit.ends_with(other))
      return run::Error{fmt::format("{} starts no program of its own: name the .service that it starts", unit)};
  }
  const std::string name = unit.ends_with(kSuffix) ? unit : unit + std::string(kSuffix);
  if (name.size() == kSuffix.size() || name.size() > kLongestName)
    return run::Error{fmt::format("{} is no name of a systemd unit: give one as systemctl lists it", unit)};
  return name;
}

std::string path_for_any_architecture(const std::string& library) {
  const std::string installed = "/" CAMPROBE_LIBRARY_DIRECTORY "/libcamprobe.so";
  if (!library.ends_with(installed)) return library;
  return library.substr(0, library.size() - installed.size()) + "/$LIB/libcamprobe.so";
}

std::string preloading_drop_in(const std::string& service, const std::string& library) {
  return fmt::format(R"unit(# Preloads the camprobe probe into {0}. Nothing has been changed yet: write this to
#   /etc/systemd/system/{0}.d/camprobe.conf
# then
#   systemctl daemon-reload && systemctl restart {0}
#   camprobe attach "$(systemctl show --property MainPID --value {0})"
# To be rid of it, remove the file and do the first again.
#
# An LD_PRELOAD that the unit sets already is replaced: name both, the probe first, with a colon between.
# With PrivateTmp=yes the names of Node.js functions (/tmp/perf-PID.map) are seen by a collector of root's only.
[Service]
Environment="LD_PRELOAD={1}"
)unit",
                     service, without_specifiers(path_for_any_architecture(library)));
}

std::string recording_unit(const std::string& service, const std::string& command) {
  const std::string name = service.substr(0, service.size() - kSuffix.size());
  // In a command line $$ is one $, and the shell's own.
  return fmt::format(
      R"unit(# Records {0} from each start to its end, into /var/lib/camprobe. Nothing has been changed yet: write this to
#   /etc/systemd/system/camprobe-{1}.service
# then
#   systemctl daemon-reload && systemctl enable --now camprobe-{1}.service
# {0} must be preloaded (camprobe enable {0}).
[Unit]
Description=camprobe records {0}
BindsTo={0}
After={0}

[Service]
StateDirectory=camprobe
StateDirectoryMode=0700
WorkingDirectory=%S/camprobe
ExecStart=/bin/sh -c 'exec "{2}" attach --quiet --no-report "$$(systemctl show --property MainPID --value {0})"'
KillSignal=SIGINT

[Install]
WantedBy={0}
)unit",
      service, name, without_specifiers(command));
}

}  // namespace camprobe::attach
