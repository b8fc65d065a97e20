// tests/symbols/short_name_test.cc
#include "collector/symbols/short_name.h"

#include <gtest/gtest.h>

using camprobe::symbols::Frame;
using camprobe::symbols::FrameKind;
using camprobe::symbols::short_function_name;

namespace {
std::string shorten(std::string_view name) {
  return short_function_name(name);
}
}  // namespace

TEST(ShortName, DropsArgumentsAndTemplateArguments) {
  EXPECT_EQ(shorten("std::vector<int, std::allocator<int> >::push_back(int const&)"), "std::vector::push_back");
  EXPECT_EQ(shorten("mesh::arbitrate(int volatile*)"), "mesh::arbitrate");
  EXPECT_EQ(shorten("mesh::(anonymous namespace)::hidden(std::string const&)"), "mesh::(anonymous namespace)::hidden");
  EXPECT_EQ(shorten("f(void (*)(int))"), "f");
}

TEST(ShortName, DropsTheReturnTypeOfTemplates) {
  EXPECT_EQ(shorten("void std::sort<int*>(int*, int*)"), "std::sort");
  EXPECT_EQ(shorten("std::string mesh::choose<std::string>(std::string, std::string)"), "mesh::choose");
  EXPECT_EQ(shorten("int const& mesh::pick<int>(int const&)"), "mesh::pick");
  EXPECT_EQ(shorten("decltype (declval<int>()) mesh::call<int>(int)"), "mesh::call");
}

TEST(ShortName, KeepsOperators) {
  EXPECT_EQ(shorten("mesh::Cost::operator()(int) const"), "mesh::Cost::operator()");
  EXPECT_EQ(shorten("bool operator< <int>(A<int> const&, A<int> const&)"), "operator<");
  EXPECT_EQ(shorten("std::ostream& std::operator<< <char>(std::ostream&, char const*)"), "std::operator<<");
  EXPECT_EQ(shorten("A::operator->() const"), "A::operator->");
  EXPECT_EQ(shorten("operator new(unsigned long)"), "operator new");
  EXPECT_EQ(shorten("operator delete[](void*)"), "operator delete[]");
  EXPECT_EQ(shorten("mesh::operators::apply(int)"), "mesh::operators::apply");
}

TEST(ShortName, KeepsLambdasInTheirFunctions) {
  EXPECT_EQ(shorten("mesh::serve(int)::{lambda(int)#1}::operator()(int) const"), "mesh::serve::{lambda#1}::operator()");
  EXPECT_EQ(shorten("void mesh::serve<Http>(Http&) const::{lambda()#2}::operator()() const"),
            "mesh::serve::{lambda#2}::operator()");
}

TEST(ShortName, ReadsRust) {
  EXPECT_EQ(shorten("<alloc::vec::Vec<T> as core::ops::drop::Drop>::drop"),
            "<alloc::vec::Vec as core::ops::drop::Drop>::drop");
  EXPECT_EQ(shorten("cam::mesh::vote::<u8>"), "cam::mesh::vote");
  EXPECT_EQ(shorten("cam::serve::{closure#0}"), "cam::serve::{closure#0}");
}

TEST(ShortName, DropsCloneSuffixes) {
  EXPECT_EQ(shorten("parse.part.0"), "parse");
  EXPECT_EQ(shorten("parse.constprop.0.cold"), "parse");
  EXPECT_EQ(shorten("mesh::build(int) [clone .cold]"), "mesh::build");
}

TEST(ShortName, LeavesOtherTextAlone) {
  for (const char* name :
       {"", "main", "malloc@plt", "libfoo.so!0x1234", "[unknown]", "Builtins_ArrayMap", "<signal handler called>"}) {
    EXPECT_EQ(shorten(name), name);
  }
}

TEST(ShortName, KnowsThatOtherLanguagesNameThingsInBrackets) {
  EXPECT_EQ(short_function_name(Frame{.function = "arbitrate.<locals>.<lambda>", .kind = FrameKind::kPython}),
            "arbitrate.<locals>.<lambda>");
  EXPECT_EQ(short_function_name(Frame{.function = "get cost", .kind = FrameKind::kJs}), "get cost");
  EXPECT_EQ(short_function_name(Frame{.function = "java.lang.String.charAt(int)", .kind = FrameKind::kJava}),
            "java.lang.String.charAt");
}
