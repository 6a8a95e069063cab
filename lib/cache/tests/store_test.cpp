#include "cache/store.h"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

namespace hasp::cache {
namespace {

constexpr std::uint64_t small = 256 * block_bytes; // 1 MiB

class StoredAnswers : public ::testing::Test {
  protected:
    StoredAnswers() : file_(::memfd_create("cache", MFD_CLOEXEC)) { limits_.bytes = small; }

    std::unique_ptr<Store> open(std::uint64_t id = 1) {
        auto store = Store::open(Fd(::dup(file_.get())), limits_, id);
        EXPECT_TRUE(store.ok());
        while ((*store)->recover(16)) {
        }
        return std::move(*store);
    }
    static EntryRef put(Store& store, std::uint64_t group, const std::string& label,
                        const std::string& body) {
        auto writer = store.writer();
        if (writer == nullptr || !writer->append(body)) {
            return nullptr;
        }
        return writer->commit(group, label);
    }
    static std::string body(Store& store, const EntryRef& entry) {
        std::string out;
        std::string piece;
        for (std::size_t i = 0; i < entry->pieces(); ++i) {
            if (!store.read(entry, i, piece)) {
                return "damaged";
            }
            out += piece;
        }
        return out;
    }
    static std::string only(Store& store, std::uint64_t group) {
        std::string label;
        const auto found = store.find(group);
        return found.size() == 1 && store.label(found.front(), label) ? label : std::string();
    }
    void scribble(std::uint64_t block, std::uint64_t offset = 100) {
        ASSERT_EQ(::pwrite(file_.get(), "!", 1, static_cast<off_t>(block * block_bytes + offset)),
                  1);
    }
    StoreLimits limits_{.bytes = small, .object_max = small / 2};
    Fd file_;
};

TEST_F(StoredAnswers, WhatWasCommittedIsFoundWithItsLabelAndItsBody) {
    const auto store = open();
    const std::string text(150'000, 'x');
    const EntryRef one = put(*store, 7, "label", text);
    ASSERT_NE(one, nullptr);
    EXPECT_EQ(one->body_bytes(), text.size());
    EXPECT_EQ(body(*store, one), text);
    EXPECT_EQ(only(*store, 7), "label");
    EXPECT_TRUE(store->find(8).empty());
    const EntryRef empty = put(*store, 9, "no body", "");
    ASSERT_NE(empty, nullptr);
    EXPECT_EQ(empty->pieces(), 0U);
}

TEST_F(StoredAnswers, AWriterThatIsGivenUpLeavesNothing) {
    const auto store = open();
    const std::uint64_t before = store->used_bytes();
    {
        auto writer = store->writer();
        EXPECT_TRUE(writer->append(std::string(100'000, 'x')));
    }
    EXPECT_EQ(store->used_bytes(), before);
    EXPECT_EQ(store->entries(), 0U);
}

TEST_F(StoredAnswers, WhatIsTooLargeIsRefusedAndCostsNothing) {
    const auto store = open();
    const std::uint64_t before = store->used_bytes();
    EXPECT_EQ(put(*store, 1, "label", std::string(small / 2 + 1, 'x')), nullptr);
    EXPECT_EQ(put(*store, 1, std::string(label_bytes_max + 1, 'x'), "body"), nullptr);
    EXPECT_EQ(store->used_bytes(), before);
}

TEST_F(StoredAnswers, TheOldestMakesRoomAndWhatWasUsedStays) {
    const auto store = open();
    const std::string text(80'000, 'x'); // 20 blocks, and 1 of the record
    for (std::uint64_t i = 0; i < 12; ++i) {
        ASSERT_NE(put(*store, i, "label", text), nullptr);
    }
    store->used(store->find(0).front());
    ASSERT_NE(put(*store, 12, "label", text), nullptr);
    EXPECT_EQ(store->find(0).size(), 1U);
    EXPECT_TRUE(store->find(1).empty());
    EXPECT_LE(store->used_bytes(), small);
    EXPECT_GT(store->evicted(), 0U);
}

TEST_F(StoredAnswers, AnEntryThatIsBeingReadKeepsItsBlocksWhenItIsDropped) {
    const auto store = open();
    const EntryRef held = put(*store, 1, "label", "held");
    store->drop(held);
    EXPECT_TRUE(store->find(1).empty());
    for (std::uint64_t i = 2; i < 400; ++i) {
        put(*store, i, "label", "another");
    }
    EXPECT_EQ(body(*store, held), "held");
}

TEST_F(StoredAnswers, ANewLabelKeepsTheBody) {
    const auto store = open();
    const EntryRef old = put(*store, 1, "old", "body");
    const EntryRef renewed = store->relabel(old, "new");
    ASSERT_NE(renewed, nullptr);
    EXPECT_EQ(only(*store, 1), "new");
    EXPECT_EQ(body(*store, renewed), "body");
}

// Another loop may have changed the page while the app was asked whether this answer still holds.
TEST_F(StoredAnswers, WhatWasDroppedMeanwhileIsNotKeptUnderANewLabel) {
    const auto store = open();
    const std::uint64_t before = store->used_bytes();
    EntryRef old = put(*store, 1, "old", "page");
    store->drop_group(1);
    EXPECT_EQ(store->relabel(old, "new"), nullptr);
    EXPECT_TRUE(store->find(1).empty());
    EXPECT_EQ(store->entries(), 0U);
    old.reset();
    EXPECT_EQ(store->used_bytes(), before);
    EXPECT_EQ(open()->entries(), 0U) << "nor by the process after this one";
}

TEST_F(StoredAnswers, AGroupIsBoundedAndDroppedAsAWhole) {
    limits_.group_max = 3;
    const auto store = open();
    for (int i = 0; i < 5; ++i) {
        put(*store, 1, "label " + std::to_string(i), "body");
    }
    EXPECT_EQ(store->find(1).size(), 3U);
    store->drop_group(1);
    EXPECT_TRUE(store->find(1).empty());
    EXPECT_EQ(store->entries(), 0U);
}

TEST_F(StoredAnswers, AnotherProcessFindsWhatTheLastOneStored) {
    {
        const auto store = open();
        put(*store, 1, "one", std::string(100'000, 'a'));
        put(*store, 2, "two", "b");
        store->drop(put(*store, 3, "three", "c"));
    }
    const auto store = open(2);
    EXPECT_EQ(store->entries(), 2U);
    EXPECT_EQ(only(*store, 1), "one");
    EXPECT_EQ(body(*store, store->find(1).front()), std::string(100'000, 'a'));
    EXPECT_EQ(only(*store, 2), "two");
    EXPECT_TRUE(store->find(3).empty());
    const std::uint64_t used = store->used_bytes();
    store->drop_group(1);
    EXPECT_LT(store->used_bytes(), used);
}

TEST_F(StoredAnswers, NothingIsFoundOrWrittenUntilAllWasLookedAt) {
    { put(*open(), 1, "one", "a"); }
    auto store = Store::open(Fd(::dup(file_.get())), limits_, 1);
    ASSERT_TRUE(store.ok());
    EXPECT_FALSE((*store)->ready());
    EXPECT_TRUE((*store)->find(1).empty());
    EXPECT_EQ((*store)->writer(), nullptr);
}

TEST_F(StoredAnswers, AByteThatChangedMakesAnAnswerMissing) {
    const auto store = open();
    const EntryRef one = put(*store, 1, "label", "a body"); // block 1; its record is block 2
    scribble(1, 2);
    EXPECT_EQ(body(*store, one), "damaged");
    EXPECT_TRUE(store->find(1).empty());
    const EntryRef two = put(*store, 2, std::string(2'000, 'l'), "");
    std::string label;
    for (std::uint64_t block = 1; block < 8; ++block) {
        scribble(block, 1'000);
    }
    EXPECT_FALSE(store->label(two, label));
    EXPECT_TRUE(store->find(2).empty());
}

// What a power cut leaves: any block as it was before.
TEST_F(StoredAnswers, ARecordWhoseBlocksWereGivenToAnotherIsNotTakenForIt) {
    std::string old(block_bytes, '\0');
    {
        const auto store = open();
        put(*store, 1, "old", "old body");
        ASSERT_EQ(::pread(file_.get(), old.data(), old.size(), 2 * block_bytes),
                  static_cast<ssize_t>(old.size()));
        store->drop_group(1);
        for (std::uint64_t i = 2; i < 500; ++i) {
            put(*store, i, "new", "new body");
        }
    }
    ASSERT_EQ(::pwrite(file_.get(), old.data(), old.size(), 2 * block_bytes),
              static_cast<ssize_t>(old.size()));
    const auto store = open();
    for (const EntryRef& one : store->find(1)) {
        EXPECT_EQ(body(*store, one), "damaged");
    }
}

TEST_F(StoredAnswers, AFileOfAnotherSizeOrContentBecomesAnEmptyStore) {
    { put(*open(), 1, "one", "a"); }
    limits_.bytes = 2 * small;
    EXPECT_EQ(open(5)->entries(), 0U);
    struct stat now {};
    ASSERT_EQ(::fstat(file_.get(), &now), 0);
    EXPECT_EQ(static_cast<std::uint64_t>(now.st_size), 2 * small);
    scribble(0, 3);
    EXPECT_EQ(open(6)->entries(), 0U);
}

TEST_F(StoredAnswers, AGroupIsTheSameUnderEveryMountAndNotForAnotherOwner) {
    const auto store = open();
    const std::uint64_t group = store->group_of("wiki", "/a", "");
    EXPECT_EQ(group, store->group_of("wiki", "/apps/wiki/a", "/apps/wiki"));
    EXPECT_NE(group, store->group_of("wiki", "/b", ""));
    EXPECT_NE(group, store->group_of("shop", "/a", ""));
    EXPECT_NE(group, store->group_of(group, "anna"));
    EXPECT_NE(store->group_of(group, "anna"), store->group_of(group, "bert"));
}

TEST_F(StoredAnswers, OneThatIsTooSmallIsRefused) {
    limits_.bytes = 10 * block_bytes;
    EXPECT_FALSE(Store::open(Fd(::dup(file_.get())), limits_, 1).ok());
}

TEST_F(StoredAnswers, WritersAreBounded) {
    limits_.writers_max = 2;
    const auto store = open();
    const auto one = store->writer();
    auto two = store->writer();
    EXPECT_EQ(store->writer(), nullptr);
    two.reset();
    EXPECT_NE(store->writer(), nullptr);
}

// For ThreadSanitizer, and so small that they push out each other's.
TEST_F(StoredAnswers, ThreadsThatShareItFindWholeAnswersOrNone) {
    const auto store = open();
    store->share();
    std::atomic<int> damaged{0};
    std::atomic<int> found{0};
    std::vector<std::thread> threads;
    for (std::uint64_t thread = 0; thread < 4; ++thread) {
        threads.emplace_back([&, thread] {
            for (std::uint64_t n = 0; n < 200; ++n) {
                const std::uint64_t group = (n * 7 + thread) % 16 + 1;
                const std::string text(20'000 + group * 4'000, static_cast<char>('a' + group));
                put(*store, group, "label " + std::to_string(group), text);
                for (const EntryRef& one : store->find(group % 16 + 1)) {
                    std::string label;
                    if (!store->label(one, label)) {
                        continue; // dropped by another meanwhile
                    }
                    const std::uint64_t of = group % 16 + 1;
                    const std::string whole(20'000 + of * 4'000, static_cast<char>('a' + of));
                    damaged += label == "label " + std::to_string(of) && body(*store, one) == whole
                                   ? 0
                                   : 1;
                    ++found;
                    store->used(one);
                }
                if (n % 10 == thread) {
                    store->drop_group(group);
                }
            }
        });
    }
    for (std::thread& one : threads) {
        one.join();
    }
    EXPECT_EQ(damaged, 0);
    EXPECT_GT(found, 0);
    for (std::uint64_t group = 1; group <= 16; ++group) {
        store->drop_group(group);
    }
    EXPECT_EQ(store->used_bytes(), block_bytes) << "every block came back but the first";
}

} // namespace
} // namespace hasp::cache
