// Whatever lies in a handover, it is refused or read, and what was read is written the same.
#include "handover.h"

#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace hasp::cmd;
    const std::string_view text(size > 0 ? reinterpret_cast<const char*>(data) : "", size);
    const auto read = unpack_handover(text);
    if (!read.ok()) {
        return 0;
    }
    for (const int fd : descriptors_of(*read)) {
        if (fd < 0) {
            std::abort();
        }
    }
    const auto again = unpack_handover(pack(*read));
    if (!again.ok() || !(*again == *read)) {
        std::abort();
    }
    return 0;
}
