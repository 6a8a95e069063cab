// parse_peer_card(): what it accepts must come out as it went in. read_assertion(): arbitrary
// bytes, and arbitrary bodies in an envelope that is right, since only those reach the parser.
#include "trust/peer.h"
#include "base/text.h"

#include <cstdint>

using namespace hasp::trust;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (const auto card = parse_peer_card(text)) {
        if (card->text() != hasp::trim(text)) {
            __builtin_trap();
        }
        (void)realm_id_of(*card, 1'700'000'000'000'000);
    }
    static const SigningKey key = SigningKey::from_seed(std::string(32, 'k')).value();
    static const TierName east = TierName::parse("hasp://clinics/east").value();
    static const TierName west = TierName::parse("hasp://labs/west").value();
    static const AssertionParties parties{east, std::string(32, 'e'), west, std::string(32, 'w')};
    (void)read_assertion(text, key.public_key(), parties, 1'000);
    if (const auto sealed = seal(
            {"peer-assertion", parties.issuer_realm_id, east, west, {}, 0, 2'000}, text, key)) {
        const auto read = read_assertion(*sealed, key.public_key(), parties, 1'000);
        if (read && (read->user + read->app).size() + 34 != size) {
            __builtin_trap();
        }
    }
    return 0;
}
