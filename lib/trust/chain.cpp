// The verification of chains between tiers. OpenSSL checks what RFC 5280 asks; the rules of the
// realm come on top.
#include "base/clock.h"
#include "base/text.h"
#include "trust/certificate.h"
#include "x509.h"

#include <ctime>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

namespace hasp::trust {

namespace {
using detail::Cert;
using detail::must;
using detail::Owned;

void free_borrowed(STACK_OF(X509) * stack) {
    sk_X509_free(stack);
}
using Borrowed = Owned<STACK_OF(X509), free_borrowed>;

// The one name of a tier in a certificate, and no other kind of name beside it.
Result<TierName> name_in(const X509* cert) {
    const Owned<GENERAL_NAMES, GENERAL_NAMES_free> names(static_cast<GENERAL_NAMES*>(
        X509_get_ext_d2i(cert, NID_subject_alt_name, nullptr, nullptr)));
    if (!names || sk_GENERAL_NAME_num(names.get()) != 1) {
        return fail(Code::refused, "a certificate of the chain does not carry exactly one name");
    }
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), 0);
    if (name->type != GEN_URI) {
        return fail(Code::refused, "a certificate of the chain does not name a tier");
    }
    const ASN1_IA5STRING* uri = name->d.uniformResourceIdentifier;
    const Result<TierName> tier =
        TierName::parse({reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)),
                         static_cast<std::size_t>(ASN1_STRING_length(uri))});
    if (!tier) {
        return fail(Code::refused, "a certificate of the chain: " + tier.error().message);
    }
    return *tier;
}

std::string shown_name(const X509* cert) {
    const Result<TierName> name = cert == nullptr ? Result<TierName>(Error{}) : name_in(cert);
    return name ? name->text() : "a tier without a name";
}

Error chain_error(const X509_STORE_CTX* ctx) {
    const int code = X509_STORE_CTX_get_error(ctx);
    const X509* cert = X509_STORE_CTX_get_current_cert(ctx);
    const std::string who = "the certificate of " + shown_name(cert);
    switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return fail(Code::refused,
                    who + " expired at " + rfc3339(detail::time_us(X509_get0_notAfter(cert))),
                    "check the clocks of both machines; if they are right, enrol that tier again");
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return fail(Code::refused,
                    who + " is valid only from " +
                        rfc3339(detail::time_us(X509_get0_notBefore(cert))) + " on",
                    "check the clocks of both machines");
    default:
        return fail(Code::refused,
                    who + " does not verify: " +
                        std::string(X509_verify_cert_error_string(static_cast<long>(code))));
    }
}

struct Parsed {
    std::vector<Cert> certs; // nearest first
};

Result<Parsed> parse_all(const std::vector<std::string>& chain_der, std::string_view realm_id) {
    if (chain_der.empty() || chain_der.size() > chain_length_max) {
        return fail(Code::refused, "a chain has 1 to " + std::to_string(chain_length_max) +
                                       " certificates, this has " +
                                       std::to_string(chain_der.size()));
    }
    Parsed out;
    for (const std::string& der : chain_der) {
        Result<Cert> cert = detail::parse(der);
        if (!cert) {
            return cert.error();
        }
        out.certs.push_back(std::move(*cert));
    }
    const EVP_PKEY* root_key = X509_get0_pubkey(out.certs.back().get());
    ERR_clear_error();
    if (root_key == nullptr || spki_fingerprint(detail::spki_of(root_key)) != realm_id) {
        return fail(Code::refused,
                    "the chain ends at " + shown_name(out.certs.back().get()) +
                        ", the root of another realm",
                    "compare the realm's fingerprint on both sides");
    }
    return out;
}

// RFC 5280 for `target` over the whole chain and nothing but the chain.
Status check_path(const X509* target, const Parsed& chain, bool target_in_chain,
                  std::int64_t now_us) {
    const Owned<X509_STORE, X509_STORE_free> store(X509_STORE_new());
    const Borrowed untrusted(sk_X509_new_null());
    const Owned<X509_STORE_CTX, X509_STORE_CTX_free> ctx(X509_STORE_CTX_new());
    must(store && untrusted && ctx &&
         X509_STORE_add_cert(store.get(), chain.certs.back().get()) == 1);
    for (const Cert& cert : chain.certs) {
        must(sk_X509_push(untrusted.get(), cert.get()) > 0);
    }
    must(X509_STORE_CTX_init(ctx.get(), store.get(), const_cast<X509*>(target), untrusted.get()) ==
         1);
    X509_VERIFY_PARAM* param = X509_STORE_CTX_get0_param(ctx.get());
    must(X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT |
                                                X509_V_FLAG_CHECK_SS_SIGNATURE) == 1);
    X509_VERIFY_PARAM_set_depth(param, static_cast<int>(chain_length_max));
    X509_VERIFY_PARAM_set_time(param, static_cast<std::time_t>(now_us / second_us));
    const int good = X509_verify_cert(ctx.get());
    ERR_clear_error();
    if (good != 1) {
        return chain_error(ctx.get());
    }
    const STACK_OF(X509)* built = X509_STORE_CTX_get0_chain(ctx.get());
    const std::size_t skip = target_in_chain ? 0 : 1;
    bool same = static_cast<std::size_t>(sk_X509_num(built)) == chain.certs.size() + skip;
    for (std::size_t i = 0; same && i < chain.certs.size(); ++i) {
        same =
            X509_cmp(sk_X509_value(built, static_cast<int>(i + skip)), chain.certs[i].get()) == 0;
    }
    return same ? Status()
                : Status(fail(
                      Code::refused,
                      "the chain is not in order, or has certificates that do not belong to it"));
}

// Every CA an Ed25519 key, the last a top, each the direct child of the next.
Result<std::vector<CaKey>> check_names(const Parsed& chain) {
    std::vector<CaKey> out;
    for (const Cert& cert : chain.certs) {
        const Result<TierName> name = name_in(cert.get());
        if (!name) {
            return name.error();
        }
        const Result<PublicKey> key =
            PublicKey::from_spki(detail::spki_of(X509_get0_pubkey(cert.get())));
        if (!key || X509_check_ca(cert.get()) != 1) {
            return fail(Code::refused, "the certificate of " + name->text() +
                                           " is not that of a tier that may vouch for others");
        }
        if (!out.empty() && !out.back().name.is_direct_child_of(*name)) {
            return fail(Code::refused, name->text() + " vouches for " + out.back().name.text() +
                                           ", which is not its direct child");
        }
        out.push_back(CaKey{*name, *key, detail::time_us(X509_get0_notAfter(cert.get()))});
    }
    if (!out.back().name.is_top()) {
        return fail(Code::refused,
                    "the root of the chain, " + out.back().name.text() + ", is not a top tier");
    }
    return out;
}

Result<TierName> check_leaf(X509* leaf, const std::vector<CaKey>& cas) {
    const Result<TierName> name = name_in(leaf);
    if (!name) {
        return name;
    }
    constexpr std::uint32_t both = XKU_SSL_SERVER | XKU_SSL_CLIENT;
    const bool usable = X509_check_ca(leaf) == 0 &&
                        (X509_get_extension_flags(leaf) & EXFLAG_XKUSAGE) != 0 &&
                        (X509_get_extended_key_usage(leaf) & both) == both &&
                        detail::is_p256(X509_get0_pubkey(leaf));
    if (!usable) {
        return fail(Code::refused,
                    "the certificate of " + name->text() + " is not one for links between tiers");
    }
    const bool own = cas.size() == 1 && *name == cas.front().name;
    if (!own && !name->is_direct_child_of(cas.front().name)) {
        return fail(Code::refused, cas.front().name.text() + " vouches for " + name->text() +
                                       ", which is not its direct child");
    }
    return name;
}
} // namespace

Result<std::vector<CaKey>> verify_ca_chain(const std::vector<std::string>& chain_der,
                                           std::string_view realm_id, std::int64_t now_us) {
    const Result<Parsed> chain = parse_all(chain_der, realm_id);
    if (!chain) {
        return chain.error();
    }
    if (const Status path = check_path(chain->certs.front().get(), *chain, true, now_us); !path) {
        return path.error();
    }
    return check_names(*chain);
}

Result<Peer> verify_peer(std::string_view leaf_der, const std::vector<std::string>& chain_der,
                         const PeerExpectation& expectation, std::int64_t now_us) {
    const Result<Cert> leaf = detail::parse(leaf_der);
    if (!leaf) {
        return leaf.error();
    }
    const Result<Parsed> chain = parse_all(chain_der, expectation.realm_id);
    if (!chain) {
        return chain.error();
    }
    if (const Status path = check_path(leaf->get(), *chain, false, now_us); !path) {
        return path.error();
    }
    const Result<std::vector<CaKey>> cas = check_names(*chain);
    if (!cas) {
        return cas.error();
    }
    const Result<TierName> name = check_leaf(leaf->get(), *cas);
    if (!name) {
        return name.error();
    }
    const TierName& me = expectation.me;
    const auto refuse = [&](const char* what) {
        return fail(Code::refused,
                    "the other side is " + name->text() + ", which is not " + what + me.text());
    };
    switch (expectation.relation) {
    case Relation::child:
        if (!name->is_direct_child_of(me)) {
            return refuse("a direct child of ");
        }
        break;
    case Relation::parent:
        if (me.empty() || *name != me.parent()) {
            return refuse("the parent of ");
        }
        break;
    case Relation::peer:
        if (me.empty() || *name != me) {
            return refuse("");
        }
        break;
    }
    return Peer{*name, spki_fingerprint(detail::spki_of(X509_get0_pubkey(leaf->get()))),
                detail::time_us(X509_get0_notAfter(leaf->get()))};
}

} // namespace hasp::trust
