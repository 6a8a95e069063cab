#include "billing/batch.h"

#include "base/random.h"
#include "base/text.h"
#include "billing/numbering.h"
#include "fixture.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>

namespace hasp::billing::tests {
namespace {

// The examples of PROTOCOL.md.
constexpr const char* golden_events =
    "00030477696b69056e75727365056f73616b6100015151515151515151515151515151515100020301000080"
    "80f28183898506dc0b00000102000011111111111111111111111111111111010210c801a0c21edc0b0ad00f"
    "0102030122222222222222222222222222222222";
constexpr const char* golden_header =
    "0100000000000000010000000000000001000000000000000000000002000000000000000000000000000000"
    "000000000000000000000000000000000000060a24181e400000060a24181e400000060a2418221090000000"
    "00000000030000006cd34fa1852b40bfbb3b5074b85b468d1cd604aa7620e564c1ffb067419184cc84";
constexpr const char* golden_hash =
    "c4f111eba0d6973072504973ac675fbd91a8c3644c28f5271b577b5688b24ccf";

std::vector<UsageRecord> decoded(const std::string& bytes) {
    std::vector<UsageRecord> out;
    const Status read = decode_events(bytes, [&](std::size_t, const Event& e) {
        UsageRecord r;
        r.kind = e.kind;
        r.served = e.served;
        r.flags = e.flags;
        r.status = e.status;
        r.time_us = e.time_us;
        r.duration_us = e.duration_us;
        r.bytes_in = e.bytes_in;
        r.bytes_out = e.bytes_out;
        set_name(r.app, e.app);
        set_name(r.user, e.user);
        set_name(r.peer, e.peer);
        std::memcpy(r.sid.data(), e.sid.data(), 16);
        std::memcpy(r.rid.data(), e.rid.data(), 16);
        out.push_back(r);
    });
    EXPECT_TRUE(read.ok()) << read.error().message;
    return out;
}

bool same(const UsageRecord& a, const UsageRecord& b) {
    return std::memcmp(&a, &b, sizeof a) == 0;
}

TEST(UsageBatch, EventsComeBackAsTheyWere) {
    SeededRandom random(7);
    std::vector<UsageRecord> records;
    for (std::size_t i = 0; i < batch_events_max; ++i) {
        UsageRecord r = record("app" + std::to_string(random.below(1000)),
                               "u" + std::to_string(random.below(9)),
                               static_cast<std::int64_t>(random.below(1ULL << 62)));
        r.kind = static_cast<UsageKind>(1 + random.below(3));
        r.served = static_cast<Served>(1 + random.below(3));
        r.duration_us = static_cast<std::int64_t>(random.u64() >> (1 + random.below(63)));
        r.bytes_in = random.u64() >> (1 + random.below(63));
        r.bytes_out = random.u64() >> (1 + random.below(63));
        random.fill(r.sid.data(), random.below(2) * 16);
        set_name(r.peer, i % 3 == 0 ? "osaka" : "");
        records.push_back(r);
        ASSERT_TRUE(sensible(r));
    }
    const std::string bytes = encode_events(records).value();
    const std::vector<UsageRecord> again = decoded(bytes);
    ASSERT_EQ(again.size(), records.size());
    for (std::size_t i = 0; i < records.size(); ++i) {
        ASSERT_TRUE(same(again[i], records[i])) << i;
    }
    EXPECT_EQ(encode_events(again).value(), bytes);
}

TEST(UsageBatch, AThousandEventsWithoutACommonNameStayBelowTheLimit) {
    std::vector<UsageRecord> records;
    for (std::size_t i = 0; i < batch_events_max; ++i) {
        UsageRecord r = record(std::string(35, 'a') + std::to_string(10000 + i),
                               std::string(35, 'b') + std::to_string(10000 + i),
                               static_cast<std::int64_t>(i % 2) * ((1LL << 62) + 1));
        set_name(r.peer, std::string(35, 'c') + std::to_string(10000 + i));
        r.duration_us = std::numeric_limits<std::int64_t>::max();
        r.bytes_in = r.bytes_out = static_cast<std::uint64_t>(r.duration_us);
        std::memcpy(r.sid.data(), &i, sizeof i);
        r.sid[15] = 1;
        records.push_back(r);
    }
    const std::string bytes = encode_events(records).value();
    EXPECT_LE(bytes.size(), batch_bytes_max);
    EXPECT_EQ(decoded(bytes).size(), records.size());
}

TEST(UsageBatch, TheBytesAreThoseOfTheProtocol) {
    UsageRecord start = record("wiki", "nurse", start_us, UsageKind::app_start);
    UsageRecord request = record("wiki", "nurse", start_us + 250'000);
    request.served = Served::parent;
    request.rid.fill(0x22);
    set_name(request.peer, "osaka");
    start.rid.fill(0x11);
    start.sid.fill(0);
    start.flags = 0;
    start.status = 0;
    start.bytes_in = start.bytes_out = 0;
    const std::string events = encode_events(std::vector<UsageRecord>{start, request}).value();
    EXPECT_EQ(to_hex(events), golden_events);

    Writer writer;
    const SealedBatch batch = writer.seal({start, request}, 3);
    EXPECT_EQ(to_hex(encode_header(batch.header)), golden_header);
    EXPECT_EQ(to_hex(batch.hash), golden_hash);
    auto header = decode_header(encode_header(batch.header));
    ASSERT_TRUE(header.ok());
    EXPECT_EQ(*header, batch.header);
}

TEST(UsageBatch, NothingButTheOneSpellingIsRead) {
    const std::string good =
        encode_events(std::vector<UsageRecord>{record("wiki", "nurse"), record("cal", "nurse")})
            .value();
    const auto refused = [](std::string bytes) {
        const Status read = decode_events(bytes, [](std::size_t, const Event&) {});
        return !read.ok() && read.error().code == Code::refused;
    };
    for (std::size_t cut = 0; cut < good.size(); ++cut) {
        EXPECT_TRUE(refused(good.substr(0, cut))) << cut;
    }
    EXPECT_TRUE(refused(good + '\0'));
    std::string twice = good;
    twice.replace(twice.find("cal"), 3, "wik");
    EXPECT_FALSE(refused(twice)) << "another name is another text";
    std::string odd = good;
    odd[odd.find("cal")] = '\n';
    EXPECT_TRUE(refused(odd));
    // The first event's varint of its flags, one byte longer than it need be.
    std::string padded = good;
    const std::size_t flags = good.size() - (good.size() - good.find(std::string{1, 1}, 14));
    padded.replace(flags + 2, 1, std::string{static_cast<char>(0x90), 0});
    EXPECT_TRUE(refused(padded));
}

TEST(UsageBatch, ARecordThatMakesNoSenseIsNotBelieved) {
    EXPECT_TRUE(sensible(record("wiki", "nurse")));
    UsageRecord r = record("wiki", "nurse");
    r.time_us = -1;
    EXPECT_FALSE(sensible(r));
    r = record("wiki", "nurse");
    r.kind = static_cast<UsageKind>(9);
    EXPECT_FALSE(sensible(r));
    r = record("wiki", "nurse");
    r.app[6] = 'x'; // behind the end of the name
    EXPECT_FALSE(sensible(r));
    r = record("wi ki", "nurse");
    EXPECT_FALSE(sensible(r));
}

TEST(Numbering, GivesEachDifferentKeyItsNumberInTheOrderOfFirstComing) {
    SeededRandom random(3);
    constexpr std::size_t keys_max = 500;
    using Three = Numbering<3, keys_max>;
    Three numbering;
    std::map<Three::Key, std::size_t> expected;
    while (expected.size() < keys_max) {
        // Keys that differ in one byte only, in the high one of a word or the low.
        Three::Key key{7, 7, 7};
        key[random.below(3)] ^= random.below(256) << (8 * random.below(8));
        const auto [held, fresh] = expected.emplace(key, expected.size());
        const auto number = numbering.of(key.data());
        ASSERT_EQ(number.value, held->second);
        ASSERT_EQ(number.fresh, fresh);
    }
    EXPECT_EQ(numbering.size(), keys_max);
    for (const auto& [key, number] : expected) {
        EXPECT_EQ(numbering.key(number), key);
        EXPECT_FALSE(numbering.of(key.data()).fresh);
    }
}

TEST(UsageBatch, ManyRecordsAreHeldToTheSameAsOne) {
    SeededRandom random(5);
    std::size_t refused = 0;
    for (int turn = 0; turn < 300; ++turn) {
        std::vector<UsageRecord> records;
        for (int i = 0; i < 30; ++i) {
            UsageRecord r = record("app" + std::to_string(random.below(3)),
                                   "user-of-a-long-name-" + std::to_string(random.below(20)));
            set_name(r.peer, random.below(2) == 0 ? "osaka" : "");
            if (random.below(50) == 0) {
                auto& field = random.below(2) == 0 ? r.peer : r.user;
                field[random.below(40)] = static_cast<char>(random.below(256));
            }
            if (random.below(100) == 0) {
                r.bytes_in = ~std::uint64_t{0};
            }
            records.push_back(r);
        }
        const bool good = std::all_of(records.begin(), records.end(), sensible);
        const auto encoded = encode_events(records);
        ASSERT_EQ(encoded.ok(), good);
        if (good) {
            ASSERT_EQ(decoded(*encoded).size(), records.size());
        } else {
            EXPECT_EQ(encoded.error().code, Code::refused);
            ++refused;
        }
    }
    EXPECT_GT(refused, 100U);
    EXPECT_LT(refused, 280U);
}

TEST(UsageBatch, NothingMovesOrIsSignedWhenARecordMakesNoSense) {
    Writer writer;
    writer.seal(2);
    const ChainHead before = writer.head;
    UsageRecord bad = record("wiki", "nurse");
    bad.peer[39] = 'x';
    Crypto crypto = test_crypto();
    crypto.sign = [](const BatchHeader&, std::string_view) -> Result<std::string> {
        ADD_FAILURE() << "signed";
        return std::string();
    };
    const auto sealed = seal_batch(writer.head, 1, 1, std::vector{record("wiki", "nurse"), bad}, 0,
                                   start_us, crypto);
    ASSERT_FALSE(sealed.ok());
    EXPECT_EQ(sealed.error().code, Code::refused);
    EXPECT_EQ(writer.head.at, before.at);
    EXPECT_EQ(writer.head.hash, before.hash);
}

TEST(UsageBatch, AHeaderIsBoundToItsEventsAndCountsThem) {
    Writer writer;
    const SealedBatch batch = writer.seal(3);
    const std::string header = encode_header(batch.header);
    auto good = check_batch(header, batch.envelope, batch.events, writer.crypto);
    ASSERT_TRUE(good.ok()) << good.error().message;
    EXPECT_EQ(good->hash, batch.hash);
    EXPECT_EQ(good->days, batch.days);
    EXPECT_EQ(batch.days.at(0).requests, 3U);
    std::string other = batch.events;
    other.back() ^= 1;
    EXPECT_FALSE(check_batch(header, batch.envelope, other, writer.crypto).ok());
    BatchHeader lying = batch.header;
    lying.count = 2;
    EXPECT_FALSE(
        check_batch(encode_header(lying), batch.envelope, batch.events, writer.crypto).ok());
    lying = batch.header;
    lying.to_us += 1;
    EXPECT_FALSE(
        check_batch(encode_header(lying), batch.envelope, batch.events, writer.crypto).ok());
    EXPECT_FALSE(decode_header(header.substr(1)).ok());
    EXPECT_FALSE(decode_header(header + "x").ok());
}

TEST(UsageBatch, AChainGoesOnOverRestartsAndShowsWhatIsNotItsOwn) {
    Writer writer;
    const SealedBatch first = writer.seal(2);
    const ChainHead after_first = writer.head;
    const SealedBatch second = writer.seal(3);
    EXPECT_EQ(second.header.first, 2U);
    EXPECT_EQ(second.header.prev, first.hash);
    writer.stream = 2;
    const SealedBatch third = writer.seal(1);
    EXPECT_EQ(third.header.first, 0U);
    EXPECT_EQ(third.header.prev, second.hash);

    const auto verdict = [](const ChainHead& head, const SealedBatch& b, const std::string& held) {
        return judge(head, b.header, b.hash, held);
    };
    EXPECT_EQ(verdict({}, first, ""), Verdict::next);
    EXPECT_EQ(verdict({}, second, ""), Verdict::ahead);
    EXPECT_EQ(verdict(after_first, first, first.hash), Verdict::again);
    EXPECT_EQ(verdict(after_first, first, second.hash), Verdict::fork);
    EXPECT_EQ(verdict(after_first, first, ""), Verdict::fork) << "it begins inside another batch";
    EXPECT_EQ(verdict(after_first, third, ""), Verdict::fork)
        << "the next start does not continue what we have";
    Writer copied;
    copied.head = after_first;
    const SealedBatch other = copied.seal({record("cal", "nurse")});
    EXPECT_EQ(verdict(writer.head, other, second.hash), Verdict::fork);
}

} // namespace
} // namespace hasp::billing::tests
