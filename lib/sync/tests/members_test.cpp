// Zip archives by their members: what is made of them gives every byte again, or nothing is made.
#include "base/random.h"
#include "collect.h"
#include "numbers.h"
#include "sync/members.h"
#include "zip_files.h"
#include "zip_members.h"

#include <gtest/gtest.h>

namespace hasp::sync {
namespace {

std::optional<std::string> members_made(const std::string& base, const std::string& target) {
    MemoryFile old(base);
    MemoryFile now(target);
    MembersWork work;
    auto out = members_difference(old, now, work);
    EXPECT_TRUE(out.ok());
    return out.ok() ? *out : std::nullopt;
}

Result<std::string> members_applied(const std::string& base, const std::string& difference,
                                    std::uint64_t limit) {
    MemoryFile old(base);
    MemoryFile change(difference);
    MembersWork work;
    std::string out;
    Status done = apply_members(old, pull_from(change), limit, work, into(out));
    EXPECT_LE(out.size(), limit);
    return done ? Result<std::string>(out) : done.error();
}

std::string plain_difference(const std::string& base, const std::string& target) {
    MemoryFile old(base);
    MemoryFile now(target);
    std::string out;
    EXPECT_TRUE(make_difference(old, now, into(out)).ok());
    return out;
}

std::string word_prose(Random& random, std::size_t size) {
    std::string out;
    while (out.size() < size) {
        out += "<w:t>word" + std::to_string(random.below(900)) + "</w:t>";
    }
    return out;
}

// A document, and what became of it: some words in the middle, and its times.
struct Document {
    std::vector<ZipPart> parts;
    std::vector<ZipPart> edited;
};
Document made_document(SeededRandom& random, const ZipHow& how) {
    Document out;
    ZipHow stored = how;
    stored.level = 0;
    out.parts = {{"mimetype", "application/vnd.oasis.opendocument.text", stored},
                 {"content.xml", word_prose(random, 150'000), how},
                 {"Pictures/1.png", random.bytes(40'000), how},
                 {"styles.xml", word_prose(random, 30'000), how},
                 {"meta.xml", "<meta>" + word_prose(random, 500) + "1</meta>", how}};
    out.edited = out.parts;
    out.edited[1].plain.insert(70'000, "a sentence that was not there before");
    out.edited[4].plain.replace(out.edited[4].plain.size() - 8, 1, "2");
    for (ZipPart& part : out.edited) {
        part.how.time += 3;
    }
    return out;
}

TEST(Members, OfAnEditedDocumentCostWhatIsNewOfThemAndGiveItsBytesAgain) {
    SeededRandom random(3);
    for (const int memory : {8, 9}) {
        for (int level = 1; level <= 9; ++level) {
            for (const bool descriptor : {false, true}) {
                const Document one = made_document(random, {level, memory, 0, descriptor});
                const std::string before = zip_of(one.parts);
                const std::string after = zip_of(one.edited);
                const auto difference = members_made(before, after);
                ASSERT_TRUE(difference) << level << " " << memory << " " << descriptor;
                EXPECT_LT(difference->size(), 600U) << level;
                EXPECT_LT(difference->size() * 10, plain_difference(before, after).size()) << level;
                auto out = members_applied(before, *difference, after.size());
                ASSERT_TRUE(out.ok()) << out.error().message;
                EXPECT_EQ(*out, after);
                EXPECT_FALSE(members_applied(before, *difference, after.size() - 1).ok());
            }
        }
    }
}

TEST(Members, ThatAreNewGoneOrInAnotherOrderAreInWhatIsMade) {
    SeededRandom random(4);
    Document one = made_document(random, {});
    std::swap(one.edited[1], one.edited[3]);
    one.edited.erase(one.edited.begin() + 2);
    one.edited.push_back({"word/comments.xml", word_prose(random, 3000), {}});
    const std::string before = zip_of(one.parts, "a comment");
    const std::string after = zip_of(one.edited, "another comment");
    const auto difference = members_made(before, after);
    ASSERT_TRUE(difference);
    auto out = members_applied(before, *difference, after.size());
    ASSERT_TRUE(out.ok());
    EXPECT_EQ(*out, after);
}

TEST(Members, ThatAnotherProgramPackedAreComparedAsTheyAre) {
    SeededRandom random(5);
    for (const int strategy : {Z_HUFFMAN_ONLY, Z_RLE, Z_FIXED}) {
        const Document one = made_document(random, {6, 8, strategy});
        EXPECT_FALSE(members_made(zip_of(one.parts), zip_of(one.edited))) << strategy;
    }
    const Document small = made_document(random, {6, 5});
    EXPECT_FALSE(members_made(zip_of(small.parts), zip_of(small.edited)));
}

TEST(Members, ThatCannotBePackedAgainDoNotKeepOthersFromIt) {
    SeededRandom random(6);
    Document one = made_document(random, {});
    one.parts[4].how.strategy = one.edited[4].how.strategy = Z_HUFFMAN_ONLY; // the small one
    const std::string before = zip_of(one.parts);
    const std::string after = zip_of(one.edited);
    const auto difference = members_made(before, after);
    ASSERT_TRUE(difference);
    auto out = members_applied(before, *difference, after.size());
    ASSERT_TRUE(out.ok());
    EXPECT_EQ(*out, after);
}

TEST(Members, AreNotLookedAtWhereThePlainDifferenceIsSmall) {
    SeededRandom random(7);
    Document one = made_document(random, {});
    const std::string before = zip_of(one.parts);
    EXPECT_FALSE(members_made(before, before));
    one.edited = one.parts;
    one.edited[0].how.time += 1; // of a stored one
    EXPECT_FALSE(members_made(before, zip_of(one.edited)));
    EXPECT_FALSE(members_made("no archive " + std::string(5000, 'x'), before));
    EXPECT_FALSE(members_made(before, std::string(5000, 'x')));
}

// What an archive says at `at` of the header of its n-th entry.
std::string with_header(std::string zip, std::size_t entry, std::size_t at,
                        std::string_view bytes) {
    std::size_t found = 0;
    for (std::size_t i = 0; i <= entry; ++i) {
        found = zip.find("PK\1\2", found + 1);
    }
    return zip.replace(found + at, bytes.size(), bytes);
}

TEST(ZipArchives, AreReadAsTheyAreAndWhatIsNoneOfTheseIsNot) {
    SeededRandom random(8);
    const std::string zip = zip_of(made_document(random, {}).parts, "comment");
    const auto members = [](std::string bytes) {
        MemoryFile file(std::move(bytes));
        auto out = zip_members(file);
        EXPECT_TRUE(out.ok());
        return out.ok() ? *out : std::nullopt;
    };
    const auto all = members(zip);
    ASSERT_TRUE(all);
    ASSERT_EQ(all->size(), 5U);
    EXPECT_EQ(all->front().name, "mimetype");
    EXPECT_FALSE(all->front().deflated);
    EXPECT_TRUE(all->at(1).deflated);
    const std::string none(2, '\0');
    const std::size_t end = zip.rfind("PK\5\6");
    const std::vector<std::pair<const char*, std::string>> others{
        {"empty", ""},
        {"begins otherwise", "x" + zip},
        {"cut", zip.substr(0, zip.size() - 1)},
        {"more behind it", zip + "x"},
        {"encrypted", with_header(zip, 1, 8, std::string("\1\0", 2))},
        {"strongly encrypted", with_header(zip, 1, 8, std::string("\x40\0", 2))},
        {"on another disk", with_header(zip, 1, 34, std::string("\1\0", 2))},
        {"zip64: size elsewhere", with_header(zip, 2, 24, "\xff\xff\xff\xff")},
        {"zip64: packed size elsewhere", with_header(zip, 2, 20, "\xff\xff\xff\xff")},
        {"zip64: place elsewhere", with_header(zip, 2, 42, "\xff\xff\xff\xff")},
        {"at the place of another",
         with_header(zip, 2, 42, zip.substr(end - 60, 0) + std::string(4, '\0'))},
        {"longer than its place", with_header(zip, 1, 20, std::string("\0\0\x20\0", 4))},
        {"a name beyond the directory", with_header(zip, 4, 28, "\xff\x03")},
        {"two of a name", zip_of({{"a", "b"}, {"a", "c"}})},
        {"of several disks", std::string(zip).replace(end + 4, 2, std::string("\1\0", 2))},
        {"directory of zip64", std::string(zip).replace(end + 8, 4, "\xff\xff\xff\xff")},
        {"directory elsewhere", std::string(zip).replace(end + 16, 1, "\1")},
        {"one entry less than there are",
         std::string(zip).replace(end + 8, 4, std::string("\4\0\4\0", 4))},
    };
    for (const auto& [what, bytes] : others) {
        EXPECT_FALSE(members(bytes)) << what;
    }
}

std::string put_numbers(const std::vector<std::uint64_t>& values) {
    std::string out;
    for (const std::uint64_t value : values) {
        put_number(out, value);
    }
    return out;
}

TEST(Members, ThatClaimMoreThanTheyMayAreRefusedBeforeAnythingIsMadeOfThem) {
    const std::string zeros = deflated(std::string(9'000'000, '\0'), {9});
    const std::string small = deflated(std::string(1000, 'x'), {});
    const std::string base = zeros + small;
    const std::string end(1, '\0');
    const std::uint64_t most = members_bytes_max;
    const std::vector<std::pair<const char*, std::string>> cases{
        {"no member", put_numbers({0, 0}) + end},
        {"a member of nothing", put_numbers({1, 0, zeros.size(), 0, 1, 0, 1, 6, 8}) + end},
        {"a bomb", put_numbers({1, 0, zeros.size(), 9'000'000, 1, 0, 1, 6, 8}) + end},
        {"a bomb that says less", put_numbers({1, 0, zeros.size(), most, 1, 0, 1, 6, 8}) + end},
        {"another size", put_numbers({1, zeros.size(), small.size(), 999, 1, 0, 1, 6, 8}) + end},
        {"beyond its end", put_numbers({1, zeros.size(), small.size() + 1, 1000}) + end},
        {"not all of it",
         put_numbers({1, zeros.size(), small.size() - 1, 1000, 1, 0, 1, 6, 8}) + end},
        {"no level", put_numbers({1, zeros.size(), small.size(), 1000, 1, 0, 1000, 10, 8}) + end},
        {"no memory", put_numbers({1, zeros.size(), small.size(), 1000, 1, 0, 1000, 6, 7}) + end},
        {"too much to pack",
         put_numbers({1, zeros.size(), small.size(), 1000, 1, 0, most + 1, 1, 8})},
        {"too many", put_numbers({members_unpacked_max + 1})},
        {"cut", put_numbers({1, zeros.size()})},
        {"never packed",
         put_numbers({1, zeros.size(), small.size(), 1000, 1, 0, 1000, 6, 8}) + end},
    };
    for (const auto& [what, difference] : cases) {
        auto out = members_applied(base, difference, 1 << 20);
        ASSERT_FALSE(out.ok()) << what;
        EXPECT_EQ(out.error().code, Code::refused) << what;
    }
}

TEST(Members, InOneBatchCostNoMoreThanTheyMay) {
    SeededRandom random(9);
    const std::string text = word_prose(random, 1'500'000);
    const std::string base = zip_of({{"a", text, {9}}});
    const std::string now = zip_of({{"a", text + "more", {9}}});
    MemoryFile old(base);
    MemoryFile target(now);
    MembersWork senders;
    MembersWork takers;
    std::vector<std::string> differences;
    for (int i = 0; i < 3; ++i) {
        auto difference = members_difference(old, target, senders);
        ASSERT_TRUE(difference.ok());
        if (!*difference) {
            break;
        }
        differences.push_back(**difference);
    }
    ASSERT_EQ(differences.size(), 1U); // level 9 counts much
    const auto apply = [&] {
        MemoryFile change(differences.front());
        std::string out;
        return apply_members(old, pull_from(change), now.size(), takers, into(out));
    };
    EXPECT_TRUE(apply().ok());
    const Status more = apply();
    ASSERT_FALSE(more.ok());
    EXPECT_EQ(more.error().code, Code::refused);
}

TEST(Members, ThatAreDamagedMakeNoMoreThanWasAnnounced) {
    SeededRandom random(10);
    const Document one = made_document(random, {});
    const std::string before = zip_of(one.parts);
    const std::string after = zip_of(one.edited);
    const auto difference = members_made(before, after);
    ASSERT_TRUE(difference);
    for (std::size_t i = 0; i < difference->size(); ++i) {
        EXPECT_FALSE(members_applied(before, difference->substr(0, i), after.size()).ok()) << i;
    }
    int other = 0;
    for (int i = 0; i < 300; ++i) {
        std::string changed = *difference;
        changed[random.below(changed.size())] ^= static_cast<char>(1U << random.below(8));
        auto out = members_applied(before, changed, after.size());
        other += !out || *out != after ? 1 : 0;
    }
    EXPECT_GT(other, 250);
}

} // namespace
} // namespace hasp::sync
