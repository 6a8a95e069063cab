// Ranges lie inside the representation and do not overlap; dates survive a round trip.
#include "net/fields.h"

#include <cstdint>
#include <cstdlib>

using namespace hasp::net;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    for (const std::uint64_t whole :
         {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1000}, UINT64_MAX}) {
        const Ranges ranges = parse_range(text, whole);
        if ((ranges.kind == Ranges::Kind::satisfiable) != (ranges.count != 0)) {
            std::abort();
        }
        for (std::size_t i = 0; i < ranges.count; ++i) {
            const ByteRange& r = ranges.ranges[i];
            if (r.first > r.last || r.last >= whole) {
                std::abort();
            }
            for (std::size_t j = 0; j < i; ++j) {
                if (r.first <= ranges.ranges[j].last && ranges.ranges[j].first <= r.last) {
                    std::abort();
                }
            }
        }
    }
    if (const auto time = parse_http_date(text, 1'700'000'000)) {
        const auto again = format_http_date(*time);
        if (parse_http_date({again.data(), again.size()}, 0) != time) {
            std::abort();
        }
        if (parse_loose_http_date(text, 1'700'000'000) != time) {
            std::abort(); // what is right is read alike
        }
    }
    return 0;
}
