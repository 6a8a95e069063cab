#include "net/write_head.h"

#include "chars.h"

#include <charconv>
#include <cstring>

namespace hasp::net {
namespace {

struct Phrase {
    int status;
    std::string_view line;
};
// The registered phrases (IANA HTTP Status Code Registry, RFC 9110 §15).
constexpr Phrase phrases[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {103, "Early Hints"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {207, "Multi-Status"},
    {208, "Already Reported"},
    {226, "IM Used"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {305, "Use Proxy"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {424, "Failed Dependency"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {506, "Variant Also Negotiates"},
    {507, "Insufficient Storage"},
    {508, "Loop Detected"},
    {511, "Network Authentication Required"},
};

// What name_end() and value_end() look at in one step; what is shorter is filled up.
constexpr std::size_t block = 16;

} // namespace

std::string_view reason_phrase(int status) {
    for (const Phrase& phrase : phrases) {
        if (phrase.status == status) {
            return phrase.line;
        }
    }
    return {};
}

bool is_safe(Method method) {
    return method == Method::get || method == Method::head || method == Method::options ||
           method == Method::trace;
}

bool is_idempotent(Method method) {
    return is_safe(method) || method == Method::put || method == Method::delete_;
}

bool is_token(std::string_view text) {
    if (text.size() < block) {
        char filled[block];
        std::memset(filled, 'a', block);
        copy_short(filled, text.data(), text.size() % block); // the compiler sees that it fits
        return !text.empty() && name_end(filled, filled + block) == filled + block;
    }
    const char* const end = text.data() + text.size();
    return name_end(text.data(), end) == end;
}

bool is_field_value(std::string_view text) {
    const char* const end = text.data() + text.size();
    if (text.size() < block) {
        char filled[block];
        std::memset(filled, ' ', block);
        copy_short(filled, text.data(), text.size() % block); // the compiler sees that it fits
        return value_end(filled, filled + block) == filled + block;
    }
    // Whole blocks, and the last one overlapping.
    const char* const whole = text.data() + text.size() / block * block;
    return value_end(text.data(), whole) == whole && value_end(end - block, end) == end;
}

// What a parser took although RFC 3986 does not allow it leaves in the allowed form.
void HeadWriter::target_part(std::string_view text, bool is_query) {
    constexpr std::string_view hex = "0123456789ABCDEF";
    const unsigned allowed = is_query ? char_query : char_path;
    std::size_t clean = 0; // start of what can be copied as it is
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        const unsigned classes = char_classes[static_cast<unsigned char>(c)];
        const bool stray_percent =
            c == '%' && is_query &&
            (text.size() - i < 3 || hex_digit(text[i + 1]) < 0 || hex_digit(text[i + 2]) < 0);
        if ((classes & (allowed | char_foreign)) == allowed && !stray_percent) {
            continue;
        }
        raw(text.substr(clean, i - clean));
        const auto byte = static_cast<unsigned char>(c);
        const char escape[3] = {'%', hex[byte >> 4U], hex[byte & 15U]};
        raw({escape, 3});
        clean = i + 1;
    }
    raw(text.substr(clean));
}

void HeadWriter::request_line(std::string_view method, std::string_view path, bool has_query,
                              std::string_view query, bool clean) {
    constexpr std::string_view version = " HTTP/1.1\r\n";
    failed_ = failed_ || path.empty() || !(clean || is_token(method));
    if (clean) {
        if (has_room(method.size() + path.size() + query.size() + version.size() + 2)) {
            at_ = copy_short(at_, method.data(), method.size());
            *at_++ = ' ';
            at_ = copy_short(at_, path.data(), path.size());
            if (has_query) {
                *at_++ = '?';
                at_ = copy_short(at_, query.data(), query.size());
            }
            at_ = copy_short(at_, version.data(), version.size());
        }
        return;
    }
    raw(method);
    raw(" ");
    target_part(path, false);
    if (has_query) {
        raw("?");
        target_part(query, true);
    }
    raw(version);
}

void HeadWriter::status_line(int status) {
    if (status < 100 || status > 999) {
        failed_ = true;
        return;
    }
    if (status == 200) {
        raw("HTTP/1.1 200 OK\r\n");
        return;
    }
    char digits[4] = {static_cast<char>('0' + status / 100),
                      static_cast<char>('0' + status / 10 % 10),
                      static_cast<char>('0' + status % 10), ' '};
    raw("HTTP/1.1 ");
    raw({digits, 4});
    raw(reason_phrase(status));
    raw("\r\n");
}

void HeadWriter::field(std::string_view name, std::string_view value) {
    if (!is_token(name) || !is_field_value(value)) {
        failed_ = true;
        return;
    }
    line(name, value);
}

void HeadWriter::value(std::string_view name, std::string_view value) {
    if (!is_field_value(value)) {
        failed_ = true;
        return;
    }
    line(name, value);
}

void HeadWriter::field(std::string_view name, std::uint64_t value) {
    char digits[20];
    const char* const end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    line(name, std::string_view{digits, static_cast<std::size_t>(end - digits)});
}

void HeadWriter::framing(Framing framing, std::uint64_t length) {
    if (framing == Framing::chunked) {
        raw("Transfer-Encoding: chunked\r\n");
    } else if (framing == Framing::length) {
        field("Content-Length", length);
    }
}

} // namespace hasp::net
