// Makes the reader's fuzz corpus: DIRECTORY/finished.camrun, small pages so that mutations meet every kind of page.
#include <sqlite3.h>

#include <cstdio>
#include <string>

#include "tests/run/sample_run.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: make_run_corpus DIRECTORY\n");
    return 2;
  }
  const std::string path = std::string(argv[1]) + "/finished.camrun";
  {
    auto writer = camprobe::run::Writer::create(path, camprobe::run::sample_meta());
    if (!writer) {
      std::fprintf(stderr, "%s\n", writer.error().c_str());
      return 1;
    }
    camprobe::run::write_sample(*writer);
    if (!writer->finish(10 * camprobe::run::kTestSecond, camprobe::run::kComplete)) return 1;
  }
  sqlite3* database = nullptr;
  const bool done = sqlite3_open(path.c_str(), &database) == SQLITE_OK &&
                    sqlite3_exec(database, "PRAGMA page_size = 512; VACUUM", nullptr, nullptr, nullptr) == SQLITE_OK;
  sqlite3_close(database);
  return done ? 0 : 1;
}
