// Errors as values. A Result<T> holds a T or an Error; no exception crosses a library's door.
#pragma once

#include <cassert>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace hasp {

// The few kinds of failure that a caller can act on. Each maps to one exit code (doc of exit codes:
// hasp(1)), see exit_code().
enum class Code : unsigned char {
    failed,      // exit 1: it did not work, and none of the others fits
    usage,       // exit 2: the caller asked for something malformed
    partial,     // exit 3: some of it was done
    refused,     // exit 4: not allowed, or something did not verify
    not_found,   // exit 5
    conflict,    // exit 6: exists already, or is locked by somebody else
    unreachable, // exit 7: the other side cannot be reached
    timed_out,   // exit 8
    try_later,   // exit 75: nothing is wrong, but not now
};

// What the process ends with for an error of this kind. Success is 0.
int exit_code(Code code);
// "not_found" and the like: the stable name used in JSON. Never null.
const char* code_name(Code code);
// The reverse of code_name; an unknown name gives Code::failed.
Code code_from_name(const std::string& name);

struct Error {
    Code code = Code::failed;
    std::string message; // what, where and why: one sentence without a full stop
    std::string hint;    // what to do next, may be empty
};

template <typename T>
class [[nodiscard]] Result {
  public:
    Result(T value) : v_(std::in_place_index<0>, std::move(value)) {}
    Result(Error error) : v_(std::in_place_index<1>, std::move(error)) {}

    bool ok() const { return v_.index() == 0; }
    explicit operator bool() const { return ok(); }

    // Precondition of the next group: ok(). Violations end the process; they are bugs, never input.
    T& value() & { return *check(std::get_if<0>(&v_)); }
    const T& value() const& { return *check(std::get_if<0>(&v_)); }
    T&& value() && { return std::move(*check(std::get_if<0>(&v_))); }
    T& operator*() & { return value(); }
    const T& operator*() const& { return value(); }
    T&& operator*() && { return std::move(*this).value(); }
    T* operator->() { return &value(); }
    const T* operator->() const { return &value(); }

    // Precondition: !ok().
    const Error& error() const& { return *check(std::get_if<1>(&v_)); }
    Error&& error() && { return std::move(*check(std::get_if<1>(&v_))); }

    T value_or(T other) const& { return ok() ? std::get<0>(v_) : std::move(other); }

  private:
    template <typename P>
    static P* check(P* p) {
        if (p == nullptr) {
            __builtin_trap();
        }
        return p;
    }
    std::variant<T, Error> v_;
};

// Success without a value, or an Error.
class [[nodiscard]] Status {
  public:
    Status() = default;
    Status(Error error) : error_(std::move(error)) {}
    bool ok() const { return !error_.has_value(); }
    explicit operator bool() const { return ok(); }
    // Precondition: !ok().
    const Error& error() const {
        if (!error_) {
            __builtin_trap();
        }
        return *error_;
    }

  private:
    std::optional<Error> error_;
};

inline Error fail(Code code, std::string message, std::string hint = {}) {
    return Error{code, std::move(message), std::move(hint)};
}

// "CONTEXT: strerror(errno_value)", with the kind taken from errno where one fits.
Error errno_error(int errno_value, const std::string& context);

} // namespace hasp
