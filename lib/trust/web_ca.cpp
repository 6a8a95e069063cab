#include "trust/web_ca.h"

#include "crypto.h"
#include "x509.h"

#include <algorithm>
#include <openssl/err.h>
#include <openssl/x509v3.h>

namespace hasp::trust {

namespace {
using detail::data_of;
using detail::must;
using detail::Owned;

constexpr std::size_t common_name_max = 64; // RFC 5280, appendix A

using Constraints = Owned<NAME_CONSTRAINTS, NAME_CONSTRAINTS_free>;

// One subtree: a domain, or an address with its mask behind it (RFC 5280 §4.2.1.10).
void add_subtree(STACK_OF(GENERAL_SUBTREE) * *to, int type, std::string_view bytes) {
    GENERAL_SUBTREE* subtree = GENERAL_SUBTREE_new();
    must(subtree != nullptr);
    ASN1_STRING* value = type == GEN_DNS ? ASN1_IA5STRING_new() : ASN1_OCTET_STRING_new();
    must(value != nullptr &&
         ASN1_STRING_set(value, bytes.data(), static_cast<int>(bytes.size())) == 1);
    GENERAL_NAME_set0_value(subtree->base, type, value);
    if (*to == nullptr) {
        *to = sk_GENERAL_SUBTREE_new_null();
    }
    must(*to != nullptr && sk_GENERAL_SUBTREE_push(*to, subtree) > 0);
}

Constraints constraints_of(const WebNames& permitted) {
    Constraints out(NAME_CONSTRAINTS_new());
    must(out != nullptr);
    for (const std::string& name : permitted.dns()) {
        add_subtree(&out->permittedSubtrees, GEN_DNS, name);
    }
    bool v4 = false;
    bool v6 = false;
    for (const WebNames::Network& network : permitted.networks()) {
        (network.address.size() == 4 ? v4 : v6) = true;
        add_subtree(&out->permittedSubtrees, GEN_IPADD, network.address + network.mask);
    }
    // A kind of name that is not mentioned is free. One permitted network of either family binds
    // both, but not every verifier sees it so.
    if (permitted.dns().empty()) {
        add_subtree(&out->excludedSubtrees, GEN_DNS, "");
    }
    if (!v4) {
        add_subtree(&out->excludedSubtrees, GEN_IPADD, std::string(8, '\0'));
    }
    if (!v6) {
        add_subtree(&out->excludedSubtrees, GEN_IPADD, std::string(32, '\0'));
    }
    return out;
}

// "DNS:a,IP:b" as OpenSSL's configuration has it; the names were checked.
Result<std::string> alt_names(const std::vector<std::string>& names) {
    if (names.empty() || names.size() > web_names_max) {
        return fail(Code::usage,
                    "a web certificate has 1 to " + std::to_string(web_names_max) + " names");
    }
    std::string out;
    for (const std::string& name : names) {
        const bool address = is_web_address(name);
        if (!address && !is_web_dns_name(name)) {
            return fail(Code::usage, "'" + name + "' is neither a DNS name nor an IP address");
        }
        out += (out.empty() ? "" : ",") + std::string(address ? "IP:" : "DNS:") + name;
    }
    return out;
}
} // namespace

Result<std::string> issue_web_ca(const TlsKey& key, std::string_view label,
                                 const WebNames& permitted, const Validity& validity,
                                 Random& random) {
    const bool printable =
        std::all_of(label.begin(), label.end(), [](char c) { return c >= ' ' && c <= '~'; });
    if (label.empty() || label.size() > common_name_max || !printable) {
        return fail(Code::usage,
                    "the label of a certificate authority has 1 to 64 printable characters");
    }
    if (permitted.empty()) {
        return fail(Code::usage, "an authority for browsers needs the names that it may sign for");
    }
    const Constraints constraints = constraints_of(permitted);
    detail::CertSpec spec;
    spec.subject.emplace_back("CN", label);
    spec.is_ca = true;
    spec.no_ca_below = true;
    spec.extended_usage = "serverAuth";
    spec.constraints = constraints.get();
    spec.public_key = key.handle().pkey.get();
    spec.validity = validity;
    return detail::build(spec, nullptr, key.handle().pkey.get(), random);
}

Result<WebNames> web_ca_permits(std::string_view ca_der) {
    const Result<detail::Cert> ca = detail::parse(ca_der);
    if (!ca) {
        return ca.error();
    }
    const Constraints found(static_cast<NAME_CONSTRAINTS*>(
        X509_get_ext_d2i(ca->get(), NID_name_constraints, nullptr, nullptr)));
    std::vector<std::string> texts;
    for (int i = 0; found && i < sk_GENERAL_SUBTREE_num(found->permittedSubtrees); ++i) {
        texts.push_back(detail::name_text(
            sk_GENERAL_SUBTREE_value(found->permittedSubtrees, i)->base, /*network=*/true));
    }
    auto permitted = WebNames::parse(texts);
    if (texts.empty() || !permitted.ok()) {
        return fail(Code::refused, "the certificate has no name constraints of hasp");
    }
    return permitted;
}

Result<std::string> issue_web_leaf(const TlsKey& ca_key, std::string_view ca_der,
                                   const std::vector<std::string>& names,
                                   std::string_view tls_spki_der, const Validity& validity,
                                   Random& random) {
    auto listed = alt_names(names);
    if (!listed.ok()) {
        return listed.error();
    }
    detail::CertSpec spec;
    spec.alt_names = *std::move(listed);
    const auto permitted = web_ca_permits(ca_der);
    if (!permitted.ok()) {
        return permitted.error();
    }
    for (const std::string& name : names) {
        if (!permitted->covers(name)) {
            return fail(Code::refused, "this authority may not sign for '" + name + "'");
        }
    }
    const Result<detail::Cert> ca = detail::parse(ca_der);
    if (!ca) {
        return ca.error();
    }
    if (X509_check_private_key(ca->get(), ca_key.handle().pkey.get()) != 1) {
        ERR_clear_error();
        return fail(Code::refused, "the key does not belong to the certificate of the authority");
    }
    if (validity.to_us > detail::time_us(X509_get0_notAfter(ca->get()))) {
        return fail(Code::refused, "the certificate of the authority ends before that");
    }
    const detail::Pkey subject = detail::public_from_spki(tls_spki_der);
    if (!subject || !detail::is_p256(subject.get())) {
        return fail(Code::refused, "the key of a web certificate must be a P-256 public key");
    }
    // OpenSSL takes the common name of a certificate without DNS names for one, and holds it
    // against the constraints.
    const auto dns = std::find_if_not(names.begin(), names.end(), is_web_address);
    if (dns == names.end()) {
        spec.subject.emplace_back("O", "addresses");
    } else {
        spec.subject.emplace_back("CN", dns->substr(0, common_name_max));
    }
    spec.extended_usage = "serverAuth";
    spec.public_key = subject.get();
    spec.validity = validity;
    return detail::build(spec, ca->get(), ca_key.handle().pkey.get(), random);
}

} // namespace hasp::trust
