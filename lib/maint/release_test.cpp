#include "maint/release.h"

#include "release_hash.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hasp::maint {
namespace {

using testing::HasSubstr;

Release small() {
    const std::string hash = sha256_hex("x");
    return {"wiki",
            1,
            2,
            std::string(40, 'a'),
            {{"a b.txt", FileMode::plain, 1, hash},
             {"bin/run", FileMode::executable, 1, hash},
             {"link", FileMode::symlink, 1, hash}}};
}

TEST(ReleaseManifest, ReadsBackWhatItWrites) {
    const Release release = small();
    const Result<Release> again = decode_release(encode_release(release));
    ASSERT_TRUE(again.ok()) << again.error().message;
    EXPECT_EQ(*again, release);
}

TEST(ReleaseManifest, HasTheTextOfTheHeader) {
    const std::string hash = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
    EXPECT_EQ(encode_release(small()), "hasp-release 1\nsequence 1 2\napp wiki\ncommit " +
                                           std::string(40, 'a') + "\nfiles 3\n644 1 " + hash +
                                           " a b.txt\n755 1 " + hash + " bin/run\n120000 1 " +
                                           hash + " link\n");
}

TEST(ReleaseManifest, TheIdNamesTheContentAndNotTheSequence) {
    Release other = small();
    other.number = 99;
    EXPECT_EQ(release_id(other), release_id(small()));
    EXPECT_TRUE(valid_release_id(release_id(other)));
    other.files[0].mode = FileMode::executable;
    EXPECT_NE(release_id(other), release_id(small()));
}

TEST(ReleaseManifest, RefusesWhatIsNotCanonical) {
    const std::string text = encode_release(small());
    const auto with = [&](const std::string& from, const std::string& to) {
        std::string changed = text;
        changed.replace(changed.find(from), from.size(), to);
        return decode_release(changed).ok();
    };
    EXPECT_FALSE(with("sequence 1 2", "sequence 01 2"));
    EXPECT_FALSE(with("files 3", "files 2"));
    EXPECT_FALSE(with("files 3", "files 4"));
    EXPECT_FALSE(with("app wiki", "app Wiki"));
    EXPECT_FALSE(with("644 1", "645 1"));
    EXPECT_FALSE(with("a b.txt", "z.txt")); // out of order
    EXPECT_FALSE(with("link", "bin"));      // a file and a folder
    EXPECT_FALSE(with("link", "bin/run"));  // twice
    EXPECT_FALSE(with("a b.txt", "../b"));
    EXPECT_FALSE(with("644 1 ", "644 99999999999 "));
    EXPECT_FALSE(decode_release(text + "\n").ok());
    EXPECT_FALSE(decode_release(text.substr(0, text.size() - 1)).ok());
    EXPECT_FALSE(decode_release("").ok());
}

TEST(ReleaseManifest, RefusesMoreThanTheLimits) {
    Release release = small();
    release.files.assign(5, release.files[0]);
    for (std::size_t i = 0; i < release.files.size(); ++i) {
        release.files[i].path = std::string(1, static_cast<char>('a' + i));
        release.files[i].size = release_file_bytes_max;
    }
    EXPECT_THAT(check_release(release).error().message, HasSubstr("bytes; the limit is"));
    release.files.clear();
    EXPECT_THAT(check_release(release).error().message, HasSubstr("has no files"));
}

TEST(ReleasePaths, UnsafeOnesAreRefusedAndOddOnesAreNot) {
    for (const std::string good : {"a", "a/b.c", ".gitignore", ".gitx/a", "git~2", "..a", "a..",
                                   "ünï/日本", "a b", "-rf", "emoji-\xf0\x9f\x98\x80"}) {
        EXPECT_EQ(unsafe_path_reason(good), "") << good;
    }
    const std::vector<std::string> bad = {"",
                                          "/a",
                                          "a/",
                                          "a//b",
                                          ".",
                                          "..",
                                          "a/../b",
                                          ".git",
                                          ".GIT/x",
                                          "a/.Git",
                                          "git~1",
                                          "GIT~1/x",
                                          ".git.",
                                          ".git ",
                                          ".git . .",
                                          ".git::$INDEX_ALLOCATION",
                                          ".git:x",
                                          ".g\xe2\x80\x8cit",
                                          "\xef\xbb\xbf.git",
                                          "a\\b",
                                          "a\nb",
                                          std::string("a\0b", 3),
                                          "a\x7f",
                                          "\xc2\x80",
                                          "\xff",
                                          "\xc0\xaf",
                                          "\xed\xa0\x80",
                                          "\xe2\x82",
                                          std::string(256, 'a'),
                                          std::string(1025, 'a')};
    for (const std::string& path : bad) {
        EXPECT_NE(unsafe_path_reason(path), "") << path;
    }
    std::string deep = "a";
    for (std::size_t i = 0; i < release_depth_max; ++i) {
        deep += "/a";
    }
    EXPECT_THAT(unsafe_path_reason(deep), HasSubstr("deeper"));
}

TEST(ReleasePaths, SymlinksStayInsideAtEveryStep) {
    EXPECT_EQ(unsafe_symlink_reason("a", "b/c"), "");
    EXPECT_EQ(unsafe_symlink_reason("x/y/a", "../../b"), "");
    EXPECT_EQ(unsafe_symlink_reason("node_modules/.bin/tool", "../tool/cli.js"), "");
    EXPECT_EQ(unsafe_symlink_reason("a", "./b"), "");
    for (const char* target : {"", "/etc/passwd", "..", "../x", "b/../../x", "b/../x", "x\ny"}) {
        EXPECT_NE(unsafe_symlink_reason("a", target), "") << target;
    }
    EXPECT_NE(unsafe_symlink_reason("x/a", "../../b"), "");
}

} // namespace
} // namespace hasp::maint
