#include "x509.h"
#include "base/clock.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <bit>
#include <ctime>
#include <openssl/err.h>
#include <openssl/x509v3.h>

namespace hasp::trust::detail {

namespace {
constexpr std::size_t serial_bytes = 16;
constexpr std::int64_t year_10000_us =
    253'402'300'800LL * second_us; // what X.509 times cannot express any more

using Extension = Owned<X509_EXTENSION, X509_EXTENSION_free>;

bool add_extension(X509* cert, const X509* issuer, int nid, const std::string& value) {
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, const_cast<X509*>(issuer), cert, nullptr, nullptr, 0);
    X509V3_set_ctx_nodb(&ctx);
    const Extension extension(X509V3_EXT_conf_nid(nullptr, &ctx, nid, value.c_str()));
    return extension && X509_add_ext(cert, extension.get(), -1) == 1;
}

bool set_serial(X509* cert, Random& random) {
    std::string bytes = random.bytes(serial_bytes);
    // Positive and never zero (RFC 5280 §4.1.2.2).
    bytes[0] = static_cast<char>((static_cast<unsigned char>(bytes[0]) & 0x3f) | 0x40);
    const Owned<BIGNUM, BN_free> number(
        BN_bin2bn(data_of(bytes), static_cast<int>(bytes.size()), nullptr));
    return number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(cert)) != nullptr;
}

bool set_subject(X509* cert, const CertSpec& spec) {
    X509_NAME* name = X509_get_subject_name(cert);
    for (const auto& [attribute, value] : spec.subject) {
        if (X509_NAME_add_entry_by_txt(name, attribute, MBSTRING_ASC, data_of(value),
                                       static_cast<int>(value.size()), -1, 0) != 1) {
            return false;
        }
    }
    return true;
}

bool set_validity(X509* cert, const Validity& validity) {
    const auto from = static_cast<std::time_t>(validity.from_us / second_us);
    const auto to = static_cast<std::time_t>((validity.to_us + second_us - 1) / second_us);
    return ASN1_TIME_set(X509_getm_notBefore(cert), from) != nullptr &&
           ASN1_TIME_set(X509_getm_notAfter(cert), to) != nullptr;
}

bool add_extensions(X509* cert, const X509* issuer, const CertSpec& spec) {
    return add_extension(cert, issuer, NID_basic_constraints,
                         !spec.is_ca        ? "critical,CA:FALSE"
                         : spec.no_ca_below ? "critical,CA:TRUE,pathlen:0"
                                            : "critical,CA:TRUE") &&
           add_extension(cert, issuer, NID_key_usage,
                         spec.is_ca ? "critical,keyCertSign,digitalSignature"
                                    : "critical,digitalSignature") &&
           add_extension(cert, issuer, NID_subject_key_identifier, "hash") &&
           add_extension(cert, issuer, NID_authority_key_identifier, "keyid:always") &&
           (spec.extended_usage == nullptr ||
            add_extension(cert, issuer, NID_ext_key_usage, spec.extended_usage)) &&
           (spec.constraints == nullptr ||
            X509_add1_ext_i2d(cert, NID_name_constraints, spec.constraints, 1,
                              X509V3_ADD_DEFAULT) == 1) &&
           (spec.alt_names.empty() ||
            add_extension(cert, issuer, NID_subject_alt_name, spec.alt_names));
}
} // namespace

Result<std::string> build(const CertSpec& spec, const X509* issuer, EVP_PKEY* issuer_key,
                          Random& random) {
    const Validity& v = spec.validity;
    if (v.from_us < 0 || v.to_us <= v.from_us || v.to_us >= year_10000_us) {
        return fail(Code::usage,
                    "a certificate needs a time from which and a later time to which it is valid");
    }
    const Cert cert(X509_new());
    must(cert != nullptr);
    const X509* signer = issuer == nullptr ? cert.get() : issuer;
    const EVP_MD* digest =
        EVP_PKEY_get_base_id(issuer_key) == EVP_PKEY_ED25519 ? nullptr : EVP_sha256();
    const bool done =
        X509_set_version(cert.get(), X509_VERSION_3) == 1 && set_serial(cert.get(), random) &&
        set_subject(cert.get(), spec) &&
        X509_set_issuer_name(cert.get(), X509_get_subject_name(signer)) == 1 &&
        set_validity(cert.get(), v) && X509_set_pubkey(cert.get(), spec.public_key) == 1 &&
        add_extensions(cert.get(), signer, spec) && X509_sign(cert.get(), issuer_key, digest) > 0;
    if (!done) {
        return fail(Code::failed, "the certificate could not be made: " + openssl_reason());
    }
    unsigned char* out = nullptr;
    const int size = i2d_X509(cert.get(), &out);
    must(size > 0);
    std::string der(reinterpret_cast<const char*>(out), static_cast<std::size_t>(size));
    OPENSSL_free(out);
    if (der.size() > certificate_bytes_max) {
        return fail(Code::usage, "the certificate would be larger than " +
                                     std::to_string(certificate_bytes_max) + " bytes");
    }
    return der;
}

Result<Cert> parse(std::string_view der) {
    if (der.size() > certificate_bytes_max) {
        return fail(Code::refused, "a certificate is larger than " +
                                       std::to_string(certificate_bytes_max) + " bytes");
    }
    const unsigned char* at = data_of(der);
    Cert cert(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
    ERR_clear_error();
    if (!cert || at != data_of(der) + der.size()) {
        return fail(Code::refused,
                    "a certificate cannot be read: it is cut short, altered or something else");
    }
    return cert;
}

std::string name_text(const GENERAL_NAME* name, bool network) {
    int type = 0;
    const auto* value = static_cast<const ASN1_STRING*>(GENERAL_NAME_get0_value(name, &type));
    if (value == nullptr || (type != GEN_DNS && type != GEN_IPADD)) {
        return {};
    }
    const std::string bytes(reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)),
                            static_cast<std::size_t>(ASN1_STRING_length(value)));
    if (type == GEN_DNS) {
        const bool printable =
            std::all_of(bytes.begin(), bytes.end(), [](char c) { return c > ' ' && c <= '~'; });
        return printable ? bytes : "";
    }
    const std::size_t size = network ? bytes.size() / 2 : bytes.size();
    std::array<char, INET6_ADDRSTRLEN> text{};
    if ((size != 4 && size != 16) || (network && bytes.size() != 2 * size) ||
        inet_ntop(size == 4 ? AF_INET : AF_INET6, bytes.data(), text.data(), text.size()) ==
            nullptr) {
        return {};
    }
    std::string out = text.data();
    if (network) {
        int bits = 0;
        for (const char c : std::string_view(bytes).substr(size)) {
            bits += std::popcount(static_cast<unsigned char>(c));
        }
        out += "/" + std::to_string(bits);
    }
    return out;
}

std::int64_t time_us(const ASN1_TIME* time) {
    std::tm tm{};
    return ASN1_TIME_to_tm(time, &tm) == 1 ? static_cast<std::int64_t>(timegm(&tm)) * second_us : 0;
}

} // namespace hasp::trust::detail
