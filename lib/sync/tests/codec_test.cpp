// Differences of both makings, applied by librsync's patch.
#include "collect.h"
#include "compare.h"
#include "difference.h"
#include "sync/codec.h"

#include "base/random.h"
#include "base/text.h"

#include <gtest/gtest.h>

namespace hasp::sync {
namespace {

struct Edit {
    const char* name;
    std::function<std::string(std::string, Random&)> change;
    std::size_t delta_max; // of the comparison with the base, for 200,000 bytes
};

const std::vector<Edit>& edits() {
    static const std::vector<Edit> all{
        {"nothing", [](std::string s, Random&) { return s; }, 32},
        {"an append", [](std::string s, Random& r) { return s + r.bytes(1000); }, 1100},
        {"an insertion in the middle",
         [](std::string s, Random& r) { return s.insert(100'000, r.bytes(1000)); }, 1100},
        {"a deletion", [](std::string s, Random&) { return s.erase(50'000, 777); }, 64},
        {"a cut", [](std::string s, Random&) { return s.substr(0, 1234); }, 64},
        {"many edits in place",
         [](std::string s, Random& r) {
             for (int i = 0; i < 100; ++i) {
                 s[r.below(s.size())] ^= 0x55;
             }
             return s;
         },
         3000},
        {"a byte more in fifty places",
         [](std::string s, Random& r) {
             for (int i = 0; i < 50; ++i) {
                 s.insert(r.below(s.size()), 1, '+');
             }
             return s;
         },
         9000},
        {"blocks that change places",
         [](std::string s, Random&) {
             return s.substr(150'000) + s.substr(0, 70'000) + s.substr(70'000, 80'000);
         },
         128},
        {"nothing left", [](std::string, Random&) { return std::string(); }, 16},
        {"all new", [](std::string s, Random& r) { return r.bytes(s.size()); }, 200'100},
    };
    return all;
}

std::string patched(const std::string& base, const std::string& delta, std::uint64_t limit) {
    MemoryFile old(base);
    MemoryFile change(delta);
    std::string out;
    const Status done = patch(old, pull_from(change), limit, into(out));
    EXPECT_TRUE(done.ok()) << (done.ok() ? "" : done.error().message);
    return out;
}

TEST(Deltas, OfEveryEditGiveTheFileAgainWhicheverWayTheyWereMade) {
    SeededRandom random(11);
    for (const Edit& edit : edits()) {
        for (const std::size_t size : {200'000UL, 3'000UL}) {
            const std::string base = random.bytes(200'000).substr(0, 200'000);
            const std::string target = edit.change(base, random);
            MemoryFile old(base);
            MemoryFile now(target);
            auto sums = signature(old);
            ASSERT_TRUE(sums.ok());
            std::string by_signature;
            std::string by_comparison;
            ASSERT_TRUE(delta_from_signature(*sums, now, into(by_signature)).ok()) << edit.name;
            ASSERT_TRUE(delta_from_base(old, now, into(by_comparison)).ok()) << edit.name;
            EXPECT_EQ(patched(base, by_signature, target.size()), target) << edit.name;
            EXPECT_EQ(patched(base, by_comparison, target.size()), target) << edit.name;
            EXPECT_LE(by_comparison.size(), edit.delta_max) << edit.name;
            static_cast<void>(size);
        }
    }
}

TEST(Deltas, OfSmallAndRepetitiveFilesGiveTheFileAgain) {
    SeededRandom random(12);
    for (int round = 0; round < 3000; ++round) {
        const auto [base, target] = repetitive_pair(random);
        MemoryFile old(base);
        MemoryFile now(target);
        std::string delta;
        ASSERT_TRUE(delta_from_base(old, now, into(delta)).ok());
        ASSERT_EQ(patched(base, delta, target.size()), target) << round;
        ASSERT_LE(delta.size(), target.size() * 2 + 1024);
    }
}

TEST(Patching, EndsWhenMoreComesOutThanWasAnnounced) {
    MemoryFile old(std::string(100'000, 'x'));
    MemoryFile now(std::string(100'000, 'x'));
    std::string delta;
    ASSERT_TRUE(delta_from_base(old, now, into(delta)).ok());
    MemoryFile change(delta);
    std::string out;
    EXPECT_EQ(patch(old, pull_from(change), 99'999, into(out)).error().code, Code::refused);
}

TEST(Patching, RefusesWhatIsNoDifference) {
    MemoryFile old("hello");
    for (const std::string& bad :
         {std::string(), std::string("nothing"), std::string("rs\x02\x36"),
          std::string("rs\x02\x36\x45\x00\xff", 7), std::string("rs\x02\x36\x45\x90\x02\x00", 8),
          std::string("rs\x02\x36\xff\x00", 6)}) {
        MemoryFile change(bad);
        std::string out;
        EXPECT_FALSE(patch(old, pull_from(change), 1000, into(out)).ok()) << bad.size();
    }
}

std::size_t new_bytes(const std::string& base, const std::string& file) {
    MemoryFile old(base);
    MemoryFile now(file);
    std::size_t out = 0;
    EXPECT_TRUE(compare(old, now, [&out](const Step& step) {
                    out += step.to - step.from;
                    return Status{};
                }).ok());
    return out;
}

// What stands near by chance hides nothing that goes on for longer further away.
TEST(Comparison, FindsWhatIsGoneThoughTheEndStandsNearby) {
    SeededRandom random(7);
    for (const std::string& trailer : {random.bytes(200), std::string(200, '\0')}) {
        std::string base = random.bytes(50'000);
        base.replace(21'000, trailer.size(), trailer);
        base += random.bytes(3500) + trailer;
        std::string file = base;
        file.erase(20'000, base.size() - 3700 - 20'000);
        EXPECT_LE(new_bytes(base, file), 100U) << to_hex(trailer.substr(0, 4));
    }
}

TEST(Digests, AreThoseOfTheWholeFile) {
    MemoryFile file("abc");
    auto made = digest(file);
    ASSERT_TRUE(made.ok());
    EXPECT_EQ(made->size, 3U);
    EXPECT_EQ(static_cast<unsigned char>(made->hash[0]), 0xBA);
}

Result<std::string> unpacked(const std::string& packed) {
    MemoryFile file(packed);
    Decompressor in(pull_from(file));
    std::string out;
    std::string buffer(10'000, '\0');
    for (;;) {
        auto got = in.read(buffer);
        if (!got) {
            return got.error();
        }
        if (*got == 0) {
            return out;
        }
        out.append(buffer, 0, *got);
    }
}

TEST(Compression, RefusesCutAndLongerFrames) {
    std::string packed;
    Compressor compressor(into(packed));
    ASSERT_TRUE(compressor.write(std::string(300'000, 'y')).ok() && compressor.finish().ok());
    EXPECT_LT(packed.size(), 1000U);
    EXPECT_EQ(unpacked(packed).value_or("").size(), 300'000U);
    EXPECT_EQ(unpacked(packed.substr(0, packed.size() - 1)).error().code, Code::refused);
    EXPECT_EQ(unpacked(packed + "x").error().code, Code::refused);
    EXPECT_EQ(unpacked("no zstd at all").error().code, Code::refused);
}

// Where the size is known at the end and where it is not, and at the border between them.
TEST(Compression, GivesAnyLengthAgainHoweverItWasWritten) {
    SeededRandom random(5);
    for (const std::size_t size : {0UL, 1UL, 300UL, 65'535UL, 65'536UL, 65'537UL, 200'000UL}) {
        const std::string text = random.bytes(size / 2) + std::string(size - size / 2, 'y');
        for (const std::size_t piece : {999UL, 65'536UL, 1'000'000UL}) {
            std::string packed;
            Compressor compressor(into(packed));
            for (std::size_t at = 0; at < size; at += piece) {
                ASSERT_TRUE(compressor.write(std::string_view(text).substr(at, piece)).ok());
            }
            ASSERT_TRUE(compressor.finish().ok());
            EXPECT_EQ(unpacked(packed).value_or("?"), text) << size << " in pieces of " << piece;
        }
    }
}

TEST(Compression, OwesNothingToWhatAContextWasLentForBefore) {
    SeededRandom random(6);
    const std::string text = random.bytes(5000);
    const std::string prefix = "what stood before " + text;
    const auto alone = pack_with_prefix(text, {}, 1);
    const auto with = pack_with_prefix(text, prefix, 9);
    ASSERT_TRUE(alone.ok() && with.ok());
    EXPECT_LT(with->size(), 100U);
    for (int i = 0; i < 3; ++i) { // more at once than are kept
        std::vector<std::unique_ptr<Compressor>> begun;
        std::vector<std::string> packed(5);
        for (std::string& one : packed) {
            begun.push_back(std::make_unique<Compressor>(into(one)));
            ASSERT_TRUE(begun.back()->write(random.bytes(100'000)).ok()); // and left unfinished
        }
        Compressor short_one([](std::string_view) { return fail(Code::failed, "a full disk"); },
                             19);
        EXPECT_FALSE(short_one.write(text).ok() && short_one.finish().ok());
        EXPECT_FALSE(unpacked("damaged").ok());
        EXPECT_EQ(pack_with_prefix(text, prefix, 9).value_or(""), *with);
        EXPECT_EQ(pack_with_prefix(text, {}, 1).value_or(""), *alone);
        EXPECT_EQ(unpack_with_prefix(*with, prefix, text.size()).value_or(""), text);
        EXPECT_EQ(unpack_with_prefix(*alone, {}, text.size()).value_or(""), text);
    }
}

} // namespace
} // namespace hasp::sync
