// Whatever answers, only "stream: OK" is clean, and what it is called may go into a message.
#include "sync/batch.h"
#include "virus_scanner.h"

#include <cstdint>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using hasp::maint::ScanVerdict;
    const std::string_view answer(size > 0 ? reinterpret_cast<const char*>(data) : "", size);
    const ScanVerdict said = hasp::maint::parse_clamd_answer(answer);
    if ((said.kind == ScanVerdict::Kind::clean) != (answer == "stream: OK") ||
        (said.kind == ScanVerdict::Kind::infected && !hasp::sync::valid_virus_name(said.text)) ||
        !hasp::sync::valid_virus_name(hasp::maint::virus_name_in(answer)) ||
        said.text.size() > 1000) {
        std::abort();
    }
    return 0;
}
