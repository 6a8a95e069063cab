// Where tests let streams go.
#pragma once

#include "sync/codec.h"

#include <string>

namespace hasp::sync {

inline Sink into(std::string& out) {
    return [&out](std::string_view bytes) {
        out.append(bytes);
        return Status{};
    };
}

} // namespace hasp::sync
