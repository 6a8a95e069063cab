// What Bases promises on any disk: this machine's and the simulated one run the same.
#pragma once

#include "store/db.h"
#include "store/transaction.h"
#include "sync/bases.h"
#include "trust/hash.h"

#include <gtest/gtest.h>

namespace hasp::sync {

inline std::string hash_of(const std::string& content) {
    trust::Sha256 sum;
    sum.update(content);
    return sum.finish();
}

struct BasesChecks {
    Disk& disk;
    store::Db& db;
    FolderId anna{"anna", "wiki"};
    FolderId bo{"bo", "wiki"};
    // Neither shrinks much; the second has a file of its own.
    std::string small = "what stands in a small file";
    std::string large = std::string(base_small_bytes_max, 'l') + "and more";

    std::unique_ptr<Bases> open() {
        auto bases = std::make_unique<Bases>(db, disk, "kept", "realm");
        EXPECT_TRUE(bases->open().ok());
        return bases;
    }
    static void keep(Bases& bases, const FolderId& id, const std::string& content) {
        MemoryFile file(content);
        EXPECT_TRUE(bases.keep(id, hash_of(content), file, {}).ok());
        EXPECT_TRUE(bases.write().ok());
    }
    // Empty: it is not kept.
    static std::string found(Bases& bases, const FolderId& id, const std::string& content) {
        auto file = bases.find(id, hash_of(content));
        EXPECT_TRUE(file.ok());
        if (!file.ok() || *file == nullptr) {
            return "";
        }
        std::string out(content.size() + 10, '\0');
        out.resize((*file)->read(0, out).value_or(0));
        return out;
    }
    std::string file_of_large() {
        auto list = disk.list("kept");
        EXPECT_TRUE(list.ok() && list->size() == 1);
        return list.ok() && !list->empty() ? "kept/" + list->front().name : "";
    }

    void gives_back_what_was_kept_to_its_own_folder_alone() {
        auto bases = open();
        for (const std::string& content : {small, large}) {
            EXPECT_EQ(found(*bases, anna, content), "");
            keep(*bases, anna, content);
            EXPECT_TRUE(found(*bases, anna, content) == content);
            EXPECT_EQ(found(*bases, bo, content), "");
            auto again = open();
            EXPECT_TRUE(found(*again, anna, content) == content);
            ASSERT_TRUE(again->drop(anna, hash_of(content)).ok());
            EXPECT_EQ(found(*again, anna, content), "");
        }
        EXPECT_TRUE(disk.list("kept")->empty());
    }
    void takes_a_large_file_from_its_place() {
        auto bases = open();
        auto made = disk.create("given", 0600, {});
        ASSERT_TRUE(made.ok() && (*made)->write(large).ok());
        auto file = disk.open("given");
        ASSERT_TRUE(file.ok());
        ASSERT_TRUE(bases->keep(anna, hash_of(large), **file, {"given", true}).ok());
        ASSERT_TRUE(bases->write().ok());
        EXPECT_EQ(disk.stat("given").error().code, Code::not_found);
        EXPECT_TRUE(found(*bases, anna, large) == large);
        ASSERT_TRUE(bases->drop_all(anna).ok());
        EXPECT_EQ(bases->bytes().value_or(1), 0U);
        EXPECT_TRUE(disk.list("kept")->empty());
    }
    void gives_out_nothing_that_is_not_what_was_kept() {
        for (const bool restarted : {false, true}) {
            auto bases = open();
            keep(*bases, anna, small);
            keep(*bases, anna, large);
            auto more = disk.append(file_of_large(), large.size() - 1);
            ASSERT_TRUE(more.ok() && (*more)->write("E").ok());
            const std::string damage =
                "UPDATE sync_bases SET content = CAST(substr(content, 1, length(content) - 1) || "
                "x'00' AS BLOB) WHERE content NOT NULL";
            ASSERT_TRUE(db.run_script(damage).ok());
            if (restarted) {
                bases = open();
            }
            EXPECT_EQ(found(*bases, anna, small), "");
            EXPECT_EQ(found(*bases, anna, large), "");
            EXPECT_TRUE(disk.list("kept")->empty()) << "what does not hold is dropped";
        }
    }
    void forgets_a_user_in_all_his_folders() {
        auto bases = open();
        const FolderId other{"anna", "notes"};
        for (const FolderId& id : {anna, other, bo}) {
            keep(*bases, id, small);
            keep(*bases, id, large);
        }
        MemoryFile waits(large + "2");
        ASSERT_TRUE(bases->keep(anna, hash_of(large + "2"), waits, {}).ok());
        ASSERT_TRUE(bases->drop_user("anna").ok());
        ASSERT_TRUE(bases->write().ok());
        for (const std::string& content : {small, large, large + "2"}) {
            EXPECT_EQ(found(*bases, anna, content), "");
            EXPECT_EQ(found(*bases, other, content), "");
        }
        EXPECT_EQ(found(*bases, bo, small), small);
        EXPECT_TRUE(found(*bases, bo, large) == large);
        EXPECT_EQ(disk.list("kept")->size(), 1U);
    }
    void keeps_less_where_rows_cannot_be_written() {
        auto bases = open();
        keep(*bases, anna, "of before");
        const std::uint64_t before = bases->bytes().value_or(0);
        EXPECT_GT(before, 0U);
        const std::string full = "CREATE TRIGGER full BEFORE INSERT ON sync_bases BEGIN "
                                 "SELECT RAISE(ABORT, 'full'); END";
        ASSERT_TRUE(db.run_script(full).ok());
        MemoryFile large_file(large);
        ASSERT_TRUE(bases->keep(anna, hash_of(large), large_file, {}).ok());
        keep(*bases, anna, small);
        EXPECT_EQ(found(*bases, anna, small), "");
        EXPECT_EQ(found(*bases, anna, large), "");
        EXPECT_EQ(found(*bases, anna, "of before"), "of before");
        EXPECT_TRUE(disk.list("kept")->empty());
        EXPECT_EQ(bases->bytes().value_or(0), before);
        ASSERT_TRUE(db.run_script("DROP TRIGGER full").ok());
        bases = open();
        keep(*bases, anna, small);
        EXPECT_EQ(found(*bases, anna, small), small);
    }
    void knows_what_is_taken_when_a_transaction_around_it_was_undone() {
        auto bases = open();
        keep(*bases, anna, "of before");
        const std::uint64_t before = bases->bytes().value_or(0);
        for (const bool dropped : {false, true}) {
            {
                auto transaction = store::Transaction::begin(db);
                ASSERT_TRUE(transaction.ok());
                keep(*bases, anna, large);
                if (dropped) {
                    ASSERT_TRUE(bases->drop_all(anna).ok());
                    EXPECT_EQ(bases->bytes().value_or(1), 0U);
                } else {
                    EXPECT_GT(bases->bytes().value_or(0), large.size());
                }
            }
            EXPECT_EQ(bases->bytes().value_or(0), before);
        }
    }
    void keeps_within_its_bound_what_was_kept_last() {
        auto bases = open();
        ASSERT_TRUE(bases->set_bytes_max(large.size() + 5000).ok());
        keep(*bases, anna, large);
        keep(*bases, anna, small);
        keep(*bases, anna, large + "2");
        EXPECT_EQ(found(*bases, anna, large), "");
        EXPECT_EQ(found(*bases, anna, small), small);
        EXPECT_TRUE(found(*bases, anna, large + "2") == large + "2");
        EXPECT_LE(bases->bytes().value_or(~0ULL), large.size() + 5000);
        keep(*bases, anna, large + large);
        EXPECT_EQ(found(*bases, anna, large + large), "") << "larger than all that there may be";
        ASSERT_TRUE(bases->set_bytes_max(0).ok());
        EXPECT_EQ(found(*bases, anna, small), "");
        keep(*bases, anna, small);
        EXPECT_EQ(found(*bases, anna, small), "");
        EXPECT_EQ(bases->bytes().value_or(1), 0U);
    }
};

} // namespace hasp::sync
