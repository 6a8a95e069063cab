// Differences against a content at hand.
#include "collect.h"
#include "sync/difference.h"

#include "base/random.h"

#include <array>
#include <gtest/gtest.h>

namespace hasp::sync {
namespace {

std::string made(const std::string& base, const std::string& target) {
    MemoryFile old(base);
    MemoryFile now(target);
    std::string out;
    EXPECT_TRUE(make_difference(old, now, into(out)).ok());
    return out;
}

Result<std::string> applied(const std::string& base, const std::string& difference,
                            std::uint64_t limit) {
    MemoryFile old(base);
    MemoryFile change(difference);
    std::string out;
    Status done = apply_difference(old, pull_from(change), limit, into(out));
    return done ? Result<std::string>(out) : done.error();
}

std::string words(Random& random, std::size_t size) {
    std::string out;
    while (out.size() < size) {
        out += "word" + std::to_string(random.below(5000)) + (random.below(9) == 0 ? "\n" : " ");
    }
    return out;
}

TEST(Differences, OfEveryEditGiveTheFileAgainAndAreSmall) {
    SeededRandom random(21);
    const std::string text = words(random, 3'000'000);
    struct Case {
        const char* name;
        std::string target;
        std::size_t bytes_max;
    };
    std::string in_place = text;
    for (int i = 0; i < 200; ++i) {
        in_place.replace(random.below(text.size() - 10), 8, random.bytes(8));
    }
    std::string grown = text;
    for (int i = 0; i < 200; ++i) {
        grown.insert(random.below(grown.size()), words(random, 12));
    }
    const std::string noise = random.bytes(1000);
    const std::vector<Case> edits{
        {"nothing", text, 16},
        {"bytes in their place", in_place, 3'000},
        {"lengths that change", grown, 4'000},
        {"1 KB that is inserted", std::string(text).insert(1'000'000, noise), 1'100},
        {"1 MB that is inserted", std::string(text).insert(1'000'000, random.bytes(1'000'000)),
         1'001'000},
        {"1 MB that is gone", text.substr(0, 500'000) + text.substr(1'500'000), 32},
        {"parts that change places",
         text.substr(2'000'000) + text.substr(0, 1'000'000) + text.substr(1'000'000, 1'000'000),
         64},
        {"an append like what was there", text + words(random, 300'000), 300'100},
        {"all new", random.bytes(3'000'000), 3'000'200},
        {"nothing left", "", 16},
    };
    for (const Case& edit : edits) {
        const std::string difference = made(text, edit.target);
        EXPECT_LE(difference.size(), edit.bytes_max) << edit.name;
        auto out = applied(text, difference, edit.target.size());
        ASSERT_TRUE(out.ok()) << edit.name << ": " << out.error().message;
        EXPECT_TRUE(*out == edit.target) << edit.name;
    }
}

TEST(Differences, PackWhatIsNewWithWhatItReplaces) {
    SeededRandom random(22);
    const std::string base = random.bytes(200'000);
    // Pieces of a page that are shifted by an odd few bytes each, too short for a match of their
    // own: its bytes are in the base, though not where they were.
    std::string target = base;
    std::string page;
    for (std::size_t at = 0; at + 31 <= 8192; at += 31) {
        page += base.substr(100'000 + at, 24);
    }
    target.replace(100'000, 8192, page);
    const std::string difference = made(base, target);
    EXPECT_LT(difference.size(), page.size() / 4);
    EXPECT_TRUE(applied(base, difference, target.size()).value_or("") == target);
}

TEST(Differences, OfSmallAndRepetitiveFilesGiveTheFileAgain) {
    SeededRandom random(23);
    for (int round = 0; round < 1000; ++round) {
        const auto [base, target] = repetitive_pair(random);
        const std::string difference = made(base, target);
        ASSERT_EQ(applied(base, difference, target.size()).value_or("?"), target) << round;
        ASSERT_LE(difference.size(), target.size() + 64);
    }
}

TEST(Differences, EndWhenMoreComesOutThanWasAnnounced) {
    const std::string base(100'000, 'x');
    EXPECT_EQ(applied(base, made(base, base), 99'999).error().code, Code::refused);
}

TEST(Differences, OfAnotherContentAreRefusedOrGiveAnotherFile) {
    SeededRandom random(24);
    const std::string base = words(random, 50'000);
    const std::string target = std::string(base).replace(20'000, 5'000, words(random, 6'000));
    auto out = applied(words(random, 40'000), made(base, target), target.size());
    EXPECT_TRUE(!out.ok() || *out != target);
}

TEST(Differences, ThatAreDamagedAnywhereAreRefusedOrStayWithinTheirLimit) {
    SeededRandom random(25);
    const std::string base = words(random, 20'000);
    const std::string target = std::string(base).replace(9'000, 2'000, words(random, 3'000));
    const std::string good = made(base, target);
    for (std::size_t cut = 0; cut < good.size(); ++cut) {
        EXPECT_EQ(applied(base, good.substr(0, cut), target.size()).error().code, Code::refused);
    }
    for (std::size_t at = 0; at < good.size(); ++at) {
        std::string bad = good;
        bad[at] = static_cast<char>(bad[at] ^ static_cast<char>(1 + random.below(255)));
        auto out = applied(base, bad, target.size());
        EXPECT_TRUE(!out.ok() || out->size() <= target.size());
    }
}

// One copy of one byte of "x" (PROTOCOL.md), and the same with a number beyond its limit.
TEST(Differences, RefuseWhatIsBeyondALimit) {
    EXPECT_EQ(applied("x", std::string("\1\3\0\1\0\0\0\0", 8), 9).value_or("?"), "x");
    const std::array bad{
        std::string("\1\3\0\2\0\0\0\0", 8),       // more than the base has
        std::string("\1\3\0\1\2\0\0\0", 8),       // from beyond its end
        std::string("\1\3\1\1\0\0\0\0", 8),       // new bytes that it does not have
        std::string("\1\3\0\1\0\1\0\0\0", 9),     // new bytes that no step takes
        std::string("\1\xff\xff\x7f", 4),         // steps
        std::string("\1\3\0\1\0\xff\xff\x7f", 8), // new bytes
        std::string("\2", 1),                     // a chunk of another kind
        std::string("\1\2\1\0\1\1\0x\0", 9),      // packed bytes that are none
    };
    for (const std::string& one : bad) {
        EXPECT_EQ(applied("x", one, 9).error().code, Code::refused);
    }
}

} // namespace
} // namespace hasp::sync
