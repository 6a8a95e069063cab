#include "billing/tariff.h"

#include "base/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hasp::billing {
namespace {

using testing::HasSubstr;

const std::string head = R"([tariff]
version = "2026"
currency = "EUR"
effective_from = "2026-01-01"
zone = "+01:00"
)";

std::string error_of_text(const std::string& text) {
    const auto tariff = parse_tariff(text, "t.toml");
    EXPECT_FALSE(tariff.ok()) << text;
    EXPECT_TRUE(tariff.ok() || tariff.error().code == Code::usage);
    return tariff.ok() ? "" : tariff.error().message + " | " + tariff.error().hint;
}

TEST(Tariff, IsReadWholeAndFindsThePriceOfAnApp) {
    const auto tariff = parse_tariff(head + R"(
[groups]
office = ["calendar", "wiki"]
[[price]]
line = "Office"
per = "request"
rate = "0.002"
tax = "19"
groups = ["office"]
[[price]]
line = "Other requests"
per = "request"
rate = "0.001"
[[price]]
line = "Starts of the wiki"
per = "app_start"
rate = "0.1"
apps = ["wiki"]
)",
                                     "t.toml");
    ASSERT_TRUE(tariff.ok()) << tariff.error().message;
    EXPECT_EQ(tariff->version, "2026");
    EXPECT_EQ(tariff->exponent, 2);
    EXPECT_EQ(rfc3339(tariff->effective_from_us), "2025-12-31T23:00:00.000Z");
    EXPECT_EQ(tariff->price(Per::request, "wiki"), 0U);
    EXPECT_EQ(tariff->price(Per::request, "fossil"), 1U);
    EXPECT_EQ(tariff->price(Per::app_start, "wiki"), 2U);
    EXPECT_EQ(tariff->price(Per::app_start, "fossil"), std::nullopt);
    EXPECT_EQ(tariff->prices[0].rate, (Rate{2, 3}));
    EXPECT_EQ(tariff->prices[0].tax, (Rate{19, 0}));
    EXPECT_FALSE(tariff->prices[1].tax);
}

TEST(Tariff, AFloatIsRefusedWithFileLineAndWhatToWrite) {
    EXPECT_EQ(error_of_text(head + "[[price]]\nline = \"x\"\nper = \"request\"\nrate = 0.0125\n"),
              "t.toml:9: price.rate is a floating-point number, which money must never pass "
              "through | write it as text: rate = \"0.0125\"");
    EXPECT_THAT(error_of_text(head + "[[price]]\nline = \"x\"\nper = \"request\"\nrate = 2\n"),
                HasSubstr("rate = \"2\""));
    EXPECT_THAT(error_of_text(
                    head + "[[price]]\nline = \"x\"\nper = \"request\"\nrate = \"1\"\ntax = 7.7\n"),
                HasSubstr("tax = \"7.7\""));
}

TEST(Tariff, WhatIsWrongIsNamedWithItsLine) {
    const std::string price = "[[price]]\nline = \"x\"\nper = \"request\"\nrate = \"1\"\n";
    EXPECT_THAT(error_of_text(""), HasSubstr("no section [tariff]"));
    EXPECT_THAT(error_of_text(head), HasSubstr("no [[price]]"));
    EXPECT_THAT(error_of_text(head + price + "rat = \"1\"\n"),
                HasSubstr("t.toml:10: there is no key in [price] `rat` | did you mean `rate`?"));
    EXPECT_THAT(error_of_text("[tarif]\n"), HasSubstr("did you mean `tariff`?"));
    EXPECT_THAT(error_of_text(head + price + price), HasSubstr("t.toml:10: a second price per"));
    EXPECT_THAT(error_of_text(head + price + "apps = [\"wiki\"]\n" + price + "apps = [\"wiki\"]\n"),
                HasSubstr("the app `wiki` has two prices per request"));
    EXPECT_THAT(error_of_text(head + price + "groups = [\"none\"]\n"),
                HasSubstr("no group `none`"));
    EXPECT_THAT(error_of_text(head + price + "apps = [\"Not A Name\"]\n"),
                HasSubstr("names of apps"));
    EXPECT_THAT(error_of_text(head + "[[price]]\nline = \"x\"\nper = \"day\"\nrate = \"1\"\n"),
                HasSubstr("must be one of"));
    EXPECT_THAT(error_of_text(head + "[[price]]\nline = \"x\"\nper = \"request\"\nrate = \"1.\"\n"),
                HasSubstr("is no decimal number"));
    EXPECT_THAT(error_of_text(head + "[price]\nline = \"x\"\n"), HasSubstr("written as [[price]]"));
    EXPECT_THAT(error_of_text("[tariff]\nversion = \"1\"\ncurrency = \"euro\"\n"
                              "effective_from = \"2026-01-01\"\n" +
                              price),
                HasSubstr("t.toml:3: tariff.currency"));
    EXPECT_THAT(error_of_text("[tariff]\nversion = \"1\"\ncurrency = \"EUR\"\n"
                              "effective_from = \"2026-02-30\"\n" +
                              price),
                HasSubstr("t.toml:4: tariff.effective_from"));
    EXPECT_THAT(error_of_text("[tariff\n"), HasSubstr("t.toml:1"));
}

} // namespace
} // namespace hasp::billing
