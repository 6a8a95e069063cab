#include "trust/envelope.h"

#include "base/text.h"
#include "bytes.h"
#include "trust/hash.h"

#include <optional>

namespace hasp::trust {

namespace {
constexpr std::string_view magic = "haspenv1";
constexpr std::size_t frame_bytes = 8 + 4; // magic, payload length
constexpr std::string_view domain = "hasp-envelope-v1";

// What is signed: the domain, a zero byte, the payload's length in 8 bytes, the payload. The length
// keeps any two payloads apart, the domain keeps envelopes apart from everything else that the key
// signs (certificates begin with 0x30).
std::string to_be_signed(std::string_view payload) {
    detail::Writer w;
    w.raw(domain);
    w.number(0, 1);
    w.number(payload.size(), 8);
    w.raw(payload);
    return w.take();
}

bool sensible(const Header& h) {
    return valid_name(h.type) && h.realm_id.size() == sha256_bytes && !h.issuer.empty() &&
           !h.audience.empty() && h.issued_at_us >= 0 && h.not_after_us >= h.issued_at_us;
}

std::optional<Opened> parse_payload(std::string_view payload) {
    detail::Reader r(payload);
    Opened out;
    out.header.type = r.sized(1);
    out.header.realm_id = r.raw(sha256_bytes);
    const Result<TierName> issuer = TierName::parse(r.sized(2));
    const Result<TierName> audience = TierName::parse(r.sized(2));
    out.header.counter.epoch = r.number(8);
    out.header.counter.number = r.number(8);
    out.header.issued_at_us = static_cast<std::int64_t>(r.number(8));
    out.header.not_after_us = static_cast<std::int64_t>(r.number(8));
    out.body = r.sized(4);
    if (!r.at_end() || !issuer || !audience) {
        return std::nullopt;
    }
    out.header.issuer = *issuer;
    out.header.audience = *audience;
    return sensible(out.header) ? std::optional(std::move(out)) : std::nullopt;
}

Error refuse(Fault fault, Fault* why, const std::string& message, std::string hint = {}) {
    if (why != nullptr) {
        *why = fault;
    }
    return fail(Code::refused, message, std::move(hint));
}
} // namespace

Result<std::string> seal(const Header& header, std::string_view body, const SigningKey& key) {
    if (!sensible(header)) {
        return fail(Code::usage,
                    "an envelope of type '" + header.type +
                        "' needs a type, a realm, an issuer, an audience and times in order");
    }
    detail::Writer w;
    w.sized(header.type, 1);
    w.raw(header.realm_id);
    w.sized(header.issuer.text(), 2);
    w.sized(header.audience.text(), 2);
    w.number(header.counter.epoch, 8);
    w.number(header.counter.number, 8);
    w.number(static_cast<std::uint64_t>(header.issued_at_us), 8);
    w.number(static_cast<std::uint64_t>(header.not_after_us), 8);
    w.sized(body, 4);
    const std::string payload = w.take();
    if (frame_bytes + payload.size() + ed25519_signature_bytes > envelope_bytes_max) {
        return fail(Code::usage, "an envelope of type '" + header.type + "' with " +
                                     std::to_string(body.size()) +
                                     " bytes is larger than the limit of " +
                                     std::to_string(envelope_bytes_max));
    }
    detail::Writer out;
    out.raw(magic);
    out.sized(payload, 4);
    out.raw(key.sign(to_be_signed(payload)));
    return out.take();
}

Result<Opened> open(std::string_view bytes, const PublicKey& key, const Expectation& expectation,
                    std::int64_t now_us, Fault* why) {
    const std::string what =
        "the envelope '" + expectation.type + "' from " + expectation.issuer.text();
    if (bytes.size() > expectation.bytes_max || bytes.size() > envelope_bytes_max) {
        return refuse(Fault::oversized, why,
                      what + " has " + std::to_string(bytes.size()) +
                          " bytes, more than the limit of " +
                          std::to_string(std::min(expectation.bytes_max, envelope_bytes_max)));
    }
    if (bytes.substr(0, magic.size()) != magic.substr(0, bytes.size())) {
        return refuse(Fault::not_envelope, why,
                      what + " does not begin like an envelope of this version");
    }
    detail::Reader r(bytes);
    r.raw(magic.size());
    const std::string_view payload = r.sized(4);
    const std::string_view signature = r.raw(ed25519_signature_bytes);
    if (!r.at_end()) {
        return refuse(Fault::truncated, why, what + " is cut short or has bytes behind its end");
    }
    if (!key.verify(to_be_signed(payload), signature)) {
        return refuse(
            Fault::bad_signature, why, what + " does not carry that tier's signature",
            "it was altered, or signed with another key: if that tier got a new key, enrol again");
    }
    std::optional<Opened> opened = parse_payload(payload);
    if (!opened) {
        return refuse(Fault::malformed, why, what + " is signed, but its content cannot be read",
                      "compare the versions of hasp on both sides");
    }
    const Header& h = opened->header;
    if (h.type != expectation.type) {
        return refuse(Fault::wrong_type, why, what + " is of another type: '" + h.type + "'");
    }
    if (h.realm_id != expectation.realm_id) {
        return refuse(Fault::wrong_realm, why,
                      what + " is of another realm: " + to_hex(h.realm_id));
    }
    if (h.issuer != expectation.issuer) {
        return refuse(Fault::wrong_issuer, why, what + " names another issuer: " + h.issuer.text());
    }
    if (h.audience != expectation.audience) {
        return refuse(Fault::wrong_audience, why,
                      what + " is meant for another tier: " + h.audience.text());
    }
    if (now_us >= h.not_after_us) {
        return refuse(Fault::expired, why, what + " expired at " + rfc3339(h.not_after_us));
    }
    if (why != nullptr) {
        *why = Fault::none;
    }
    return std::move(*opened);
}

} // namespace hasp::trust
