// run/result.h
//
// A value, or one sentence that says what went wrong, where, and what to do. For errors that the caller is expected to
// handle: malformed files, rows and texts that somebody else wrote.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace camprobe::run {

struct Error {
  std::string sentence;
};

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : held_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: return value;
  Result(Error error) : held_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: return Error{...};

  bool ok() const { return held_.index() == 0; }
  explicit operator bool() const { return ok(); }

  // Only where ok().
  T& value() & { return std::get<0>(held_); }
  const T& value() const& { return std::get<0>(held_); }
  T&& value() && { return std::get<0>(std::move(held_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  // Only where not ok().
  const std::string& error() const { return std::get<1>(held_).sentence; }

 private:
  std::variant<T, Error> held_;
};

// Done, or why not.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: return Error{...};

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }

  // Only where not ok().
  const std::string& error() const { return error_.value().sentence; }

 private:
  std::optional<Error> error_;
};

}  // namespace camprobe::run
