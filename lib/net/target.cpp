#include "net/target.h"

#include "base/text.h"
#include "chars.h"

#include <arpa/inet.h>
#include <cstring>
#include <utility>

namespace hasp::net {
namespace {

constexpr std::size_t host_max = 255; // RFC 1035 §2.3.4

bool is_ip(int family, std::string_view text) {
    char copy[INET6_ADDRSTRLEN];
    if (text.size() >= sizeof copy) {
        return false;
    }
    std::memcpy(copy, text.data(), text.size());
    copy[text.size()] = '\0';
    unsigned char address[sizeof(in6_addr)];
    return inet_pton(family, copy, address) == 1;
}

// The byte at `i`, decoded; `i` moves behind it. -1: a malformed escape.
int next_decoded(std::string_view text, std::size_t& i) {
    const char c = text[i++];
    if (c != '%') {
        return static_cast<unsigned char>(c);
    }
    if (text.size() - i < 2) {
        return -1;
    }
    const int high = hex_digit(text[i]);
    const int low = hex_digit(text[i + 1]);
    i += 2;
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

// RFC 3629 §3: "." and "/" have one form. A reader that takes the longer ones too would see a step
// elsewhere where there is none.
bool is_overlong(int lead, int c) {
    switch (lead) {
    case 0xc0:
    case 0xc1:
        return c >= 0x80 && c <= 0xbf;
    case 0xe0:
        return c >= 0x80 && c <= 0x9f;
    case 0xf0:
        return c >= 0x80 && c <= 0x8f;
    default:
        return false;
    }
}

const char* check_segment(std::string_view segment) {
    std::size_t dots = 0;
    bool only_dots = true;   // so far
    bool parameters = false; // behind a ";"
    bool only_slashes = !segment.empty();
    const auto is_dots = [&] { return only_dots && (dots == 1 || dots == 2); };
    constexpr const char* dot_segment = "a segment of the path is . or ..";
    int before = 0; // the byte before, decoded
    for (std::size_t i = 0; i < segment.size();) {
        const int c = next_decoded(segment, i);
        if (c < 0) {
            return "a malformed escape in the path";
        }
        if (c == '\\' || c == '\0') {
            return "a segment of the path holds a backslash or NUL";
        }
        if (is_overlong(std::exchange(before, c), c)) {
            return "an overlong UTF-8 sequence in the path";
        }
        if (c == '/') {
            // Programs name things by it ("$:/StoryList"), and others decode it early: what stands
            // between such slashes must be safe as a segment.
            if (is_dots()) {
                return dot_segment;
            }
            dots = 0;
            only_dots = true;
            parameters = false;
            continue;
        }
        only_slashes = false;
        if (c == ';') {
            parameters = true;
        }
        if (!parameters) {
            only_dots = only_dots && c == '.';
            ++dots;
        }
    }
    if (only_slashes) {
        return "a segment of the path is an encoded slash";
    }
    // "..;x" is ".." for servers that know path parameters.
    return is_dots() ? dot_segment : nullptr;
}

} // namespace

const char* check_path(std::string_view path) {
    if (path.empty() || path.front() != '/') {
        return "the path does not begin with a slash";
    }
    std::size_t start = 1;
    for (;;) {
        const std::size_t slash = path.find('/', start);
        if (const char* fault = check_segment(path.substr(start, slash - start))) {
            return fault;
        }
        if (slash == std::string_view::npos) {
            return nullptr;
        }
        start = slash + 1;
    }
}

std::optional<std::string_view> PathSegments::next() {
    if (rest_.empty() || too_long_) {
        return std::nullopt;
    }
    const std::size_t slash = rest_.find('/', 1);
    const std::string_view segment = rest_.substr(1, slash - 1);
    std::size_t size = 0;
    for (std::size_t i = 0; i < segment.size();) {
        const int c = next_decoded(segment, i);
        if (size == segment_max || c < 0) {
            too_long_ = true;
            return std::nullopt;
        }
        decoded_[size++] = static_cast<char>(c);
    }
    rest_ = slash == std::string_view::npos ? std::string_view{} : rest_.substr(slash);
    return std::string_view{decoded_, size};
}

std::optional<Authority> parse_authority(std::string_view text) {
    Authority authority;
    std::size_t size = 0;
    if (!text.empty() && text.front() == '[') {
        const std::size_t close = text.find(']');
        if (close == std::string_view::npos || !is_ip(AF_INET6, text.substr(1, close - 1))) {
            return std::nullopt;
        }
        size = close + 1;
        authority.ip = true;
    } else {
        while (size < text.size() && has_class(text[size], char_host)) {
            ++size;
        }
        authority.ip = size != 0 && is_digit(text[0]) && is_ip(AF_INET, text.substr(0, size));
    }
    if (size == 0 || size > host_max) {
        return std::nullopt;
    }
    authority.host = text.substr(0, size);
    if (size == text.size()) {
        return authority;
    }
    const std::string_view port = text.substr(size + 1);
    if (text[size] != ':' || port.size() > 5) {
        return std::nullopt;
    }
    for (const char c : port) {
        if (!is_digit(c)) {
            return std::nullopt;
        }
        authority.port = authority.port * 10 + static_cast<unsigned>(c - '0');
    }
    if (authority.port > 65'535) {
        return std::nullopt;
    }
    return authority;
}

std::optional<std::string> query_value(std::string_view query, std::string_view name) {
    return form_value(query, name);
}

} // namespace hasp::net
