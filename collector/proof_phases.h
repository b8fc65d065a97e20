// collector/proof_phases.h
//
// The phases of `camprobe run --prove-leak`, as marks in the run: who drives them writes these, who judges reads them.
#pragma once

namespace camprobe::proof {

inline constexpr const char* kSource = "proof";  // mark.source

inline constexpr const char* kFirstLoad = "proof: the first load begins";
inline constexpr const char* kFirstIdle = "proof: the first idle begins";
inline constexpr const char* kSecondLoad = "proof: the same load begins again";
inline constexpr const char* kSecondIdle = "proof: the second idle begins";
inline constexpr const char* kEnd = "proof: ends";

}  // namespace camprobe::proof
