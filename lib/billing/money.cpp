#include "billing/money.h"

#include <limits>

namespace hasp::billing {

namespace {

__extension__ using Wide = __int128;

constexpr std::int64_t powers[] = {
    1,         10,         100,         1'000,         10'000,         100'000,
    1'000'000, 10'000'000, 100'000'000, 1'000'000'000, 10'000'000'000, 100'000'000'000};
static_assert(sizeof powers / sizeof powers[0] > rate_digits_max + 2);

bool all_digits(std::string_view text) {
    for (const char c : text) {
        if (c < '0' || c > '9') {
            return false;
        }
    }
    return !text.empty() && text.size() <= rate_digits_max;
}

Error too_large() {
    return fail(Code::usage, "an amount is larger than 64 bits of minor units");
}

Result<std::int64_t> divide(Wide numerator, std::int64_t denominator, Rounding rounding) {
    const bool negative = numerator < 0;
    const Wide size = negative ? -numerator : numerator;
    Wide whole = size / denominator;
    const Wide twice = size % denominator * 2;
    const bool up = twice > denominator ||
                    (twice == denominator && (rounding == Rounding::half_up || whole % 2 == 1));
    whole += up ? 1 : 0;
    if (whole > std::numeric_limits<std::int64_t>::max()) {
        return too_large();
    }
    return static_cast<std::int64_t>(negative ? -whole : whole);
}

} // namespace

Result<Rate> parse_rate(std::string_view text) {
    const std::size_t point = text.find('.');
    const std::string_view whole = text.substr(0, point);
    const std::string_view part =
        point == std::string_view::npos ? std::string_view("0") : text.substr(point + 1);
    if (!all_digits(whole) || !all_digits(part)) {
        return fail(Code::usage, "\"" + std::string(text.substr(0, 40)) +
                                     "\" is no decimal number such as \"0.0125\", with at most " +
                                     std::to_string(rate_digits_max) +
                                     " digits before the point and behind it");
    }
    Rate rate;
    for (const char c : whole) {
        rate.numerator = rate.numerator * 10 + (c - '0');
    }
    if (point != std::string_view::npos) {
        for (const char c : part) {
            rate.numerator = rate.numerator * 10 + (c - '0');
        }
        rate.digits = static_cast<int>(part.size());
    }
    return rate;
}

Result<std::int64_t> price_of(std::uint64_t quantity, const Rate& rate, int exponent,
                              Rounding rounding) {
    if (quantity > quantity_max) {
        return too_large();
    }
    // At most 10^15 × 10^18 × 10^4: below 2^127.
    const Wide product = static_cast<Wide>(quantity) * rate.numerator * powers[exponent];
    return divide(product, powers[rate.digits], rounding);
}

Result<std::int64_t> percent_of(std::int64_t minor, const Rate& percent, Rounding rounding) {
    return divide(static_cast<Wide>(minor) * percent.numerator, powers[percent.digits + 2],
                  rounding);
}

Result<std::int64_t> sum_of(std::int64_t a, std::int64_t b) {
    std::int64_t sum = 0;
    return __builtin_add_overflow(a, b, &sum) ? Result<std::int64_t>(too_large())
                                              : Result<std::int64_t>(sum);
}

std::string format_money(std::int64_t minor, int exponent) {
    const bool negative = minor < 0;
    const auto size = negative ? std::uint64_t{0} - static_cast<std::uint64_t>(minor)
                               : static_cast<std::uint64_t>(minor);
    std::string digits = std::to_string(size);
    const auto places = static_cast<std::size_t>(exponent);
    if (digits.size() <= places) {
        digits.insert(0, places + 1 - digits.size(), '0');
    }
    if (places > 0) {
        digits.insert(digits.size() - places, ".");
    }
    return (negative ? "-" : "") + digits;
}

} // namespace hasp::billing
