// What reads under a MAC is written back as it was; and what was sealed by nobody opens nothing.
#include "signon/direct.h"
#include "base/clock.h"
#include "base/random.h"
#include "direct_text.h"

#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace hasp::signon;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto parsed = parse_direct(text);
    if (parsed && format_direct(*parsed) != text) {
        std::abort();
    }
    const hasp::ManualClock clock;
    hasp::SeededRandom random(1);
    DirectSeals seals(clock, random, "secret");
    if (seals.open(text) || seals.open_cookie(text) || seals.redeem(text, "nonce", "GET")) {
        std::abort();
    }
    return 0;
}
