// tests/survival/sanitizers_test.cc
//
// Programs that are themselves built with AddressSanitizer or ThreadSanitizer, under the probe: no report that they
// would not have without, and the same answers. AddressSanitizer wants to come first, so its run time is preloaded in
// front; the heap is then its own, and everything else is recorded.
#include <gtest/gtest.h>

#include "tests/survival/survival.h"

namespace camprobe::tests {
namespace {

struct Case {
  const char* sanitizer;
  std::vector<std::string> act;
};
bool is_address(const std::string& sanitizer) {
  return sanitizer == "asan";
}
std::string name_of(const ::testing::TestParamInfo<Case>& it) {
  std::string name = it.param.sanitizer + ("_" + it.param.act[0]);
  for (char& letter : name)
    if (!isalnum(static_cast<unsigned char>(letter))) letter = '_';
  return name;
}

class Sanitized : public ::testing::TestWithParam<Case> {
 protected:
  Program program(bool with_probe) const {
    Program program{
        .arguments = {victim() + "_" + GetParam().sanitizer}, .environment = kDensest, .preload = "", .seconds = 120};
    if (with_probe) program.preload = is_address(GetParam().sanitizer) ? CAMPROBE_ASAN_RUNTIME ":@" : "@";
    // Failing allocations are part of the acts, blocks that are still live too.
    program.environment["ASAN_OPTIONS"] = "allocator_may_return_null=1:detect_leaks=0";
    // And the child of a fork has its parent's threads, but none to join.
    program.environment["TSAN_OPTIONS"] = "allocator_may_return_null=1:report_signal_unsafe=0:report_thread_leaks=0";
    program.arguments.insert(program.arguments.end(), GetParam().act.begin(), GetParam().act.end());
    return program;
  }
};

TEST_P(Sanitized, ProgramsReportNothingTheyDidNotReportWithout) {
  const Probed without(program(false));
  if (without.err.find("DEADLYSIGNAL") != std::string::npos)
    GTEST_SKIP() << "the sanitizer's own run time crashes, without the probe: " << without.err;
  const Probed with(program(true));
  EXPECT_EQ(with.exited, without.exited) << with.err;
  EXPECT_EQ(with.status, without.status) << with.err;
  EXPECT_EQ(with.signal, without.signal) << with.err;
  EXPECT_EQ(with.err.find("Sanitizer"), without.err.find("Sanitizer")) << with.err;
  EXPECT_FALSE(with.out.empty());
  EXPECT_FALSE(with.regions().empty()) << "nothing was recorded";
  for (const char* wrong : {"bad", "not_cancelled", "not_cleaned", "not_ended"})
    for (const double count : with.all_printed(wrong)) EXPECT_EQ(count, 0) << wrong;
}

INSTANTIATE_TEST_SUITE_P(Acts, Sanitized, ::testing::ValuesIn([] {
                           std::vector<Case> cases;
                           for (const char* sanitizer : {"asan", "tsan"}) {
                             cases.push_back({sanitizer, {"failing-reallocs", "20", "4"}});
                             cases.push_back({sanitizer, {"exchange", "16", "50"}});
                             cases.push_back({sanitizer, {"short-lived", "300", "4"}});
                             cases.push_back({sanitizer, {"at-the-end", "100"}});
                             cases.push_back({sanitizer, {"prefork", "3", "200"}});
                             // No forks with AddressSanitizer: GCC's copies its allocator's locks as they are, and
                             // the child waits for ever for a thread that it does not have, without the probe too
                             // (13 of 20 runs of "exact 8 2000 12").
                             cases.push_back({sanitizer, {"exact", "8", "20", is_address(sanitizer) ? "0" : "2"}});
                             cases.push_back({sanitizer, {"storm", "1", CAMPROBE_PLUGIN}});
                           }
                           return cases;
                         }()),
                         name_of);

}  // namespace
}  // namespace camprobe::tests
