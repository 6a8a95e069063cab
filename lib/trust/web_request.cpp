// Requests for certificates for browsers, and what such certificates say.
#include "base/text.h"
#include "crypto.h"
#include "trust/web_ca.h"
#include "x509.h"

#include <algorithm>
#include <openssl/err.h>
#include <openssl/x509v3.h>

namespace hasp::trust {

namespace {
using detail::data_of;
using detail::must;
using detail::Owned;

using Request = Owned<X509_REQ, X509_REQ_free>;
using Names = Owned<GENERAL_NAMES, GENERAL_NAMES_free>;

void free_extensions(STACK_OF(X509_EXTENSION) * extensions) {
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
}
using Extensions = Owned<STACK_OF(X509_EXTENSION), free_extensions>;

Names names_of(const std::vector<std::string>& texts) {
    Names names(sk_GENERAL_NAME_new_null());
    must(names != nullptr);
    for (const std::string& text : texts) {
        GENERAL_NAME* name = a2i_GENERAL_NAME(
            nullptr, nullptr, nullptr, is_web_address(text) ? GEN_IPADD : GEN_DNS, text.c_str(), 0);
        must(name != nullptr && sk_GENERAL_NAME_push(names.get(), name) > 0);
    }
    return names;
}

// Names of other kinds are empty texts.
std::vector<std::string> texts_of_names(const GENERAL_NAMES* names) {
    std::vector<std::string> out;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
        out.push_back(detail::name_text(sk_GENERAL_NAME_value(names, i), false));
    }
    return out;
}

Error not_readable(const std::string& why) {
    ERR_clear_error();
    return fail(Code::refused, "the request for a certificate is refused: " + why);
}

std::string common_name(const X509_NAME* name) {
    for (const int nid : {NID_commonName, NID_organizationName}) {
        const int at = X509_NAME_get_index_by_NID(name, nid, -1);
        if (at < 0) {
            continue;
        }
        unsigned char* utf8 = nullptr;
        const int size =
            ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
        if (size > 0) {
            std::string text(reinterpret_cast<char*>(utf8), static_cast<std::size_t>(size));
            OPENSSL_free(utf8);
            return text;
        }
    }
    ERR_clear_error();
    return {};
}
} // namespace

Result<std::string> make_web_request(const TlsKey& key, const std::vector<std::string>& names) {
    const bool good = std::all_of(names.begin(), names.end(), [](const std::string& name) {
        return is_web_address(name) || is_web_dns_name(name);
    });
    if (names.empty() || names.size() > web_names_max || !good) {
        return fail(Code::usage, "a certificate is asked for with 1 to " +
                                     std::to_string(web_names_max) +
                                     " DNS names in lower case or IP addresses");
    }
    const Names alt = names_of(names);
    const Request request(X509_REQ_new());
    STACK_OF(X509_EXTENSION)* list = nullptr;
    must(X509V3_add1_i2d(&list, NID_subject_alt_name, alt.get(), 0, X509V3_ADD_DEFAULT) == 1);
    const Extensions extensions(list);
    EVP_PKEY* pkey = key.handle().pkey.get();
    must(request && X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) == 1 &&
         X509_REQ_set_pubkey(request.get(), pkey) == 1 &&
         X509_REQ_add_extensions(request.get(), extensions.get()) == 1 &&
         X509_REQ_sign(request.get(), pkey, EVP_sha256()) > 0);
    unsigned char* out = nullptr;
    const int size = i2d_X509_REQ(request.get(), &out);
    must(size > 0);
    std::string der(reinterpret_cast<const char*>(out), static_cast<std::size_t>(size));
    OPENSSL_free(out);
    if (der.size() > web_request_bytes_max) {
        return fail(Code::usage, "the request for a certificate would be larger than " +
                                     std::to_string(web_request_bytes_max) + " bytes");
    }
    return der;
}

Result<WebRequest> read_web_request(std::string_view der) {
    if (der.size() > web_request_bytes_max) {
        return not_readable("it is larger than " + std::to_string(web_request_bytes_max) +
                            " bytes");
    }
    const unsigned char* at = data_of(der);
    const Request request(d2i_X509_REQ(nullptr, &at, static_cast<long>(der.size())));
    if (!request || at != data_of(der) + der.size()) {
        return not_readable("it is cut short, altered or something else");
    }
    EVP_PKEY* key = X509_REQ_get0_pubkey(request.get());
    if (key == nullptr || !detail::is_p256(key)) {
        return not_readable("its key is no P-256 key");
    }
    if (X509_REQ_verify(request.get(), key) != 1) {
        return not_readable("it is not signed by its key");
    }
    const Extensions extensions(X509_REQ_get_extensions(request.get()));
    const Names names(static_cast<GENERAL_NAMES*>(
        X509V3_get_d2i(extensions.get(), NID_subject_alt_name, nullptr, nullptr)));
    WebRequest out{texts_of_names(names.get()), detail::spki_of(key)};
    const bool good = std::all_of(out.names.begin(), out.names.end(), [](const std::string& name) {
        return is_web_address(name) || is_web_dns_name(name);
    });
    if (out.names.empty() || out.names.size() > web_names_max || !good) {
        return not_readable("it must name 1 to " + std::to_string(web_names_max) +
                            " DNS names in lower case or IP addresses, and nothing else");
    }
    ERR_clear_error();
    return out;
}

Result<WebCertificate> read_web_certificate(std::string_view der) {
    const Result<detail::Cert> cert = detail::parse(der);
    if (!cert.ok()) {
        return cert.error();
    }
    X509* x509 = cert->get();
    EVP_PKEY* key = X509_get0_pubkey(x509);
    if (key == nullptr) {
        ERR_clear_error();
        return fail(Code::refused, "the key of a certificate cannot be read");
    }
    const Names names(static_cast<GENERAL_NAMES*>(
        X509_get_ext_d2i(x509, NID_subject_alt_name, nullptr, nullptr)));
    ERR_clear_error();
    std::vector<std::string> known = texts_of_names(names.get());
    std::erase(known, "");
    return WebCertificate{std::move(known),
                          common_name(X509_get_issuer_name(x509)),
                          spki_fingerprint(detail::spki_of(key)),
                          detail::time_us(X509_get0_notBefore(x509)),
                          detail::time_us(X509_get0_notAfter(x509)),
                          X509_NAME_cmp(X509_get_subject_name(x509), X509_get_issuer_name(x509)) ==
                              0};
}

bool is_for(const WebCertificate& certificate, std::string_view name) {
    const std::size_t dot = name.find('.');
    return std::any_of(certificate.names.begin(), certificate.names.end(),
                       [&](const std::string& one) {
                           return iequals(one, name) ||
                                  (one.starts_with("*.") && !name.starts_with("*.") &&
                                   dot != std::string_view::npos && dot > 0 &&
                                   iequals(std::string_view(one).substr(1), name.substr(dot)));
                       });
}

} // namespace hasp::trust
