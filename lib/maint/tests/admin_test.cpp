#include "tree.h"

#include <gmock/gmock.h>

namespace hasp::maint::tests {

namespace {

struct Operator : testing::Test {
    Tree tree;
    Node& center = tree.top();
    Code code(const std::string& command, const Json& args) {
        const auto result = center.admin(command, args);
        EXPECT_FALSE(result.ok()) << command;
        if (result.ok()) {
            return Code::failed;
        }
        EXPECT_FALSE(result.error().message.empty());
        return result.error().code;
    }
};

} // namespace

TEST_F(Operator, IsToldWhatIsWrongWithACommand) {
    EXPECT_EQ(code("no.such", Json::object()), Code::usage);
    EXPECT_EQ(code("local.invite", {{"name", "tokyo"}}), Code::usage); // no address
    EXPECT_EQ(code("local.invite", {{"name", "To kyo"}, {"addresses", {"a.example:1"}}}),
              Code::usage);
    EXPECT_EQ(
        code("local.invite", {{"name", "tokyo"}, {"addresses", {"a.example:1"}}, {"hours", 0}}),
        Code::usage);
    EXPECT_EQ(code("local.revoke", {{"name", "nobody"}}), Code::not_found);
    EXPECT_EQ(code("local.allow", {{"name", "nobody"}}), Code::not_found);
    EXPECT_EQ(code("lease.sign", {{"name", "nobody"}}), Code::not_found);
    EXPECT_EQ(code("user.add", {{"name", "Anna"}, {"password", "long enough"}}), Code::usage);
    EXPECT_EQ(code("user.add", {{"name", "anna"}, {"password", "short"}}), Code::usage);
    EXPECT_EQ(code("user.show", {{"name", "nobody"}}), Code::not_found);
    EXPECT_EQ(code("user.password", {{"name", "nobody"}, {"password", "long enough"}}),
              Code::not_found);
    EXPECT_EQ(code("user.entitle", {{"user", "nobody"}, {"apps", {"wiki"}}}), Code::not_found);
    EXPECT_EQ(code("user.entitle", {{"apps", {"wiki"}}}), Code::usage);
    EXPECT_EQ(code("token.create", {{"user", "nobody"}}), Code::not_found);
    EXPECT_EQ(code("token.revoke", {{"id", std::string(32, '0')}}), Code::not_found);
    EXPECT_EQ(code("app.add", {{"dir", tree.folder("nowhere")}, {"to", {"center"}}}),
              Code::not_found);
    EXPECT_EQ(code("app.remove", {{"name", "nothing"}}), Code::not_found);
}

TEST_F(Operator, LeavesNothingHalfDoneWhenAUserCannotBeMade) {
    EXPECT_EQ(code("user.add", {{"name", "anna"}, {"password", "short"}, {"groups", {"staff"}}}),
              Code::usage);
    EXPECT_EQ(code("user.show", {{"name", "anna"}}), Code::not_found);
}

TEST_F(Operator, CannotUseTheNameOfAnAppThatIsHeldElsewhere) {
    Node& tokyo = tree.below(center, "tokyo");
    tree.add_app(center, "wiki", {"center"});
    tree.pass_s(3);
    const auto taken =
        tokyo.admin("app.add", {{"dir", tree.folder("source-wiki")}, {"to", {"tokyo"}}});
    ASSERT_FALSE(taken.ok());
    EXPECT_EQ(taken.error().code, Code::conflict);
}

TEST_F(Operator, IsToldWhenAnImportOfTheSameAppIsUnderWay) {
    tree.add_app(center, "wiki", {"center"});
    center.hold_background = true;
    const Json args{{"dir", tree.folder("source-wiki")}, {"to", {"center"}}};
    EXPECT_EQ(center.admin("app.add", args).error().code, Code::timed_out);
    EXPECT_EQ(code("app.add", args), Code::try_later);
    center.let_background_go();
    EXPECT_TRUE(center.admin("app.add", args).ok());
}

TEST_F(Operator, CannotRemoveWhatIsThereByOrderFromAbove) {
    Node& tokyo = tree.below(center, "tokyo");
    tree.add_app(center, "wiki", {"tokyo"});
    tree.pass_s(3);
    const auto removed = tokyo.admin("app.remove", {{"name", "wiki"}});
    ASSERT_FALSE(removed.ok());
    EXPECT_EQ(removed.error().code, Code::refused);
    EXPECT_THAT(removed.error().hint, testing::HasSubstr("--from tokyo"));
}

TEST_F(Operator, SeesTheFieldsOfStatus) {
    Node& tokyo = tree.below(center, "tokyo");
    tree.add_app(center, "wiki", {"tokyo"});
    tree.pass_s(3);
    tree.pass_s(20);
    const Json status = tokyo.status();
    for (const char* key :
         {"tier", "as_of", "link", "leases", "apps", "isolation", "errors", "children"}) {
        EXPECT_TRUE(status.contains(key)) << key;
    }
    EXPECT_EQ(status["tier"], "hasp://clinics/center/tokyo");
    EXPECT_EQ(status["link"]["state"], "up");
    EXPECT_TRUE(status["link"]["since"].is_string());
    EXPECT_EQ(status["link"]["rtt_ms"], 0);
    EXPECT_EQ(status["leases"][0]["kind"], "run");
    EXPECT_TRUE(status["leases"][0]["expires"].is_string());
    EXPECT_EQ(status["apps"][0]["name"], "wiki");
    EXPECT_EQ(status["apps"][0]["state"], "ready");
    EXPECT_EQ(text_of(status["apps"][0], "release").size(), 32U);
    const Json above = center.status();
    EXPECT_TRUE(above["link"].is_null());
    EXPECT_EQ(above["children"][0]["status"]["tier"], "hasp://clinics/center/tokyo");
}

TEST_F(Operator, SeesWhatCannotBeReachedAndHowOldItsWordIs) {
    Node& tokyo = tree.below(center, "tokyo");
    tree.pass_s(11);
    const std::string said = text_of(center.status()["children"][0]["status"], "as_of");
    tree.cut(tokyo);
    tree.pass_s(3600, 60);
    const Json child = center.status()["children"][0];
    EXPECT_EQ(child["state"], "dark");
    EXPECT_EQ(text_of(child["status"], "as_of"), said);
    EXPECT_EQ(tokyo.status()["link"]["state"], "down");
    EXPECT_EQ(tokyo.status()["link"]["reason"], "it was cut");
}

TEST_F(Operator, SeesTheSameErrorOnce) {
    const std::string invitation = tree.invite(center, "tokyo");
    Json asked =
        parse_object(Tree::request_of(invitation, tree.folder("a") + "/keys", tree.random));
    asked["name"] = "osaka";
    for (int i = 0; i < 3; ++i) {
        Tree::enrol(center, dump(asked));
    }
    EXPECT_EQ(center.errors().size(), 1U);
}

TEST_F(Operator, FindsNoPasswordAndNoTokenInTheMessagesOfTheTier) {
    tree.add_user(center, "anna", "correct horse");
    center.log_in("anna", "correct horse");
    const Json token = *center.admin("token.create", {{"user", "anna"}});
    center.who_token(text_of(token, "token"));
    for (const Json& frame : center.to_front) {
        EXPECT_THAT(dump(frame), testing::Not(testing::HasSubstr("correct horse")));
        EXPECT_THAT(dump(frame), testing::Not(testing::HasSubstr(text_of(token, "token"))));
    }
}

} // namespace hasp::maint::tests
