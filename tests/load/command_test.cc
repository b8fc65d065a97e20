// tests/load/command_test.cc: what is added to a user's load command, and what is left alone.
#include "collector/load/command.h"

#include <gtest/gtest.h>

namespace camprobe::load {
namespace {

constexpr const char* kOurs = "/run/dir/load results";  // a path that needs quotes

struct Case {
  const char* given;
  const char* tool;
  const char* command;  // what is to be run
  const char* results;
  bool is_stdout;
  bool is_users;
};

class LoadCommands : public testing::TestWithParam<Case> {};

TEST_P(LoadCommands, GetWhatTheyLackAndKeepWhatTheyHave) {
  const auto plan = plan_load_command(GetParam().given, kOurs);
  ASSERT_TRUE(plan) << GetParam().given;
  EXPECT_EQ(plan->tool, GetParam().tool);
  EXPECT_EQ(plan->command, GetParam().command);
  EXPECT_EQ(plan->results, GetParam().results);
  EXPECT_EQ(plan->results_are_stdout, GetParam().is_stdout);
  EXPECT_EQ(plan->results_are_users, GetParam().is_users);
  EXPECT_EQ(plan->added.empty(), std::string(GetParam().given) == GetParam().command);
}

INSTANTIATE_TEST_SUITE_P(
    H2load, LoadCommands,
    testing::Values(
        Case{"h2load -n 10 http://x", "h2load", "h2load --log-file='/run/dir/load results' -n 10 http://x", kOurs,
             false, false},
        Case{"h2load --log-file=my.tsv http://x", "h2load", "h2load --log-file=my.tsv http://x", "my.tsv", false, true},
        Case{"h2load --log-file 'my file' http://x", "h2load", "h2load --log-file 'my file' http://x", "my file", false,
             true},
        Case{"/usr/bin/h2load http://x", "h2load", "/usr/bin/h2load --log-file='/run/dir/load results' http://x", kOurs,
             false, false},
        Case{"cd /tmp/a && h2load --log-file=b http://x", "h2load", "cd /tmp/a && h2load --log-file=b http://x",
             "/tmp/a/b", false, true},
        Case{"sleep 1; nice -n 5 taskset -c 1 h2load http://x | tee log", "h2load",
             "sleep 1; nice -n 5 taskset -c 1 h2load --log-file='/run/dir/load results' http://x | tee log", kOurs,
             false, false},
        Case{"X=1 env Y=2 timeout -k 5 60 h2load http://x 2>&1", "h2load",
             "X=1 env Y=2 timeout -k 5 60 h2load --log-file='/run/dir/load results' http://x 2>&1", kOurs, false,
             false},
        Case{"sh -c 'h2load -H \"a: b\" http://x'", "h2load",
             "sh -c 'h2load --log-file='\\''/run/dir/load results'\\'' -H \"a: b\" http://x'", kOurs, false, false},
        Case{"bash -ec 'cd d; h2load --log-file=f http://x' -- y", "h2load",
             "bash -ec 'cd d; h2load --log-file=f http://x' -- y", "d/f", false, true}));

INSTANTIATE_TEST_SUITE_P(
    Vegeta, LoadCommands,
    testing::Values(
        Case{"vegeta attack -duration=5s -targets=t.txt", "vegeta",
             "vegeta attack -output='/run/dir/load results' -duration=5s -targets=t.txt", kOurs, false, false},
        Case{"echo 'GET http://x' | vegeta -cpus 2 attack -rate 10 | vegeta report", "vegeta",
             "echo 'GET http://x' | vegeta -cpus 2 attack -rate 10 | tee '/run/dir/load results' | vegeta report",
             kOurs, false, false},
        Case{"vegeta attack -targets=t.txt || echo failed", "vegeta",
             "vegeta attack -output='/run/dir/load results' -targets=t.txt || echo failed", kOurs, false, false},
        Case{"cd d && vegeta attack -output=r.bin && vegeta report r.bin", "vegeta",
             "cd d && vegeta attack -output=r.bin && vegeta report r.bin", "d/r.bin", false, true},
        Case{"vegeta attack -rate 5 > r.bin", "vegeta", "vegeta attack -rate 5 > r.bin", "r.bin", false, true}));

INSTANTIATE_TEST_SUITE_P(
    Locust, LoadCommands,
    testing::Values(Case{"locust -f l.py --headless -t 30s", "locust",
                         "locust --csv '/run/dir/load results/locust' --csv-full-history -f l.py --headless -t 30s",
                         "/run/dir/load results/locust_stats_history.csv", false, false},
                    Case{"locust --csv=out/a --csv-full-history --headless", "locust",
                         "locust --csv=out/a --csv-full-history --headless", "out/a_stats_history.csv", false, true},
                    Case{"locust --csv out --headless", "locust", "locust --csv-full-history --csv out --headless",
                         "out_stats_history.csv", false, true}));

INSTANTIATE_TEST_SUITE_P(
    Gatling, LoadCommands,
    testing::Values(
        Case{"./bin/gatling.sh -s Basic", "gatling",
             "./bin/gatling.sh --results-folder '/run/dir/load results' -s Basic", kOurs, false, false},
        Case{"gatling.sh -rf mine -s Basic", "gatling", "gatling.sh -rf mine -s Basic", "mine", false, true},
        Case{"npx gatling run --simulation basic", "gatling",
             "npx gatling run --results-folder '/run/dir/load results' --simulation basic", kOurs, false, false},
        Case{"./mvnw -q gatling:test", "gatling",
             "./mvnw -Dgatling.resultsFolder='/run/dir/load results' -q gatling:test", kOurs, false, false},
        Case{"cd app && ./gradlew gatlingRun", "gatling", "cd app && ./gradlew gatlingRun", "app/build/reports/gatling",
             false, true}));

TEST(LoadCommand, OfGatlingHasItsResultsSomewhereBelow) {
  EXPECT_EQ(plan_load_command("gatling.sh -s A", kOurs)->results_below, "simulation.log");
  EXPECT_EQ(plan_load_command("h2load http://x", kOurs)->results_below, "");
}

TEST(LoadCommand, IsNotOneWhereTheToolDoesSomethingElse) {
  for (const char* text : {"vegeta report r.bin", "vegeta encode r.bin", "locust --worker", "locust --version",
                           "gatling.sh -ro results", "mvn -q test", "./gradlew build"}) {
    EXPECT_FALSE(plan_load_command(text, kOurs)) << text;
  }
}

INSTANTIATE_TEST_SUITE_P(Printed, LoadCommands,
                         testing::Values(Case{"wrk -t2 -d10s http://x", "wrk", "wrk --latency -t2 -d10s http://x",
                                              kOurs, true, false},
                                         Case{"wrk --latency http://x > out.txt", "wrk",
                                              "wrk --latency http://x > out.txt", "out.txt", false, true},
                                         Case{"ab -n 10 http://x/", "ab", "ab -n 10 http://x/", kOurs, true, false},
                                         Case{"sh -c 'siege -c 3 http://x > a'", "siege",
                                              "sh -c 'siege -c 3 http://x > a'", "a", false, true}));

INSTANTIATE_TEST_SUITE_P(
    Jmeter, LoadCommands,
    testing::Values(
        Case{"jmeter -n -t plan.jmx", "jmeter",
             "jmeter -Jjmeter.save.saveservice.print_field_names=true -l '/run/dir/load results' -n -t plan.jmx", kOurs,
             false, false},
        Case{"jmeter -n -t plan.jmx -l out.jtl", "jmeter", "jmeter -n -t plan.jmx -l out.jtl", "out.jtl", false,
             true}));

INSTANTIATE_TEST_SUITE_P(
    Autocannon, LoadCommands,
    testing::Values(Case{"autocannon -c 5 http://x", "autocannon", "autocannon -j -c 5 http://x", kOurs, true, false},
                    Case{"autocannon --json http://x", "autocannon", "autocannon --json http://x", kOurs, true, false},
                    Case{"autocannon -j http://x > out.json", "autocannon", "autocannon -j http://x > out.json",
                         "out.json", false, true},
                    Case{"autocannon http://x>out.json 2>err", "autocannon", "autocannon -j http://x>out.json 2>err",
                         "out.json", false, true},
                    Case{"npx autocannon http://x", "autocannon", "npx autocannon -j http://x", kOurs, true, false},
                    Case{"npx -y autocannon@8 http://x 2>/dev/null", "autocannon",
                         "npx -y autocannon@8 -j http://x 2>/dev/null", kOurs, true, false},
                    Case{"npm exec -- autocannon http://x", "autocannon", "npm exec -- autocannon -j http://x", kOurs,
                         true, false},
                    Case{"./node_modules/.bin/autocannon http://x >&2", "autocannon",
                         "./node_modules/.bin/autocannon -j http://x >&2", kOurs, true, false},
                    Case{"sh -c \"autocannon http://x\" > o.json", "autocannon",
                         "sh -c 'autocannon -j http://x' > o.json", "o.json", false, true}));

INSTANTIATE_TEST_SUITE_P(
    Artillery, LoadCommands,
    testing::Values(Case{"artillery run load.yml", "artillery",
                         "artillery run --output '/run/dir/load results' load.yml", kOurs, false, false},
                    Case{"artillery run -o r.json load.yml", "artillery", "artillery run -o r.json load.yml", "r.json",
                         false, true},
                    Case{"artillery run load.yml --output=r.json", "artillery",
                         "artillery run load.yml --output=r.json", "r.json", false, true},
                    Case{"npx artillery quick http://x", "artillery",
                         "npx artillery quick --output '/run/dir/load results' http://x", kOurs, false, false}));

INSTANTIATE_TEST_SUITE_P(
    K6, LoadCommands,
    testing::Values(
        Case{"k6 run s.js", "k6", "k6 run --out 'json=/run/dir/load results' s.js", kOurs, false, false},
        Case{"k6 -q run --vus 3 s.js", "k6", "k6 -q run --out 'json=/run/dir/load results' --vus 3 s.js", kOurs, false,
             false},
        Case{"k6 run --out json=r.gz s.js", "k6", "k6 run --out json=r.gz s.js", "r.gz", false, true},
        Case{"k6 run -o csv=r.csv s.js", "k6", "k6 run -o csv=r.csv s.js", "r.csv", false, true},
        Case{"k6 run --out=influxdb=http://x s.js", "k6",
             "k6 run --out 'json=/run/dir/load results' --out=influxdb=http://x s.js", kOurs, false, false},
        Case{"K6_OUT=json=e.json k6 run s.js", "k6", "K6_OUT=json=e.json k6 run s.js", "e.json", false, true},
        Case{"K6_OUT=cloud k6 run s.js", "k6",
             "K6_OUT=cloud k6 run --out cloud --out 'json=/run/dir/load results' s.js", kOurs, false, false}));

TEST(LoadCommand, UnknownCommandsAreLeftToTheUser) {
  for (const char* command : {"", "   ", "hey http://x", "./my-load.sh", "echo h2load", "k6 version", "k6 archive s.js",
                              "artillery report r.json", "artillery", "h2load 'never closed", "sh -c \"$CMD\"",
                              "sh script.sh", "h2load >", "sh -c"}) {
    EXPECT_FALSE(plan_load_command(command, kOurs)) << command;
  }
}

TEST(LoadCommand, AFileThatIsAppendedToIsTold) {
  EXPECT_TRUE(plan_load_command("h2load http://x", kOurs)->appends);
  EXPECT_TRUE(plan_load_command("autocannon http://x >> all.json", kOurs)->appends);
  EXPECT_FALSE(plan_load_command("autocannon http://x > one.json", kOurs)->appends);
}

TEST(LoadCommand, OnlyH2loadPrintsWhatItsResultsLack) {
  EXPECT_TRUE(plan_load_command("h2load http://x", kOurs)->summary_is_stdout);
  EXPECT_FALSE(plan_load_command("h2load http://x > log", kOurs)->summary_is_stdout);
  EXPECT_FALSE(plan_load_command("k6 run s.js", kOurs)->summary_is_stdout);
}

TEST(LoadCommand, AFileNameThatOnlyTheShellKnowsIsNotGuessed) {
  EXPECT_FALSE(plan_load_command("h2load --log-file=$OUT http://x", kOurs));
  EXPECT_FALSE(plan_load_command("artillery run -o ~/r.json load.yml", kOurs));
  EXPECT_FALSE(plan_load_command("autocannon http://x > \"$OUT\"", kOurs));
  const auto k6 = plan_load_command("k6 run --out json=$OUT s.js", kOurs);  // writes to both
  ASSERT_TRUE(k6);
  EXPECT_EQ(k6->results, kOurs);
}

}  // namespace
}  // namespace camprobe::load
