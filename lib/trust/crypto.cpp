#include "crypto.h"

#include <array>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>

namespace hasp::trust::detail {

std::string openssl_reason() {
    const unsigned long code = ERR_peek_last_error();
    ERR_clear_error();
    const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
    return reason == nullptr ? "no reason given" : reason;
}

std::string spki_of(const EVP_PKEY* key) {
    unsigned char* out = nullptr;
    const int size = i2d_PUBKEY(key, &out);
    must(size > 0);
    std::string der(reinterpret_cast<const char*>(out), static_cast<std::size_t>(size));
    OPENSSL_free(out);
    return der;
}

Pkey public_from_spki(std::string_view der) {
    constexpr std::size_t spki_bytes_max = 2048;
    if (der.empty() || der.size() > spki_bytes_max) {
        return nullptr;
    }
    const unsigned char* at = data_of(der);
    Pkey key(d2i_PUBKEY(nullptr, &at, static_cast<long>(der.size())));
    ERR_clear_error();
    if (!key || at != data_of(der) + der.size()) {
        return nullptr;
    }
    return key;
}

bool is_p256(const EVP_PKEY* key) {
    if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC) {
        return false;
    }
    std::array<char, 64> group{};
    std::size_t size = 0;
    const bool named = EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group.data(),
                                                      group.size(), &size) == 1;
    ERR_clear_error();
    return named && std::string_view(group.data(), size) == "prime256v1";
}

std::string bio_text(BIO* bio) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

} // namespace hasp::trust::detail
