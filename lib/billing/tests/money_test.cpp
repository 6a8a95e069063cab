#include "billing/money.h"

#include "base/text.h"
#include "billing/period.h"

#include <gtest/gtest.h>

namespace hasp::billing {
namespace {

std::int64_t price(std::uint64_t quantity, const char* rate, int exponent = 2,
                   Rounding rounding = Rounding::half_up) {
    auto exact = parse_rate(rate);
    EXPECT_TRUE(exact.ok());
    auto minor = price_of(quantity, *exact, exponent, rounding);
    EXPECT_TRUE(minor.ok());
    return minor.value_or(-1);
}

TEST(Money, ARateIsTheDecimalNumberThatWasWritten) {
    EXPECT_EQ(*parse_rate("0.0125"), (Rate{125, 4}));
    EXPECT_EQ(*parse_rate("12"), (Rate{12, 0}));
    EXPECT_EQ(*parse_rate("999999999.999999999"), (Rate{999999999999999999, 9}));
    for (const char* bad : {"", ".", ".5", "5.", "-1", "+1", "1e3", "0x1", "1,5", " 1", "1 ",
                            "1.2.3", "1234567890", "0.1234567890"}) {
        EXPECT_FALSE(parse_rate(bad).ok()) << bad;
    }
}

TEST(Money, ALineIsRoundedOnceAndAHalfGoesUp) {
    EXPECT_EQ(price(1, "0.005"), 1);
    EXPECT_EQ(price(1, "0.0049"), 0);
    EXPECT_EQ(price(3, "0.005"), 2);
    EXPECT_EQ(price(1000, "0.0125"), 1250);
    EXPECT_EQ(price(7, "0.0125"), 9) << "8.75 cents";
    EXPECT_EQ(price(1, "1.005"), 101) << "what binary floating point makes 1.00";
    EXPECT_EQ(price(1, "0.005", 2, Rounding::half_even), 0);
    EXPECT_EQ(price(3, "0.005", 2, Rounding::half_even), 2);
    EXPECT_EQ(price(3, "0.5", 0), 2);
    EXPECT_EQ(price(3, "0.12345", 4), 3704);
}

TEST(Money, TiesOfEverySizeAreExact) {
    // k + 1/2 cents for many k: each must go up by exactly half.
    for (std::int64_t k = 0; k < 10'000; ++k) {
        const std::string rate = std::to_string(k / 100) + "." + (k % 100 < 10 ? "0" : "") +
                                 std::to_string(k % 100) + "5";
        ASSERT_EQ(price(1, rate.c_str()), k + 1) << rate;
        ASSERT_EQ(price(1, rate.c_str(), 2, Rounding::half_even), k + k % 2) << rate;
    }
}

TEST(Money, TaxIsRoundedOnceOfEitherSign) {
    EXPECT_EQ(*percent_of(1050, *parse_rate("19"), Rounding::half_up), 200) << "199.5";
    EXPECT_EQ(*percent_of(-1050, *parse_rate("19"), Rounding::half_up), -200);
    EXPECT_EQ(*percent_of(1050, *parse_rate("19"), Rounding::half_even), 200);
    EXPECT_EQ(*percent_of(333, *parse_rate("7.7"), Rounding::half_up), 26) << "25.641";
}

TEST(Money, WhatDoesNotFitIsAnErrorAndNeverAnotherNumber) {
    EXPECT_FALSE(price_of(quantity_max + 1, *parse_rate("0.1"), 2, Rounding::half_up).ok());
    EXPECT_FALSE(price_of(quantity_max, *parse_rate("999999999"), 4, Rounding::half_up).ok());
    EXPECT_EQ(price(quantity_max, "0.000000001", 2), 100'000'000);
    EXPECT_FALSE(sum_of(INT64_MAX, 1).ok());
    EXPECT_FALSE(sum_of(INT64_MIN, -1).ok());
}

TEST(Money, AmountsAreWrittenWithTheirCurrencysDigits) {
    EXPECT_EQ(format_money(1234, 2), "12.34");
    EXPECT_EQ(format_money(-5, 2), "-0.05");
    EXPECT_EQ(format_money(0, 3), "0.000");
    EXPECT_EQ(format_money(1234, 0), "1234");
    EXPECT_EQ(format_money(INT64_MIN, 2), "-92233720368547758.08");
}

TEST(Period, AMonthIsThatOfItsZoneAndHalfOpen) {
    const auto november = parse_period("2026-11", 0);
    ASSERT_TRUE(november.ok());
    EXPECT_EQ(rfc3339(november->from_us), "2026-11-01T00:00:00.000Z");
    EXPECT_EQ(rfc3339(november->to_us), "2026-12-01T00:00:00.000Z");
    EXPECT_EQ(parse_period("2026-12", 0)->from_us, november->to_us);
    EXPECT_EQ(rfc3339(parse_period("2026-12", 0)->to_us), "2027-01-01T00:00:00.000Z");
    EXPECT_EQ(rfc3339(parse_period("2026-11", 9 * 60)->from_us), "2026-10-31T15:00:00.000Z");
    EXPECT_EQ(rfc3339(parse_period("2024-02", -330)->to_us), "2024-03-01T05:30:00.000Z");
}

TEST(Period, BoundsAreTimesOfRfc3339) {
    const auto period = parse_period("2026-11-23T16:02:16Z/2026-11-23T18:02:16.5+01:00", 0);
    ASSERT_TRUE(period.ok()) << period.error().message;
    EXPECT_EQ(rfc3339(period->from_us), "2026-11-23T16:02:16.000Z");
    EXPECT_EQ(rfc3339(period->to_us), "2026-11-23T17:02:16.500Z");
    for (const char* bad :
         {"", "2026", "2026-13", "2026-00", "2026-1", "2026-11-", "november", "2026-11-23",
          "2026-11-23T16:02:16Z", "2026-11-23T16:02:16Z/",
          "2026-11-23T16:02:16Z/2026-11-23T16:02:16Z", "2026-02-30T00:00:00Z/2026-03-01T00:00:00Z",
          "2026-11-23T24:00:00Z/2026-12-01T00:00:00Z", "2026-11-23 16:02:16Z/2026-12-01T00:00:00Z",
          "2026-11-23T16:02:16/2026-12-01T00:00:00Z",
          "2026-11-23T16:02:16.1234567Z/2026-12-01T00:00:00Z", "1969-12"}) {
        const auto read = parse_period(bad, 0);
        EXPECT_TRUE(!read.ok() && read.error().code == Code::usage) << bad;
    }
}

} // namespace
} // namespace hasp::billing
