#include "billing/rating.h"

#include "base/clock.h"
#include "base/random.h"
#include "billing/closing.h"
#include "fixture.h"
#include "json_tools.h"
#include "store/test_db.h"

#include <gmock/gmock.h>

#include <algorithm>

namespace hasp::billing::tests {
namespace {

using testing::HasSubstr;

const std::string center = "hasp://clinics/center";

const std::string tariff_text = R"([tariff]
version = "2023"
currency = "EUR"
effective_from = "2023-01-01"
[[price]]
line = "Wiki"
per = "request"
rate = "0.0125"
tax = "19"
apps = ["wiki"]
[[price]]
line = "Other apps"
per = "request"
rate = "0.005"
tax = "7"
[[price]]
line = "Starts"
per = "app_start"
rate = "0.105"
tax = "19"
[[price]]
line = "Users"
per = "active_user"
rate = "2.50"
)";

Tariff tariff() {
    auto parsed = parse_tariff(tariff_text, "tariff");
    EXPECT_TRUE(parsed.ok()) << parsed.error().message;
    return *std::move(parsed);
}

std::string invoices_of(const std::vector<EventRun>& runs, const CountRules& rules) {
    const Tariff t = tariff();
    const auto counted = count_usage(t, rules, runs);
    EXPECT_TRUE(counted.ok());
    const auto invoices =
        make_invoices(rules.tier, {rules.from_us, rules.to_us, "p"}, t, *counted, {}, {});
    EXPECT_TRUE(invoices.ok());
    std::string out;
    for (const Invoice& invoice : *invoices) {
        out += encode_invoice(invoice) + "\n";
    }
    return out;
}

TEST(Rating, AddsUpExactlyAsAPersonWould) {
    std::vector<UsageRecord> records;
    for (int i = 0; i < 7; ++i) {
        records.push_back(record("wiki", "nurse", start_us + i));
    }
    for (int i = 0; i < 3; ++i) {
        records.push_back(record("cal", "nurse", start_us + i));
    }
    records.push_back(record("cal", "nurse", start_us + 9, UsageKind::app_start));
    records.push_back(record("cal", "nurse", start_us + 9, UsageKind::websocket));
    records.push_back(record("wiki", "", start_us, UsageKind::app_start));
    const std::string events = encode_events(records).value();
    const Tariff t = tariff();
    const CountRules rules{center, start_us, start_us + hour_us, {}};
    const auto counted = count_usage(t, rules, {{tokyo, {1, 0}, events}});
    ASSERT_TRUE(counted.ok());
    const auto invoices =
        make_invoices(center, {rules.from_us, rules.to_us, "p"}, t, *counted, {}, {});
    ASSERT_TRUE(invoices.ok());
    ASSERT_EQ(invoices->size(), 1U) << "what nobody caused, nobody pays";
    const Invoice& invoice = invoices->front();
    ASSERT_EQ(invoice.lines.size(), 4U);
    EXPECT_EQ(invoice.lines[0].amount, 9);   // 7 × 1.25 = 8.75
    EXPECT_EQ(invoice.lines[1].amount, 2);   // 3 × 0.5 = 1.5
    EXPECT_EQ(invoice.lines[2].amount, 11);  // 10.5
    EXPECT_EQ(invoice.lines[3].amount, 250); // once
    ASSERT_EQ(invoice.taxes.size(), 2U);
    EXPECT_EQ(invoice.taxes[0].base, 20);
    EXPECT_EQ(invoice.taxes[0].amount, 4); // 3.8: once for both lines, not 1.71 + 2.09
    EXPECT_EQ(invoice.taxes[1].amount, 0); // 0.14
    EXPECT_EQ(invoice.net, 272);
    EXPECT_EQ(invoice.total, 276);
}

TEST(Rating, CountsEachRequestOnceAcrossTiers) {
    // Served above and metered twice: where it was served, and by its home on the way.
    UsageRecord here = record("wiki", "nurse");
    UsageRecord passed = record("wiki", "nurse");
    passed.served = Served::parent;
    const std::string served = encode_events(std::vector<UsageRecord>{here}).value();
    const std::string by_home = encode_events(std::vector<UsageRecord>{passed}).value();
    const ChainKey at_center{center, 1};
    const CountRules rules{center, 0, start_us * 2, {}};
    const CountRules of_tokyo{tokyo.tier, 0, start_us * 2, {}};
    const Tariff t = tariff();
    const std::vector<EventRun> both{{at_center, {1, 0}, served}, {tokyo, {1, 0}, by_home}};
    EXPECT_EQ(count_usage(t, rules, both)->at("nurse")[0], 1U) << "the center served it";
    EXPECT_EQ(count_usage(t, of_tokyo, {{tokyo, {1, 0}, by_home}})->at("nurse")[0], 1U)
        << "its home knows of it too";
}

TEST(Rating, APeriodIsHalfOpen) {
    const std::string events =
        encode_events(std::vector<UsageRecord>{record("wiki", "nurse", start_us - 1),
                                               record("wiki", "nurse", start_us),
                                               record("wiki", "nurse", start_us + hour_us - 1),
                                               record("wiki", "nurse", start_us + hour_us)})
            .value();
    const Tariff t = tariff();
    const CountRules rules{center, start_us, start_us + hour_us, {}};
    EXPECT_EQ(count_usage(t, rules, {{tokyo, {1, 0}, events}})->at("nurse")[0], 2U);
}

// One history of events, cut into batches and given in every way that it may come.
TEST(Rating, NoOrderRepetitionOrBatchingChangesAByteOfAnInvoice) {
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        SeededRandom random(seed);
        std::map<ChainKey, std::map<std::uint64_t, std::vector<UsageRecord>>> streams;
        const char* apps[] = {"wiki", "cal", "fossil"};
        for (int i = 0; i < 400; ++i) {
            const ChainKey chain{random.below(3) == 0 ? center : tokyo.tier, 1 + random.below(2)};
            UsageRecord r =
                record(apps[random.below(3)], "u" + std::to_string(random.below(5)),
                       start_us + static_cast<std::int64_t>(random.below(100)) * hour_us,
                       static_cast<UsageKind>(1 + random.below(3)));
            r.served = random.below(4) == 0 ? Served::parent : Served::here;
            streams[chain][1 + random.below(3)].push_back(r);
        }
        const CountRules rules{center, start_us + 10 * hour_us, start_us + 80 * hour_us, {}};
        std::string expected;
        for (int way = 0; way < 6; ++way) {
            std::vector<std::string> kept;
            std::vector<EventRun> runs;
            kept.reserve(2000);
            for (const auto& [chain, by_stream] : streams) {
                for (const auto& [stream, records] : by_stream) {
                    // Boundaries anew each time, and overlapping pieces of it once more.
                    for (int pass = 0; pass < (way == 0 ? 1 : 2); ++pass) {
                        for (std::size_t at = 0; at < records.size();) {
                            const std::size_t size = std::min<std::size_t>(
                                records.size() - at, 1 + random.below(way == 0 ? 1000 : 20));
                            kept.push_back(
                                encode_events(std::span(records).subspan(at, size)).value());
                            runs.push_back({chain, {stream, at}, kept.back()});
                            at += size;
                        }
                    }
                }
            }
            for (std::size_t i = runs.size(); way > 0 && i > 1; --i) {
                std::swap(runs[i - 1], runs[random.below(i)]);
            }
            const std::string text = invoices_of(runs, rules);
            if (way == 0) {
                expected = text;
                EXPECT_THAT(text, HasSubstr("\"user\":\"u0\""));
            }
            ASSERT_EQ(text, expected) << "seed " << seed << " way " << way;
        }
    }
}

class Bills : public testing::Test {
  protected:
    Bills() {
        auto made = open_sqlite_ledger_store(*db_, "clinics");
        EXPECT_TRUE(made.ok());
        store_ = *std::move(made);
        EXPECT_TRUE(store_->put_tariff({"2023", 0, tariff_text, 0}).ok());
        EXPECT_TRUE(store_->open_chain(tokyo, "").ok());
    }
    void use(const std::vector<UsageRecord>& records) {
        EXPECT_TRUE(
            store_->append(tokyo, std::vector{writer_.seal(records)}, nullptr, now_us_).ok());
    }
    Result<Bill> close(const std::string& text, std::int64_t now_us, bool keep = true) {
        auto asked = asked_period(*store_, text);
        if (!asked.ok()) {
            return asked.error();
        }
        auto bill = make_bill(*store_, center, *asked, {}, now_us);
        if (bill.ok() && keep) {
            if (Status kept = close_bill(*store_, *bill); !kept.ok()) {
                return kept.error();
            }
        }
        return bill;
    }
    Verified verify() {
        auto verified = verify_ledger(
            *store_, center,
            [](const Chain&, const std::string& envelope) { return opened(envelope); },
            writer_.crypto);
        EXPECT_TRUE(verified.ok());
        return verified.ok() ? *verified : Verified{};
    }
    static Code code(const Result<Bill>& bill) {
        EXPECT_FALSE(bill.ok());
        return bill.ok() ? Code::failed : bill.error().code;
    }

    store::TestDb db_;
    std::unique_ptr<LedgerStore> store_;
    Writer writer_;
    std::int64_t now_us_ = start_us;
    // start_us is 2023-11-14T22:13:20Z
    std::int64_t december_us_ = parse_date("2023-12-01", 0).value();
    std::int64_t january_us_ = parse_date("2024-01-01", 0).value();
    std::int64_t february_us_ = parse_date("2024-02-01", 0).value();
};

TEST_F(Bills, APeriodIsClosedOnceAndNothingChangesTheSecondTime) {
    use({record("wiki", "nurse"), record("wiki", "anna")});
    EXPECT_EQ(code(close("2023-11", december_us_ - 1)), Code::try_later) << "it has not ended";
    ASSERT_TRUE(close("2023-11", december_us_, false).ok());
    EXPECT_TRUE(store_->periods()->empty()) << "looked at, not closed";
    ASSERT_TRUE(close("2023-11", december_us_).ok());
    const auto before = *store_->invoices(parse_date("2023-11-01", 0).value());
    ASSERT_EQ(before.size(), 2U);
    use({record("wiki", "nurse")});
    EXPECT_EQ(code(close("2023-11", december_us_)), Code::conflict);
    EXPECT_EQ(code(close("2023-11-30T00:00:00Z/2023-12-02T00:00:00Z", january_us_)),
              Code::conflict);
    EXPECT_EQ(*store_->invoices(parse_date("2023-11-01", 0).value()), before);
    EXPECT_EQ(code(close("2022-11", december_us_)), Code::not_found) << "no tariff was in force";
    EXPECT_EQ(code(close("soon", december_us_)), Code::usage);
}

TEST_F(Bills, WhatComesLateGoesOntoTheNextInvoiceAndIsNeverLostNorTakenTwice) {
    use({record("wiki", "nurse"), record("wiki", "nurse")}); // 2 × 1.25 = 2.5 → 3
    ASSERT_TRUE(close("2023-11", december_us_).ok());
    // One of November comes after the close: 3 × 1.25 = 3.75 → 4 in all.
    use({record("wiki", "nurse"), record("wiki", "nurse", december_us_ + 5),
         record("wiki", "anna", december_us_ - 5)});
    auto december = close("2023-12", january_us_);
    ASSERT_TRUE(december.ok()) << december.error().message;
    EXPECT_EQ(december->late, std::vector<std::string>{"2023-11"});
    ASSERT_EQ(december->invoices.size(), 2U);
    const Invoice& nurse = december->invoices[1];
    ASSERT_EQ(nurse.lines.size(), 3U);
    EXPECT_EQ(nurse.lines[2].period, "2023-11");
    EXPECT_EQ(nurse.lines[2].quantity, 1);
    EXPECT_EQ(nurse.lines[2].amount, 1) << "4 less the 3 that were billed";
    const Invoice& anna = december->invoices[0];
    ASSERT_EQ(anna.lines.size(), 2U) << "a request, and that she was active at all";
    EXPECT_EQ(anna.lines[1].amount, 250);
    auto third = close("2024-01", february_us_);
    ASSERT_TRUE(third.ok());
    EXPECT_TRUE(third->invoices.empty()) << "nothing is billed again";
    const Verified verified = verify();
    EXPECT_EQ(verified.invoices, 3U);
    EXPECT_TRUE(verified.findings.empty())
        << verified.findings[0].where << verified.findings[0].what;
}

TEST_F(Bills, ALineIsExplainedByItsBatchesAndEvents) {
    use({record("wiki", "nurse"), record("cal", "nurse"), record("wiki", "anna")});
    use({record("wiki", "nurse", start_us + 1)});
    ASSERT_TRUE(close("2023-11", december_us_).ok());
    use({record("wiki", "nurse", start_us + 2)}); // late: not of that invoice
    const auto period = closed_period(*store_, "2023-11");
    ASSERT_TRUE(period.ok());
    const auto behind = explain(*store_, center, *period, "nurse", 1);
    ASSERT_TRUE(behind.ok()) << behind.error().message;
    EXPECT_EQ(behind->count, 2U);
    ASSERT_EQ(behind->batches.size(), 2U);
    EXPECT_EQ(behind->batches[0].count, 3U);
    EXPECT_EQ(behind->batches[0].of_line, 1U);
    ASSERT_EQ(behind->events.size(), 2U);
    EXPECT_EQ(behind->events[1].at, (Position{1, 3}));
    EXPECT_EQ(explain(*store_, center, *period, "nurse", 9).error().code, Code::not_found);
    EXPECT_EQ(explain(*store_, center, *period, "porter", 1).error().code, Code::not_found);
    ASSERT_TRUE(close("2023-12", january_us_).ok());
    const auto next = closed_period(*store_, "2023-12");
    const auto late = explain(*store_, center, *next, "nurse", 1);
    ASSERT_TRUE(late.ok());
    EXPECT_EQ(late->count, 1U);
    EXPECT_EQ(late->events[0].at, (Position{1, 4}));
}

TEST_F(Bills, APlantedCorruptionIsFoundAndNamed) {
    use({record("wiki", "nurse"), record("cal", "nurse")});
    use({record("wiki", "nurse", start_us + 1)});
    use({record("wiki", "nurse", start_us + 2)});
    ASSERT_TRUE(close("2023-11", december_us_).ok());
    EXPECT_TRUE(verify().findings.empty());
    const auto planted = [&](const std::string& sql, const std::string& where) {
        ASSERT_TRUE(db_->run_script("SAVEPOINT planted").ok());
        ASSERT_TRUE(db_->run_script(sql).ok()) << sql;
        const Verified verified = verify();
        EXPECT_THAT(verified.findings,
                    testing::Contains(testing::Field(&Finding::where, HasSubstr(where))))
            << sql;
        ASSERT_TRUE(db_->run_script("ROLLBACK TO planted; RELEASE planted").ok());
    };
    // A byte of an event, a number beside it, a signature, a batch gone, the end cut off.
    planted("UPDATE billing_batches SET events = CAST(substr(events, 1, 10) || x'00' || "
            "substr(events, 12) AS BLOB) WHERE first = 2",
            "tokyo epoch 1 stream 1 event 2");
    planted("UPDATE billing_batches SET header = CAST(x'01' || substr(header, 2, 100) || x'ff' || "
            "substr(header, 103) AS BLOB) WHERE first = 0",
            "tokyo epoch 1 stream 1 event 0");
    planted("UPDATE billing_batches SET envelope = CAST(substr(envelope, 1, length(envelope) - 1) "
            "|| x'00' AS BLOB) WHERE first = 3",
            "tokyo epoch 1 stream 1 event 3");
    planted("DELETE FROM billing_batches WHERE first = 2", "tokyo epoch 1 stream 1 event 3");
    planted("DELETE FROM billing_batches WHERE first = 3", "tokyo epoch 1");
    planted("UPDATE billing_days SET requests = requests + 1", "tokyo epoch 1");
    planted("UPDATE billing_invoices SET text = replace(text, '\"quantity\":3', '\"quantity\":2')",
            "invoice of nurse for 2023-11");
    planted("DELETE FROM billing_invoices", "invoice of nurse for 2023-11");
    EXPECT_TRUE(verify().findings.empty()) << "and all is as it was";
}

TEST_F(Bills, ATariffBelongsToThePeriodsThatBeginUnderIt) {
    std::string dearer = tariff_text;
    dearer.replace(dearer.find("2023"), 4, "2024");
    dearer.replace(dearer.find("2023-01-01"), 10, "2023-12-01");
    dearer.replace(dearer.find("0.0125"), 6, "1.0000");
    ASSERT_TRUE(store_->put_tariff({"2024", december_us_, dearer, 1}).ok());
    use({record("wiki", "nurse"), record("wiki", "nurse", december_us_)});
    auto november = close("2023-11", december_us_);
    auto december = close("2023-12", january_us_);
    ASSERT_TRUE(november.ok() && december.ok());
    EXPECT_EQ(november->invoices[0].lines[0].amount, 1);
    EXPECT_EQ(december->invoices[0].lines[0].amount, 100);
    EXPECT_EQ(december->invoices[0].tariff, "2024");
}

} // namespace
} // namespace hasp::billing::tests
