// suite/variables.h
//
// The variables of a suite's texts, of one run:
//   ${port}, ${port:NAME}   a free port of 127.0.0.1, the same wherever the same name stands
//   ${dir}                  the run's directory
//   ${bin}                  where the camprobe command lies
//   ${suite}                where the suite's file lies
//   ${instances}, ${cores}  of this run, where the suite runs through several
//   ${env:NAME}             of the environment
// $${ stands for ${ itself. In `files`, a line with ${each_port} stands once for each instance.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "run/result.h"

namespace camprobe::suite {

class Variables {
 public:
  void set(const std::string& name, const std::string& value) { values_[name] = value; }
  // The error names the variable.
  run::Result<std::string> fill(const std::string& text);
  run::Result<std::vector<std::string>> fill(const std::vector<std::string>& texts);
  // The ports of instances 1 .. n: ${port:instance1} ...
  run::Result<std::string> fill_file(const std::string& text, int instances);
  std::string port(const std::string& name);

 private:
  std::map<std::string, std::string> values_;
};

}  // namespace camprobe::suite
