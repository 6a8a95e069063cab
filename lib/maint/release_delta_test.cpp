#include "release_delta.h"

#include "base/random.h"

#include <cstdint>
#include <gtest/gtest.h>

namespace hasp::maint {
namespace {

// What git does with a delta, written from its format description: an oracle for make_delta.
std::string applied(const std::string& base, const std::string& delta) {
    std::size_t at = 0;
    const auto byte = [&] {
        return static_cast<std::size_t>(static_cast<unsigned char>(delta.at(at++)));
    };
    const auto size = [&] {
        std::size_t out = 0;
        for (unsigned shift = 0;; shift += 7) {
            const std::size_t b = byte();
            out |= (b & 0x7f) << shift;
            if ((b & 0x80) == 0) {
                return out;
            }
        }
    };
    EXPECT_EQ(size(), base.size());
    const std::size_t target = size();
    std::string out;
    while (at < delta.size()) {
        const std::size_t op = byte();
        if ((op & 0x80) == 0) {
            EXPECT_GT(op, 0U);
            out += delta.substr(at, op);
            at += op;
            continue;
        }
        std::size_t from = 0;
        std::size_t length = 0;
        for (unsigned i = 0; i < 4; ++i) {
            from |= (op >> i & 1) != 0 ? byte() << (8 * i) : 0;
        }
        for (unsigned i = 0; i < 3; ++i) {
            length |= (op >> (4 + i) & 1) != 0 ? byte() << (8 * i) : 0;
        }
        out += base.substr(from, length == 0 ? 0x10000 : length);
    }
    EXPECT_EQ(out.size(), target);
    return out;
}

TEST(Delta, MakesTheTargetFromTheBase) {
    SeededRandom random(7);
    const std::string base = random.bytes(200'000);
    const std::string cases[] = {"",
                                 "short",
                                 base,
                                 base.substr(0, 100) + "inserted" + base.substr(100),
                                 base.substr(50'000) + base.substr(0, 50'000),
                                 random.bytes(3'000),
                                 base + base + base,
                                 base.substr(65'536, 65'536),
                                 std::string(1'000, 'z')};
    for (const std::string& target : cases) {
        EXPECT_EQ(applied(base, make_delta(base, target)), target);
    }
    EXPECT_EQ(applied("", make_delta("", "abc")), "abc");
    EXPECT_EQ(applied(std::string(20'000'000, 'q'),
                      make_delta(std::string(20'000'000, 'q'), std::string(19'000'000, 'q'))),
              std::string(19'000'000, 'q'));
}

TEST(Delta, IsSmallForASmallChange) {
    SeededRandom random(8);
    const std::string base = random.bytes(1'000'000);
    std::string target = base;
    target.insert(500'000, "one line\n");
    target[900'000] = static_cast<char>(target[900'000] ^ 1);
    EXPECT_LT(make_delta(base, target).size(), 100U);
}

TEST(Delta, IsRightForRandomEdits) {
    SeededRandom random(9);
    for (int round = 0; round < 200; ++round) {
        const std::string base = random.bytes(random.below(2'000));
        std::string target = base;
        for (std::uint64_t edits = random.below(6); edits > 0; --edits) {
            const std::size_t at = random.below(target.size() + 1);
            target.replace(at, random.below(100), random.bytes(random.below(60)));
        }
        ASSERT_EQ(applied(base, make_delta(base, target)), target) << round;
    }
}

} // namespace
} // namespace hasp::maint
