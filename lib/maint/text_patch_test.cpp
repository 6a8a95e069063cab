#include "text_patch.h"

#include "maint/release.h"

#include <gtest/gtest.h>

namespace hasp::maint {
namespace {

Release release_of(std::size_t files) {
    Release release{"atlas", 1, 7, std::string(40, 'a'), {}};
    for (std::size_t i = 0; i < files; ++i) {
        std::string sha256(64, '0');
        std::size_t value = i * 2'654'435'761U + 1;
        for (char& digit : sha256) {
            value = value * 6'364'136'223'846'793'005U + 1'442'695'040'888'963'407U;
            digit = "0123456789abcdef"[value >> 60];
        }
        std::string number = std::to_string(i);
        number.insert(0, 6 - number.size(), '0');
        release.files.push_back({"lib/part-" + number + ".js", FileMode::plain, i, sha256});
    }
    return release;
}

TEST(TextPatch, GivesBackWhatWentInWithAndWithoutABase) {
    const std::string text = encode_release(release_of(300));
    for (const std::string& base : {std::string(), std::string("x"), text, text.substr(500)}) {
        const auto patch = make_patch(base, text);
        ASSERT_TRUE(patch.ok());
        const auto back = apply_patch(base, *patch, text.size());
        ASSERT_TRUE(back.ok()) << back.error().message;
        EXPECT_EQ(*back, text);
    }
    const auto nothing = make_patch("base", "");
    ASSERT_TRUE(nothing.ok());
    EXPECT_EQ(*apply_patch("base", *nothing, 0), "");
}

TEST(TextPatch, OfAManifestInWhichOneFileChangedIsAFewBytesWhateverItsSize) {
    for (const std::size_t files : {100UL, 1'000UL, 100'000UL}) {
        Release release = release_of(files);
        const std::string before = encode_release(release);
        release.number = 8;
        release.commit = std::string(40, 'b');
        release.files[files / 3].sha256 = std::string(32, '1') + std::string(32, 'f');
        const std::string after = encode_release(release);
        const auto patch = make_patch(before, after);
        ASSERT_TRUE(patch.ok());
        EXPECT_LT(patch->size(), 200U + after.size() / 8'000)
            << "of " << files << " files, " << after.size() << " bytes";
        EXPECT_EQ(*apply_patch(before, *patch, release_manifest_bytes_max), after);
    }
}

TEST(TextPatch, RefusesAnotherBaseATextThatIsTooLargeAndWhatIsDamaged) {
    const std::string base = encode_release(release_of(200));
    Release changed = release_of(200);
    changed.number = 9;
    const std::string text = encode_release(changed);
    const std::string patch = *make_patch(base, text);
    std::string other = base;
    other[base.size() / 2] ^= 1;
    const auto wrong = apply_patch(other, patch, text.size());
    ASSERT_FALSE(wrong.ok());
    EXPECT_EQ(wrong.error().code, Code::refused);
    const auto large = apply_patch(base, patch, text.size() - 1);
    ASSERT_FALSE(large.ok());
    EXPECT_NE(large.error().message.find("at most"), std::string::npos);
    for (std::size_t at = 0; at < patch.size(); ++at) {
        EXPECT_FALSE(apply_patch(base, patch.substr(0, at), text.size()).ok()) << at;
        std::string bent = patch;
        bent[at] = static_cast<char>(bent[at] ^ 0x41);
        const auto read = apply_patch(base, bent, text.size());
        EXPECT_TRUE(!read.ok() || *read == text) << at;
    }
}

} // namespace
} // namespace hasp::maint
