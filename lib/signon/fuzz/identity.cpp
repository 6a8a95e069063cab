// What decodes is valid, and encodes to something that decodes to the same.
#include "signon/identity.h"

#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace hasp::signon;
    const auto identity = decode_identity({reinterpret_cast<const char*>(data), size});
    if (identity) {
        const auto again = decode_identity(encode(*identity));
        if (!validate(*identity) || !again || !(*again == *identity)) {
            std::abort();
        }
    }
    return 0;
}
