// Contents that are called by their chunks.
#include "content_suite.h"
#include "store/transaction.h"
#include "sync/chunks.h"
#include "sync/difference.h"
#include "trust/hash.h"

namespace hasp::sync {

namespace {

constexpr std::size_t chunked_mib = std::size_t{1} << 20;

std::string name_of(const std::string& content) {
    MemoryFile file(content);
    return identify(file, true).value().hash;
}

std::string chunked_difference(const std::string& before, const std::string& now) {
    MemoryFile base(before);
    MemoryFile file(now);
    std::string out;
    EXPECT_TRUE(make_difference(base, file, [&out](std::string_view bytes) {
                    out.append(bytes);
                    return Status{};
                }).ok());
    return out;
}

} // namespace

Status ContentSuite::keep_chunked(const std::string& content) {
    MemoryFile file(content);
    Status staged = store_->stage("anna", name_of(content), pull_from(file), content.size());
    return staged ? keep("anna", {}, "p", {name_of(content)}) : staged;
}

Status ContentSuite::edit_chunked(const std::string& before, const std::string& now,
                                  const std::string& as) {
    auto basis = store_->read("anna", name_of(before));
    if (!basis) {
        return basis.error();
    }
    MemoryFile difference(chunked_difference(before, now));
    bool applied = false;
    const std::string name = as.empty() ? name_of(now) : as;
    Status staged = store_->stage_difference("anna", name, name_of(before), **basis,
                                             pull_from(difference), now.size(), applied);
    return staged ? keep("anna", {}, "p", {name}) : staged;
}

std::int64_t ContentSuite::chunk_lists() {
    return db_
        ->first("SELECT COUNT(*) FROM contents WHERE substr(hash, 1, 1) = x'02'",
                [](const store::Statement& s) { return s.integer(0); })
        .value()
        .value();
}

TEST_P(ContentSuite, KeepsLargeContentsUnderTheNameByTheirChunks) {
    std::string now = random(3 * chunked_mib);
    ASSERT_TRUE(keep_chunked(now).ok());
    EXPECT_EQ(chunk_lists(), 1);
    for (int edit = 0; edit < 12; ++edit) {
        const std::string before = now;
        now.insert((edit * 377'777U) % now.size(), random(700));
        now.resize(now.size() - 100);
        const std::uint64_t unsealed = store_->unsealed();
        ASSERT_TRUE(edit_chunked(before, now).ok()) << edit;
        if (edit < 6) { // then it is of more parts than it may be, and is written whole
            EXPECT_LT(store_->unsealed() - unsealed, 12U) << edit;
        }
        EXPECT_EQ(read("anna", name_of(now)), now);
        EXPECT_EQ(read("anna", name_of(before)), before);
        if (edit % 5 == 4) {
            start();
        }
    }
    EXPECT_EQ(chunk_lists(), 13);
    EXPECT_TRUE(store_->has("anna", name_of(now)).value());
    EXPECT_FALSE(store_->has("anna", trust::sha256(now)).value()) << "it is not called so here";
    EXPECT_FALSE(store_->has("bert", name_of(now)).value());
}

TEST_P(ContentSuite, RefusesAContentUnderAFalseNameByChunks) {
    const std::string before = random(2 * chunked_mib);
    const std::string now = before + random(100);
    ASSERT_TRUE(keep_chunked(before).ok());
    MemoryFile file(now);
    EXPECT_EQ(
        store_->stage("anna", name_of(before + "x"), pull_from(file), now.size()).error().code,
        Code::refused);
    MemoryFile again(now);
    EXPECT_EQ(store_->stage("anna", name_of(now), pull_from(again), 600 * chunked_mib).error().code,
              Code::refused)
        << "of another size than it was announced";
    store_->drop_staged();
    EXPECT_EQ(edit_chunked(before, now, name_of(before + "x")).error().code, Code::refused);
    EXPECT_EQ(edit_chunked(before, now, name_of(before + "y")).error().code, Code::refused);
    const std::string small = random(1000);
    MemoryFile tiny(small);
    EXPECT_FALSE(store_->stage("anna", "\x01" + trust::sha256(small), pull_from(tiny), 1000).ok());
    store_->drop_staged();
    EXPECT_EQ(chunk_lists(), 1);
    EXPECT_EQ(read("anna", name_of(before)), before);
}

TEST_P(ContentSuite, DoesWithoutAListOfChunksThatIsGone) {
    const std::string before = random(2 * chunked_mib);
    const std::string now = "new" + before;
    ASSERT_TRUE(keep_chunked(before).ok());
    ASSERT_TRUE(db_->run_script("DELETE FROM contents WHERE substr(hash, 1, 1) = x'02'").ok());
    ASSERT_TRUE(edit_chunked(before, now).ok());
    EXPECT_EQ(read("anna", name_of(now)), now);
    EXPECT_EQ(chunk_lists(), 1) << "that of the edit";
}

TEST_P(ContentSuite, ForgetsTheListOfChunksWithItsContent) {
    const std::string before = random(2 * chunked_mib);
    const std::string now = before + "more";
    ASSERT_TRUE(keep_chunked(before).ok());
    ASSERT_TRUE(edit_chunked(before, now).ok());
    EXPECT_EQ(store_->other_name("anna", name_of(now)).value(), trust::sha256(now));
    EXPECT_EQ(store_->known_name("anna", trust::sha256(now)).value(), name_of(now));
    EXPECT_EQ(store_->known_name("anna", name_of(before)).value(), "");
    forget_versions("anna", name_of(now));
    drop("anna", name_of(now));
    EXPECT_EQ(chunk_lists(), 1);
    EXPECT_EQ(store_->known_name("anna", trust::sha256(now)).value(), "");
    EXPECT_EQ(read("anna", name_of(before)), before);
    forget_versions("anna", name_of(before));
    drop("anna", name_of(before));
    EXPECT_EQ(chunk_lists(), 0);
    EXPECT_EQ(kept_bytes(), 0U);
}

TEST_P(ContentSuite, AScrubKnowsBothNamesAndLists) {
    const std::string large = random(2 * chunked_mib);
    ASSERT_TRUE(keep("anna", {large, random(5000)}).ok());
    ASSERT_TRUE(keep_chunked(large).ok());
    ASSERT_TRUE(edit_chunked(large, "x" + large).ok());
    for (int steps = 0; store_->scrub_some(1).value(); ++steps) {
        ASSERT_LT(steps, 100);
    }
    EXPECT_EQ(store_->damaged_count().value(), 0U);
    EXPECT_EQ(chunk_lists(), 2);
    // A content that is sealed under a name that is not its own.
    ASSERT_TRUE(db_->run_script(
                       "UPDATE contents SET damaged = 0, file = (SELECT file FROM contents o WHERE "
                       "substr(o.hash, 1, 1) = x'01' LIMIT 1) WHERE substr(hash, 1, 1) = x'02'")
                    .ok());
    for (int steps = 0; store_->scrub_some(2).value(); ++steps) {
        ASSERT_LT(steps, 100);
    }
    EXPECT_EQ(chunk_lists(), 0) << "a list that is damaged is dropped and not told of";
    EXPECT_EQ(store_->damaged_count().value(), 0U);
}

} // namespace hasp::sync
