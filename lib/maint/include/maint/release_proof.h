// Who published a release: the publisher's signature over its text, and the list of keys whose
// signatures an app's origin accepts. Both are envelopes of lib/trust (PROTOCOL.md has the texts);
// every tier checks them before it takes a release in, so that no tier between can put another in
// its place. Pure; any thread.
#pragma once

#include "base/result.h"
#include "maint/release.h"
#include "trust/counter.h"
#include "trust/keys.h"
#include "trust/name.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hasp::maint {

inline constexpr std::size_t publisher_keys_max = 16; // of one app
inline constexpr std::size_t proof_bytes_max = 16 * 1024;

// The origin is the tier that decides about the app. Its own key may sign every release; it is in
// no list.
struct Origin {
    std::string realm_id; // 32 raw bytes
    trust::TierName name;
    trust::PublicKey key;
};

// What a publisher's signature says. The release's text is that of encode_release with the same
// sequence.
struct Claim {
    trust::Counter sequence;
    std::string manifest_sha256; // 64 hex digits, of the release's text
    std::string source; // commit that it was made from, 40 hex digits; empty: a folder without git
    std::int64_t signed_us = 0; // the publisher's clock
};
// Code::usage when `source` is neither empty nor a commit.
Result<std::string> seal_claim(const Claim& claim, const Origin& origin,
                               const trust::SigningKey& key);

// The same with the release's sequence and the digest of its text filled in.
Result<std::string> sign_release(const Release& release, Claim claim, const Origin& origin,
                                 const trust::SigningKey& key);

struct Publishers {
    std::string app;
    std::vector<std::string> keys; // raw, 32 bytes each, ascending
    trust::Counter counter;        // rises with each change
    bool operator==(const Publishers&) const = default;
};
// Code::usage beyond publisher_keys_max and for lists that decode_publishers would refuse.
Result<std::string> seal_publishers(const Publishers& publishers, const Origin& origin,
                                    const trust::SigningKey& key, std::int64_t now_us);
// Code::refused unless `statement` is the origin's list for this app.
Result<Publishers> open_publishers(std::string_view statement, const std::string& app,
                                   const Origin& origin);

struct Proof {
    Claim claim;
    std::string key; // raw: whose signature it is
};
// Accepts a signature over exactly this release, by the origin's key or one of `keys`.
// Code::refused otherwise.
Result<Proof> verify_claim(const Release& release, std::string_view signature,
                           const std::vector<std::string>& keys, const Origin& origin);

// The bodies of the two envelopes, apart from their headers. Decoding accepts exactly what encoding
// writes: Code::refused otherwise.
std::string encode_claim(const Claim& claim);
Result<Claim> decode_claim(std::string_view body); // sequence and signed_us stand in the header
std::string encode_publishers(const Publishers& publishers);
Result<Publishers> decode_publishers(std::string_view body); // counter stands in the header

// First 12 hex digits of a key's fingerprint: how keys are shown.
std::string key_name(std::string_view raw);
// "-----BEGIN PUBLIC KEY-----": SubjectPublicKeyInfo in PEM, as `openssl pkey -pubout` writes it.
std::string public_pem(const trust::PublicKey& key);
// Code::usage unless it is one Ed25519 public key.
Result<trust::PublicKey> public_key_from_pem(std::string_view pem);

} // namespace hasp::maint
