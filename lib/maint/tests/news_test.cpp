// News of an account that come late, twice or out of order: a session that was begun after them
// stays, an older one ends.
#include "store/db.h"
#include "tree.h"

#include <algorithm>
#include <tuple>

namespace hasp::maint::tests {

namespace {

constexpr const char* first = "correct horse";
constexpr const char* second = "battery staple";
constexpr std::int64_t said_again_s = 130; // by then an unanswered message was said again

Json without_generation(Json message) {
    message.erase("generation");
    message.erase("sessions_from");
    if (message.contains("identity")) {
        message["identity"].erase("generation");
    }
    return message;
}

// As Unsaid keeps it.
Json without_identity(Json message) {
    message.erase("identity");
    return message;
}

} // namespace

// A chain with one account at its one end, and sessions of it at the other: depth, and whether the
// account's home is the top.
class News : public testing::TestWithParam<std::tuple<std::size_t, bool>> {
  protected:
    void SetUp() override {
        tiers = tree.chain(std::get<0>(GetParam()));
        const bool above = std::get<1>(GetParam());
        home = above ? tiers.front() : tiers.back();
        away = above ? tiers.back() : tiers.front();
        tree.add_user(*home, "mei", first, {"wiki"});
        tree.pass_s(3);
    }
    std::string log_in(const std::string& password) {
        const auto page = away->log_in("mei", password);
        EXPECT_EQ(page->status, 303) << page->body;
        return page->cookie();
    }
    bool known(const std::string& cookie) { return !away->who_cookie(cookie).is_null(); }
    bool may_use(const std::string& cookie, const std::string& app) {
        const std::vector<std::string> apps = texts_of(away->who_cookie(cookie), "apps");
        return std::find(apps.begin(), apps.end(), app) != apps.end();
    }
    // Each answers what the tier away was told of it.
    Json change_password() {
        return told("user.password", {{"name", "mei"}, {"password", second}});
    }
    Json entitle(const std::string& app) {
        return told("user.entitle", {{"user", "mei"}, {"apps", {app}}});
    }
    Json withdraw(const std::string& app) {
        return told("user.withdraw", {{"user", "mei"}, {"apps", {app}}});
    }
    Json disable() { return told("user.disable", {{"name", "mei"}}); }
    Json told(const std::string& command, const Json& args) {
        tree.crossed.clear();
        EXPECT_TRUE(home->admin(command, args).ok());
        for (auto one = tree.crossed.rbegin(); one != tree.crossed.rend(); ++one) {
            if (one->to == away->name && text_of(one->head, "t") == "identity.changed") {
                Json message = one->head;
                message.erase("q");
                return message;
            }
        }
        ADD_FAILURE() << "the tier away was not told";
        return {};
    }
    // The message comes, as late as it may be.
    void arrives(const Json& message) {
        if (home == tiers.front()) {
            tree.whisper(*away, message);
        } else {
            tree.forge(*tiers[1], message);
        }
    }
    // The tier away can change no session, as if its disk were full.
    void fill_the_disk() {
        on_the_disk("CREATE TRIGGER full_d BEFORE DELETE ON signon_sessions BEGIN SELECT "
                    "RAISE(ABORT, 'full'); END; CREATE TRIGGER full_u BEFORE UPDATE ON "
                    "signon_sessions BEGIN SELECT RAISE(ABORT, 'full'); END");
    }
    void make_room() { on_the_disk("DROP TRIGGER full_d; DROP TRIGGER full_u"); }
    // As those that were begun before generations were counted, or through a tier that does not.
    void forget_generations() {
        on_the_disk("UPDATE signon_sessions SET begun_generation = 0, generation = 0");
    }
    void on_the_disk(const std::string& sql) {
        auto db = store::Db::open(away->state + "/keeper.db");
        ASSERT_TRUE(db.ok() && (*db)->run_script(sql).ok());
    }

    Tree tree;
    std::vector<Node*> tiers;
    Node* home = nullptr;
    Node* away = nullptr;
};
INSTANTIATE_TEST_SUITE_P(Depths, News, testing::Combine(testing::Values(2, 4), testing::Bool()));

TEST_P(News, OfANewPasswordThatComeLateLeaveTheSessionsThatItOpened) {
    const std::string old = log_in(first);
    const Json news = change_password();
    EXPECT_FALSE(known(old));
    const std::string young = log_in(second);
    arrives(news);
    EXPECT_TRUE(known(young));
}

TEST_P(News, ThatComeTwiceChangeNothing) {
    const std::string cookie = log_in(first);
    const Json news = entitle("xray");
    arrives(news);
    arrives(without_identity(news)); // as it is said again
    EXPECT_TRUE(known(cookie));
    EXPECT_TRUE(may_use(cookie, "xray"));
}

TEST_P(News, OfAnEntitlementThatAreOvertakenByNewerOnesGiveNothingBack) {
    const std::string cookie = log_in(first);
    const Json news = entitle("xray");
    withdraw("xray");
    arrives(news);
    EXPECT_TRUE(known(cookie));
    EXPECT_FALSE(may_use(cookie, "xray"));
}

TEST_P(News, OfANewPasswordThatAreOvertakenStillEndTheSessionsOfTheOldOneAndNoOther) {
    const std::string old = log_in(first);
    fill_the_disk();
    const Json news = change_password();
    make_room();
    EXPECT_TRUE(known(old)) << "it was not kept";
    const std::string young = log_in(second);
    entitle("xray");
    EXPECT_FALSE(known(old)) << "the later news say since when sessions count";
    arrives(news);
    EXPECT_TRUE(known(young));
    EXPECT_TRUE(may_use(young, "xray"));
}

TEST_P(News, OfADisabledAccountThatComeLateLeaveTheSessionsSinceItIsEnabled) {
    const std::string old = log_in(first);
    const Json news = disable();
    EXPECT_FALSE(known(old));
    ASSERT_TRUE(home->admin("user.disable", {{"name", "mei"}, {"enable", true}}).ok());
    const std::string young = log_in(first);
    arrives(news);
    EXPECT_TRUE(known(young));
}

TEST_P(News, FromATierThatCountsNoGenerationsAreTrueOfEverySession) {
    const std::string cookie = log_in(first);
    const Json news = without_generation(entitle("xray"));
    withdraw("xray");
    arrives(news);
    EXPECT_TRUE(may_use(cookie, "xray"));
    arrives(without_identity(news));
    EXPECT_FALSE(known(cookie));
}

TEST_P(News, ReachASessionOfNoKnownGenerationAsEver) {
    const std::string cookie = log_in(first);
    forget_generations();
    entitle("xray");
    EXPECT_TRUE(may_use(cookie, "xray"));
    forget_generations();
    change_password();
    EXPECT_FALSE(known(cookie));
}

class NewsFromBelow : public News {};
INSTANTIATE_TEST_SUITE_P(Depths, NewsFromBelow,
                         testing::Combine(testing::Values(2, 4), testing::Values(false)));

TEST_P(NewsFromBelow, ThatCouldNotBeKeptAreSaidAgainAndLeaveWhatWasBegunMeanwhile) {
    const std::string old = log_in(first);
    fill_the_disk();
    change_password();
    const std::string young = log_in(second);
    make_room();
    EXPECT_TRUE(known(old));
    tree.pass_s(said_again_s);
    EXPECT_FALSE(known(old));
    EXPECT_TRUE(known(young));
}

TEST_P(NewsFromBelow, OfOneAccountAreSaidOnceWhenTheLinkIsBack) {
    const std::string old = log_in(first);
    tree.cut(*home);
    for (const char* app : {"xray", "chat", "mail"}) {
        ASSERT_TRUE(home->admin("user.entitle", {{"user", "mei"}, {"apps", {app}}}).ok());
    }
    ASSERT_TRUE(home->admin("user.password", {{"name", "mei"}, {"password", second}}).ok());
    tree.restart(*home);
    tree.crossed.clear();
    ASSERT_TRUE(tree.link(*home));
    EXPECT_EQ(std::count_if(tree.crossed.begin(), tree.crossed.end(),
                            [&](const Crossed& one) {
                                return one.from == home->name &&
                                       text_of(one.head, "t") == "identity.changed";
                            }),
              1);
    EXPECT_FALSE(known(old));
    EXPECT_TRUE(known(log_in(second)));
}

} // namespace hasp::maint::tests
