// tests/probe/programs_test.cc
//
// Real programs print the same and end the same with the probe as without, also when it samples as often as it can.
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/probe/probed.h"

namespace camprobe::tests {
namespace {

struct RealProgram {
  const char* name;
  std::vector<std::string> arguments;
};

std::string scratch() {
  return "/tmp/camprobe-programs-" + std::to_string(getpid());
}

const std::vector<RealProgram>& programs() {
  static const std::vector<RealProgram> all = {
      {"ls", {"ls", "-l", "/usr/bin"}},
      {"bash",
       {"bash", "-c",
        "for i in $(seq 200); do /bin/true; x=$(echo $i); (exit 3); done; echo $x $?; sleep 0.1 & wait; exec bash -c "
        "'exit 9'"}},
      {"pipes",
       {"bash", "-c",
        "set -o pipefail; seq 100000 | sort -R | sort -n | md5sum; yes | head -1000 | wc -l; false | true"}},
      {"python",
       {"python3", "-c",
        "import subprocess, multiprocessing, threading, json, sys\n"
        "print(subprocess.run(['echo','x'], capture_output=True).stdout)\n"
        "print(multiprocessing.get_context('fork').Pool(3).map(abs, range(-9,0)))\n"
        "t=[threading.Thread(target=lambda: sum(range(100000))) for _ in range(8)]\n"
        "[x.start() for x in t]; [x.join() for x in t]\n"
        "print(len(json.dumps(list(range(10000))))); sys.exit(5)"}},
      {"node",
       {"node", "-e",
        "const {execSync} = require('child_process'); const {Worker} = require('worker_threads');"
        "console.log(execSync('echo y').toString()); const w = new Worker('let s=0;for(let i=0;i<1e6;i++)s+=i;"
        "require(\"worker_threads\").parentPort.postMessage(s)', {eval: true}); w.on('message', m => {console.log(m); "
        "process.exitCode = 4})"}},
      {"git", {"git", "-C", CAMPROBE_SOURCE_DIR, "log", "--stat", "-3"}},
      {"gcc",
       {"bash", "-c", "echo 'int main(void){return 11;}' > $0.c && gcc -O2 $0.c -o $0.out && $0.out", scratch()}},
      {"g++",
       {"bash", "-c",
        "printf '#include <map>\\n#include <string>\\nint main(){std::map<std::string,int> m{{\"a\",1}};return "
        "m[\"a\"];}' > $0.cc && g++ $0.cc -o $0.out && $0.out",
        scratch()}},
      {"perl",
       {"perl", "-e", "my %h = map {$_ => $_*2} 1..20000; print scalar(keys %h), \"\\n\"; print `echo z`; exit 7"}},
      {"awk", {"awk", "BEGIN { for (i = 0; i < 200000; i++) a[i] = i \"x\"; print length(a) }"}},
      {"tar", {"bash", "-c", "tar -C $0 -cf - shm sampler | tar -tf - | sort | md5sum", CAMPROBE_SOURCE_DIR}},
      {"killed", {"bash", "-c", "kill -TERM $$"}},
  };
  return all;
}

void expect_the_same(const RealProgram& program, const std::map<std::string, std::string>& environment) {
  SCOPED_TRACE(program.name);
  Probed without({.arguments = program.arguments, .preload = "", .seconds = 60});
  Probed with({.arguments = program.arguments, .environment = environment, .run = Run::kNamed, .seconds = 100});
  EXPECT_EQ(with.out, without.out);
  EXPECT_EQ(with.err, without.err);
  EXPECT_EQ(with.exited, without.exited);
  EXPECT_EQ(with.status, without.status);
  EXPECT_EQ(with.signal, without.signal);
}

TEST(Programs, AreTheSameAtTheDefaults) {
  for (const RealProgram& program : programs()) expect_the_same(program, {});
}

TEST(Programs, AreTheSameUnderTheDensestSampling) {
  for (const RealProgram& program : programs())
    expect_the_same(program, {{"CAMPROBE_HEAP_INTERVAL", "4KiB"}, {"CAMPROBE_CPU_HZ", "4000"}});
}

}  // namespace
}  // namespace camprobe::tests
