// What a stolen child's key can reach: its own subtree, and nothing else.
#include "tree.h"

namespace hasp::maint::tests {

namespace {

Json fact(const std::string& name, const Json& more = Json::object()) {
    Json out{{"name", name},
             {"title", name},
             {"hosts", Json::array()},
             {"mount", "both"},
             {"where", "tokyo"}};
    out.update(more);
    return out;
}

struct Lying : testing::Test {
    Tree tree;
    Node& upper = tree.top("upper");
    Node& center = tree.below(upper, "center");
    Node& tokyo = tree.below(center, "tokyo");
    Node& osaka = tree.below(center, "osaka");
    void report(const Json& more) {
        Json head{{"t", "report"},
                  {"apps", Json::array()},
                  {"accounts", Json::array()},
                  {"generation", 0},
                  {"lease", 0},
                  {"status", Json::object()}};
        head.update(more);
        tree.forge(tokyo, head);
    }
};

} // namespace

TEST_F(Lying, AChildCannotVouchForAnAccountOfAnother) {
    tree.add_user(osaka, "mei", good_password);
    const auto page = tokyo.log_in("mei", good_password);
    const std::string sid = text_of(tokyo.who_cookie(page->cookie()), "sid");
    // The sid is real, but the center holds no grant for it any more.
    tree.forge(tokyo, {{"t", "session.end"}, {"sid", sid}});
    EXPECT_TRUE(center.who_link("tokyo", sid).is_null());
}

TEST_F(Lying, AReportedAccountNameThatIsHomedAboveTheParentIsNotMovedBelowIt) {
    tree.add_user(upper, "anna", good_password, {"wiki"});
    report({{"accounts", {"anna"}}});
    const int before = upper.background_runs;
    EXPECT_EQ(center.log_in("anna", good_password)->status, 303);
    EXPECT_EQ(upper.background_runs - before, 1) << "the password went up, not to the child";
    ASSERT_EQ(center.errors().size(), 1U);
    EXPECT_TRUE(center.errors()[0].starts_with("account.conflict: "));
}

TEST_F(Lying, AChildCannotReleaseTheNameOfAnother) {
    tree.add_user(osaka, "mei", good_password);
    tree.forge(tokyo, {{"t", "account.release"}, {"user", "mei"}});
    EXPECT_FALSE(upper.admin("user.add", {{"name", "mei"}, {"password", good_password}}).ok());
    EXPECT_EQ(upper.log_in("mei", good_password)->status, 303);
}

TEST_F(Lying, AChildCannotChangeAnAccountOfAnother) {
    tree.add_user(osaka, "mei", good_password, {"wiki"});
    const auto page = center.log_in("mei", good_password);
    tree.forge(tokyo, {{"t", "identity.changed"}, {"user", "mei"}});
    EXPECT_EQ(text_of(center.who_cookie(page->cookie()), "user"), "mei");
}

TEST_F(Lying, AChildCannotMakeItsUserAnOperatorAbove) {
    tree.add_user(tokyo, "eve", good_password);
    const auto page = center.log_in("eve", good_password);
    Json identity = center.who_cookie(page->cookie());
    identity["role"] = "operator";
    tree.forge(tokyo, {{"t", "identity.changed"}, {"user", "eve"}, {"identity", identity}});
    EXPECT_EQ(text_of(center.who_cookie(page->cookie()), "role"), "user");
}

TEST_F(Lying, AChildCannotEndTheSessionOfAnother) {
    tree.add_user(upper, "anna", good_password);
    const auto page = osaka.log_in("anna", good_password);
    const std::string sid = text_of(osaka.who_cookie(page->cookie()), "sid");
    tree.forge(tokyo, {{"t", "session.end"}, {"sid", sid}});
    EXPECT_EQ(text_of(upper.who_link("center", sid), "user"), "anna");
    EXPECT_EQ(text_of(center.who_link("osaka", sid), "user"), "anna");
}

TEST_F(Lying, AChildThatNamesAnAppOfTheParentOrAboveDoesNotGetItsRequests) {
    tree.add_app(upper, "fossil", {"upper"});
    tree.add_app(center, "wiki", {"center"});
    tree.pass_s(3);
    report({{"apps", {fact("fossil"), fact("wiki")}}});
    tree.pass_s(3);
    EXPECT_EQ(center.route("fossil"), registry::Route::parent);
    EXPECT_EQ(center.route("wiki"), registry::Route::here);
    EXPECT_EQ(osaka.route("fossil"), registry::Route::parent);
    EXPECT_EQ(upper.route("fossil"), registry::Route::here);
}

TEST_F(Lying, AChildThatNamesAnAppOfItsSiblingDoesNotGetItsRequestsAlsoAfterARestart) {
    Node& aaa = tree.below(center, "aaa");
    tree.add_app(tokyo, "rota", {"tokyo"});
    tree.pass_s(3);
    ASSERT_EQ(center.app("rota").child(), "tokyo");
    tree.forge(aaa, {{"t", "report"}, {"apps", {fact("rota")}}});
    EXPECT_EQ(center.app("rota").child(), "tokyo");
    tree.restart(center);
    EXPECT_EQ(center.app("rota").child(), "tokyo");
}

TEST_F(Lying, AChildsHostNamesCannotTakeThePortalOrAnotherAppsHost) {
    report({{"apps", {fact("trap", {{"hosts", {"portal.example", "fossil.localhost"}}})}}});
    ASSERT_TRUE(center.app("trap"));
    EXPECT_FALSE(center.snapshot->find_host("portal.example"));
    EXPECT_FALSE(center.snapshot->find_host("fossil.localhost"));
}

TEST_F(Lying, AChildsHostNamesThatCountForNothingAreNotAmongTheNamesForAResolver) {
    report({{"apps", {fact("trap", {{"hosts", {"portal.example", "fossil.localhost"}}})}}});
    const auto names = center.admin("names");
    ASSERT_TRUE(names.ok());
    EXPECT_EQ(
        member(*names, "apps"),
        Json::array(
            {{{"name", "trap"}, {"where", "tokyo"}, {"mount", "both"}, {"hosts", Json::array()}}}));
    EXPECT_EQ(text_of(*names, "app_host"), "{app}.localhost");
}

TEST_F(Lying, ADeeplyNestedReportEndsNothing) {
    std::string deep(100'000, '[');
    deep += std::string(100'000, ']');
    tree.forge_text(tokyo, "{\"t\":\"report\",\"status\":" + deep + "}");
    EXPECT_EQ(center.status()["tier"], "hasp://clinics/upper/center");
}

TEST_F(Lying, AChildThatSaysHelloTwiceIsCutOff) {
    tree.forge(tokyo, {{"t", "hello"}, {"version", 1}});
    EXPECT_FALSE(tree.linked(tokyo));
}

TEST_F(Lying, OnlyTheFirstFourReleasesThatAChildNamesAreLookedAt) {
    const std::string before = tree.add_app(center, "leaflets", {"tokyo"}, {{"text", "one"}});
    tree.pass_s(3);
    const std::string release = tree.add_app(center, "leaflets", {"tokyo"}, {{"text", "two"}});
    tree.pass_s(3);
    const auto base_for = [&](std::int64_t q, std::size_t unknown) {
        Json bases = Json::array();
        for (std::size_t i = 0; i < unknown; ++i) {
            bases.push_back(std::string(32, static_cast<char>('a' + i % 6)));
        }
        bases.push_back(before);
        tree.crossed.clear();
        tree.forge(tokyo, {{"t", "release.get"},
                           {"q", q},
                           {"app", "leaflets"},
                           {"release", release},
                           {"bases", bases}});
        for (const Crossed& message : tree.crossed) {
            if (message.to == "tokyo" && int_of(message.head, "q") == q) {
                return text_of(message.head, "base");
            }
        }
        return std::string("no answer");
    };
    EXPECT_EQ(base_for(9101, 3), before);
    EXPECT_EQ(base_for(9102, 4), "");
    EXPECT_EQ(base_for(9103, 50'000), "");
}

TEST_F(Lying, AChildGetsNoReleaseAndNoSectionThatIsNotItsOwn) {
    const std::string release = tree.add_app(center, "leaflets", {"osaka"});
    tree.pass_s(3);
    tree.crossed.clear();
    tree.forge(tokyo, {{"t", "release.get"},
                       {"q", 9001},
                       {"app", "leaflets"},
                       {"release", release},
                       {"have", Json::array()}});
    tree.forge(tokyo, {{"t", "pack.get"},
                       {"q", 9002},
                       {"app", "leaflets"},
                       {"release", release},
                       {"pack", "../../keys/envelope"},
                       {"offset", 0}});
    tree.forge(tokyo, {{"t", "lease.section"}, {"q", 9003}, {"sha256", std::string(64, '0')}});
    std::size_t refused = 0;
    for (const Crossed& message : tree.crossed) {
        if (int_of(message.head, "q") > 9000) {
            EXPECT_EQ(text_of(member(message.head, "error"), "code"), "not_found");
            ++refused;
        }
    }
    EXPECT_EQ(refused, 3U);
}

TEST_F(Lying, AnOrderFromBelowIsIgnored) {
    for (const char* type : {"desired", "lease", "catalog", "session.who"}) {
        tree.forge(tokyo, {{"t", type}, {"apps", {fact("trap")}}, {"q", 9001}});
    }
    EXPECT_FALSE(center.app("trap"));
}

} // namespace hasp::maint::tests
