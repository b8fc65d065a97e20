// collector/attach/environment.h
//
// What the `camprobe` command itself reads from the environment; what the probe reads stands in sampler/settings.cc.
// docs/environment.md shows both in one table, and a test compares.
#pragma once

namespace camprobe::attach {

struct CommandVariable {
  const char* name;
  const char* default_value;  // empty: unset
  const char* values;
  const char* meaning;
};

inline constexpr CommandVariable kLibraryVariable = {
    "CAMPROBE_LIBRARY", "", "a path",
    "read by `camprobe`, not passed on: where `libcamprobe.so` is, if not beside the command"};

}  // namespace camprobe::attach
