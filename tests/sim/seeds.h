// Which seeds a test runs: those that it names, or others by a variable of the environment.
#pragma once

#include <cstdint>

namespace hasp::sim {

struct Seeds {
    std::uint64_t first = 1;
    std::uint64_t last = 1; // inclusive
};

// `otherwise` where the variable is not set; else "A-B", or "N", which is 1-N. Anything else ends
// the program: a night that ran other seeds than it was told to would find nothing and look green.
Seeds seeds_from(const char* variable, const Seeds& otherwise);

} // namespace hasp::sim
