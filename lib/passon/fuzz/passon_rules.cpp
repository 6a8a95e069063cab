// Cookies, Set-Cookie, Location, Origin and CDN-Loop of hostile peers: nothing crashes, and what
// comes out keeps its promises.
#include "base/text.h"
#include "passon/request_rules.h"

#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace hasp::passon;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    std::string out;
    filter_cookies(out, text, false);
    for (const std::string_view pair : hasp::split(out, ';')) {
        if (is_own_cookie(hasp::trim(pair))) {
            std::abort();
        }
    }
    out.clear();
    if (clean_set_cookie(out, text, "/apps/wiki", true)) {
        const auto parts = hasp::split(out, ';');
        if (is_own_cookie(hasp::trim(parts.front()))) {
            std::abort();
        }
        for (std::size_t i = 1; i < parts.size(); ++i) {
            const std::string_view name = hasp::trim(parts[i].substr(0, parts[i].find('=')));
            if (hasp::iequals(name, "domain")) {
                std::abort();
            }
        }
    }
    LocationMap map;
    map.inner = "127.0.0.1:8080";
    map.base = "/base";
    map.origin = "https://tokyo.example";
    map.mount = "/apps/wiki";
    map.stripped = true;
    if (map_location(text, map).size() > size + map.mount.size() + 1) {
        std::abort();
    }
    const std::string to = map_location(text, map);
    const std::size_t slashes = std::min(to.find_first_not_of("/\\\t"), to.size());
    if (slashes > 1 && (slashes != 2 || !to.starts_with("//"))) {
        std::abort(); // a browser would take it for another host
    }
    (void)map_refresh(text, map);
    OriginCheck check;
    check.unsafe = true;
    check.origin = text;
    check.scheme = "https";
    check.authority = "tokyo.example";
    if (origin_allowed(check) && !hasp::iequals(text, "https://tokyo.example")) {
        std::abort();
    }
    if (const auto trace = parse_traceparent(text)) {
        if (trace->trace.size() != 32 || trace->flags.size() != 2) {
            std::abort();
        }
    }
    (void)hops_allowed(text, "tokyo", 16);
    (void)is_forgeable(text, nullptr);
    return 0;
}
