// Whatever the text, parse_config answers; and what it accepts, it writes so that it reads back the
// same.
#include "maint/config.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(size > 0 ? reinterpret_cast<const char*>(data) : "", size);
    const hasp::Result<hasp::maint::Config> config = hasp::maint::parse_config(text, "fuzz");
    if (config.ok()) {
        const std::string example = hasp::maint::example_config(*config);
        const hasp::Result<hasp::maint::Config> again = hasp::maint::parse_config(example, "again");
        if (!again.ok() || hasp::maint::example_config(*again) != example) {
            std::abort();
        }
    }
    return 0;
}
