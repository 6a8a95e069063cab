#include "maint/release_proof.h"

#include "base/text.h"
#include "release_hash.h"
#include "trust/envelope.h"

#include <algorithm>
#include <limits>

namespace hasp::maint {

namespace {

constexpr std::string_view claim_first = "hasp-release-claim 1\nmanifest ";
constexpr std::string_view claim_source = "\nsource ";
constexpr std::string_view publishers_first = "hasp-publishers 1\napp ";
constexpr std::string_view key_line = "key ";
// A release is good until its successor comes: it does not expire.
constexpr std::int64_t never_us = std::numeric_limits<std::int64_t>::max();

Error proof_malformed(const std::string& what) {
    return fail(Code::refused, what + " is malformed",
                "compare the versions of hasp where it was made and here");
}

trust::Header header_of(const char* type, const Origin& origin, trust::Counter counter,
                        std::int64_t at_us) {
    return {type, origin.realm_id, origin.name, origin.name, counter, at_us, never_us};
}

Result<trust::Opened> open_with(std::string_view bytes, const trust::PublicKey& key,
                                const char* type, const Origin& origin) {
    return trust::open(bytes, key,
                       {type, origin.realm_id, origin.name, origin.name, proof_bytes_max}, 0);
}

} // namespace

std::string encode_claim(const Claim& claim) {
    return std::string(claim_first) + claim.manifest_sha256 + std::string(claim_source) +
           (claim.source.empty() ? "-" : claim.source) + "\n";
}

Result<Claim> decode_claim(std::string_view body) {
    Claim claim;
    constexpr std::size_t digits = 64;
    const std::size_t source_at = claim_first.size() + digits + claim_source.size();
    if (body.starts_with(claim_first) && body.size() > source_at && body.ends_with('\n')) {
        claim.manifest_sha256 = body.substr(claim_first.size(), digits);
        claim.source = body.substr(source_at, body.size() - source_at - 1);
        claim.source = claim.source == "-" ? "" : claim.source;
    }
    const bool good = is_lower_hex(claim.manifest_sha256, digits) &&
                      (claim.source.empty() || is_lower_hex(claim.source, 40)) &&
                      encode_claim(claim) == body;
    return good ? Result<Claim>(std::move(claim))
                : Result<Claim>(proof_malformed("what the release's signature says"));
}

Result<std::string> seal_claim(const Claim& claim, const Origin& origin,
                               const trust::SigningKey& key) {
    if (!decode_claim(encode_claim(claim)).ok()) {
        return fail(Code::usage, "`" + claim.source + "` is no commit");
    }
    return trust::seal(header_of("release", origin, claim.sequence, claim.signed_us),
                       encode_claim(claim), key);
}

Result<std::string> sign_release(const Release& release, Claim claim, const Origin& origin,
                                 const trust::SigningKey& key) {
    claim.sequence = {release.epoch, release.number};
    claim.manifest_sha256 = sha256_hex(encode_release(release));
    return seal_claim(claim, origin, key);
}

std::string encode_publishers(const Publishers& publishers) {
    std::string text = std::string(publishers_first) + publishers.app + "\n";
    for (const std::string& key : publishers.keys) {
        text += std::string(key_line) + to_base64url(key) + "\n";
    }
    return text;
}

Result<Publishers> decode_publishers(std::string_view body) {
    Publishers out;
    if (body.starts_with(publishers_first)) {
        const std::vector<std::string_view> lines =
            split(body.substr(publishers_first.size()), '\n');
        out.app = lines.front();
        for (std::size_t i = 1; i + 1 < lines.size() && i <= publisher_keys_max + 1; ++i) {
            out.keys.push_back(lines[i].starts_with(key_line)
                                   ? from_base64url(lines[i].substr(key_line.size())).value_or("")
                                   : "");
        }
    }
    const auto sound = [](const std::string& key) {
        return key.size() == trust::ed25519_key_bytes;
    };
    const bool good = valid_name(out.app) && out.keys.size() <= publisher_keys_max &&
                      std::all_of(out.keys.begin(), out.keys.end(), sound) &&
                      std::adjacent_find(out.keys.begin(), out.keys.end(),
                                         std::greater_equal<>()) == out.keys.end() &&
                      encode_publishers(out) == body;
    return good ? Result<Publishers>(std::move(out))
                : Result<Publishers>(proof_malformed("the list of an app's publishers"));
}

Result<std::string> seal_publishers(const Publishers& publishers, const Origin& origin,
                                    const trust::SigningKey& key, std::int64_t now_us) {
    if (publishers.keys.size() > publisher_keys_max) {
        return fail(Code::usage,
                    "'" + publishers.app + "' has " + std::to_string(publisher_keys_max) +
                        " publishers' keys, which is the limit",
                    "remove one that is not used any more: hasp app allow " + publishers.app +
                        " --key FILE --remove");
    }
    const std::string body = encode_publishers(publishers);
    if (auto again = decode_publishers(body); !again.ok()) {
        return fail(Code::usage, again.error().message);
    }
    return trust::seal(header_of("publishers", origin, publishers.counter, now_us), body, key);
}

Result<Publishers> open_publishers(std::string_view statement, const std::string& app,
                                   const Origin& origin) {
    auto opened = open_with(statement, origin.key, "publishers", origin);
    if (!opened.ok()) {
        return opened.error();
    }
    auto publishers = decode_publishers(opened->body);
    if (publishers.ok() && publishers->app != app) {
        return fail(Code::refused, "the list of publishers is that of '" + publishers->app +
                                       "', not of '" + app + "'");
    }
    if (publishers.ok()) {
        publishers->counter = opened->header.counter;
    }
    return publishers;
}

Result<Proof> verify_claim(const Release& release, std::string_view signature,
                           const std::vector<std::string>& keys, const Origin& origin) {
    std::vector<std::string> accepted{origin.key.raw()};
    accepted.insert(accepted.end(), keys.begin(), keys.end());
    for (const std::string& raw : accepted) {
        const auto key = trust::PublicKey::from_raw(raw);
        const auto opened = key.ok() ? open_with(signature, *key, "release", origin)
                                     : Result<trust::Opened>(key.error());
        if (!opened.ok()) {
            continue;
        }
        auto claim = decode_claim(opened->body);
        if (!claim.ok()) {
            return claim.error();
        }
        claim->sequence = opened->header.counter;
        claim->signed_us = opened->header.issued_at_us;
        if (claim->sequence != trust::Counter{release.epoch, release.number} ||
            claim->manifest_sha256 != sha256_hex(encode_release(release))) {
            return fail(Code::refused,
                        "the signature of '" + release.app + "' is of another release",
                        "push it again");
        }
        return Proof{*std::move(claim), raw};
    }
    return fail(Code::refused,
                "the release of '" + release.app + "' is not signed by a key that " +
                    origin.name.text() + " accepts for it",
                "to accept a new key there: hasp app allow " + release.app + " --key FILE");
}

std::string key_name(std::string_view raw) {
    const auto key = trust::PublicKey::from_raw(raw);
    return key.ok() ? to_hex(key->fingerprint()).substr(0, 12) : "";
}

namespace {
constexpr std::string_view pem_begin = "-----BEGIN PUBLIC KEY-----";
constexpr std::string_view pem_end = "-----END PUBLIC KEY-----";
} // namespace

std::string public_pem(const trust::PublicKey& key) {
    // An Ed25519 key fits one line of 64 characters.
    return std::string(pem_begin) + "\n" + to_base64(key.spki_der()) + "\n" + std::string(pem_end) +
           "\n";
}

Result<trust::PublicKey> public_key_from_pem(std::string_view pem) {
    const std::string_view text = trim(pem);
    if (text.starts_with(pem_begin) && text.ends_with(pem_end) &&
        text.size() > pem_begin.size() + pem_end.size()) {
        const auto der = from_base64(
            trim(text.substr(pem_begin.size(), text.size() - pem_begin.size() - pem_end.size())));
        if (auto key = der ? trust::PublicKey::from_spki(*der)
                           : Result<trust::PublicKey>(fail(Code::usage, ""));
            key.ok()) {
            return key;
        }
    }
    return fail(Code::usage, "this is no public Ed25519 key",
                "give the file that `hasp app key` printed, or one of `openssl pkey -pubout`");
}

} // namespace hasp::maint
