// Signed envelopes: Ed25519 over the exact payload bytes with domain separation; nothing inside is
// looked at before the signature holds. There is no algorithm field. PROTOCOL.md has the bytes.
// Pure; any thread.
#pragma once

#include "base/result.h"
#include "trust/counter.h"
#include "trust/keys.h"
#include "trust/name.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hasp::trust {

inline constexpr std::size_t envelope_bytes_max = 1 << 20;

struct Header {
    std::string type;     // a valid_name(): "lease", "desired-state" …
    std::string realm_id; // 32 raw bytes
    TierName issuer;
    TierName audience;
    Counter counter;
    std::int64_t issued_at_us = 0; // the issuer's clock
    std::int64_t not_after_us = 0; // not valid at or after this
    friend bool operator==(const Header&, const Header&) = default;
};

struct Opened {
    Header header;
    std::string body;
};

struct Expectation {
    std::string type;
    std::string realm_id;
    TierName issuer;
    TierName audience;
    std::size_t bytes_max = envelope_bytes_max;
};

// Why an envelope was not opened, for counters and for decisions; the Error says it in words.
enum class Fault : unsigned char {
    none,
    oversized,     // checked first
    truncated,     // fewer bytes than it announces, or more
    not_envelope,  // other first bytes
    bad_signature, // of another key, or altered
    malformed,     // the signature holds, the content makes no sense: a fault of the issuer
    wrong_type,
    wrong_realm,
    wrong_issuer,
    wrong_audience,
    expired,
};

// Code::usage for a header that open() would call malformed or an envelope beyond
// envelope_bytes_max.
Result<std::string> seal(const Header& header, std::string_view body, const SigningKey& key);

// Code::refused for every fault; `why` (optional) gets the fault, Fault::none on success. `now_us`
// is trusted time (time_guard.h). Numbers are the caller's business: accept_newer().
Result<Opened> open(std::string_view bytes, const PublicKey& key, const Expectation& expectation,
                    std::int64_t now_us, Fault* why = nullptr);

} // namespace hasp::trust
