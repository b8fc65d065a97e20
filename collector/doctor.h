// collector/doctor.h
//
// What works here and what does not, each with what to do about it: the machine, the probe library, and one program.
#pragma once

#include <string>
#include <vector>

#include "run/result.h"

namespace camprobe {

struct Finding {
  enum class Grade { kGood, kNote, kBad } grade = Grade::kGood;
  std::string what;    // "/dev/shm: 64 MiB, 60 MiB free"
  std::string advice;  // empty where nothing is to be done
};

// `program` may be empty: then only the machine and the library are looked at. The error: there is no such program.
run::Result<std::vector<Finding>> examine(const std::string& program);

// What is found out about the program alone, added to `findings`.
void examine_program(const std::string& name, std::vector<Finding>& findings);

}  // namespace camprobe
