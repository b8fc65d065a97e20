// collector/attach/service.h
//
// Preloading a systemd service: what would have to be written, and where. Nothing is written here; a service is its
// owner's, and a restart is hers to choose.
#pragma once

#include <string>

#include "run/result.h"

namespace camprobe::attach {

// "nginx" -> "nginx.service". The error: a name that systemd would not take, or a unit that runs no program.
run::Result<std::string> service_name(const std::string& unit);

// `library` as LD_PRELOAD should name it for programs of any architecture: where it is installed in the loader's own
// directory (lib/<multiarch> on Debian, lib64 elsewhere), that is written $LIB, which each program's loader puts its
// own in for.
std::string path_for_any_architecture(const std::string& library);

// A drop-in that preloads `library` into `service`, with what to do with it as comments.
std::string preloading_drop_in(const std::string& service, const std::string& library);

// A unit that records `service` from its start to its end, by the command at `command`.
std::string recording_unit(const std::string& service, const std::string& command);

}  // namespace camprobe::attach
