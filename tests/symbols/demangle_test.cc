// tests/symbols/demangle_test.cc
#include "collector/symbols/demangle.h"

#include <gtest/gtest.h>

using camprobe::symbols::demangle;
using camprobe::symbols::kMaxDemangled;

TEST(Demangle, ReadsCxxNamesWithTheirArguments) {
  EXPECT_EQ(demangle("_ZN4mesh9arbitrateEPVi"), "mesh::arbitrate(int volatile*)");
  EXPECT_EQ(demangle("_ZNSt6vectorIiSaIiEE9push_backERKi"),
            "std::vector<int, std::allocator<int> >::push_back(int const&)");
}

TEST(Demangle, LeavesOutTheHashOfLegacyRust) {
  EXPECT_EQ(demangle("_ZN3cam9arbitrate17h0123456789abcdefE"), "cam::arbitrate");
  EXPECT_EQ(
      demangle("_ZN66_$LT$alloc..vec..Vec$LT$T$GT$$u20$as$u20$core..ops..drop..Drop$GT$4drop17hd3f2a3b4c5d6e7f8E"),
      "<alloc::vec::Vec<T> as core::ops::drop::Drop>::drop");
}

TEST(Demangle, ReadsRustV0) {
  EXPECT_EQ(demangle("_RNvC3cam6quorum"), "cam::quorum");
  EXPECT_EQ(demangle("_RNvMs0_NtC3cam4meshNtB5_4Node4vote"), "<cam::mesh::Node>::vote");
}

TEST(Demangle, LeavesOtherNamesAlone) {
  for (const char* name :
       {"", "malloc", "main", "_Z", "_ZN", "_R", "_Znonsense", "_RX", "Builtins_ArrayMap", "ngx_http_handler"}) {
    EXPECT_EQ(demangle(name), name);
  }
}

// Each substitution doubles the name: forty of them are a terabyte.
TEST(Demangle, ShowsANameThatGrowsWithoutEndAsItIs) {
  std::string bomb = "_Z1fSt4pairIiiE";  // S_ is pair, S0_ is pair<int, int>
  for (char digit : std::string_view("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")) {
    const std::string last = std::string("S") + digit + "_";
    bomb += "S_I" + last + last + "E";
  }
  const std::string shown = demangle(bomb);
  EXPECT_LE(shown.size(), kMaxDemangled);
  EXPECT_EQ(shown, bomb);
}

TEST(Demangle, ShowsAnEndlessSymbolAsItIs) {
  const std::string endless = "_ZN" + std::string(100000, '1');
  EXPECT_EQ(demangle(endless), endless);
}
