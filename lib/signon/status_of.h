// Private: success or failure of a statement whose count of rows does not matter.
#pragma once

#include "base/result.h"

#include <cstdint>

namespace hasp::signon {

inline Status status_of(const Result<std::int64_t>& changed) {
    return changed.ok() ? Status{} : Status{changed.error()};
}

} // namespace hasp::signon
