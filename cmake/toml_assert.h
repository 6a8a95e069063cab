// Put before every source that uses toml++ (cmake/packages.cmake). toml++ 3.3 asserts on some input where it should report an
// error, for example "[{" as a table header: a file would end the process, or be undefined behaviour where assertions are
// off. Every assertion of it is an exception instead, in all build types and all sources alike (its functions are inline, so
// differing definitions would be merged at random). Whoever parses catches std::exception.
#pragma once

#undef NDEBUG

#include <stdexcept>

namespace hasp {
// A function, since a throw in the library's noexcept functions is a warning at each place.
[[noreturn]] inline void toml_assertion_failed() { throw std::logic_error("this cannot stand here"); }
}  // namespace hasp

#define TOML_ASSERT(expr) ((expr) ? void() : ::hasp::toml_assertion_failed())
