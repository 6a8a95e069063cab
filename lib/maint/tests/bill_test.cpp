// Operators' commands about money, over a small tree.
#include "base/text.h"
#include "billing/period.h"
#include "tree.h"
#include "usage_ring_fixture.h"

#include <gmock/gmock.h>

namespace hasp::maint::tests {
namespace {

using testing::HasSubstr;

const std::string tariff = R"([tariff]
version = "t1"
currency = "EUR"
effective_from = "2023-01-01"
[[price]]
line = "Requests"
per = "request"
rate = "0.01"
)";

class Bill : public testing::Test {
  protected:
    Bill() : tiers_(tree_.chain(3)), rings_{Ring(1), Ring(2), Ring(3)} {
        EXPECT_TRUE(top().admin("bill.tariff.set", {{"text", tariff}}).ok());
        tree_.pass_s(3);
        from_us_ = tree_.clock.wall_us();
    }
    Node& top() { return *tiers_[0]; }
    void use(std::size_t tier, std::size_t count, const std::string& user = "nurse") {
        rings_[tier].use(tree_, count, user);
        EXPECT_EQ(rings_[tier].harvest(*tiers_[tier]), count);
    }
    // From the last boundary until now, which is the next one.
    std::string period() {
        const std::string text = rfc3339(from_us_) + "/" + rfc3339(tree_.clock.wall_us());
        from_us_ = *billing::parse_rfc3339(rfc3339(tree_.clock.wall_us()));
        return text;
    }
    Result<Json> close(const std::string& text, const Json& more = Json::object()) {
        Json args{{"period", text}};
        args.update(more);
        return top().admin("bill.close", args);
    }
    static Code code(const Result<Json>& result) {
        EXPECT_FALSE(result.ok());
        return result.ok() ? Code::failed : result.error().code;
    }
    std::string total(const std::string& text, const std::string& user = "nurse") {
        auto shown = top().admin("bill.show", {{"period", text}, {"user", user}});
        EXPECT_TRUE(shown.ok()) << shown.error().message;
        return shown.ok() ? text_of(member(*shown, "invoices")[0], "total") : "";
    }

    Tree tree_;
    std::vector<Node*> tiers_;
    std::vector<Ring> rings_;
    std::int64_t from_us_ = 0;
};

TEST_F(Bill, IsClosedWhenTheUsageOfEveryTierHasArrived) {
    use(0, 1);
    use(1, 2);
    use(2, 4);
    tree_.pass_s(1);
    const std::string text = period();
    const auto early = close(text);
    EXPECT_EQ(code(early), Code::partial) << "those below have not said that they sent it all";
    EXPECT_THAT(early.error().message, HasSubstr("center"));
    EXPECT_EQ(code(top().admin("bill.show", {{"period", text}})), Code::not_found);
    tree_.pass_s(30);
    ASSERT_TRUE(close(text, {{"dry_run", true}}).ok());
    const auto closed = close(text);
    ASSERT_TRUE(closed.ok()) << closed.error().message;
    EXPECT_EQ(text_of(*closed, "total"), "0.07");
    EXPECT_EQ(total(text), "0.07");
    EXPECT_EQ(code(close(text)), Code::conflict);
    const auto behind =
        top().admin("bill.explain", {{"period", text}, {"user", "nurse"}, {"line", 1}});
    ASSERT_TRUE(behind.ok()) << behind.error().message;
    EXPECT_EQ(int_of(*behind, "count"), 7);
    EXPECT_EQ(member(*behind, "batches").size(), 3U);
    EXPECT_EQ(member(*behind, "events").size(), 7U);
    const auto verified = top().admin("bill.verify");
    ASSERT_TRUE(verified.ok()) << verified.error().message;
    EXPECT_EQ(int_of(*verified, "events"), 7);
    EXPECT_EQ(int_of(*verified, "chains"), 3);
    EXPECT_TRUE(member(*verified, "findings").empty()) << dump(*verified);
}

TEST_F(Bill, ABusyTierWhoseUnsentUsageIsOfLaterHoldsUpNothing) {
    use(2, 4);
    tree_.pass_s(30);
    const std::string text = period();
    const auto says_unsent = [&] {
        const auto status = top().admin("status");
        const Json& center = member(member(*status, "children")[0], "status");
        const Json& tokyo = member(member(center, "children")[0], "status");
        return int_of(member(tokyo, "usage"), "unsent_events");
    };
    // Reports go up each second, and so does usage: it never rests at a tier in use.
    const auto busy = [&](std::int64_t s) {
        for (; s > 0 && says_unsent() == 0; --s) {
            use(2, 1);
            tree_.pass_s(1);
        }
        return says_unsent() > 0;
    };
    ASSERT_TRUE(busy(30)) << "the premise: a report that names unsent usage";
    EXPECT_EQ(code(close(text)), Code::partial) << "this may be of the period, or sealed late";
    tree_.pass_s(70);
    ASSERT_TRUE(busy(30));
    const auto closed = close(text);
    ASSERT_TRUE(closed.ok()) << closed.error().message;
    EXPECT_EQ(text_of(*closed, "total"), "0.04");
}

TEST_F(Bill, ATierThatCannotBeReachedIsNamedAndItsUsageGoesOntoTheNextBill) {
    tree_.cut(*tiers_[2]);
    use(1, 2);
    use(2, 5);
    tree_.pass_s(1);
    const std::string first = period();
    tree_.pass_s(40);
    const auto refused = close(first);
    EXPECT_EQ(code(refused), Code::partial);
    EXPECT_THAT(refused.error().message, HasSubstr("center/tokyo: last heard at"));
    const auto partial = close(first, {{"partial", true}});
    ASSERT_TRUE(partial.ok()) << partial.error().message;
    EXPECT_EQ(total(first), "0.02");
    const auto shown = top().admin("bill.show", {{"period", first}, {"user", "nurse"}});
    EXPECT_THAT(dump(member((*shown)["invoices"][0], "missing")), HasSubstr("tokyo"));
    ASSERT_TRUE(tree_.link(*tiers_[2]));
    use(0, 1);
    tree_.pass_s(40);
    const std::string second = period();
    tree_.pass_s(30);
    EXPECT_EQ(code(close(second)), Code::partial) << "nothing has changed, so nobody said anything";
    tree_.pass_s(3);
    const auto closed = close(second);
    ASSERT_TRUE(closed.ok()) << closed.error().message;
    EXPECT_EQ(member(*closed, "late").size(), 1U);
    EXPECT_EQ(total(second), "0.06") << "one, and the five that came late";
    EXPECT_TRUE(member(*top().admin("bill.verify"), "findings").empty());
}

TEST_F(Bill, ATariffIsRefusedWithItsLine) {
    std::string bad = tariff;
    bad.replace(bad.find("\"0.01\""), 6, "0.01");
    const auto set = top().admin("bill.tariff.set", {{"text", bad}, {"file", "t.toml"}});
    EXPECT_EQ(code(set), Code::usage);
    EXPECT_THAT(set.error().message, HasSubstr("t.toml:8: price.rate"));
    EXPECT_THAT(set.error().hint, HasSubstr("rate = \"0.01\""));
    std::string other = tariff;
    other.replace(other.find("\"0.01\""), 6, "\"0.02\"");
    EXPECT_EQ(code(top().admin("bill.tariff.set", {{"text", other}})), Code::conflict);
    EXPECT_EQ(code(top().admin("bill.tariff.set", {{"text", other}, {"dry_run", true}})),
              Code::conflict);
    const auto shown = top().admin("bill.tariff.show");
    ASSERT_TRUE(shown.ok());
    ASSERT_EQ(member(*shown, "tariffs").size(), 1U);
    EXPECT_TRUE(true_of((*shown)["tariffs"][0], "in_force"));
    EXPECT_EQ(text_of((*shown)["tariffs"][0], "text"), tariff);
}

} // namespace
} // namespace hasp::maint::tests
