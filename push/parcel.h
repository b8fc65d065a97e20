// push/parcel.h: one request that is to reach the receiver: what stands in it, and which time it is about.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace camprobe::push {

struct Parcel {
  std::string method = "POST";
  std::string url;
  std::vector<std::string> headers;  // "Content-Type: ..."
  std::string body;
  std::int64_t from_ms = 0, to_ms = 0;  // since the epoch

  // What it takes to keep.
  std::size_t bytes() const { return sizeof *this + url.size() + body.size(); }
};

}  // namespace camprobe::push
