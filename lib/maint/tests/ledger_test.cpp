// Usage from the ring of each tier up to the top, over cuts, restarts and what goes wrong.
#include "base/text.h"
#include "billing/ledger_store.h"
#include "ledger.h"
#include "store/db.h"
#include "tree.h"
#include "usage_ring_fixture.h"

#include <gmock/gmock.h>

#include <csignal>
#include <filesystem>
#include <set>
#include <sys/resource.h>

namespace hasp::maint::tests {
namespace {

using testing::HasSubstr;

// What stands in a tier's ledger, read beside the running keeper: events by tier, each once.
std::map<std::string, std::size_t> ledger_of(const Node& node) {
    auto db = store::Db::open(node.state + "/ledger.db");
    EXPECT_TRUE(db.ok());
    auto store = billing::open_sqlite_ledger_store(**db, "clinics");
    EXPECT_TRUE(store.ok());
    std::map<std::string, std::size_t> out;
    std::set<std::tuple<std::string, std::uint64_t, std::uint64_t, std::uint64_t>> seen;
    std::set<std::pair<std::string, std::string>> rids;
    EXPECT_TRUE(
        (*store)
            ->scan(0, INT64_MAX,
                   [&](const billing::StoredBatch& b) {
                       const std::string leaf = b.chain.tier.substr(b.chain.tier.rfind('/') + 1);
                       return billing::decode_events(
                           b.batch.events, [&](std::size_t i, const billing::Event& e) {
                               ++out[leaf];
                               EXPECT_TRUE(
                                   seen.insert({b.chain.tier, b.chain.epoch, b.batch.header.stream,
                                                b.batch.header.first + i})
                                       .second);
                               if (e.kind == billing::UsageKind::request) {
                                   EXPECT_TRUE(rids.insert({leaf, std::string(e.rid)}).second)
                                       << "twice in the ledger";
                               }
                           });
                   })
            .ok());
    return out;
}

Json usage_of(Node& node) {
    return member(node.status(), "usage");
}

class Usage : public testing::Test {
  protected:
    Tree tree_;
};

TEST_F(Usage, OfEveryTierReachesTheTopOnceAtDepthFour) {
    const std::vector<Node*> tiers = tree_.chain(4);
    std::vector<Ring> rings;
    for (std::size_t i = 0; i < tiers.size(); ++i) {
        rings.emplace_back(static_cast<std::uint8_t>(i + 1));
    }
    for (int second = 0; second < 5; ++second) {
        for (std::size_t i = 0; i < tiers.size(); ++i) {
            rings[i].use(tree_, 10 + i);
            EXPECT_EQ(rings[i].harvest(*tiers[i]), 10 + i);
        }
        tree_.pass_s(1);
    }
    tree_.pass_s(5);
    const std::map<std::string, std::size_t> all{
        {"upper", 50}, {"center", 55}, {"tokyo", 60}, {"ward", 65}};
    EXPECT_EQ(ledger_of(*tiers[0]), all);
    EXPECT_EQ(ledger_of(*tiers[1]).size(), 3U) << "what is above a tier is not its business";
    for (std::size_t i = 1; i < tiers.size(); ++i) {
        EXPECT_EQ(int_of(usage_of(*tiers[i]), "unsent_events"), 0) << tiers[i]->name;
        EXPECT_TRUE(member(usage_of(*tiers[i]), "oldest_unsent").is_null());
    }
}

TEST_F(Usage, NothingIsSaidWhenNothingWasUsed) {
    tree_.chain(3);
    tree_.pass_s(600, 10);
    EXPECT_EQ(tree_.count("usage"), 0U);
}

TEST_F(Usage, AKeeperThatDiedBeforeItTookRecordsFromTheRingBillsThemOnce) {
    Node& center = tree_.top();
    Ring ring(1);
    ring.use(tree_, 7);
    EXPECT_EQ(ring.harvest(center, false), 7U);
    tree_.restart(center);
    ring.use(tree_, 3); // front went on meanwhile
    EXPECT_EQ(ring.harvest(center), 10U);
    EXPECT_EQ(ledger_of(center).at("center"), 10U);
    tree_.restart(center);
    Ring other(2); // the supervisor was started again: positions begin anew
    other.use(tree_, 4);
    EXPECT_EQ(other.harvest(center), 4U);
    // The same request ids were made again by this test's second ring: count, do not compare.
    EXPECT_EQ(int_of(member(usage_of(center), "streams")[0]["end"], "next"), 4);
}

TEST_F(Usage, ArrivesOnceWhereverTheLinkIsCut) {
    const std::vector<Node*> tiers = tree_.chain(3);
    Ring ring(1);
    std::size_t used = 0;
    int cuts = 0;
    for (int turn = 0; turn < 24; ++turn) {
        // The message is lost, or its answer, at the lower link or at the upper one.
        tree_.cut_at(turn % 2 == 0 ? "usage" : "re", turn / 2 % 3);
        ring.use(tree_, 5);
        used += 5;
        ring.harvest(*tiers[2]);
        tree_.pass_s(3);
        if (turn % 5 == 4) {
            tree_.restart(*tiers[static_cast<std::size_t>(turn) % 3]);
        }
        for (Node* node : {tiers[1], tiers[2]}) {
            if (!tree_.linked(*node)) {
                ++cuts;
                EXPECT_TRUE(tree_.link(*node));
            }
        }
    }
    EXPECT_GE(cuts, 12);
    tree_.cut_at("", 0);
    tree_.pass_s(60);
    for (Node* node : tiers) {
        EXPECT_EQ(ledger_of(*node).at("tokyo"), used) << node->name;
    }
    EXPECT_EQ(int_of(usage_of(*tiers[1]), "unsent_events"), 0);
}

TEST_F(Usage, WeeksOfflineComeInMessagesOfBoundedSizeAndNumber) {
    const std::vector<Node*> tiers = tree_.chain(2);
    tree_.cut(*tiers[1]);
    Ring ring(1);
    const std::int64_t cut_us = tree_.clock.wall_us();
    for (int day = 0; day < 21; ++day) {
        ring.use(tree_, 3000, "user" + std::to_string(day));
        ASSERT_EQ(ring.harvest(*tiers[1]), 3000U);
        for (int i = 0; i < 20; ++i) {
            ring.use(tree_, 1);
            ring.harvest(*tiers[1]);
        }
        tree_.clock.advance_us(86'400'000'000);
    }
    const Json before = usage_of(*tiers[1]);
    EXPECT_EQ(int_of(before, "unsent_events"), 21 * 3020);
    EXPECT_EQ(text_of(before, "oldest_unsent"), rfc3339(cut_us));
    ASSERT_TRUE(tree_.link(*tiers[1]));
    tree_.pass_s(30);
    EXPECT_EQ(ledger_of(*tiers[0]).at("center"), 21U * 3020U);
    int in_flight = 0;
    int most = 0;
    std::size_t messages = 0;
    std::set<std::int64_t> asked;
    for (const Crossed& c : tree_.crossed) {
        if (text_of(c.head, "t") == "usage") {
            EXPECT_LE(c.body.size(), usage_message_bytes_max);
            asked.insert(int_of(c.head, "q"));
            most = std::max(most, ++in_flight);
            ++messages;
        } else if (text_of(c.head, "t") == "re" && asked.erase(int_of(c.head, "q")) > 0) {
            --in_flight;
        }
    }
    EXPECT_LE(most, usage_messages_in_flight_max);
    EXPECT_GT(messages, 5U);
    EXPECT_LT(messages, 40U) << "small batches share a message";
}

TEST_F(Usage, ABoxThatWasCopiedIsRefusedAndShown) {
    const std::vector<Node*> tiers = tree_.chain(2);
    Node& center = *tiers[0];
    Node& local = *tiers[1];
    local.close();
    std::filesystem::copy(local.state, tree_.folder("copy"),
                          std::filesystem::copy_options::recursive);
    local.open();
    tree_.settle();
    tree_.cut(local);
    ASSERT_TRUE(tree_.link(local));
    Ring ring(1);
    ring.use(tree_, 5);
    ring.harvest(local);
    tree_.pass_s(3);
    EXPECT_EQ(ledger_of(center).at("center"), 5U);
    // The other box, with the same keys and the same past.
    tree_.cut(local);
    local.close();
    const std::string kept = local.state;
    std::filesystem::rename(local.state, tree_.folder("original"));
    std::filesystem::rename(tree_.folder("copy"), local.state);
    local.open();
    ASSERT_TRUE(tree_.link(local));
    Ring other(9);
    other.use(tree_, 3, "porter");
    other.harvest(local);
    tree_.pass_s(3);
    EXPECT_EQ(ledger_of(center).at("center"), 5U) << "nothing of it is believed";
    const Json forks = member(usage_of(center), "forks");
    ASSERT_EQ(forks.size(), 1U);
    EXPECT_THAT(text_of(forks[0], "tier"), HasSubstr("/center"));
    EXPECT_THAT(center.errors(), testing::Contains(HasSubstr("two boxes run with its key")));
    const Json mine = usage_of(local);
    EXPECT_THAT(text_of(member(mine, "streams")[0], "stopped"), HasSubstr("contradicts"));
    EXPECT_EQ(int_of(mine, "unsent_events"), 3) << "kept, not lost";
}

TEST_F(Usage, ACorruptOrTruncatedBatchIsRefusedAndNothingIsLost) {
    const std::vector<Node*> tiers = tree_.chain(2);
    Ring ring(1);
    ring.use(tree_, 4);
    ring.harvest(*tiers[1]);
    tree_.pass_s(3);
    const auto sent = std::find_if(tree_.crossed.rbegin(), tree_.crossed.rend(), [](auto& c) {
        return text_of(c.head, "t") == "usage" && !c.body.empty();
    });
    ASSERT_NE(sent, tree_.crossed.rend());
    const Crossed good = *sent;
    const auto answer_to = [&](const Json& head, const std::string& body) {
        Json question = head;
        question["q"] = 777'777;
        tree_.forge(*tiers[1], question, body);
        for (const Crossed& c : tree_.crossed) {
            if (int_of(c.head, "q") == 777'777 && text_of(c.head, "t") == "re") {
                const Json found = c.head;
                tree_.crossed.clear();
                return text_of(member(found, "error"), "code");
            }
        }
        return std::string("no answer");
    };
    EXPECT_EQ(answer_to(good.head, good.body), "") << "the same again is confirmed again";
    for (std::size_t cut : {std::size_t{1}, good.body.size() / 2, good.body.size() - 1}) {
        EXPECT_EQ(answer_to(good.head, good.body.substr(0, cut)), "refused") << cut;
    }
    for (std::size_t at = 4; at < good.body.size(); at += 37) {
        std::string bad = good.body;
        bad[at] = static_cast<char>(bad[at] ^ 0x20);
        EXPECT_EQ(answer_to(good.head, bad), "refused") << at;
    }
    Json other = good.head;
    other["tier"] = "hasp://clinics/upper/osaka";
    EXPECT_EQ(answer_to(other, good.body), "refused") << "another tier's usage";
    other = good.head;
    other["epoch"] = 2;
    EXPECT_EQ(answer_to(other, good.body), "refused") << "an epoch that was never given";
    EXPECT_EQ(answer_to(good.head, std::string(usage_message_bytes_max + 1, 'x')), "refused");
    EXPECT_EQ(ledger_of(*tiers[0]).at("center"), 4U);
    ring.use(tree_, 2);
    ring.harvest(*tiers[1]);
    tree_.pass_s(3);
    EXPECT_EQ(ledger_of(*tiers[0]).at("center"), 6U);
}

TEST_F(Usage, AFullDiskLeavesRecordsInTheRingAndIsSaidUntilThereIsRoom) {
    Node& center = tree_.top();
    Ring ring(1);
    ring.use(tree_, 2);
    ASSERT_EQ(ring.harvest(center), 2U);
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
    const auto old = std::signal(SIGXFSZ, SIG_IGN);
    rlimit full = before;
    full.rlim_cur = 4096;
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &full), 0);
    ring.use(tree_, 500);
    EXPECT_EQ(ring.harvest(center), 0U);
    EXPECT_EQ(ring.harvest(center), 0U);
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
    std::signal(SIGXFSZ, old);
    EXPECT_THAT(text_of(usage_of(center), "failing"), testing::Not(testing::IsEmpty()));
    EXPECT_EQ(ledger_of(center).at("center"), 2U);
    EXPECT_EQ(ring.harvest(center), 500U);
    EXPECT_EQ(text_of(usage_of(center), "failing"), "");
    EXPECT_EQ(ledger_of(center).at("center"), 502U);
}

TEST_F(Usage, WhatAFullRingLostIsCountedOnceAndSigned) {
    const std::vector<Node*> tiers = tree_.chain(2);
    Ring ring(1);
    ring.place.dropped = 5;
    ring.use(tree_, 1);
    ring.harvest(*tiers[1]);
    tree_.restart(*tiers[1]);
    ring.place.dropped = 8;
    ring.use(tree_, 1);
    ring.harvest(*tiers[1]);
    tree_.pass_s(3);
    EXPECT_EQ(int_of(usage_of(*tiers[1]), "dropped"), 8);
    auto db = store::Db::open(tiers[0]->state + "/ledger.db");
    auto store = billing::open_sqlite_ledger_store(**db, "clinics");
    EXPECT_EQ((*store)->chains()->back().dropped, 8U);
}

TEST_F(Usage, OfFrontIsBelievedOnlyWhereItMakesSense) {
    Node& center = tree_.top();
    Ring ring(1);
    ring.use(tree_, 3);
    ring.waiting[0].time_us = -1;
    ring.waiting[1].kind = billing::UsageKind::app_start; // the keeper's own to tell
    EXPECT_EQ(ring.harvest(center), 3U);
    EXPECT_EQ(ledger_of(center).at("center"), 1U);
    EXPECT_EQ(int_of(usage_of(center), "malformed"), 2);
    // In the third batch of a harvest: the two before it must not be kept twice.
    ring.use(tree_, 2500);
    ring.waiting[2100].user[39] = '\n';
    EXPECT_EQ(ring.harvest(center), 2500U);
    EXPECT_EQ(ledger_of(center).at("center"), 2500U);
    EXPECT_EQ(int_of(usage_of(center), "malformed"), 3);
    ring.use(tree_, 1);
    ring.waiting[0].peer[1] = 'x'; // behind the end of the empty name
    EXPECT_EQ(ring.harvest(center), 1U) << "what is left is nothing, and need not come again";
    EXPECT_EQ(ledger_of(center).at("center"), 2500U);
    EXPECT_EQ(int_of(usage_of(center), "malformed"), 4);
}

TEST_F(Usage, AnAppsStartIsDurableBeforeThoseWhoWaitHearOfIt) {
    Node& center = tree_.top();
    tree_.add_app(center, "calendar", {"center"}, {{"dataset", true}, {"home", "center"}});
    const auto started = [&](std::int64_t since_us) {
        std::optional<ipc::Frame> answer =
            center.ask({{"t", "start"}, {"app", "calendar"}, {"user", "nurse"}});
        EXPECT_FALSE(answer) << "it is not up yet";
        const std::map<std::string, std::size_t> before = ledger_of(center);
        center.keeper->on_spawner({dump({{"t", "event"},
                                         {"instance", center.process("calendar")},
                                         {"kind", "ready"},
                                         {"state", "ready"},
                                         {"since_us", since_us}}),
                                   {},
                                   {}});
        auto after = ledger_of(center);
        return after["center"] - (before.contains("center") ? before.at("center") : 0);
    };
    EXPECT_EQ(started(tree_.clock.wall_us() + 5), 1U);
    tree_.clock.advance_us(1'000'000);
    EXPECT_EQ(started(tree_.clock.wall_us() - 999'000), 0U) << "it was up already";
}

TEST_F(Usage, FrontIsToldWhetherAnAccountsHomeIsThisTier) {
    const std::vector<Node*> tiers = tree_.chain(2);
    tree_.add_user(*tiers[0], "nurse", "a good password");
    tree_.pass_s(15);
    for (Node* node : tiers) {
        const auto page = node->log_in("nurse", "a good password");
        ASSERT_TRUE(page && !page->cookie().empty()) << node->name;
        const auto frame = node->ask({{"t", "who"},
                                      {"kind", "cookie"},
                                      {"secret", page->cookie()},
                                      {"host", "portal.example"},
                                      {"client", "192.0.2.1"}});
        ASSERT_TRUE(frame);
        const Json answer = parse_object(frame->head);
        EXPECT_EQ(text_of(member(answer, "identity"), "user"), "nurse");
        EXPECT_EQ(true_of(answer, "home"), node == tiers[0]) << node->name;
    }
}

} // namespace
} // namespace hasp::maint::tests
