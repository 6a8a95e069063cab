// A path that is called safe has no segment that any reader could take for a step elsewhere.
#include "net/target.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>

using namespace hasp::net;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    if (const auto authority = parse_authority(text)) {
        if (authority->host.empty() || authority->port > 65'535) {
            std::abort();
        }
    }
    query_value(text, "q");
    if (check_path(text) != nullptr) {
        return 0;
    }
    PathSegments segments{text};
    while (const auto segment = segments.next()) {
        if (*segment == "/" ||
            segment->find_first_of(std::string_view("\\\0", 2)) != std::string_view::npos) {
            std::abort();
        }
        // What one sees who decodes longer forms of UTF-8 too (RFC 3629 §3).
        for (std::size_t at = 0; at + 1 < segment->size(); ++at) {
            const auto lead = static_cast<unsigned char>((*segment)[at]);
            const auto next = static_cast<unsigned char>((*segment)[at + 1]);
            if ((lead == 0xc0 || lead == 0xc1) && next >= 0x80 && next <= 0xbf) {
                std::abort();
            }
        }
        // What a reader sees who decodes before he splits.
        for (std::size_t at = 0; at <= segment->size();) {
            const std::size_t end = std::min(segment->find('/', at), segment->size());
            const std::string_view part = segment->substr(at, end - at);
            if (part == "." || part == "..") {
                std::abort();
            }
            at = end + 1;
        }
    }
    return 0;
}
