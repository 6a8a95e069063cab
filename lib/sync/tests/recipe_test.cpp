#include "recipe.h"

#include "base/random.h"

#include <gtest/gtest.h>

namespace hasp::sync {
namespace {

const std::string a(32, 'a');
const std::string b(32, 'b');

std::uint64_t size_of(const Recipe& recipe) {
    std::uint64_t sum = 0;
    for (const Extent& extent : recipe.extents) {
        sum += extent.length;
    }
    return sum;
}

TEST(Recipe, ComesBackAsItWasWritten) {
    RecipeWriter writer;
    writer.add(a, 0, 1'000'000);
    writer.add(b, 0, 10);
    writer.add(a, 1'000'000, 5);
    writer.add(a, 1'000'005, 5); // goes on
    writer.add(b, 10, 7);
    writer.add(a, 3, 4'000'000'000);
    ASSERT_TRUE(writer.fits());
    const Recipe recipe = writer.recipe();
    EXPECT_EQ(recipe.extents.size(), 5U);
    const std::string bytes = encode_recipe(recipe);
    auto back = decode_recipe(bytes, size_of(recipe));
    ASSERT_TRUE(back.ok());
    EXPECT_EQ(*back, recipe);
}

TEST(Recipe, IsRefusedWhenItIsCutLongerOrOfAnotherSize) {
    RecipeWriter writer;
    writer.add(a, 100, 200);
    writer.add(b, 0, 300);
    const std::string bytes = encode_recipe(writer.recipe());
    ASSERT_TRUE(decode_recipe(bytes, 500).ok());
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        EXPECT_FALSE(decode_recipe(bytes.substr(0, i), 500).ok()) << i;
    }
    EXPECT_FALSE(decode_recipe(bytes + std::string(1, '\0'), 500).ok());
    EXPECT_FALSE(decode_recipe(bytes, 499).ok());
    EXPECT_FALSE(decode_recipe(bytes, 501).ok());
    std::string other = bytes;
    other[0] = 2;
    EXPECT_FALSE(decode_recipe(other, 500).ok());
}

TEST(Recipe, DoesNotFitWithTooManySourcesOrParts) {
    RecipeWriter sources;
    for (std::size_t i = 0; i <= recipe_sources_max; ++i) {
        EXPECT_TRUE(sources.fits());
        sources.add(std::string(32, static_cast<char>('a' + i)), 0, 1'000'000);
    }
    EXPECT_FALSE(sources.fits());
    RecipeWriter stretch;
    for (std::size_t i = 0; i <= recipe_stretch_extents_max; ++i) {
        EXPECT_TRUE(stretch.fits());
        stretch.add(a, 1000 * i, 10);
    }
    EXPECT_FALSE(stretch.fits());
    RecipeWriter all;
    for (std::size_t i = 0; i <= recipe_extents_max; ++i) {
        EXPECT_TRUE(all.fits());
        all.add(a, 10'000 * (i % 2), 5000);
    }
    EXPECT_FALSE(all.fits());
}

TEST(Recipe, GivesEveryPartAsPartsOfItsSources) {
    SeededRandom random(3);
    const std::vector<std::string> contents{random.bytes(5000), random.bytes(300)};
    const Recipe recipe{{a, b},
                        {{0, 10, 900}, {1, 0, 300}, {0, 4000, 1000}, {1, 100, 1}, {0, 0, 700}}};
    std::string all;
    std::vector<std::unique_ptr<ReadFile>> sources;
    for (const std::string& content : contents) {
        sources.push_back(std::make_unique<MemoryFile>(content));
    }
    for (const Extent& extent : recipe.extents) {
        all += contents[extent.source].substr(extent.from, extent.length);
    }
    const auto file = assembled(recipe, std::move(sources));
    const RecipeIndex index(recipe);
    EXPECT_EQ(index.size(), all.size());
    EXPECT_EQ((*file).stat()->size, all.size());
    for (std::size_t from = 0; from <= all.size(); from += 37) {
        for (const std::size_t length : {1U, 5U, 300U, 1500U, 4000U}) {
            std::string read(length, '?');
            read.resize(file->read(from, read).value());
            EXPECT_EQ(read, all.substr(from, length));
            RecipeWriter writer;
            index.part(from, length, writer);
            std::string made;
            for (const Extent& extent : writer.recipe().extents) {
                made += contents[writer.recipe().sources[extent.source] == a ? 0 : 1].substr(
                    extent.from, extent.length);
            }
            EXPECT_EQ(made, all.substr(from, length));
        }
    }
}

TEST(Recipe, RefusesToReadFromASourceThatIsTooShort) {
    std::vector<std::unique_ptr<ReadFile>> sources;
    sources.push_back(std::make_unique<MemoryFile>("short"));
    const auto file = assembled({{a}, {{0, 0, 10}}}, std::move(sources));
    std::string into(10, '?');
    auto got = file->read(0, into);
    while (got && *got > 0 && *got < 10) {
        got = file->read(*got, into);
    }
    ASSERT_FALSE(got.ok());
    EXPECT_EQ(got.error().code, Code::refused);
}

} // namespace
} // namespace hasp::sync
