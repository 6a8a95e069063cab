// Whatever came, apply_patch answers within its limit; and what it made can be made again.
#include "text_patch.h"

#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    constexpr std::size_t bytes_max = 1U << 20;
    const std::string_view base = "sequence 1 7\napp atlas\ncommit 0123456789abcdef\nfiles 2\n";
    const std::string_view patch(size > 0 ? reinterpret_cast<const char*>(data) : "", size);
    const hasp::Result<std::string> text = hasp::maint::apply_patch(base, patch, bytes_max);
    if (!text.ok()) {
        return 0;
    }
    const hasp::Result<std::string> again = hasp::maint::make_patch(base, *text);
    if (text->size() > bytes_max || !again.ok() ||
        *hasp::maint::apply_patch(base, *again, bytes_max) != *text) {
        std::abort();
    }
    return 0;
}
