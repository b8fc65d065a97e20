// run/schema.h
//
// The text of run/schema.sql, and the two numbers in a file's header by which a run is known as one.
#pragma once

#include <cstdint>

namespace camprobe::run {

inline constexpr std::uint32_t kApplicationId = 0x63616d70;  // "camp", as in schema.sql
inline constexpr std::uint32_t kSchemaVersion = 2;           // user_version there; 1 had no unnamed_stack and no folded

extern const char* const kSchemaSql;

}  // namespace camprobe::run
