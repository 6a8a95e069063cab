#include "chars.h"
#include "net/fields.h"

#include <algorithm>

namespace hasp::net {
namespace {

// Digits from the front of `text`; a number that does not fit counts as the largest (it only means
// "to the end"). nullopt without a digit.
std::optional<std::uint64_t> take_number(std::string_view& text) {
    constexpr std::uint64_t largest = UINT64_MAX;
    if (text.empty() || !is_digit(text.front())) {
        return std::nullopt;
    }
    std::uint64_t value = 0;
    while (!text.empty() && is_digit(text.front())) {
        const auto digit = static_cast<std::uint64_t>(text.front() - '0');
        value = value > (largest - digit) / 10 ? largest : value * 10 + digit;
        text.remove_prefix(1);
    }
    return value;
}

bool overlaps(const Ranges& ranges, const ByteRange& one) {
    return std::any_of(
        ranges.ranges.begin(), ranges.ranges.begin() + static_cast<std::ptrdiff_t>(ranges.count),
        [&one](const ByteRange& r) { return one.first <= r.last && r.first <= one.last; });
}

// "first-[last]" or "-suffix". False: malformed. `range` stays empty when it cannot be satisfied.
bool parse_one(std::string_view text, std::uint64_t size, std::optional<ByteRange>& range) {
    if (!text.empty() && text.front() == '-') {
        text.remove_prefix(1);
        const auto suffix = take_number(text);
        if (!suffix || !text.empty()) {
            return false;
        }
        if (*suffix != 0 && size != 0) {
            range = ByteRange{size - std::min(*suffix, size), size - 1};
        }
        return true;
    }
    const auto first = take_number(text);
    if (!first || text.empty() || text.front() != '-') {
        return false;
    }
    text.remove_prefix(1);
    std::uint64_t last = UINT64_MAX;
    if (!text.empty()) {
        const auto number = take_number(text);
        if (!number || !text.empty() || *number < *first) {
            return false;
        }
        last = *number;
    }
    if (*first < size) {
        range = ByteRange{*first, std::min(last, size - 1)};
    }
    return true;
}

} // namespace

Ranges parse_range(std::string_view value, std::uint64_t size) {
    constexpr std::string_view unit = "bytes=";
    Ranges out;
    if (!same_text(value.substr(0, unit.size()), unit)) {
        return out;
    }
    ListItems items(value.substr(unit.size()));
    std::size_t asked = 0;
    while (const auto item = items.next()) {
        std::optional<ByteRange> range;
        if (!parse_one(*item, size, range) || ++asked > Ranges::ranges_max) {
            return Ranges{};
        }
        if (range) {
            if (overlaps(out, *range)) { // RFC 9110 §14.2: may be an attack; the whole is an answer
                return Ranges{};
            }
            out.ranges[out.count++] = *range;
        }
    }
    if (asked != 0) {
        out.kind = out.count == 0 ? Ranges::Kind::unsatisfiable : Ranges::Kind::satisfiable;
    }
    return out;
}

} // namespace hasp::net
