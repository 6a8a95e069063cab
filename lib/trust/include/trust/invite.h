// The one line by which a tier joins its parent:
//   hasp-join:ADDR[,ADDR…]/REALM/TOP[/…PARENT]#NAME.ROOTHASH.TOKENID.SECRET.CHECK
// It carries a secret: by file or stdin, never argv, never a log. PROTOCOL.md has the grammar.
// Pure; any thread.
#pragma once

#include "base/random.h"
#include "base/result.h"
#include "trust/name.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hasp::trust {

inline constexpr std::size_t invitation_bytes_max = 4096;
inline constexpr std::size_t invitation_addresses_max = 8;
inline constexpr std::size_t invitation_secret_bytes = 20; // 160 bits
inline constexpr std::size_t invitation_id_bytes = 9;
inline constexpr std::int64_t invitation_lifetime_us = 24LL * 3600 * 1'000'000; // default

struct Invitation {
    std::vector<std::string> addresses; // HOST:PORT, [IPV6]:PORT
    TierName parent;
    std::string name;     // of the child to be: parent.child(name)
    std::string realm_id; // fingerprint of the root's key, 32 raw bytes
    std::string token_id; // invitation_id_bytes, raw
    std::string secret;   // invitation_secret_bytes, raw

    // Precondition: what make_invitation or parse_invitation returned.
    std::string text() const;
};

// What the parent keeps of it: never the secret.
struct InvitationRecord {
    std::string token_id;
    std::string secret_sha256; // of the secret with the token id, see PROTOCOL.md
    std::string name;
    std::int64_t not_after_us = 0;
};

struct NewInvitation {
    Invitation invitation;
    InvitationRecord record;
};
// Code::usage for an address, name or parent that does not fit the grammar.
Result<NewInvitation> make_invitation(std::vector<std::string> addresses, const TierName& parent,
                                      std::string_view name, std::string_view realm_id,
                                      std::int64_t not_after_us, Random& random);

// Surrounding white space is ignored. Failures are told apart in words: not an invitation at all
// (Code::usage), cut short, and altered on the way (both Code::refused).
Result<Invitation> parse_invitation(std::string_view text);

// May this secret redeem this record for this name, now? In time that does not depend on the
// secret. Code::refused in every other case, with the reason (for the parent's log: tell the peer
// only that the invitation is not valid). Single use is the store's business.
Status redeem(const InvitationRecord& record, std::string_view secret, std::string_view name,
              std::int64_t now_us);

bool valid_address(std::string_view host_port);

} // namespace hasp::trust
