// collector/serve/serve.h
//
// `camprobe serve` from beginning to end: listens, follows every process with the probe, answers scrapes, until SIGINT
// or SIGTERM. Prints one line that says where it listens, errors as one line each.
#pragma once

#include <cstddef>
#include <string>

namespace camprobe::serve {

struct ServeOptions {
  std::string listen = "127.0.0.1:9187";
  std::string token_file;
  std::string tier;
  std::size_t most_targets = 100;
  bool is_quiet = false;
};

// The exit code: 0 when it was ended by a signal, 2 for what the user can put right, 1 for anything else.
int serve(const ServeOptions& options);

}  // namespace camprobe::serve
