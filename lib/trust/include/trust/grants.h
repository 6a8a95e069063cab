// The grants in a lease, and their canonical text: a section is JSON lines (one object a line, keys
// sorted, no spaces, UTF-8, every line ended by \n), lines sorted by their bytes, no key twice. The
// same grants give the same bytes. Pure; any thread.
#pragma once

#include "base/result.h"
#include "trust/counter.h"
#include "trust/name.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hasp::trust {

inline constexpr std::size_t section_bytes_max = std::size_t{64} << 20;
inline constexpr std::size_t section_grants_max = 1'000'000;
inline constexpr std::size_t grant_line_bytes_max = 16'384;
inline constexpr std::size_t grant_text_bytes_max =
    320;                                           // display names, e-mail addresses, release ids
inline constexpr std::size_t grant_list_max = 256; // groups or apps of one user

// What a program does when its grant ends, from lenient to strict: a tier may hand on the same or a
// stricter one.
enum class AtExpiry : unsigned char { go_on, read_only, stop };

// In all of them: `origin` is the tier by whose authority the grant exists: the issuer of the lease
// or a tier above it; in the latter case the issuer must hold the same grant. Times are wall
// microseconds; a grant is in force before expires_us.

// This tier may run this release. Several releases of an app may be granted at a time.
struct RunGrant {
    std::string app;
    std::string release;
    TierName origin;
    AtExpiry at_expiry = AtExpiry::go_on;
    std::int64_t expires_us = 0;
    friend bool operator==(const RunGrant&, const RunGrant&) = default;
};
// This user may use this app here.
struct UseGrant {
    std::string user;
    std::string app;
    TierName origin;
    std::int64_t expires_us = 0;
    friend bool operator==(const UseGrant&, const UseGrant&) = default;
};
// This user may log in here. Lists are sorted, without duplicates.
struct LoginGrant {
    std::string user;
    std::string display_name;
    std::string email;
    std::vector<std::string> groups;
    std::vector<std::string> apps;
    TierName origin;
    std::int64_t expires_us = 0;
    friend bool operator==(const LoginGrant&, const LoginGrant&) = default;
};
// What verifies that user's password here while the link is down (verifier.h). In a section of its
// own, so that a lease's chain can show a login grant of a tier above without the verifier of that
// tier.
struct VerifierGrant {
    std::string user;
    TierName home;                // the tier that holds V0; above the holder
    std::uint64_t version = 0;    // of the password
    std::string salt;             // of Argon2id, raw, 8-64 bytes
    std::uint32_t memory_kib = 0; // Argon2id: m
    std::uint32_t passes = 0;     // t
    std::uint32_t lanes = 0;      // p
    std::string v;                // V of the holder, 32 raw bytes
    std::vector<std::string>
        keys; // k of each tier from just below home down to the holder, 32 raw bytes each
    friend bool operator==(const VerifierGrant&, const VerifierGrant&) = default;
};
// This tier may keep this user's files.
struct KeepGrant {
    std::string user;
    TierName origin;
    std::int64_t expires_us = 0;
    friend bool operator==(const KeepGrant&, const KeepGrant&) = default;
};
// This tier is the one home of this dataset, under this fencing number.
struct WriteGrant {
    std::string dataset; // the app's name
    TierName origin;
    Counter fence;
    std::int64_t expires_us = 0;
    friend bool operator==(const WriteGrant&, const WriteGrant&) = default;
};

struct Grants {
    std::vector<RunGrant> run;
    std::vector<UseGrant> use;
    std::vector<LoginGrant> login;
    std::vector<VerifierGrant> verifier;
    std::vector<KeepGrant> keep;
    std::vector<WriteGrant> write;
    friend bool operator==(const Grants&, const Grants&) = default;
    std::size_t count() const; // verifiers not counted: they go with their login grant
};

// Every lease has all six, in this order (alphabetical).
inline constexpr std::array<std::string_view, 6> section_names = {"keep", "login",    "run",
                                                                  "use",  "verifier", "write"};

struct Section {
    std::string name;
    std::string text;
};

// Sorts; Code::usage for a grant that decode would refuse and for the same key twice.
Result<std::vector<Section>> encode_sections(const Grants& grants);

// Appends one section's grants to `out`, in the order of the text. Code::refused for anything that
// is not exactly what encode_sections writes: unknown or missing keys, other order, other spelling
// of the same values, beyond the limits.
Status decode_section(const Section& section, Grants& out);

// The section hash of a manifest: SHA-256 over the hashes of the lines (PROTOCOL.md), so that a
// line can be replaced by its hash without changing it. Lines that start with '#' are such hashes.
// Code::refused when one of them is malformed.
Result<std::string> section_digest(const Section& section);

} // namespace hasp::trust
