// Two centers that are neighbours without one being above the other, perhaps of two realms: the
// line by which their operators make them known to each other, and the word that one gives the
// other for each user whose requests it passes on. PROTOCOL.md has the bytes. Pure; any thread.
#pragma once

#include "base/result.h"
#include "trust/envelope.h"
#include "trust/keys.h"
#include "trust/name.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hasp::trust {

inline constexpr std::size_t peer_card_bytes_max = 4096;
inline constexpr std::size_t peer_card_addresses_max = 8;

// hasp-peer:ADDR[,ADDR…]/REALM/TOP[/…]#ROOT.KEY.CHECK
// Holds no secret, but whoever changes it on its way becomes the peer: compare fingerprints.
struct PeerCard {
    std::vector<std::string> addresses; // HOST:PORT, [IPV6]:PORT, of its link listener
    TierName name;
    std::string root_der; // its realm's root certificate
    PublicKey key;        // its envelope key: signs its assertions

    // Precondition: what make_peer_card or parse_peer_card returned.
    std::string text() const;
};
// Code::usage for addresses or a certificate beyond the limits.
Result<PeerCard> make_peer_card(std::vector<std::string> addresses, const TierName& name,
                                std::string_view root_der, const PublicKey& key);
// Surrounding white space is ignored. Code::usage: no such line at all; refused: cut short or
// altered on the way.
Result<PeerCard> parse_peer_card(std::string_view text);
// The realm's id (32 raw bytes) by the card's root. Code::refused unless that is the root of the
// realm that the card's name is in, holds at `now_us`, and has its key's SHA-1 as its subject key
// identifier (RFC 5280 §4.2.1.2, method 1): by that a verifier tells roots of one name apart.
Result<std::string> realm_id_of(const PeerCard& card, std::int64_t now_us);
// Whether the two roots have one subject and different keys, so that a verifier that trusts both
// may take one for the other. False when one is no certificate.
bool same_root_name(std::string_view root_der, std::string_view other_root_der);

// For how long an assertion is signed. Its issuer's front uses it for the first half, so that the
// two clocks may differ by the other.
inline constexpr std::int64_t assertion_life_us = 600LL * 1'000'000;
inline constexpr std::int64_t assertion_skew_us = assertion_life_us / 2;
inline constexpr std::size_t assertion_bytes_max = 2048;

// Between whom: an assertion is good for nobody else, whatever their names.
struct AssertionParties {
    TierName issuer;
    std::string issuer_realm_id; // 32 raw bytes, also below
    TierName audience;
    std::string audience_realm_id;
};
// This user, whom the issuer has checked and who may use this app, asks for it.
struct Assertion {
    std::string user; // valid_name(): as the issuer calls him
    std::string app;  // valid_name()
    std::int64_t not_after_us = 0;
    friend bool operator==(const Assertion&, const Assertion&) = default;
};
// Of type `peer-assertion`, from now on for assertion_life_us. Code::usage for names that are none.
Result<std::string> sign_assertion(const AssertionParties& parties, const std::string& user,
                                   const std::string& app, std::int64_t now_us,
                                   const SigningKey& key);
// Code::refused for everything but an assertion of this issuer for this audience that holds at
// `now_us` (trusted time), was not signed for longer than assertion_life_us, nor later than
// assertion_skew_us from now. `why` (optional): the envelope's fault, or malformed.
Result<Assertion> read_assertion(std::string_view bytes, const PublicKey& key,
                                 const AssertionParties& parties, std::int64_t now_us,
                                 Fault* why = nullptr);

} // namespace hasp::trust
