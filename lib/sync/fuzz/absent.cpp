// The mark of a file whose content is to come: what is taken means what it says.
#include "sync/absent.h"

#include <cstdint>
#include <cstdlib>

using namespace hasp::sync;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto read = parse_absent({reinterpret_cast<const char*>(data), size});
    if (read && parse_absent(absent_text(*read)) != *read) {
        std::abort();
    }
    return 0;
}
