// Whatever the text, decode_release answers; and what it accepts has one text and passes the rules.
#include "maint/release.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(size > 0 ? reinterpret_cast<const char*>(data) : "", size);
    const hasp::Result<hasp::maint::Release> release = hasp::maint::decode_release(text);
    if (release.ok() && (hasp::maint::encode_release(*release) != text ||
                         !hasp::maint::check_release(*release).ok())) {
        std::abort();
    }
    const std::size_t half = size / 2;
    const std::string reason =
        hasp::maint::unsafe_symlink_reason(text.substr(0, half), text.substr(half));
    if (reason.empty() && text.substr(half).starts_with('/')) {
        std::abort();
    }
    return 0;
}
