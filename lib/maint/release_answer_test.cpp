#include "release_answer.h"

#include "base/text.h"
#include "maint/release.h"
#include "trust/hash.h"

#include <gtest/gtest.h>

namespace hasp::maint {
namespace {

std::string text_of_release(std::uint64_t number, char content) {
    Release release{"atlas", 1, number, std::string(40, content), {}};
    for (char file = 'a'; file <= 'z'; ++file) {
        release.files.push_back(
            {std::string("part-") + file, FileMode::plain, 7, std::string(64, 'a')});
    }
    release.files[3].sha256 = std::string(64, content);
    return encode_release(release);
}

struct AReleaseAnswer : testing::Test {
    std::string before = text_of_release(6, 'b');
    std::string id = release_id(*decode_release(before));
    ReleaseAnswer said{text_of_release(7, 'c'), "a signature", "a statement", "", "a name", 70'000,
                       std::string(64, 'd')};
    BaseOf base_of = [this](const std::string& asked) {
        return asked == id ? base_text(before) : "";
    };
};

} // namespace

TEST_F(AReleaseAnswer, IsTheSameAtTheOtherSide) {
    for (const bool plain : {true, false}) {
        const Message sent = plain ? encode_plain_release_answer(said)
                                   : *encode_release_answer(said, id, base_of(id));
        const auto got = decode_release_answer(sent, base_of);
        ASSERT_TRUE(got.ok()) << got.error().message;
        EXPECT_EQ(got->text, said.text);
        EXPECT_EQ(got->signature, said.signature);
        EXPECT_EQ(got->statement, said.statement);
        EXPECT_EQ(got->pack_name, "a name");
        EXPECT_EQ(got->pack_bytes, 70'000U);
        EXPECT_EQ(got->pack_sha256, said.pack_sha256);
        EXPECT_TRUE(got->pack.empty());
    }
}

TEST_F(AReleaseAnswer, HasASmallPackInItWithItsOwnLengthAndHash) {
    said.pack = "PACK and what is in it";
    const auto sent = encode_release_answer(said, id, base_of(id));
    const auto got = decode_release_answer(*sent, base_of);
    ASSERT_TRUE(got.ok());
    EXPECT_EQ(got->pack, said.pack);
    EXPECT_EQ(got->pack_bytes, said.pack.size());
    EXPECT_EQ(got->pack_sha256, to_hex(trust::sha256(said.pack)));
    EXPECT_LT(sent->body.size(), said.text.size() / 5);
}

TEST_F(AReleaseAnswer, IsComparedWithTheBaseWhateverItsSequenceIsThere) {
    const auto sent = encode_release_answer(said, id, base_text(before));
    before = text_of_release(4711, 'b');
    const auto got = decode_release_answer(*sent, base_of);
    ASSERT_TRUE(got.ok()) << got.error().message;
    EXPECT_EQ(got->text, said.text);
}

TEST_F(AReleaseAnswer, IsRefusedWithoutItsBaseOrWhenItIsCutShort) {
    const Message sent = *encode_release_answer(said, id, base_of(id));
    const auto none = decode_release_answer(sent, [](const std::string&) { return std::string(); });
    ASSERT_FALSE(none.ok());
    EXPECT_EQ(none.error().code, Code::refused);
    for (std::size_t size = 0; size < sent.body.size(); ++size) {
        EXPECT_FALSE(decode_release_answer({sent.head, sent.body.substr(0, size)}, base_of).ok());
    }
    Message bent = sent;
    bent.head["text_bytes"] = -1;
    EXPECT_FALSE(decode_release_answer(bent, base_of).ok());
    bent.head["text_bytes"] = 1LL << 62;
    bent.head["signature_bytes"] = 1LL << 62;
    EXPECT_FALSE(decode_release_answer(bent, base_of).ok());
}

} // namespace hasp::maint
