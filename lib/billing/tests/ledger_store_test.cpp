// What every implementation of the ledger's store holds. A further one is one more entry of
// backends().
#include "billing/ledger_store.h"

#include "fixture.h"
#include "store/test_db.h"

#include <functional>

namespace hasp::billing::tests {
namespace {

class Backend {
  public:
    virtual ~Backend() = default;
    virtual LedgerStore& store() = 0;
    // As a restart of the keeper: made anew on what is on the disk.
    virtual void restart() = 0;
};

class Sqlite final : public Backend {
  public:
    Sqlite() { make(); }
    LedgerStore& store() override { return *store_; }
    void restart() override {
        store_.reset();
        db_.reopen();
        make();
    }

  private:
    void make() {
        auto made = open_sqlite_ledger_store(*db_, "clinics");
        ASSERT_TRUE(made.ok()) << made.error().message;
        store_ = *std::move(made);
    }
    store::TestDb db_;
    std::unique_ptr<LedgerStore> store_;
};

struct Named {
    const char* name;
    std::function<std::unique_ptr<Backend>()> make;
};
std::vector<Named> backends() {
    return {{"sqlite", [] { return std::make_unique<Sqlite>(); }}};
}

class Ledger : public testing::TestWithParam<Named> {
  protected:
    void SetUp() override {
        backend_ = GetParam().make();
        ASSERT_TRUE(store().open_chain(tokyo, "certificates").ok());
    }
    LedgerStore& store() { return backend_->store(); }
    Chain chain(const ChainKey& key = tokyo) {
        auto found = store().chain(key);
        EXPECT_TRUE(found.ok() && *found);
        return found.ok() && *found ? **found : Chain{};
    }
    Received receive(const std::vector<SealedBatch>& batches, const ChainKey& key = tokyo) {
        auto received = store().receive(key, batches, start_us + 7);
        EXPECT_TRUE(received.ok()) << received.error().message;
        return received.ok() ? *received : Received{};
    }
    std::vector<StoredBatch> all(const ChainKey& key = tokyo) {
        auto batches = store().batches_from(key, {}, 1 << 30);
        EXPECT_TRUE(batches.ok());
        return batches.ok() ? *batches : std::vector<StoredBatch>{};
    }
    static Code code(const Status& status) {
        EXPECT_FALSE(status.ok());
        return status.ok() ? Code::failed : status.error().code;
    }
    std::unique_ptr<Backend> backend_;
    Writer writer_;
};
INSTANTIATE_TEST_SUITE_P(Stores, Ledger, testing::ValuesIn(backends()),
                         [](const auto& one) { return std::string(one.param.name); });

TEST_P(Ledger, KeepsOwnBatchesWithTheRingsMarkInOneTransaction) {
    const std::vector<SealedBatch> batches{writer_.seal(3), writer_.seal(2)};
    const RingMark mark{std::string(16, 'r'), 1, 5, 4};
    ASSERT_TRUE(store().append(tokyo, batches, &mark, start_us).ok());
    backend_->restart();
    EXPECT_EQ(chain().head.at, (Position{1, 5}));
    EXPECT_EQ(chain().head.hash, batches[1].hash);
    EXPECT_EQ(chain().events, 5U);
    EXPECT_EQ(chain().certificates, "certificates");
    auto held = store().ring_mark(mark.ring, 1);
    ASSERT_TRUE(held.ok());
    EXPECT_EQ(held->position, 5U);
    EXPECT_EQ(held->dropped, 4U);
    EXPECT_EQ(store().ring_mark(mark.ring, 0)->position, 0U);
    ASSERT_EQ(all().size(), 2U);
    EXPECT_EQ(all()[1].batch.events, batches[1].events);
    EXPECT_EQ(all()[1].batch.header, batches[1].header);
}

TEST_P(Ledger, ABatchThatDoesNotContinueTheChainChangesNothing) {
    const SealedBatch first = writer_.seal(3);
    const SealedBatch second = writer_.seal(1);
    const RingMark mark{std::string(16, 'r'), 0, 1, 0};
    EXPECT_EQ(code(store().append(tokyo, std::vector{second}, &mark, start_us)), Code::conflict);
    EXPECT_EQ(code(store().append(tokyo, std::vector{first, first}, &mark, start_us)),
              Code::conflict);
    EXPECT_TRUE(all().empty());
    EXPECT_EQ(store().ring_mark(mark.ring, 0)->position, 0U);
    EXPECT_EQ(chain().events, 0U);
    EXPECT_EQ(
        code(store().append({"hasp://clinics/other", 1}, std::vector{first}, &mark, start_us)),
        Code::not_found);
}

TEST_P(Ledger, ANewRingForgetsTheOldOne) {
    const RingMark old_ring{std::string(16, 'a'), 0, 3, 0};
    const RingMark new_ring{std::string(16, 'b'), 0, 1, 0};
    ASSERT_TRUE(store().append(tokyo, std::vector{writer_.seal(3)}, &old_ring, start_us).ok());
    ASSERT_TRUE(store().append(tokyo, std::vector{writer_.seal(1)}, &new_ring, start_us).ok());
    EXPECT_EQ(store().ring_mark(old_ring.ring, 0)->position, 0U);
    EXPECT_EQ(store().ring_mark(new_ring.ring, 0)->position, 1U);
    const RingMark other_lane{new_ring.ring, 1, 2, 7};
    ASSERT_TRUE(store().append(tokyo, std::vector{writer_.seal(2)}, &other_lane, start_us).ok());
    EXPECT_EQ(store().ring_mark(new_ring.ring, 0)->position, 1U) << "the same ring's stay";
    EXPECT_EQ(store().ring_mark(new_ring.ring, 1)->dropped, 7U);
}

TEST_P(Ledger, AMarkWithoutBatchesMovesTheRingAndNotTheChain) {
    const SealedBatch first = writer_.seal(3);
    const RingMark mark{std::string(16, 'r'), 0, 3, 0};
    ASSERT_TRUE(store().append(tokyo, std::vector{first}, &mark, start_us).ok());
    const RingMark later{mark.ring, 0, 9, 1};
    ASSERT_TRUE(store().append(tokyo, {}, &later, start_us).ok());
    EXPECT_EQ(store().ring_mark(mark.ring, 0)->position, 9U);
    EXPECT_EQ(chain().head.hash, first.hash);
    EXPECT_EQ(code(store().append({"hasp://clinics/other", 1}, {}, &mark, start_us)),
              Code::not_found);
}

TEST_P(Ledger, AppendingGoesOnWithTheNextStreamAndWithNoOther) {
    const SealedBatch first = writer_.seal(3);
    ASSERT_TRUE(store().append(tokyo, std::vector{first}, nullptr, start_us).ok());
    const ChainHead head = writer_.head;
    writer_.stream = 3;
    EXPECT_EQ(code(store().append(tokyo, std::vector{writer_.seal(1)}, nullptr, start_us)),
              Code::conflict)
        << "a stream is missing between";
    writer_.head = {head.at, std::string(digest_bytes, 'x')};
    writer_.stream = 1;
    EXPECT_EQ(code(store().append(tokyo, std::vector{writer_.seal(1)}, nullptr, start_us)),
              Code::conflict)
        << "the right place behind another batch";
    writer_.head = head;
    writer_.stream = 2;
    const std::vector<SealedBatch> next{writer_.seal(2), writer_.seal(5)};
    ASSERT_TRUE(store().append(tokyo, next, nullptr, start_us).ok());
    EXPECT_EQ(chain().head.at, (Position{2, 7}));
    EXPECT_EQ(chain().events, 10U);
    std::uint64_t bytes = first.envelope.size() + first.events.size();
    for (const SealedBatch& batch : next) {
        bytes += batch.envelope.size() + batch.events.size();
    }
    EXPECT_EQ(chain().bytes, bytes);
}

TEST_P(Ledger, TakesWhatContinuesPassesOverWhatItHasAndAsksForWhatIsMissing) {
    std::vector<SealedBatch> batches;
    for (int i = 0; i < 4; ++i) {
        batches.push_back(writer_.seal(2));
    }
    EXPECT_EQ(receive({batches[0], batches[1]}).taken, 2U);
    const Received again = receive({batches[0], batches[1], batches[2]});
    EXPECT_EQ(again.taken, 1U);
    EXPECT_EQ(again.last, Verdict::next);
    const Received known = receive({batches[0], batches[1], batches[2]});
    EXPECT_EQ(known.taken, 0U);
    EXPECT_EQ(known.last, Verdict::again);
    EXPECT_EQ(known.want, (Position{1, 6}));
    EXPECT_EQ(known.head_hash, batches[2].hash);
    writer_.stream = 2;
    const Received ahead = receive({writer_.seal(1)});
    EXPECT_EQ(ahead.last, Verdict::fork)
        << "its prev is not what we have: a start that skipped one";
    EXPECT_EQ(all().size(), 3U);
    EXPECT_EQ(chain().events, 6U);
}

TEST_P(Ledger, AForkIsRefusedAndKeptToBeSeen) {
    const SealedBatch ours = writer_.seal(2);
    receive({ours});
    Writer copy;
    const SealedBatch theirs = copy.seal({record("cal", "porter")});
    const Received forked = receive({theirs});
    EXPECT_EQ(forked.last, Verdict::fork);
    EXPECT_EQ(forked.taken, 0U);
    EXPECT_EQ(receive({theirs}).last, Verdict::fork);
    backend_->restart();
    auto forks = store().forks();
    ASSERT_TRUE(forks.ok());
    ASSERT_EQ(forks->size(), 1U);
    EXPECT_EQ(forks->front().chain, tokyo);
    EXPECT_EQ(forks->front().at, (Position{1, 0}));
    EXPECT_EQ(forks->front().hash, theirs.hash);
    ASSERT_EQ(all().size(), 1U);
    EXPECT_EQ(all()[0].batch.events, ours.events);
    EXPECT_EQ(receive({writer_.seal(1)}).last, Verdict::next) << "the chain itself goes on";
    for (std::int64_t i = 0; i < forks_kept_max + 5; ++i) {
        Writer another;
        EXPECT_EQ(receive({another.seal({record("cal", "u" + std::to_string(i))})}).last,
                  Verdict::fork);
    }
    EXPECT_EQ(store().forks()->size(), static_cast<std::size_t>(forks_kept_max));
}

TEST_P(Ledger, WhatIsUnsentIsKnownWithoutCountingIt) {
    std::vector<SealedBatch> batches{writer_.seal(2), writer_.seal(3)};
    writer_.stream = 2;
    batches.push_back(writer_.seal(4));
    ASSERT_TRUE(store().append(tokyo, batches, nullptr, start_us).ok());
    EXPECT_EQ(*store().oldest_unsent_us(), start_us);
    ASSERT_TRUE(store().acked(tokyo, {1, 2}, "word").ok());
    EXPECT_EQ(chain().acked_events, 2U);
    ASSERT_TRUE(store().acked(tokyo, {1, 5}, "word").ok());
    ASSERT_TRUE(store().acked(tokyo, {1, 2}, "old word").ok());
    EXPECT_EQ(chain().acked, (Position{1, 5}));
    EXPECT_EQ(chain().acked_events, 5U);
    auto rest = store().batches_from(tokyo, chain().acked, 1 << 20);
    ASSERT_TRUE(rest.ok());
    ASSERT_EQ(rest->size(), 1U);
    EXPECT_EQ(rest->front().batch.header.stream, 2U);
    ASSERT_TRUE(store().acked(tokyo, {2, 4}, "word").ok());
    EXPECT_EQ(chain().acked_bytes, chain().bytes);
    EXPECT_EQ(*store().oldest_unsent_us(), 0);
    EXPECT_EQ(code(store().acked(tokyo, {2, 5}, "word")), Code::refused) << "more than there is";
}

TEST_P(Ledger, AMessageHoldsAsManyBatchesAsFitAndAtLeastOne) {
    std::vector<SealedBatch> batches;
    for (int i = 0; i < 5; ++i) {
        batches.push_back(writer_.seal(1));
    }
    ASSERT_TRUE(store().append(tokyo, batches, nullptr, start_us).ok());
    const std::size_t one = batches[0].envelope.size() + batches[0].events.size();
    EXPECT_EQ(store().batches_from(tokyo, {}, 1)->size(), 1U);
    EXPECT_EQ(store().batches_from(tokyo, {}, 3 * one)->size(), 3U);
    EXPECT_EQ(store().batches_from(tokyo, {1, 3}, 1 << 20)->size(), 2U);
}

TEST_P(Ledger, AScanFindsEachBatchThatMayHoldTheTimeChainByChain) {
    const ChainKey osaka{"hasp://clinics/center/osaka", 1};
    Writer other(osaka);
    ASSERT_TRUE(store().open_chain(osaka, "").ok());
    ASSERT_TRUE(
        store().append(tokyo, std::vector{writer_.seal(10), writer_.seal(10)}, nullptr, 0).ok());
    ASSERT_TRUE(store().append(osaka, std::vector{other.seal(10)}, nullptr, 0).ok());
    std::vector<std::string> seen;
    const auto note = [&](const StoredBatch& b) -> Status {
        seen.push_back(b.chain.tier.substr(b.chain.tier.rfind('/') + 1) +
                       std::to_string(b.batch.header.first));
        return {};
    };
    ASSERT_TRUE(store().scan(start_us, start_us + 100 * second_us, note).ok());
    EXPECT_EQ(seen, (std::vector<std::string>{"osaka0", "tokyo0", "tokyo10"}));
    seen.clear();
    ASSERT_TRUE(store().scan(start_us + 11 * second_us, start_us + 12 * second_us, note).ok());
    EXPECT_EQ(seen, (std::vector<std::string>{"tokyo10"}));
    const Status stopped = store().scan(0, start_us * 2, [](const StoredBatch&) -> Status {
        return fail(Code::partial, "enough");
    });
    EXPECT_EQ(code(stopped), Code::partial);
}

TEST_P(Ledger, DaysAreCountedWithTheBatches) {
    const std::int64_t midnight = start_us / (86400 * second_us) * 86400 * second_us;
    ASSERT_TRUE(store()
                    .append(tokyo,
                            std::vector{writer_.seal({record("wiki", "nurse", midnight - 1),
                                                      record("wiki", "nurse", midnight)}),
                                        writer_.seal({record("wiki", "nurse", midnight + 1,
                                                             UsageKind::app_start)})},
                            nullptr, 0)
                    .ok());
    auto days = store().days(tokyo);
    ASSERT_TRUE(days.ok());
    ASSERT_EQ(days->size(), 2U);
    EXPECT_EQ((*days)[0].requests, 1U);
    EXPECT_EQ((*days)[1].requests, 1U);
    EXPECT_EQ((*days)[1].app_starts, 1U);
    EXPECT_EQ((*days)[1].bytes_out, 4000U);
}

TEST_P(Ledger, ATariffThatWasSetNeverChanges) {
    const TariffRow row{"2026", start_us, "text", start_us};
    ASSERT_TRUE(store().put_tariff(row).ok());
    ASSERT_TRUE(store().put_tariff(row).ok());
    TariffRow other = row;
    other.text = "other";
    EXPECT_EQ(code(store().put_tariff(other)), Code::conflict);
    other.version = "2025";
    other.effective_from_us = start_us - 1;
    ASSERT_TRUE(store().put_tariff(other).ok());
    auto rows = store().tariffs();
    ASSERT_TRUE(rows.ok());
    ASSERT_EQ(rows->size(), 2U);
    EXPECT_EQ(rows->front().version, "2025");
    EXPECT_EQ(rows->back().text, "text");
}

TEST_P(Ledger, APeriodIsClosedOnceAndNeverOverAnother) {
    const ClosedPeriod november{.from_us = 100,
                                .to_us = 200,
                                .name = "november",
                                .tariff = "2026",
                                .number = 0,
                                .closed_us = 300,
                                .horizon = {{tokyo, {2, 9}}},
                                .missing = "[]"};
    ASSERT_TRUE(store().close(november, {{"nurse", "n"}, {"anna", "a"}}).ok());
    EXPECT_EQ(code(store().close(november, {{"nurse", "other"}})), Code::conflict);
    ClosedPeriod other = november;
    other.from_us = 199;
    other.to_us = 299;
    EXPECT_EQ(code(store().close(other, {})), Code::conflict);
    other.from_us = 200;
    ASSERT_TRUE(store().close(other, {}).ok()) << "half-open: they may touch";
    backend_->restart();
    auto periods = store().periods();
    ASSERT_TRUE(periods.ok());
    ASSERT_EQ(periods->size(), 2U);
    EXPECT_EQ((*periods)[0].horizon, november.horizon);
    EXPECT_EQ((*periods)[1].number, 2);
    const std::vector<std::pair<std::string, std::string>> kept{{"anna", "a"}, {"nurse", "n"}};
    EXPECT_EQ(*store().invoices(100), kept);
}

} // namespace
} // namespace hasp::billing::tests
