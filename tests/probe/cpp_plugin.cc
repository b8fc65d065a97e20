// tests/probe/cpp_plugin.cc
//
// A C++ library for a C program: new, delete, strings, and an allocation that throws.
#include <map>
#include <new>
#include <string>

volatile std::size_t g_too_much = std::size_t{1} << 46;

extern "C" __attribute__((visibility("default"))) int cpp_work() {
  std::map<std::string, int> words;
  for (int i = 0; i < 5000; ++i) words["a word that is too long for the small buffer " + std::to_string(i)] = i;
  int sum = 0;
  for (const auto& [word, number] : words) sum += number;
  try {
    ::operator delete(::operator new(g_too_much));
  } catch (const std::bad_alloc&) {
    return sum == 12497500 ? 1 : 2;
  }
  return 3;
}
