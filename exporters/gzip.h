// exporters/gzip.h: bytes as a gzip file (RFC 1952), the same bytes always as the same file.
#pragma once

#include <string>
#include <string_view>

namespace camprobe::exporters {

// Throws std::bad_alloc where there is no memory for it.
std::string gzipped(std::string_view bytes);

}  // namespace camprobe::exporters
