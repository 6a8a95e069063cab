#include "base/clock.h"
#include "base/random.h"
#include "base/text.h"
#include "direct_text.h"
#include "signon/direct.h"
#include "trust/hash.h"

#include <gtest/gtest.h>

namespace hasp::signon {
namespace {

class DirectTest : public testing::Test {
  protected:
    ManualClock clock;
    SeededRandom random{1};
    DirectSeals seals{clock, random, "secret of the tier"};
    const std::string nonce = std::string(43, 'n');
    const DirectTicket ticket{"tokyo",  std::string(32, 'a'),    "reception", "wiki", "GET",
                              "/x?y=1", direct_nonce_hash(nonce)};
    std::string sealed() { return seals.seal(ticket).value_or(""); }
};

TEST_F(DirectTest, ATicketSaysWhatWasSealed) {
    const auto got = seals.redeem(sealed(), nonce, "GET");
    ASSERT_TRUE(got);
    EXPECT_EQ(got->child, "tokyo");
    EXPECT_EQ(got->sid, ticket.sid);
    EXPECT_EQ(got->user, "reception");
    EXPECT_EQ(got->app, "wiki");
    EXPECT_EQ(got->target, "/x?y=1");
}

TEST_F(DirectTest, ATicketIsGoodOnce) {
    const std::string text = sealed();
    EXPECT_TRUE(seals.redeem(text, nonce, "GET"));
    EXPECT_EQ(seals.redeem(text, nonce, "GET").error().code, Code::refused);
}

TEST_F(DirectTest, ATicketIsGoodForSixtySecondsOfTheBootClock) {
    const std::string in_time = sealed();
    const std::string late = sealed();
    clock.boot += direct_life_us - 1;
    clock.wall -= 10 * direct_life_us; // moves nothing
    EXPECT_TRUE(seals.redeem(in_time, nonce, "GET"));
    clock.boot += 1;
    EXPECT_FALSE(seals.redeem(late, nonce, "GET"));
}

TEST_F(DirectTest, AUsedTicketIsNotGoodAgainWhenItIsForgotten) {
    const std::string text = sealed();
    EXPECT_TRUE(seals.redeem(text, nonce, "GET"));
    clock.boot += direct_life_us;
    EXPECT_TRUE(seals.redeem(sealed(), nonce, "GET"));
    EXPECT_FALSE(seals.redeem(text, nonce, "GET"));
}

TEST_F(DirectTest, AnotherBrowserIsRefusedAndVoidsTheTicket) {
    for (const std::string& other :
         {std::string(43, 'm'), std::string(), direct_nonce_hash(nonce)}) {
        const std::string text = sealed();
        EXPECT_FALSE(seals.redeem(text, other, "GET"));
        EXPECT_FALSE(seals.redeem(text, nonce, "GET"));
    }
}

TEST_F(DirectTest, AnotherMethodIsRefused) {
    EXPECT_FALSE(seals.redeem(sealed(), nonce, "POST"));
    EXPECT_FALSE(seals.redeem(sealed(), nonce, "HEAD"));
}

TEST_F(DirectTest, AChangedBitAnywhereIsRefused) {
    const std::string bytes = *from_base64url(sealed());
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        std::string changed = bytes;
        changed[i] = static_cast<char>(changed[i] ^ 1);
        EXPECT_FALSE(seals.redeem(to_base64url(changed), nonce, "GET")) << i;
    }
    EXPECT_FALSE(seals.redeem("", nonce, "GET"));
    EXPECT_FALSE(seals.redeem(std::string(direct_text_bytes_max + 1, 'A'), nonce, "GET"));
}

TEST_F(DirectTest, ATicketOfAnotherTierOrOfBeforeARestartIsRefused) {
    const std::string text = sealed();
    DirectSeals again{clock, random, "secret of the tier"};
    EXPECT_FALSE(again.redeem(text, nonce, "GET"));
}

TEST_F(DirectTest, NothingOpensWhereNothingWasSealed) {
    const std::string body = format_direct(
        {'p', clock.boot + direct_life_us, std::string(direct_id_bytes, 'i'), {"a", "b", "c"}});
    EXPECT_FALSE(seals.open(to_base64url(body + trust::hmac_sha256("", body))));
}

TEST_F(DirectTest, ALongTargetGetsNoTicketAndTheLongestFits) {
    DirectTicket long_one = ticket;
    long_one.target = "/" + std::string(direct_target_bytes_max, 'x');
    EXPECT_EQ(seals.seal(long_one).error().code, Code::usage);
    long_one.target.pop_back();
    long_one.child = long_one.app = long_one.user = std::string(name_length_max, 'x');
    const auto text = seals.seal(long_one);
    ASSERT_TRUE(text);
    EXPECT_LE(text->size(), direct_text_bytes_max);
    EXPECT_TRUE(seals.redeem(*text, nonce, "GET"));
}

TEST_F(DirectTest, AFullMemoryRedeemsNoneRatherThanForgetting) {
    const std::string first = sealed();
    EXPECT_TRUE(seals.redeem(first, nonce, "GET"));
    for (std::size_t i = 1; i < direct_used_max; ++i) {
        ASSERT_TRUE(seals.redeem(sealed(), nonce, "GET"));
    }
    EXPECT_EQ(seals.redeem(sealed(), nonce, "GET").error().code, Code::try_later);
    EXPECT_FALSE(seals.redeem(first, nonce, "GET"));
    clock.boot += direct_life_us;
    EXPECT_TRUE(seals.redeem(sealed(), nonce, "GET"));
}

TEST_F(DirectTest, APassLeadsWhereItWasSealedFor) {
    const std::string text = seals.seal(DirectPass{"wiki", "https://wiki.tokyo.example", "ab"});
    const auto pass = seals.open(text);
    ASSERT_TRUE(pass);
    EXPECT_EQ(pass->origin, "https://wiki.tokyo.example");
    EXPECT_FALSE(seals.redeem(text, nonce, "GET")); // it is no ticket
    EXPECT_FALSE(seals.open(sealed()));             // nor the other way round
    clock.boot += direct_life_us;
    EXPECT_FALSE(seals.open(text));
}

TEST_F(DirectTest, ACookieOutlivesARestartAndEndsByTheWallClock) {
    const std::string longest(name_length_max, 'x');
    const std::string text = seals.seal(
        DirectCookie{longest, ticket.sid, longest, clock.wall + 1'000, direct_user_word("anna")});
    EXPECT_LE(text.size(), direct_cookie_bytes_max);
    DirectSeals again{clock, random, "secret of the tier"};
    const auto cookie = again.open_cookie(text);
    ASSERT_TRUE(cookie);
    EXPECT_EQ(cookie->child, longest);
    EXPECT_EQ(cookie->sid, ticket.sid);
    EXPECT_EQ(cookie->user, direct_user_word("anna"));
    EXPECT_NE(cookie->user, direct_user_word("bert"));
    EXPECT_FALSE(DirectSeals(clock, random, "another").open_cookie(text));
    EXPECT_FALSE(seals.open(text));
    clock.wall += 1'000;
    EXPECT_FALSE(again.open_cookie(text));
}

} // namespace
} // namespace hasp::signon
