#include "trust/peer.h"

#include "base/text.h"
#include "bytes.h"
#include "trust/certificate.h"
#include "trust/hash.h"
#include "trust/invite.h"
#include "x509.h"

#include <algorithm>
#include <array>
#include <openssl/x509v3.h>

namespace hasp::trust {

namespace {
constexpr std::string_view card_scheme = "hasp-peer:";
constexpr std::string_view assertion_type = "peer-assertion";
constexpr std::size_t card_check_bytes = 6;
constexpr std::size_t card_fields = 3; // ROOT, KEY, CHECK
constexpr const char* copy_again = "copy the whole line again; there it is: hasp peer export";

std::string card_checksum(std::string_view text) {
    return to_base64url(sha256("hasp-peer-check-v1" + std::string(1, '\0') + std::string(text))
                            .substr(0, card_check_bytes));
}

std::string card_body(const PeerCard& card) {
    std::string out(card_scheme);
    for (const std::string& address : card.addresses) {
        out += (&address == &card.addresses.front() ? "" : ",") + address;
    }
    return out + "/" + card.name.text().substr(std::string_view("hasp://").size()) + "#" +
           to_base64url(card.root_der) + "." + to_base64url(card.key.raw());
}

Status check_card(const PeerCard& card) {
    if (card.addresses.empty() || card.addresses.size() > peer_card_addresses_max) {
        return fail(Code::usage,
                    "a peer is known by 1 to " + std::to_string(peer_card_addresses_max) +
                        " addresses",
                    "name them under [link] addresses in hasp.toml, or with --address");
    }
    for (const std::string& address : card.addresses) {
        if (!valid_address(address)) {
            return fail(Code::usage, "'" + address + "' is not an address",
                        "write HOST:PORT, or [IPV6]:PORT");
        }
    }
    if (card.name.empty() || !detail::parse(card.root_der) ||
        card.text().size() > peer_card_bytes_max) {
        return fail(Code::usage, "a peer's line needs a tier, and a root certificate that fits");
    }
    return {};
}

bool is_named_by_its_key(X509* root) {
    const ASN1_OCTET_STRING* id = X509_get0_subject_key_id(root);
    std::array<unsigned char, EVP_MAX_MD_SIZE> hash{};
    unsigned size = 0;
    return id != nullptr && X509_pubkey_digest(root, EVP_sha1(), hash.data(), &size) == 1 &&
           std::string_view(reinterpret_cast<const char*>(ASN1_STRING_get0_data(id)),
                            static_cast<std::size_t>(ASN1_STRING_length(id))) ==
               std::string_view(reinterpret_cast<const char*>(hash.data()), size);
}

Error card_altered() {
    return fail(Code::refused, "the peer's line was altered or cut short on its way", copy_again);
}

// What the two must agree on beside the envelope's own fields.
std::string assertion_body(const AssertionParties& parties, std::string_view user,
                           std::string_view app) {
    detail::Writer w;
    w.raw(parties.audience_realm_id);
    w.sized(user, 1);
    w.sized(app, 1);
    return w.take();
}
} // namespace

std::string PeerCard::text() const {
    const std::string body = card_body(*this);
    return body + "." + card_checksum(body);
}

Result<PeerCard> make_peer_card(std::vector<std::string> addresses, const TierName& name,
                                std::string_view root_der, const PublicKey& key) {
    PeerCard card{std::move(addresses), name, std::string(root_der), key};
    if (const Status good = check_card(card); !good) {
        return good.error();
    }
    return card;
}

Result<PeerCard> parse_peer_card(std::string_view text) {
    text = trim(text);
    if (text.size() > peer_card_bytes_max || !text.starts_with(card_scheme)) {
        return fail(Code::usage,
                    "this is no line of a peer: it does not begin with " + std::string(card_scheme),
                    "the operator of the other center prints it with: hasp peer export");
    }
    const std::size_t hash = text.rfind('#');
    if (hash == std::string_view::npos) {
        return card_altered();
    }
    const auto fields = split(text.substr(hash + 1), '.');
    if (fields.size() != card_fields ||
        fields.back() != card_checksum(text.substr(0, text.size() - fields.back().size() - 1))) {
        return card_altered();
    }
    const std::string_view place = text.substr(card_scheme.size(), hash - card_scheme.size());
    const std::size_t slash = place.find('/');
    if (slash == std::string_view::npos) {
        return card_altered();
    }
    std::vector<std::string> addresses;
    for (const std::string_view address : split(place.substr(0, slash), ',')) {
        addresses.emplace_back(address);
    }
    auto name = TierName::parse("hasp://" + std::string(place.substr(slash + 1)));
    const auto root = from_base64url(fields[0]);
    const auto raw_key = from_base64url(fields[1]);
    auto key = PublicKey::from_raw(raw_key.value_or(std::string()));
    if (!name || !root || !key) {
        return fail(Code::refused, "the peer's line cannot be used: its fields make no sense",
                    "compare the versions of hasp on both sides");
    }
    auto card = make_peer_card(std::move(addresses), *name, *root, *key);
    if (!card) {
        return fail(Code::refused, "the peer's line cannot be used: " + card.error().message);
    }
    return card;
}

Result<std::string> realm_id_of(const PeerCard& card, std::int64_t now_us) {
    const Result<detail::Cert> root = detail::parse(card.root_der);
    const EVP_PKEY* key = root ? X509_get0_pubkey(root->get()) : nullptr;
    if (key == nullptr) {
        return fail(Code::refused, "the peer's line holds no root certificate");
    }
    std::string realm_id = spki_fingerprint(detail::spki_of(key));
    const auto authorities = verify_ca_chain({card.root_der}, realm_id, now_us);
    if (!authorities) {
        return authorities.error();
    }
    const TierName& top = authorities->front().name;
    if (!is_named_by_its_key(root->get())) {
        return fail(Code::refused, "the root certificate in the peer's line does not name its own "
                                   "key, so that it could be taken for another");
    }
    if (!card.name.is_in_subtree(top) ||
        (card.name == top && !(card.key == authorities->front().key))) {
        return fail(Code::refused, "the root certificate in the peer's line is that of " +
                                       top.text() + ", which does not vouch for " +
                                       card.name.text());
    }
    return realm_id;
}

bool same_root_name(std::string_view root_der, std::string_view other_root_der) {
    const Result<detail::Cert> one = detail::parse(root_der);
    const Result<detail::Cert> other = detail::parse(other_root_der);
    return one && other &&
           X509_NAME_cmp(X509_get_subject_name(one->get()), X509_get_subject_name(other->get())) ==
               0 &&
           EVP_PKEY_eq(X509_get0_pubkey(one->get()), X509_get0_pubkey(other->get())) != 1;
}

Result<std::string> sign_assertion(const AssertionParties& parties, const std::string& user,
                                   const std::string& app, std::int64_t now_us,
                                   const SigningKey& key) {
    if (!valid_name(user) || !valid_name(app) || parties.audience_realm_id.size() != sha256_bytes) {
        return fail(Code::usage, "an assertion needs a user, an app and the audience's realm");
    }
    return seal({std::string(assertion_type), parties.issuer_realm_id, parties.issuer,
                 parties.audience, Counter{}, now_us, now_us + assertion_life_us},
                assertion_body(parties, user, app), key);
}

Result<Assertion> read_assertion(std::string_view bytes, const PublicKey& key,
                                 const AssertionParties& parties, std::int64_t now_us, Fault* why) {
    const auto opened = open(bytes, key,
                             {std::string(assertion_type), parties.issuer_realm_id, parties.issuer,
                              parties.audience, assertion_bytes_max},
                             now_us, why);
    if (!opened) {
        return opened.error();
    }
    const auto refuse = [why](Fault fault, const std::string& message) {
        if (why != nullptr) {
            *why = fault;
        }
        return fail(Code::refused, message, "compare the clocks and versions of both centers");
    };
    const Header& header = opened->header;
    // No sum is formed of a number that another tier chose.
    if (header.not_after_us - header.issued_at_us > assertion_life_us ||
        header.issued_at_us > now_us + assertion_skew_us) {
        return refuse(Fault::malformed, "the assertion of " + header.issuer.text() +
                                            " is signed for too long, or in the future");
    }
    detail::Reader r(opened->body);
    const std::string_view realm = r.raw(sha256_bytes);
    Assertion out{std::string(r.sized(1)), std::string(r.sized(1)), header.not_after_us};
    if (!r.at_end() || !valid_name(out.user) || !valid_name(out.app)) {
        return refuse(Fault::malformed, "the assertion of " + header.issuer.text() +
                                            " is signed, but its content cannot be read");
    }
    if (realm != parties.audience_realm_id) {
        return refuse(Fault::wrong_audience, "the assertion of " + header.issuer.text() +
                                                 " is meant for a tier of another realm");
    }
    return out;
}

} // namespace hasp::trust
