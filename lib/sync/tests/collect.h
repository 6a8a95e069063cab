// Where tests let streams go, and contents that are hard on differences.
#pragma once

#include "base/random.h"
#include "sync/codec.h"

#include <string>
#include <utility>

namespace hasp::sync {

inline Sink into(std::string& out) {
    return [&out](std::string_view bytes) {
        out.append(bytes);
        return Status{};
    };
}

// Two short contents of few letters, the second often with much of the first.
inline std::pair<std::string, std::string> repetitive_pair(SeededRandom& random) {
    std::string base;
    std::string target;
    for (std::string* text : {&base, &target}) {
        for (std::uint64_t n = random.below(400); n > 0; --n) {
            text->append(std::string(random.below(9) + 1, "ab\n"[random.below(3)]));
        }
    }
    if (random.below(2) == 0) {
        target = base.substr(random.below(base.size() + 1)) + target;
    }
    return {std::move(base), std::move(target)};
}

} // namespace hasp::sync
