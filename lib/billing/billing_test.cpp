#include "billing/usage_ring.h"

#include <gtest/gtest.h>

#include <csignal>
#include <sys/wait.h>
#include <unistd.h>

namespace hasp::billing {
namespace {

constexpr std::array<std::uint8_t, 16> id{1, 2, 3};

UsageRing ring_of(std::uint32_t lanes, std::uint32_t records) {
    Result<Fd> fd = UsageRing::create(lanes, records, id);
    EXPECT_TRUE(fd.ok());
    Result<UsageRing> ring = UsageRing::map(fd->get());
    EXPECT_TRUE(ring.ok());
    return std::move(*ring);
}

// A record whose every field says the same number, so that a torn one shows.
UsageRecord numbered(std::uint64_t n) {
    UsageRecord record;
    record.time_us = static_cast<std::int64_t>(n);
    record.duration_us = static_cast<std::int64_t>(n);
    record.bytes_in = record.bytes_out = n;
    record.app.fill(static_cast<char>('a' + n % 26));
    record.user.fill(static_cast<char>('a' + n % 26));
    record.peer.fill(static_cast<char>('a' + n % 26));
    record.sid.fill(static_cast<std::uint8_t>(n));
    record.rid.fill(static_cast<std::uint8_t>(n));
    return record;
}
bool whole(const UsageRecord& record, std::uint64_t n) {
    const UsageRecord expected = numbered(n);
    return std::memcmp(&record, &expected, sizeof record) == 0;
}

TEST(UsageRing, GivesRecordsInOrderUntilTheyAreTaken) {
    UsageRing ring = ring_of(2, 8);
    UsageLane lane = ring.lane(1);
    for (std::uint64_t n = 0; n < 3; ++n) {
        EXPECT_TRUE(lane.write(numbered(n)));
    }
    EXPECT_TRUE(ring.peek(0).records.empty());
    EXPECT_EQ(ring.peek(1).records.size(), 3U);
    EXPECT_EQ(ring.peek(1).records.size(), 3U)
        << "a consumer that dies before take() sees them again";
    ring.take(1, 2);
    const UsageRing::Batch rest = ring.peek(1);
    EXPECT_EQ(rest.first, 2U);
    ASSERT_EQ(rest.records.size(), 1U);
    EXPECT_TRUE(whole(rest.records[0], 2));
    ring.take(1, 99);
    EXPECT_TRUE(ring.peek(1).records.empty());
}

TEST(UsageRing, AFullLaneCountsDropsAndNeverOverwrites) {
    UsageRing ring = ring_of(1, 4);
    UsageLane lane = ring.lane(0);
    for (std::uint64_t n = 0; n < 4; ++n) {
        EXPECT_TRUE(lane.write(numbered(n)));
    }
    EXPECT_FALSE(lane.write(numbered(4)));
    EXPECT_EQ(ring.dropped(0), 1U);
    EXPECT_TRUE(whole(ring.peek(0).records[0], 0));
    ring.take(0, 1);
    EXPECT_TRUE(lane.write(numbered(4)));
}

TEST(UsageRing, GoesRoundWithoutLosingAPosition) {
    UsageRing ring = ring_of(1, 8);
    UsageLane lane = ring.lane(0);
    std::uint64_t written = 0;
    std::uint64_t read = 0;
    for (int turn = 0; turn < 100; ++turn) {
        for (int i = 0; i < 5; ++i) {
            ASSERT_TRUE(lane.write(numbered(written++)));
        }
        while (true) {
            const UsageRing::Batch batch = ring.peek(0);
            if (batch.records.empty()) {
                break;
            }
            ASSERT_EQ(batch.first, read);
            for (const UsageRecord& record : batch.records) {
                ASSERT_TRUE(whole(record, read++));
            }
            ring.take(0, batch.records.size());
        }
    }
    EXPECT_EQ(read, written);
}

TEST(UsageRing, AProducerKilledAtAnyMomentLosesNoCommittedRecordAndTearsNone) {
    Result<Fd> fd = UsageRing::create(1, 1024, id);
    ASSERT_TRUE(fd.ok());
    Result<UsageRing> ring = UsageRing::map(fd->get());
    ASSERT_TRUE(ring.ok());
    std::uint64_t read = 0;
    for (int life = 0; life < 20; ++life) {
        int told[2];
        ASSERT_EQ(::pipe(told), 0);
        const pid_t child = ::fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            Result<UsageRing> mine = UsageRing::map(fd->get());
            UsageLane lane = mine->lane(0);
            // Goes on where its predecessor stopped: the next number is the ring's own count.
            for (std::uint64_t n = mine->peek(0).first + mine->peek(0).records.size();;) {
                if (lane.write(numbered(n))) {
                    ++n;
                    (void)!::write(told[1], "", n % 64 == 0 ? 1 : 0);
                }
            }
        }
        ::close(told[1]);
        char byte = 0;
        // Every life runs through a different number of records before it is killed in the middle
        // of its work.
        for (int i = 0; i <= life; ++i) {
            ASSERT_EQ(::read(told[0], &byte, 1), 1);
            const UsageRing::Batch batch = ring->peek(0);
            ASSERT_EQ(batch.first, read);
            for (const UsageRecord& record : batch.records) {
                ASSERT_TRUE(whole(record, read++));
            }
            ring->take(0, batch.records.size());
        }
        ::kill(child, SIGKILL);
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        ::close(told[0]);
        for (UsageRing::Batch batch = ring->peek(0); !batch.records.empty();
             batch = ring->peek(0)) {
            for (const UsageRecord& record : batch.records) {
                ASSERT_TRUE(whole(record, read++));
            }
            ring->take(0, batch.records.size());
        }
    }
    EXPECT_GT(read, 1000U);
}

TEST(UsageRing, RefusesADescriptorThatIsNoRing) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    EXPECT_EQ(UsageRing::map(ends[0]).error().code, Code::refused);
    ::close(ends[0]);
    ::close(ends[1]);
    EXPECT_EQ(UsageRing::create(0, 8, id).error().code, Code::usage);
    EXPECT_EQ(UsageRing::create(1, 9, id).error().code, Code::usage);
}

TEST(UsageRecord, NamesOfFortyCharactersFitAndLongerOnesAreCut) {
    UsageRecord record;
    set_name(record.app, std::string(40, 'x'));
    EXPECT_EQ(name_of(record.app), std::string(40, 'x'));
    set_name(record.app, std::string(50, 'y'));
    EXPECT_EQ(name_of(record.app), std::string(40, 'y'));
    set_name(record.app, "wiki");
    EXPECT_EQ(name_of(record.app), "wiki");
}

} // namespace
} // namespace hasp::billing
