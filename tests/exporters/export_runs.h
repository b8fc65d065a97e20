// tests/exporters/export_runs.h
//
// A run whose every figure can be added up by hand, for the exporters' tests: two services with threads, spans that
// nest and cross threads and services, load windows, modules with build-ids, inlined calls, a JIT and a name that
// breaks formats.
#pragma once

#include <filesystem>

namespace camprobe::tests {

// Ten seconds. What is in it is said where it is written, and repeated by consumers/exported.py.
void mesh_run(const std::filesystem::path& path);

// `hours` of spans as the collector keeps them (fifteen of each of four names a second), for sizes.
void long_spans_run(const std::filesystem::path& path, int hours);

}  // namespace camprobe::tests
