#include "tree.h"

#include "base/text.h"
#include "trust/invite.h"

namespace hasp::maint::tests {

namespace {

class Enrolling : public testing::Test {
  protected:
    std::string request(const std::string& invitation, const std::string& box) {
        return Tree::request_of(invitation, tree.folder(box) + "/keys", tree.random);
    }
    Tree tree;
    Node& center = tree.top();
};

} // namespace

TEST_F(Enrolling, ABoxWithAnInvitationJoinsAndItsLinkOpens) {
    Node& tokyo = tree.below(center, "tokyo");
    EXPECT_EQ(tokyo.keeper->identity().name.text(), "hasp://clinics/center/tokyo");
    tree.pass_s(2);
    EXPECT_EQ(center.status()["children"][0]["state"], "up");
    EXPECT_EQ(tokyo.status()["link"]["state"], "up");
}

TEST_F(Enrolling, AnInvitationThatWasUsedIsRefusedForAnotherKey) {
    const std::string invitation = tree.invite(center, "tokyo");
    EXPECT_EQ(Tree::enrol(center, request(invitation, "a")).status, 200);
    EXPECT_EQ(Tree::enrol(center, request(invitation, "b")).status, 403);
}

TEST_F(Enrolling, TheSameKeyWithTheSameInvitationAgainIsNoError) {
    const std::string invitation = tree.invite(center, "tokyo");
    const std::string asked = request(invitation, "a");
    const PageSeen first = Tree::enrol(center, asked);
    const PageSeen second = Tree::enrol(center, asked);
    EXPECT_EQ(first.status, 200);
    EXPECT_EQ(second.status, 200);
    EXPECT_EQ(first.body, second.body);
}

TEST_F(Enrolling, AnInvitationIsRefusedAfterItsLifetime) {
    const std::string invitation = tree.invite(center, "tokyo");
    tree.clock.advance_us(25LL * 3600 * 1'000'000);
    EXPECT_EQ(Tree::enrol(center, request(invitation, "a")).status, 403);
}

TEST_F(Enrolling, ARequestForAnotherNameThanTheInvitationsIsRefused) {
    const std::string invitation = tree.invite(center, "tokyo");
    Json asked = parse_object(request(invitation, "a"));
    asked["name"] = "osaka";
    EXPECT_EQ(Tree::enrol(center, dump(asked)).status, 403);
    EXPECT_TRUE(member(center.credentials, "children").empty());
}

TEST_F(Enrolling, ARequestThatIsCutShortIsRefused) {
    const std::string asked = request(tree.invite(center, "tokyo"), "a");
    EXPECT_EQ(Tree::enrol(center, asked.substr(0, asked.size() / 2)).status, 403);
    EXPECT_EQ(Tree::enrol(center, "").status, 403);
}

TEST_F(Enrolling, AnInvitationThatIsCutShortIsNotOneAtAll) {
    const std::string invitation = tree.invite(center, "tokyo");
    EXPECT_FALSE(trust::parse_invitation(invitation.substr(0, invitation.size() - 3)).ok());
}

TEST_F(Enrolling, ABoxThatDoesNotHoldTheKeyItShowsIsRefused) {
    const std::string invitation = tree.invite(center, "tokyo");
    Json mine = parse_object(request(invitation, "a"));
    mine["envelope_key"] = parse_object(request(invitation, "b"))["envelope_key"];
    EXPECT_EQ(Tree::enrol(center, dump(mine)).status, 403);
}

TEST_F(Enrolling, ANewInvitationForANameVoidsTheEarlierOne) {
    const std::string first = tree.invite(center, "tokyo");
    const std::string second = tree.invite(center, "tokyo");
    EXPECT_EQ(Tree::enrol(center, request(first, "a")).status, 403);
    EXPECT_EQ(Tree::enrol(center, request(second, "b")).status, 200);
}

TEST_F(Enrolling, ANameThatIsEnrolledCannotBeInvitedAgain) {
    tree.below(center, "tokyo");
    const auto again =
        center.admin("local.invite", {{"name", "tokyo"}, {"addresses", {"parent.example:1"}}});
    ASSERT_FALSE(again.ok());
    EXPECT_EQ(again.error().code, Code::conflict);
}

TEST_F(Enrolling, ARevokedTierLosesItsLinkAtOnceAndIsNotLetInAgain) {
    Node& tokyo = tree.below(center, "tokyo");
    ASSERT_TRUE(center.admin("local.revoke", {{"name", "tokyo"}}).ok());
    EXPECT_FALSE(tree.linked(tokyo));
    EXPECT_FALSE(tree.link(tokyo));
    EXPECT_EQ(center.status()["children"][0]["state"], "revoked");
}

TEST_F(Enrolling, ARevokedNameComesBackWithANewEpochAndGetsALease) {
    tree.below(center, "tokyo");
    tree.add_app(center, "leaflets", {"tokyo"});
    ASSERT_TRUE(center.admin("local.revoke", {{"name", "tokyo"}}).ok());
    const std::string invitation = tree.invite(center, "tokyo");
    const PageSeen answer = Tree::enrol(center, request(invitation, "second"));
    ASSERT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(parse_object(answer.body)["epoch"], 2);
    Node& again = tree.make_node(center, invitation, tree.folder("second"), answer.body);
    ASSERT_TRUE(tree.link(again));
    tree.pass_s(3);
    EXPECT_EQ(again.admin("lease.show").value()["epoch"], 2);
    EXPECT_TRUE(again.app("leaflets"));
    EXPECT_EQ(again.status()["apps"][0]["state"], "ready");
}

TEST_F(Enrolling, AStrangersNonsenseFillsNoTable) {
    for (int i = 0; i < 5; ++i) {
        EXPECT_EQ(Tree::enrol(center, dump({{"invitation", std::to_string(i)}})).status, 403);
    }
    EXPECT_TRUE(center.errors().empty());
}

} // namespace hasp::maint::tests
