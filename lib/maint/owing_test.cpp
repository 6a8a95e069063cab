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
}

TEST(Owing, AReportHasRoomForSoManyCopiesAndTheUnsentOnesComeFirst) {
    const auto copies = [](const std::string& prefix, std::size_t sent, std::size_t unsent) {
        std::vector<CopyReport> out;
        for (std::size_t i = 0; i < sent + unsent; ++i) {
            const bool owes = i >= sent;
            out.push_back({prefix + std::to_string(i), morning, owes ? 1U : 0U, owes ? 5U : 0U,
                           owes ? morning : 0});
        }
        return to_json(std::move(out));
    };
    Json status{{"copies", copies("a", 900, 3)},
                {"children",
                 {{{"name", "ward"}, {"status", {{"copies", copies("b", 900, 4)}}}},
                  {{"name", "lab"}, {"status", Json()}},
                  {{"name", "bed"}, {"status", {{"copies", copies("c", 0, 5)}}}}}}};
    bound_copies(status);
    const Json& children = status["children"];
    EXPECT_EQ(status["copies"].size() + children[0]["status"]["copies"].size() +
                  children[2]["status"]["copies"].size(),
              copies_reported_max);
    const auto unsent = [](const Json& list) {
        return std::count_if(list.begin(), list.end(),
                             [](const Json& one) { return one.contains("files"); });
    };
    EXPECT_EQ(unsent(status["copies"]), 3);
    EXPECT_EQ(unsent(children[0]["status"]["copies"]), 4);
    EXPECT_EQ(unsent(children[2]["status"]["copies"]), 5);
    const std::string before = dump(status);
    bound_copies(status);
    EXPECT_EQ(dump(status), before);
    EXPECT_LT(before.size(), 128U * 1024) << "it goes as a difference to the last one";
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
