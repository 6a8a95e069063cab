// Differences from elsewhere, applied: output within its limit or an error.
#include "sync/difference.h"

#include <cstdint>
#include <cstdlib>

using namespace hasp;
using namespace hasp::sync;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    constexpr std::uint64_t limit = 100'000;
    std::string base;
    for (int i = 0; i < 5000; ++i) {
        base.push_back(static_cast<char>(i * 7));
    }
    MemoryFile old(base);
    MemoryFile difference(std::string(reinterpret_cast<const char*>(data), size));
    std::uint64_t made = 0;
    [[maybe_unused]] const Status done =
        apply_difference(old, pull_from(difference), limit, [&made](std::string_view bytes) {
            made += bytes.size();
            return Status{};
        });
    if (made > limit) {
        std::abort();
    }
    return 0;
}
