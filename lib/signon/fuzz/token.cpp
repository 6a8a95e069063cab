// A token or a scope that reads is written back as it was.
#include "token_text.h"

#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace hasp::signon;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto parts = parse_token(text);
    if (parts && format_token(*parts) != text) {
        std::abort();
    }
    const auto scope = parse_scope(text);
    if (scope) {
        const auto again = parse_scope(format_scope(*scope));
        if (!again || !(*again == *scope)) {
            std::abort();
        }
    }
    return 0;
}
