// tests/exporters/make_runs.cc DIRECTORY [HOURS]: writes the synthetic runs that tests/exporters/consumers/*.py export
// and open; with HOURS only long.camrun, that many hours of spans, to see how large exports become.
#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "tests/exporters/export_runs.h"
#include "tests/exporters/synthetic_run.h"

int main(int argc, char** argv) {
  if (argc != 2 && argc != 3) {
    fmt::print(stderr, "make_runs DIRECTORY [HOURS]\n");
    return 2;
  }
  const std::filesystem::path directory = argv[1];
  std::filesystem::create_directories(directory);
  if (argc == 3) {
    camprobe::tests::long_spans_run(directory / "long.camrun", std::atoi(argv[2]));
    return 0;
  }
  camprobe::tests::server_run(directory / "server.camrun");
  camprobe::tests::hostile_run(directory / "hostile.camrun");
  camprobe::tests::empty_run(directory / "empty.camrun");
  camprobe::tests::mesh_run(directory / "mesh.camrun");
  return 0;
}
