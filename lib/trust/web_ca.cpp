#include "trust/web_ca.h"

#include "base/text.h"
#include "x509.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <openssl/err.h>

namespace hasp::trust {

namespace {
constexpr std::size_t common_name_max = 64; // RFC 5280, appendix A
constexpr std::size_t dns_name_max = 253;   // RFC 1035 §2.3.4, without the final dot
constexpr std::size_t dns_label_max = 63;

bool is_address(const std::string& name) {
    std::array<unsigned char, 16> out{};
    return inet_pton(AF_INET, name.c_str(), out.data()) == 1 ||
           inet_pton(AF_INET6, name.c_str(), out.data()) == 1;
}

bool is_dns_label(std::string_view label) {
    return !label.empty() && label.size() <= dns_label_max && label.front() != '-' &&
           label.back() != '-' && std::all_of(label.begin(), label.end(), [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '-';
           });
}

bool is_dns_name(std::string_view name) {
    if (name.starts_with("*.")) {
        name.remove_prefix(2);
    }
    const auto labels = split(name, '.');
    return name.size() <= dns_name_max && std::all_of(labels.begin(), labels.end(), is_dns_label);
}
} // namespace

Result<std::string> issue_web_ca(const TlsKey& key, std::string_view label,
                                 const Validity& validity, Random& random) {
    const bool printable =
        std::all_of(label.begin(), label.end(), [](char c) { return c >= ' ' && c <= '~'; });
    if (label.empty() || label.size() > common_name_max || !printable) {
        return fail(Code::usage,
                    "the label of a certificate authority has 1 to 64 printable characters");
    }
    detail::CertSpec spec;
    spec.subject.emplace_back("CN", label);
    spec.is_ca = true;
    spec.public_key = key.handle().pkey.get();
    spec.validity = validity;
    return detail::build(spec, nullptr, key.handle().pkey.get(), random);
}

Result<std::string> issue_web_leaf(const TlsKey& ca_key, std::string_view ca_der,
                                   const std::vector<std::string>& names,
                                   std::string_view tls_spki_der, const Validity& validity,
                                   Random& random) {
    if (names.empty() || names.size() > web_names_max) {
        return fail(Code::usage,
                    "a web certificate has 1 to " + std::to_string(web_names_max) + " names");
    }
    detail::CertSpec spec;
    for (const std::string& name : names) {
        const bool address = is_address(name);
        if (!address && !is_dns_name(name)) {
            return fail(Code::usage, "'" + name + "' is neither a DNS name nor an IP address");
        }
        spec.alt_names +=
            (spec.alt_names.empty() ? "" : ",") + std::string(address ? "IP:" : "DNS:") + name;
    }
    const Result<detail::Cert> ca = detail::parse(ca_der);
    if (!ca) {
        return ca.error();
    }
    if (X509_check_private_key(ca->get(), ca_key.handle().pkey.get()) != 1) {
        ERR_clear_error();
        return fail(Code::refused, "the key does not belong to the certificate of the authority");
    }
    const detail::Pkey subject = detail::public_from_spki(tls_spki_der);
    if (!subject || !detail::is_p256(subject.get())) {
        return fail(Code::refused, "the key of a web certificate must be a P-256 public key");
    }
    spec.subject.emplace_back("CN", names.front().substr(0, common_name_max));
    spec.extended_usage = "serverAuth";
    spec.public_key = subject.get();
    spec.validity = validity;
    return detail::build(spec, ca->get(), ca_key.handle().pkey.get(), random);
}

} // namespace hasp::trust
