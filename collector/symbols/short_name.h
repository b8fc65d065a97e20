// collector/symbols/short_name.h
//
// A function's name without its arguments, template arguments and return type, for narrow displays.
//
//   std::vector<int, std::allocator<int> >::push_back(int const&)   ->  std::vector::push_back
//   void serve<Http>(Http&)::{lambda(int)#1}::operator()(int) const ->  serve::{lambda#1}::operator()
//   <alloc::vec::Vec<T> as core::ops::drop::Drop>::drop             ->  <alloc::vec::Vec as
//   core::ops::drop::Drop>::drop
#pragma once

#include <string>
#include <string_view>

#include "collector/symbols/frame.h"

namespace camprobe::symbols {

// For demangled C++, Rust and Java names; text it cannot make sense of comes back unchanged.
std::string short_function_name(std::string_view function);

// The same, leaving alone the languages in which "<lambda>" or "(anonymous)" is a name.
std::string short_function_name(const Frame& frame);

}  // namespace camprobe::symbols
