#include "trust/certificate.h"

#include "x509.h"

#include <openssl/err.h>
#include <openssl/pem.h>

namespace hasp::trust {

namespace {
// One attribute for each part of the name, since a single one holds 64 characters at most (RFC
// 5280, appendix A).
detail::CertSpec spec_for(const TierName& tier, const Validity& validity) {
    detail::CertSpec spec;
    spec.subject.emplace_back("O", tier.realm());
    for (const std::string& element : tier.path()) {
        spec.subject.emplace_back(&element == &tier.path().back() ? "CN" : "OU", element);
    }
    spec.alt_names = "URI:" + tier.text();
    spec.validity = validity;
    return spec;
}

Result<detail::Cert> issuer_certificate(const Issuer& issuer) {
    Result<detail::Cert> ca = detail::parse(issuer.ca_der);
    if (!ca) {
        return ca;
    }
    if (X509_check_private_key(ca->get(), issuer.key.handle().pkey.get()) != 1) {
        ERR_clear_error();
        return fail(Code::refused,
                    "the key of " + issuer.name.text() + " does not belong to its certificate",
                    "restore both from the same backup, or enrol again");
    }
    return ca;
}
} // namespace

Validity valid_for(std::int64_t now_us, std::int64_t lifetime_us) {
    return Validity{std::max<std::int64_t>(0, now_us - certificate_backdate_us),
                    now_us + lifetime_us};
}

Result<std::string> issue_root(const TierName& top, const SigningKey& key, const Validity& validity,
                               Random& random) {
    if (!top.is_top()) {
        return fail(Code::usage, "a realm's root is its top tier, not '" + top.text() + "'");
    }
    detail::CertSpec spec = spec_for(top, validity);
    spec.is_ca = true;
    spec.public_key = key.handle().pkey.get();
    return detail::build(spec, nullptr, key.handle().pkey.get(), random);
}

Result<std::string> issue_ca(const Issuer& issuer, const TierName& child, const PublicKey& key,
                             const Validity& validity, Random& random) {
    if (!child.is_direct_child_of(issuer.name)) {
        return fail(Code::refused, issuer.name.text() + " cannot vouch for " + child.text() +
                                       ": not its direct child");
    }
    const Result<detail::Cert> ca = issuer_certificate(issuer);
    if (!ca) {
        return ca.error();
    }
    const detail::Pkey subject = detail::public_from_spki(key.spki_der());
    detail::CertSpec spec = spec_for(child, validity);
    spec.is_ca = true;
    spec.public_key = subject.get();
    return detail::build(spec, ca->get(), issuer.key.handle().pkey.get(), random);
}

Result<std::string> issue_tls(const Issuer& issuer, const TierName& tier,
                              std::string_view tls_spki_der, const Validity& validity,
                              Random& random) {
    const bool own = tier.is_top() && tier == issuer.name;
    if (!own && !tier.is_direct_child_of(issuer.name)) {
        return fail(Code::refused, issuer.name.text() + " cannot vouch for " + tier.text() +
                                       ": not its direct child");
    }
    const Result<detail::Cert> ca = issuer_certificate(issuer);
    if (!ca) {
        return ca.error();
    }
    const detail::Pkey subject = detail::public_from_spki(tls_spki_der);
    if (!subject || !detail::is_p256(subject.get())) {
        return fail(Code::refused, "the TLS key of " + tier.text() + " is not a P-256 public key");
    }
    detail::CertSpec spec = spec_for(tier, validity);
    spec.extended_usage = "serverAuth,clientAuth";
    spec.public_key = subject.get();
    return detail::build(spec, ca->get(), issuer.key.handle().pkey.get(), random);
}

Result<std::int64_t> certificate_end_us(std::string_view der) {
    const auto certificate = detail::parse(der);
    if (!certificate.ok()) {
        return certificate.error();
    }
    return detail::time_us(X509_get0_notAfter(certificate->get()));
}

std::string to_pem(const std::vector<std::string>& certificates_der) {
    const detail::Bio bio(BIO_new(BIO_s_mem()));
    detail::must(bio != nullptr);
    for (const std::string& der : certificates_der) {
        detail::must(PEM_write_bio(bio.get(), PEM_STRING_X509, "", detail::data_of(der),
                                   static_cast<long>(der.size())) > 0);
    }
    return detail::bio_text(bio.get());
}

Result<std::vector<std::string>> from_pem(std::string_view pem) {
    constexpr std::size_t pem_bytes_max = (chain_length_max + 1) * certificate_bytes_max * 2;
    if (pem.size() > pem_bytes_max) {
        return fail(Code::refused, "the certificate file is larger than " +
                                       std::to_string(pem_bytes_max) + " bytes");
    }
    const detail::Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    detail::must(bio != nullptr);
    std::vector<std::string> out;
    for (;;) {
        char* name = nullptr;
        char* head = nullptr;
        unsigned char* data = nullptr;
        long size = 0;
        if (PEM_read_bio(bio.get(), &name, &head, &data, &size) != 1) {
            break;
        }
        const bool certificate = std::string_view(name) == PEM_STRING_X509;
        out.emplace_back(reinterpret_cast<const char*>(data), static_cast<std::size_t>(size));
        OPENSSL_free(name);
        OPENSSL_free(head);
        OPENSSL_free(data);
        if (!certificate || out.size() > chain_length_max + 1) {
            return fail(Code::refused,
                        "the certificate file holds something else than a chain of certificates");
        }
    }
    const bool clean_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    const std::string reason = detail::openssl_reason();
    if (!clean_end || out.empty()) {
        return fail(Code::refused, "the certificate file cannot be read: " + reason);
    }
    for (const std::string& der : out) {
        if (const auto cert = detail::parse(der); !cert) {
            return cert.error();
        }
    }
    return out;
}

} // namespace hasp::trust
