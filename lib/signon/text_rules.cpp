#include "text_rules.h"

#include "signon/identity.h"

#include <algorithm>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

namespace hasp::signon {

namespace {

const unsigned char* octets(std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}

// Length of the well-formed sequence at the start of `text`, 0 when there is none; `point` is the
// character.
std::size_t decode_one(std::string_view text, char32_t& point) {
    const unsigned char lead = octets(text)[0];
    if (lead < 0x80) {
        point = lead;
        return 1;
    }
    const std::size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || text.size() < size) {
        return 0;
    }
    point = static_cast<char32_t>(lead & (0xffU >> (size + 1)));
    for (std::size_t i = 1; i < size; ++i) {
        const unsigned char next = octets(text)[i];
        if ((next & 0xc0U) != 0x80) {
            return 0;
        }
        point = (point << 6U) | (next & 0x3fU);
    }
    constexpr char32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const bool surrogate = point >= 0xd800 && point <= 0xdfff;
    return point < least[size] || point > 0x10ffff || surrogate ? 0 : size;
}

} // namespace

bool printable_utf8(std::string_view text) {
    while (!text.empty()) {
        char32_t point = 0;
        const std::size_t size = decode_one(text, point);
        if (size == 0 || point < 0x20 || (point >= 0x7f && point < 0xa0)) {
            return false;
        }
        text.remove_prefix(size);
    }
    return true;
}

bool plausible_email(std::string_view text) {
    if (text.empty()) {
        return true;
    }
    const auto at = text.rfind('@');
    return at != std::string_view::npos && at > 0 && at + 1 < text.size() &&
           text.size() <= email_bytes_max && text.find(' ') == std::string_view::npos &&
           printable_utf8(text);
}

bool valid_sid(std::string_view text) {
    return text.size() == 32 && std::all_of(text.begin(), text.end(), [](char c) {
               return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
           });
}

std::string sha256(std::string_view bytes) {
    std::string digest(SHA256_DIGEST_LENGTH, '\0');
    SHA256(octets(bytes), bytes.size(), reinterpret_cast<unsigned char*>(digest.data()));
    return digest;
}

std::string hmac_sha256(std::string_view key, std::string_view bytes) {
    std::string digest(SHA256_DIGEST_LENGTH, '\0');
    HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), octets(bytes), bytes.size(),
         reinterpret_cast<unsigned char*>(digest.data()), nullptr);
    return digest;
}

} // namespace hasp::signon
