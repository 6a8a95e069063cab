// decode_section(): the first byte picks the section; what it accepts must encode to the same
// bytes.
#include "trust/grants.h"

#include <cstdint>

using namespace hasp::trust;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) {
        return 0;
    }
    const std::size_t which = data[0] % section_names.size();
    const Section section{std::string(section_names[which]),
                          std::string(reinterpret_cast<const char*>(data) + 1, size - 1)};
    (void)section_digest(section);
    Grants grants;
    if (!decode_section(section, grants)) {
        return 0;
    }
    const auto again = encode_sections(grants);
    if (!again || (*again)[which].text != section.text) {
        __builtin_trap();
    }
    return 0;
}
