// A file of keys with whatever is in it: nothing opens without the passphrase.
#include "backup/key_file.h"

#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto opened = hasp::backup::open_keys(text, "not the passphrase");
    if (opened.ok()) {
        std::abort();
    }
    return 0;
}
