// Character classes of HTTP and URIs, and the search for the end of a field's value.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace hasp::net {

// RFC 9110 §5.6.2 (token), RFC 3986 §3.3 and §3.4. Path and query also take the characters that
// browsers leave as they are (WHATWG URL); HeadWriter encodes those.
inline constexpr std::uint8_t char_token = 1;
inline constexpr std::uint8_t char_path = 2;
inline constexpr std::uint8_t char_query = 4;
inline constexpr std::uint8_t char_suspect = 8; // in a path: look at the segments again
inline constexpr std::uint8_t char_host = 16;
inline constexpr std::uint8_t char_foreign = 32; // taken in a target, but not by RFC 3986
inline constexpr std::uint8_t char_value = 64;   // VCHAR, SP, HTAB, obs-text
inline constexpr std::uint8_t char_escape = 128; // "%"

constexpr std::array<std::uint8_t, 256> make_char_classes() {
    std::array<std::uint8_t, 256> table{};
    const auto mark = [&table](std::string_view characters, unsigned bits) {
        for (const char c : characters) {
            auto& entry = table[static_cast<unsigned char>(c)];
            entry = static_cast<std::uint8_t>(entry | bits);
        }
    };
    constexpr std::string_view alphanumeric =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    mark(alphanumeric, char_token | char_path | char_query | char_host);
    mark("!#$%&'*+-.^_`|~", char_token);
    mark("-._~", char_path | char_query | char_host);
    mark("!$&'()*+,;=:@/%", char_path | char_query);
    mark("?", char_query);
    mark("|^[]", char_path | char_query | char_foreign);
    mark("{}`\\", char_query | char_foreign);
    mark(".%", char_suspect);
    mark("%", char_escape);
    for (unsigned c = 0; c < 256; ++c) {
        if (c == '\t' || (c >= 0x20 && c != 0x7f)) {
            table[c] = static_cast<std::uint8_t>(table[c] | char_value);
        }
    }
    return table;
}
inline constexpr std::array<std::uint8_t, 256> char_classes = make_char_classes();

inline bool has_class(char c, unsigned bits) {
    return (char_classes[static_cast<unsigned char>(c)] & bits) != 0;
}
inline char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}
inline bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// 0-15, or -1.
inline int hex_digit(char c) {
    if (is_digit(c)) {
        return c - '0';
    }
    const char l = lower(c);
    return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

inline bool same_text(std::string_view a, std::string_view b) {
    if (a.size() != b.size()) {
        return false;
    }
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (lower(a[i]) != lower(b[i])) {
            return false;
        }
    }
    return true;
}

// Of two bytes that are there.
inline bool is_crlf(const char* at) {
    return std::memcmp(at, "\r\n", 2) == 0;
}

// Where the first colon of 32 bytes is; 32: there is none.
inline std::size_t colon_within_32(const char* at) {
#if defined(__SSE2__)
    const __m128i colon = _mm_set1_epi8(':');
    const auto mask = [colon](const char* from) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
        return static_cast<unsigned>(_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, colon)));
    };
    if (const unsigned first = mask(at); first != 0) {
        return static_cast<std::size_t>(__builtin_ctz(first));
    }
    const unsigned second = mask(at + 16);
    return second != 0 ? 16U + static_cast<std::size_t>(__builtin_ctz(second)) : 32U;
#else
    const void* const found = std::memchr(at, ':', 32);
    return found != nullptr ? static_cast<std::size_t>(static_cast<const char*>(found) - at) : 32U;
#endif
}

// The first byte that is no token character, or `end`. Names are letters and dashes nearly always:
// 16 bytes a step as long as that holds.
inline const char* name_end(const char* at, const char* end) {
#if defined(__SSE2__)
    const __m128i case_bit = _mm_set1_epi8(0x20);
    const __m128i below_a = _mm_set1_epi8('a' - 1);
    const __m128i above_z = _mm_set1_epi8('z' + 1);
    const __m128i dash = _mm_set1_epi8('-');
    while (end - at >= 16) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
        const __m128i lower_case = _mm_or_si128(bytes, case_bit); // bytes above 0x7f stay negative
        const __m128i letter =
            _mm_and_si128(_mm_cmpgt_epi8(lower_case, below_a), _mm_cmpgt_epi8(above_z, lower_case));
        const __m128i good = _mm_or_si128(letter, _mm_cmpeq_epi8(bytes, dash));
        const unsigned other = static_cast<unsigned>(_mm_movemask_epi8(good)) ^ 0xffffU;
        if (other == 0) {
            at += 16;
            continue;
        }
        at += __builtin_ctz(other);
        break; // a colon, or a rarer character of a name
    }
#endif
    while (at != end && has_class(*at, char_token)) {
        ++at;
    }
    return at;
}

// The first byte that does not belong into a field's value (a control character but HTAB), or
// `end`. Most of a head is values: 16 bytes a step where the machine can.
inline const char* value_end(const char* at, const char* end) {
#if defined(__SSE2__)
    const __m128i below_space = _mm_set1_epi8(0x1f);
    const __m128i tab = _mm_set1_epi8('\t');
    const __m128i del = _mm_set1_epi8(0x7f);
    while (end - at >= 16) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
        const __m128i control = _mm_andnot_si128(
            _mm_cmpeq_epi8(bytes, tab), _mm_cmpeq_epi8(_mm_min_epu8(bytes, below_space), bytes));
        const int mask = _mm_movemask_epi8(_mm_or_si128(control, _mm_cmpeq_epi8(bytes, del)));
        if (mask != 0) {
            return at + __builtin_ctz(static_cast<unsigned>(mask));
        }
        at += 16;
    }
#endif
    while (at != end && has_class(*at, char_value)) {
        ++at;
    }
    return at;
}

// Skips what a target is mostly made of, letters, digits and some signs, as far as whole steps of
// 16 bytes go: neither what ends a part of it nor what must be looked at again.
inline const char* skip_common_target(const char* at, const char* end) {
#if defined(__SSE2__)
    const __m128i case_bit = _mm_set1_epi8(0x20);
    while (end - at >= 16) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
        const __m128i lower_case = _mm_or_si128(bytes, case_bit);
        const __m128i letter = _mm_and_si128(_mm_cmpgt_epi8(lower_case, _mm_set1_epi8('a' - 1)),
                                             _mm_cmpgt_epi8(_mm_set1_epi8('z' + 1), lower_case));
        // & ' ( ) * + , - . / and the digits : ;
        const __m128i sign = _mm_and_si128(_mm_cmpgt_epi8(bytes, _mm_set1_epi8('&' - 1)),
                                           _mm_cmpgt_epi8(_mm_set1_epi8(';' + 1), bytes));
        const __m128i more = _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('=')),
                                          _mm_cmpeq_epi8(bytes, _mm_set1_epi8('_')));
        const __m128i dot = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('.'));
        const __m128i good = _mm_andnot_si128(dot, _mm_or_si128(_mm_or_si128(letter, sign), more));
        const unsigned other = static_cast<unsigned>(_mm_movemask_epi8(good)) ^ 0xffffU;
        if (other != 0) {
            return at + __builtin_ctz(other);
        }
        at += 16;
    }
#else
    static_cast<void>(end);
#endif
    return at;
}

} // namespace hasp::net
