// collector/attach/program.h
//
// Whether a program can be preloaded, said before it is started: a static binary, a setuid one or one of another C
// library would run without the probe and leave an empty run. A script is judged by its interpreter.
#pragma once

#include <string>
#include <vector>

#include "run/result.h"

namespace camprobe::attach {

struct Program {
  std::string path;        // as it will be executed: absolute, or relative with a slash
  std::string executable;  // the ELF file that runs: the same, or the script's interpreter
  std::string loader;      // PT_INTERP
  bool is_script = false;
  bool is_go = false;
};

// Where a shell would find `name`: an executable file. The error is one sentence with what to do.
run::Result<std::string> locate_program(const std::string& name);

// The same, and looks into the file. The error is one sentence with what to do.
run::Result<Program> find_program(const std::string& name);

// libcamprobe.so beside this command: where it is installed (../lib/<multiarch> on Debian), where it is built (../lib),
// the same directory; or only where CAMPROBE_LIBRARY says.
run::Result<std::string> find_probe_library();

// The environment for a target: ours with the probe preloaded before whatever is preloaded already, the run's name for
// the probe, and the options that make Node.js name its JIT code.
std::vector<std::string> target_environment(const std::vector<std::string>& ours, const std::string& library,
                                            const std::string& run_id, long collector_pid);
std::vector<std::string> own_environment();

}  // namespace camprobe::attach
