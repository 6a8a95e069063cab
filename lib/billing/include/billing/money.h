// Exact money: amounts are whole minor units (cents), rates are decimal numbers as they were
// written. No floating point anywhere. Pure; any thread.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace hasp::billing {

inline constexpr int rate_digits_max = 9; // before the point, and behind it
inline constexpr int exponent_max = 4;    // of a currency's minor unit
inline constexpr std::uint64_t quantity_max = 1'000'000'000'000'000;

// numerator / 10^digits, never negative.
struct Rate {
    std::int64_t numerator = 0;
    int digits = 0;
    friend bool operator==(const Rate&, const Rate&) = default;
};
// "0.0125", "12", "0": digits, and at most one point with digits on both sides. Code::usage for
// anything else.
Result<Rate> parse_rate(std::string_view text);

// What becomes of a half: half_up goes away from zero, half_even to the even neighbour.
enum class Rounding : unsigned char { half_up, half_even };

// quantity × rate in minor units, rounded once. Code::usage when it does not fit 64 bits, or beyond
// quantity_max.
Result<std::int64_t> price_of(std::uint64_t quantity, const Rate& rate, int exponent,
                              Rounding rounding);
// `percent` per cent of an amount of either sign, rounded once.
Result<std::int64_t> percent_of(std::int64_t minor, const Rate& percent, Rounding rounding);
// Code::usage when the sum does not fit.
Result<std::int64_t> sum_of(std::int64_t a, std::int64_t b);

// 1234 with exponent 2: "12.34"; -5: "-0.05"; with exponent 0: "1234".
std::string format_money(std::int64_t minor, int exponent);

} // namespace hasp::billing
