// Private: how SQLite's result codes become our errors.
#pragma once

#include "base/result.h"

#include <string>

namespace hasp::store {

// `code` may be an extended one.
Error sqlite_error(int code, const char* detail, const std::string& doing);

} // namespace hasp::store
