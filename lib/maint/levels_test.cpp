#include "levels.h"

#include <gtest/gtest.h>

namespace hasp::maint {
namespace {

const std::string report = R"({"accounts":["anna","ito","mei","nurse"],"apps":[],"t":"report"})";

TEST(Levels, TheFirstGoesWholeAndWhatFollowsAsItsDifference) {
    Levels sender;
    Levels receiver;
    EXPECT_FALSE(sender.shorten("report", report, ""));
    receiver.heard("report", report, "");
    std::string body(2'000, 'x');
    for (int i = 0; i < 20; ++i) {
        body[static_cast<std::size_t>(i) * 90] = static_cast<char>('a' + i);
        const auto patch = sender.shorten("report", report, body);
        ASSERT_TRUE(patch);
        EXPECT_LT(patch->size(), 60U);
        const auto whole = receiver.restore("report", *patch);
        ASSERT_TRUE(whole.ok()) << whole.error().message;
        EXPECT_EQ(whole->head, report);
        EXPECT_EQ(whole->body, body);
    }
}

TEST(Levels, EachTypeIsComparedWithItsOwn) {
    Levels sender;
    Levels receiver;
    EXPECT_FALSE(sender.shorten("report", report, ""));
    receiver.heard("report", report, "");
    EXPECT_FALSE(sender.shorten("desired", "{\"t\":\"desired\"}", "one"));
    EXPECT_FALSE(receiver.restore("desired", "anything").ok());
    EXPECT_TRUE(Levels::is_level("lease"));
    EXPECT_FALSE(Levels::is_level("login"));
}

TEST(Levels, WhatIsTooLargeGoesWholeAndSoDoesTheNext) {
    Levels sender;
    Levels receiver;
    const std::string large(level_bytes_max + 1, 'x');
    EXPECT_FALSE(sender.shorten("report", report, ""));
    receiver.heard("report", report, "");
    EXPECT_FALSE(sender.shorten("report", report, large));
    receiver.heard("report", report, large);
    EXPECT_FALSE(sender.shorten("report", report, ""));
    receiver.heard("report", report, "");
    const auto patch = sender.shorten("report", report, "");
    ASSERT_TRUE(patch);
    EXPECT_TRUE(receiver.restore("report", *patch).ok());
}

TEST(Levels, WhatDoesNotFitIsRefused) {
    Levels sender;
    Levels receiver;
    EXPECT_FALSE(sender.shorten("report", report, "as it was"));
    receiver.heard("report", report, "as it never was");
    const auto patch = sender.shorten("report", report, std::string(500, 'y') + "as it was");
    ASSERT_TRUE(patch);
    const auto whole = receiver.restore("report", *patch);
    ASSERT_FALSE(whole.ok());
    EXPECT_EQ(whole.error().code, Code::refused);
}

} // namespace
} // namespace hasp::maint
