// open() under a fixed key: arbitrary bytes, and arbitrary payloads under a good signature, since
// only those reach the parser.
#include "trust/envelope.h"

#include <cstdint>

using namespace hasp::trust;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const SigningKey key = SigningKey::from_seed(std::string(32, 'k')).value();
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const TierName tier = TierName::parse("hasp://clinics/center").value();
    const Expectation expectation{"lease", std::string(32, 'r'), tier, tier, envelope_bytes_max};
    (void)open(bytes, key.public_key(), expectation, 0);

    // The framing of PROTOCOL.md.
    std::string length;
    for (int shift = 24; shift >= 0; shift -= 8) {
        length += static_cast<char>(size >> shift & 0xff);
    }
    const std::string payload(bytes);
    const std::string message = "hasp-envelope-v1" + std::string(5, '\0') + length + payload;
    (void)open("haspenv1" + length + payload + key.sign(message), key.public_key(), expectation, 0);
    return 0;
}
