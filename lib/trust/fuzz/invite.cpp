// parse_invitation(): what it accepts must come out as it went in.
#include "trust/invite.h"
#include "base/text.h"

#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto invitation = hasp::trust::parse_invitation(text);
    if (invitation && invitation->text() != hasp::trim(text)) {
        __builtin_trap();
    }
    return 0;
}
