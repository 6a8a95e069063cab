// What one supervisor leaves to the next, and what the next refuses before anything has changed.
#include "handover.h"

#include <gtest/gtest.h>

namespace hasp::cmd {
namespace {

Handover whole() {
    Handover all;
    all.lock = 4;
    all.ring = 5;
    all.gate = 14;
    all.program = 6;
    all.client = 7;
    all.next_number = 12;
    all.cache_holder = 11;
    all.program_path = "/usr/bin/hasp";
    all.config = "[web]\nkeepalive_s = 5\n";
    all.listening = {{"web", "127.0.0.1:0", "127.0.0.1:4711", 8},
                     {"link", "[::]:8490", "[::]:8490", 9}};
    all.processes = {{"front", 100, 10, 11, 1, false, 0, MoreLanes{8, 3}},
                     {"front", 90, 13, 10, 0, true, 77},
                     {"keeper", 101, 11, 0, 0, false, 0},
                     {"spawner", 102, 12, 0, 0, false, 0}};
    return all;
}

std::string with(std::string text, const std::string& what, const std::string& by) {
    const std::size_t at = text.find(what);
    EXPECT_NE(at, std::string::npos) << what;
    return text.replace(at, what.size(), by);
}

} // namespace

TEST(Handover, IsReadAsItWasWritten) {
    const auto read = unpack_handover(pack(whole()));
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_EQ(*read, whole());
    Handover little;
    little.lock = 3;
    little.ring = 4;
    const auto again = unpack_handover(pack(little));
    ASSERT_TRUE(again.ok()) << again.error().message;
    EXPECT_EQ(*again, little);
}

TEST(Handover, OfAProgramWithoutSeveralLoopsDoesNotSayWhichLanesAreTheirs) {
    std::string text = pack(whole());
    for (const char* key : {"\"more_lanes\"", "\"more_count\""}) {
        for (std::size_t at = text.find(key); at != std::string::npos;
             at = text.find(key, at + 1)) {
            text[at + 1] = 'x'; // a key that nobody knows
        }
    }
    const auto read = unpack_handover(text);
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_FALSE(read->processes.front().more.has_value())
        << "a front that was adopted from there may have some";
    const auto again = unpack_handover(pack(*read));
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(*again, *read) << "and the next program does not know it either";
    EXPECT_FALSE(unpack_handover(with(pack(whole()), "\"more_lanes\":8", "\"more_lanes\":62")).ok())
        << "lanes behind the end";
}

TEST(Handover, OfAProgramWithoutAGateHasNone) {
    const auto read = unpack_handover(with(pack(whole()), "\"gate\"", "\"date\""));
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_EQ(read->gate, -1);
    EXPECT_FALSE(unpack_handover(with(pack(whole()), "\"gate\":14", "\"gate\":-2")).ok());
}

TEST(Handover, NamesEveryDescriptorThatIsToOutliveTheExec) {
    EXPECT_EQ(descriptors_of(whole()), (std::vector{4, 5, 14, 6, 7, 8, 9, 10, 13, 11, 12}));
}

TEST(Handover, OfAnotherFormatIsRefusedWithWhatToDo) {
    const auto read = unpack_handover(with(pack(whole()), "\"format\":1", "\"format\":2"));
    ASSERT_FALSE(read.ok());
    EXPECT_EQ(read.error().code, Code::refused);
    EXPECT_NE(read.error().hint.find("stop the tier"), std::string::npos);
}

TEST(Handover, ThatIsDamagedIsRefused) {
    const std::string good = pack(whole());
    const std::string cut = good.substr(0, good.size() / 2);
    for (const std::string& bad :
         {std::string(), std::string("[]"), cut, with(good, "\"lock\":4", "\"lock\":-1"),
          with(good, "\"lock\":4", "\"lock\":\"4\""),
          with(good, "\"lock\":4", "\"lock\":99999999999"), with(good, "\"pid\":100", "\"pid\":1"),
          with(good, "\"pid\":100", "\"pid\":-9"),
          with(good, "\"role\":\"keeper\"", "\"role\":\"spawner\""),
          with(good, "\"role\":\"keeper\"", "\"role\":\"user\""),
          with(good, "\"number\":11", "\"number\":0"),
          with(good, "\"leaving\":true", "\"leaving\":false"),
          with(good, "\"fd\":8", "\"fd\":-1")}) {
        EXPECT_FALSE(unpack_handover(bad).ok()) << bad;
    }
}

} // namespace hasp::cmd
