#include "seeds.h"

#include "base/text.h"

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string_view>

namespace hasp::sim {

namespace {

std::optional<Seeds> parse(std::string_view text) {
    const std::size_t dash = text.find('-');
    const bool range = dash != std::string_view::npos;
    const auto first = range ? parse_u64(text.substr(0, dash)) : 1;
    const auto last = parse_u64(range ? text.substr(dash + 1) : text);
    if (!first || !last || *first == 0 || *first > *last) {
        return std::nullopt;
    }
    return Seeds{*first, *last};
}

} // namespace

Seeds seeds_from(const char* variable, const Seeds& otherwise) {
    const char* text = std::getenv(variable);
    if (text == nullptr) {
        return otherwise;
    }
    const auto seeds = parse(text);
    if (!seeds) {
        std::fprintf(stderr, "%s=%s: give A-B, or N for 1-N\n", variable, text);
        std::exit(2);
    }
    return *seeds;
}

} // namespace hasp::sim
