#include "base/bytes.h"
#include "base/clock.h"
#include "base/files.h"
#include "base/log.h"
#include "base/random.h"
#include "base/text.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace hasp {
namespace {

TEST(Bytes, CopiesOfEverySizeStayWithinTheirBounds) {
    std::string from(130, '\0');
    for (std::size_t i = 0; i < from.size(); ++i) {
        from[i] = static_cast<char>('a' + i % 23);
    }
    for (std::size_t size = 0; size <= 128; ++size) {
        std::string to(132, '#');
        EXPECT_EQ(copy_short(to.data() + 1, from.data(), size), to.data() + 1 + size);
        EXPECT_EQ(to, "#" + from.substr(0, size) + std::string(131 - size, '#')) << size;
    }
    EXPECT_EQ(copy_short(nullptr, nullptr, 0), nullptr);
}

TEST(Text, Base64UrlRefusesPaddingAndNonCanonicalTails) {
    EXPECT_EQ(from_base64url(to_base64url("a\xff\x00z")), std::string("a\xff\x00z"));
    EXPECT_EQ(from_base64url("YQ=="), std::nullopt);
    EXPECT_EQ(from_base64url("YR"), std::nullopt);
    EXPECT_EQ(from_base64url("A"), std::nullopt);
    EXPECT_EQ(from_base64("YQ=="), "a");
}

TEST(Text, PercentDecodingRefusesTruncatedEscapes) {
    EXPECT_EQ(percent_decode("a%2fb"), "a/b");
    EXPECT_EQ(percent_decode("a%2"), std::nullopt);
    EXPECT_EQ(percent_decode("%zz"), std::nullopt);
    EXPECT_EQ(percent_decode("a+b", true), "a b");
    EXPECT_EQ(percent_encode("ä b"), "%C3%A4%20b");
}

TEST(Text, FormValueFindsTheFirstFieldOfThatName) {
    EXPECT_EQ(form_value("user=nurse&password=a%26b+c", "password"), "a&b c");
    EXPECT_EQ(form_value("user=nurse", "next"), std::nullopt);
    EXPECT_EQ(form_value("user", "user"), "");
}

TEST(Text, NumbersAreDigitsOnlyAndDoNotOverflow) {
    EXPECT_EQ(parse_u64("18446744073709551615"), UINT64_MAX);
    EXPECT_EQ(parse_u64("18446744073709551616"), std::nullopt);
    EXPECT_EQ(parse_u64("+1"), std::nullopt);
    EXPECT_EQ(parse_u64(""), std::nullopt);
}

TEST(Text, NamesAreLowerCaseAndShort) {
    EXPECT_TRUE(valid_name("tokyo-2"));
    EXPECT_FALSE(valid_name("Tokyo"));
    EXPECT_FALSE(valid_name("2tokyo"));
    EXPECT_FALSE(valid_name("tokyo-"));
    EXPECT_FALSE(valid_name(std::string(41, 'a')));
    EXPECT_FALSE(valid_name("a/b"));
}

TEST(Text, NearestSuggestsOnlyWhatIsNear) {
    EXPECT_EQ(nearest("lisen", {"listen", "portal"}), "listen");
    EXPECT_EQ(nearest("qqqqqq", {"listen", "portal"}), "");
}

TEST(Text, TimesAreUtcWithMilliseconds) {
    EXPECT_EQ(rfc3339(1'700'000'000'123'456), "2023-11-14T22:13:20.123Z");
    EXPECT_EQ(us_of_rfc3339("2023-11-14T22:13:20.123Z"), 1'700'000'000'000'000);
    for (const char* none :
         {"", "2023", "2023-11-15 09:00:00", "2023-11-15T09:00:0x", "-023-11-15T09:00:00"}) {
        EXPECT_EQ(us_of_rfc3339(none), 0) << none;
    }
}

TEST(Log, JsonEscapingKeepsValidUtf8AndReplacesTheRest) {
    EXPECT_EQ(json_escape("a\"\\\n\x01é\xff"), "a\\\"\\\\\\n\\u0001é\xef\xbf\xbd");
}

TEST(Files, ADurableWriteReplacesTheContentAndKeepsTheMode) {
    const std::string folder = testing::TempDir() + "base_files_" + std::to_string(::getpid());
    ASSERT_TRUE(make_folders(folder + "/a/b").ok());
    ASSERT_TRUE(write_file_durably(folder + "/a/b/c", "one", 0600).ok());
    ASSERT_TRUE(write_file_durably(folder + "/a/b/c", "two", 0600).ok());
    EXPECT_EQ(*read_file(folder + "/a/b/c", 100), "two");
    EXPECT_EQ(read_file(folder + "/a/b/c", 2).error().code, Code::refused);
    EXPECT_EQ(read_file(folder + "/a/b/d", 2).error().code, Code::not_found);
    EXPECT_TRUE(remove_tree(folder).ok());
}

TEST(Files, WhatAKilledWriterLeftBehindIsRemovedAndNothingElse) {
    const std::string folder = testing::TempDir() + "base_unfinished_" + std::to_string(::getpid());
    ASSERT_TRUE(make_folders(folder + "/below").ok());
    const std::string left = "/" + std::string(unfinished_prefix) + "aB3dE9";
    for (const std::string& path :
         {folder + "/tier.json", folder + left, folder + "/below" + left}) {
        ASSERT_TRUE(write_file_durably(path, "x", 0600).ok());
    }
    EXPECT_TRUE(remove_unfinished_files(folder).ok());
    EXPECT_TRUE(read_file(folder + "/tier.json", 10).ok());
    EXPECT_TRUE(read_file(folder + "/below" + left, 10).ok());
    EXPECT_EQ(read_file(folder + left, 10).error().code, Code::not_found);
    EXPECT_TRUE(remove_unfinished_files(folder + "/nowhere").ok());
    EXPECT_TRUE(remove_tree(folder).ok());
}

TEST(Random, ASeedGivesTheSameBytesAgain) {
    SeededRandom a(7);
    SeededRandom b(7);
    EXPECT_EQ(a.bytes(33), b.bytes(33));
    EXPECT_LT(a.below(10), 10U);
}

} // namespace
} // namespace hasp
