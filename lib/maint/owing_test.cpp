#include "owing.h"

#include "base/text.h"

#include <gtest/gtest.h>

namespace hasp::maint {
namespace {

constexpr std::int64_t second = 1'000'000;
constexpr std::int64_t minute = 60 * second;
constexpr std::int64_t morning = 1'700'038'800 * second; // 2023-11-15 09:00 UTC

Json report_of(const Json& status) {
    return {{"t", "report"}, {"status", status}};
}

TEST(Owing, AReportSaysWhoseFilesAreThereAndTheUnsentOnesFirst) {
    const Json said = to_json(std::vector<CopyReport>{
        {"anna", morning, 0, 0, 0}, {"bo", morning, 3, 1'200'000, morning + minute}});
    EXPECT_EQ(dump(said), R"([{"bytes":1200000,"files":3,"since":"2023-11-15T09:00:00.000Z",)"
                          R"("unsent_since":"2023-11-15T09:01:00.000Z","user":"bo"},)"
                          R"({"since":"2023-11-15T09:00:00.000Z","user":"anna"}])");
    const Copies read = copies_in("hasp://clinics/center/tokyo", report_of({{"copies", said}}));
    ASSERT_EQ(read.size(), 2U);
    const Owing& bo = read.at("bo")[0];
    EXPECT_EQ(bo.tier, "hasp://clinics/center/tokyo");
    EXPECT_TRUE(bo.up);
    EXPECT_EQ(bo.copy.files, 3U);
    EXPECT_EQ(bo.copy.unsent_since_us, morning + minute);
    EXPECT_TRUE(bo.owes());
    EXPECT_FALSE(read.at("anna")[0].owes()) << "it is there and has sent everything";
}

TEST(Owing, WhoIsOutOfReachBehindAnotherTierMayOweSomething) {
    const Json copies = to_json(std::vector<CopyReport>{{"anna", morning, 0, 0, 0}});
    const Json status{
        {"children",
         {{{"name", "ward"},
           {"state", "dark"},
           {"last_seen", rfc3339(morning + minute)},
           {"status",
            {{"copies", copies},
             {"children",
              {{{"name", "bed"}, {"state", "up"}, {"status", {{"copies", copies}}}}}}}}},
          {{"name", "lab"}, {"state", "up"}, {"status", {{"copies", copies}}}},
          {{"name", "gone"}, {"state", "revoked"}, {"status", {{"copies", copies}}}}}}};
    const Copies read = copies_in("hasp://clinics/center/tokyo", report_of(status));
    ASSERT_EQ(read.at("anna").size(), 3U);
    const Owing& ward = read.at("anna")[0];
    EXPECT_EQ(ward.tier, "hasp://clinics/center/tokyo/ward");
    EXPECT_FALSE(ward.up);
    EXPECT_TRUE(ward.owes());
    EXPECT_EQ(ward.heard_us, morning + minute);
    const Owing& bed = read.at("anna")[1];
    EXPECT_FALSE(bed.up) << "it is linked to a tier that is not";
    EXPECT_EQ(bed.heard_us, morning + minute);
    EXPECT_TRUE(read.at("anna")[2].up);
}

TEST(Owing, WhatIsMalformedCountsForNothing) {
    const Json copies =
        Json::array({Json{{"user", "Not a name"}}, Json{{"user", "anna"}, {"files", -3}}, Json(7),
                     Json{{"user", "bo"}, {"since", "yesterday"}}});
    const Copies read = copies_in("hasp://clinics/center/tokyo", report_of({{"copies", copies}}));
    ASSERT_EQ(read.size(), 2U);
    EXPECT_EQ(read.at("anna")[0].copy.files, 0U);
    EXPECT_EQ(read.at("bo")[0].copy.since_us, 0);
    EXPECT_TRUE(owing_of({{{"tier", "<b>"}, {"user", "anna"}}, {{"tier", 3}}, "x"}).empty());
    EXPECT_TRUE(owing_of("x").empty());
    for (const char* text :
         {"", "2023", "2023-11-15 09:00:00", "2023-11-15T09:00:0x", "-023-11-15T09:00:00"}) {
        EXPECT_EQ(us_of_rfc3339(text), 0) << text;
    }
    EXPECT_EQ(us_of_rfc3339(rfc3339(morning)), morning);
}

TEST(Owing, WhatOneTierSaysAnotherReads) {
    const std::vector<Owing> said{
        {"hasp://clinics/center/tokyo", false, morning, {"anna", morning, 1, 10, morning}},
        {"hasp://clinics/center", true, 0, {"anna", morning, 2, 20, morning}}};
    const std::vector<Owing> read = owing_of(to_json(said));
    ASSERT_EQ(read.size(), 2U);
    EXPECT_EQ(read[0].tier, said[0].tier);
    EXPECT_EQ(read[0].heard_us, morning);
    EXPECT_TRUE(read[1].up);
    EXPECT_EQ(read[1].copy.bytes, 20U);
    EXPECT_EQ(owing_of(to_json(std::vector<Owing>(100, said[0]))).size(), owing_told_max);
}

TEST(Owing, PeopleAreToldWhatWhereAndSinceWhen) {
    Owing tokyo{"hasp://clinics/center/tokyo",
                false,
                morning + 20 * minute,
                {"anna", morning - minute, 3, 1'234'567, morning + 14 * minute}};
    const auto words = [&](const char* whose) {
        return owing_text(tokyo, whose, morning + 60 * minute, 0);
    };
    EXPECT_EQ(words("your"), "Tokyo has not yet sent changes to your files since 09:14 (3 files, "
                             "1.2 MB); last heard of 09:20.");
    tokyo.up = true;
    tokyo.copy.files = 1;
    tokyo.copy.bytes = 512;
    EXPECT_EQ(words("anna's"),
              "Tokyo has not yet sent changes to anna's files since 09:14 (1 file, "
              "512 bytes).");
    tokyo.up = false;
    tokyo.copy.files = 0;
    EXPECT_EQ(words("your"),
              "Tokyo was last heard of 09:20. It has had your files since 08:59, and "
              "may have changes that it has not sent.");
}

} // namespace
} // namespace hasp::maint
