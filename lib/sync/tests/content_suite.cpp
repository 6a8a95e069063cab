#include "content_suite.h"

#include "base/text.h"
#include "store/transaction.h"
#include "trust/hash.h"

namespace hasp::sync {

namespace {
constexpr const char* temporary = "sync/home/tmp";

Pull pull(const std::string& content, std::size_t& at) {
    return [&content, &at](std::span<char> into) {
        const std::size_t part = std::min(into.size(), content.size() - at);
        std::copy_n(content.data() + at, part, into.data());
        at += part;
        return Result<std::size_t>(part);
    };
}
} // namespace

void ContentSuite::SetUp() {
    world_ = GetParam().make();
    start();
}

Status ContentSuite::try_start() {
    store_.reset();
    db_.reset();
    auto db = world_->open_db();
    if (!db) {
        return db.error();
    }
    db_ = *std::move(db);
    // Makes the tables.
    if (auto home = Home::open(*db_, world_->disk(), "clinics", clock_, random_); !home) {
        return home.error();
    }
    store_ = std::make_unique<ContentStore>(*db_, world_->disk(), random_, "clinics", temporary);
    return store_->open();
}

std::string ContentSuite::start_refused() {
    const Status started = try_start();
    return started.ok() ? "it starts" : code_name(started.error().code);
}

void ContentSuite::start() {
    const Status started = try_start();
    ASSERT_TRUE(started.ok()) << started.error().message;
}

Status ContentSuite::keep(const std::string& user, const std::vector<std::string>& contents,
                          const std::string& path, const std::vector<std::string>& staged) {
    std::vector<std::string> hashes = staged;
    for (const std::string& content : contents) {
        std::size_t at = 0;
        hashes.push_back(trust::sha256(content));
        if (Status put = store_->stage(user, hashes.back(), pull(content, at)); !put) {
            return put;
        }
    }
    for (const std::string& hash : hashes) {
        if (!path.empty()) {
            if (Status put = store::done(db_->execute(
                    "INSERT INTO files_versions (tenant, user, app, path, revision, kind, mode, "
                    "mtime_us, size, hash, target, operation, at_us, who) VALUES ('clinics', ?1, "
                    "'wiki', ?2, ?3, 1, 420, 0, 0, ?4, x'', '', 0, '')",
                    user, store::Blob{path}, ++revision_, store::Blob{hash}));
                !put) {
                return put;
            }
        }
    }
    if (Status kept = store_->keep_all(); !kept) {
        return kept;
    }
    auto transaction = store::Transaction::begin(*db_);
    Status done;
    if (auto recorded = transaction ? store_->record() : transaction.error(); !recorded) {
        done = recorded.error();
    }
    done = done ? transaction->commit() : done;
    if (done) {
        store_->recorded();
    }
    return done;
}

std::string ContentSuite::read(const std::string& user, const std::string& hash) {
    auto file = store_->read(user, hash);
    if (!file) {
        return "(" + std::string(code_name(file.error().code)) + ")";
    }
    std::string out;
    auto read = digest(**file, [&](std::string_view part) {
        out.append(part);
        return Status{};
    });
    return read ? out : "(" + std::string(code_name(read.error().code)) + ")";
}

std::string ContentSuite::bytes_of(const std::string& file) {
    auto opened = world_->disk().open(file);
    std::string out;
    if (opened) {
        out.resize(static_cast<std::size_t>((*opened)->stat().value().size));
        EXPECT_EQ((*opened)->read(0, out).value(), out.size());
    }
    return out;
}

void ContentSuite::put_bytes(const std::string& file, const std::string& bytes) {
    [[maybe_unused]] const Status gone = world_->disk().remove(file);
    auto made = world_->disk().create(file, 0600, {});
    ASSERT_TRUE(made.ok() && (*made)->write(bytes).ok());
}

std::vector<std::string> ContentSuite::files() {
    std::vector<std::string> out;
    const std::vector<DirEntry> folders = world_->disk().list(contents_folder).value();
    for (const DirEntry& folder : folders) {
        const std::string path = std::string(contents_folder) + "/" + folder.name;
        if (path == contents_lost_folder) {
            continue;
        }
        const std::vector<DirEntry> inside = world_->disk().list(path).value();
        for (const DirEntry& file : inside) {
            out.push_back(path + "/" + file.name);
        }
    }
    return out;
}

void ContentSuite::forget_versions(const std::string& user, const std::string& hash) {
    ASSERT_TRUE(db_->execute("DELETE FROM files_versions WHERE user = ?1 AND hash = ?2", user,
                             store::Blob{hash})
                    .ok());
}

void ContentSuite::drop(const std::string& user, const std::string& hash) {
    forget_versions(user, hash);
    auto transaction = store::Transaction::begin(*db_);
    ASSERT_TRUE(transaction.ok() && store_->drop_unneeded(user, hash).ok() &&
                transaction->commit().ok());
}

std::size_t ContentSuite::legacy_blobs() {
    std::size_t out = 0;
    auto folders = world_->disk().list(legacy_folder);
    for (const DirEntry& folder : folders ? *folders : std::vector<DirEntry>{}) {
        out += world_->disk().list(std::string(legacy_folder) + "/" + folder.name)->size();
    }
    return out;
}

void ContentSuite::put_legacy(const std::string& content) {
    const std::string hex = to_hex(trust::sha256(content));
    const std::string folder = "blobs/" + hex.substr(0, 2);
    ASSERT_TRUE(make_folders(world_->disk(), folder).ok());
    std::string packed;
    Compressor compressor([&](std::string_view more) {
        packed.append(more);
        return Status{};
    });
    ASSERT_TRUE(compressor.write(content).ok() && compressor.finish().ok());
    put_bytes(folder + "/" + hex.substr(2), packed);
}

Result<bool> ContentSuite::take_over() {
    return store_->take_over_some([this](const std::vector<ContentStore::Damaged>& healed) {
        healed_ += healed.size();
        return Status{};
    });
}

std::string ContentSuite::random(std::size_t size) {
    return random_.bytes(size);
}

TEST_P(ContentSuite, GivesBackWhatWasKeptFromAnyByteOn) {
    std::vector<std::string> contents{"", "a", "some text, some text, some text"};
    for (const std::size_t size :
         {std::size_t{131'071}, std::size_t{131'072}, std::size_t{131'073}, std::size_t{1'048'576},
          std::size_t{1'048'577}, std::size_t{2'500'000}}) {
        contents.push_back(random(size));
        contents.push_back(std::string(size, 'x') + random(100));
    }
    ASSERT_TRUE(keep("anna", contents).ok());
    start();
    for (const std::string& content : contents) {
        const std::string hash = trust::sha256(content);
        ASSERT_TRUE(store_->has("anna", hash).value());
        EXPECT_EQ(read("anna", hash), content) << content.size();
        auto file = store_->read("anna", hash);
        ASSERT_TRUE(file.ok());
        EXPECT_EQ((*file)->stat()->size, content.size());
        for (std::size_t at = 0; at <= content.size() + 1; at += 130'001) {
            std::string part(150'000, '?');
            part.resize((*file)->read(at, part).value());
            EXPECT_EQ(part, at < content.size() ? content.substr(at, 150'000) : "") << at;
        }
    }
}

TEST_P(ContentSuite, PutsTheSmallContentsOfManyBatchesBehindOneAnother) {
    std::vector<std::string> all;
    for (int batch = 0; batch < 3; ++batch) {
        std::vector<std::string> contents;
        for (int i = 0; i < 50; ++i) {
            contents.push_back(std::to_string(batch) + " " + std::to_string(i));
        }
        ASSERT_TRUE(keep("anna", contents).ok());
        all.insert(all.end(), contents.begin(), contents.end());
    }
    EXPECT_EQ(files().size(), 1U);
    ASSERT_TRUE(keep("anna", {random(small_content_bytes_max + 1)}).ok());
    EXPECT_EQ(files().size(), 2U);
    for (const std::string& content : all) {
        EXPECT_EQ(read("anna", trust::sha256(content)), content);
    }
}

TEST_P(ContentSuite, KeepsNothingReadableOnTheDisk) {
    const std::string text = "the diagnosis of a patient";
    ASSERT_TRUE(keep("anna", {text, text + std::string(2 << 20, 'x')}).ok());
    ASSERT_EQ(files().size(), 2U);
    for (const std::string& file : files()) {
        EXPECT_EQ(bytes_of(file).find(text), std::string::npos);
    }
}

TEST_P(ContentSuite, GivesAContentToNobodyElse) {
    ASSERT_TRUE(keep("anna", {"of anna", "of both"}).ok());
    ASSERT_TRUE(keep("bert", {"of both"}).ok());
    const std::string hash = trust::sha256("of anna");
    EXPECT_FALSE(store_->has("bert", hash).value());
    EXPECT_EQ(read("bert", hash), "(not_found)");
    // Kept for each by himself, and not the same bytes.
    drop("anna", trust::sha256("of both"));
    EXPECT_EQ(read("anna", trust::sha256("of both")), "(not_found)");
    EXPECT_EQ(read("bert", trust::sha256("of both")), "of both");
    // Nor where somebody changes the rows.
    ASSERT_TRUE(
        db_->execute("UPDATE contents SET user = 'bert' WHERE hash = ?1", store::Blob{hash}).ok());
    EXPECT_EQ(read("bert", hash), "(refused)");
}

TEST_P(ContentSuite, RefusesAContentThatHasAnotherHash) {
    for (const std::size_t size : {std::size_t{100}, std::size_t{2} << 20}) {
        const std::string content = random(size);
        const std::string hash = trust::sha256("something else");
        std::size_t at = 0;
        const Status staged = store_->stage("anna", hash, pull(content, at));
        ASSERT_FALSE(staged.ok());
        EXPECT_EQ(staged.error().code, Code::refused);
        EXPECT_FALSE(store_->staged("anna", hash));
    }
    ASSERT_TRUE(keep("anna", {"good"}).ok());
    EXPECT_EQ(read("anna", trust::sha256("good")), "good");
    EXPECT_EQ(files().size(), 1U);
}

TEST_P(ContentSuite, ForgetsWhatWasStagedAndNeverRecordedThoughNobodySaidSo) {
    ASSERT_TRUE(keep("anna", {"before"}).ok());
    const std::uint64_t size = bytes_of(files().front()).size();
    const std::string large = random(2 << 20);
    for (const std::string& content : {std::string("never counted"), large}) {
        std::size_t at = 0;
        ASSERT_TRUE(store_->stage("anna", trust::sha256(content), pull(content, at)).ok());
    }
    ASSERT_TRUE(store_->keep_all().ok());
    EXPECT_EQ(read("anna", trust::sha256(large)), large); // as a basis of others in its batch
    EXPECT_EQ(files().size(), 2U);
    start();
    EXPECT_EQ(files().size(), 1U);
    EXPECT_FALSE(store_->has("anna", trust::sha256("never counted")).value());
    // What never counted stays behind its end: it may have counted for a newer database.
    const std::uint64_t longer = bytes_of(files().front()).size();
    EXPECT_GT(longer, size);
    ASSERT_TRUE(keep("anna", {"behind"}).ok());
    EXPECT_EQ(bytes_of(files().front()).size(), longer);
    EXPECT_EQ(files().size(), 2U);
    EXPECT_EQ(read("anna", trust::sha256("before")), "before");
    EXPECT_EQ(read("anna", trust::sha256("behind")), "behind");
}

TEST_P(ContentSuite, KeepsNoContentThatLostAgainstAnother) {
    const std::string large = random(2 << 20);
    ASSERT_TRUE(keep("anna", {"lost", large}, "").ok());
    EXPECT_FALSE(store_->has("anna", trust::sha256("lost")).value());
    ASSERT_TRUE(store_->compact_some().ok());
    EXPECT_EQ(files().size(), 1U);
}

TEST_P(ContentSuite, NoticesEveryChangedAndEveryMissingByte) {
    const std::string content = "0123456789";
    ASSERT_TRUE(keep("anna", {content}).ok());
    const std::string file = files().front();
    const std::string good = bytes_of(file);
    for (std::size_t i = 0; i < good.size(); ++i) {
        std::string bent = good;
        bent[i] = static_cast<char>(bent[i] ^ 0x10);
        put_bytes(file, bent);
        EXPECT_EQ(read("anna", trust::sha256(content)), "(refused)") << i;
        put_bytes(file, good.substr(0, i));
        EXPECT_EQ(read("anna", trust::sha256(content)), "(refused)") << i;
    }
    // A disk that gives nothing says nothing of the content.
    ASSERT_TRUE(world_->disk().remove(file).ok());
    EXPECT_EQ(read("anna", trust::sha256(content)), "(failed)");
    put_bytes(file, good);
    EXPECT_EQ(read("anna", trust::sha256(content)), content);
}

TEST_P(ContentSuite, NoticesFramesThatChangedPlacesAndAFalseTable) {
    const std::string content = random(3 << 20);
    const std::string hash = trust::sha256(content);
    ASSERT_TRUE(keep("anna", {content}).ok());
    const std::string file = files().front();
    const std::string good = bytes_of(file);
    const std::size_t head = 36;
    const std::size_t frame = 131'072 + 17;
    std::string swapped = good;
    std::swap_ranges(swapped.begin() + head, swapped.begin() + head + frame,
                     swapped.begin() + head + frame);
    put_bytes(file, swapped);
    EXPECT_EQ(read("anna", hash), "(refused)");
    std::string repeated = good;
    std::copy_n(good.begin() + head, frame, repeated.begin() + head + frame);
    put_bytes(file, repeated);
    EXPECT_EQ(read("anna", hash), "(refused)");
    for (std::size_t i = good.size() - 24 * 8; i < good.size(); i += 3) {
        std::string bent = good;
        bent[i] = static_cast<char>(bent[i] ^ 0x81);
        put_bytes(file, bent);
        EXPECT_EQ(read("anna", hash), "(refused)") << i;
    }
    // A shorter content of the same frames is none.
    put_bytes(file, good);
    ASSERT_TRUE(db_->execute("UPDATE contents SET size = size - 131072").ok());
    EXPECT_EQ(read("anna", hash), "(refused)");
}

TEST_P(ContentSuite, TakesADamagedContentAgain) {
    ASSERT_TRUE(keep("anna", {"one", "two"}).ok());
    const std::string file = files().front();
    std::string bent = bytes_of(file);
    bent[50] = static_cast<char>(bent[50] ^ 1);
    put_bytes(file, bent);
    EXPECT_TRUE(store_->scrub_some(100).value());
    ASSERT_EQ(store_->damaged(10)->size(), 1U);
    EXPECT_EQ(store_->damaged_count().value(), 1U);
    EXPECT_EQ(store_->damaged(10)->front().hash, trust::sha256("one"));
    EXPECT_FALSE(store_->has("anna", trust::sha256("one")).value());
    EXPECT_EQ(read("anna", trust::sha256("one")), "(refused)");
    EXPECT_EQ(read("anna", trust::sha256("two")), "two");
    ASSERT_TRUE(keep("anna", {"one"}).ok());
    EXPECT_EQ(read("anna", trust::sha256("one")), "one");
    EXPECT_TRUE(store_->damaged(10)->empty());
}

TEST_P(ContentSuite, ReadsEverythingInStepsAndGoesOnWhereItWas) {
    std::vector<std::string> contents;
    for (int i = 0; i < 20; ++i) {
        contents.push_back(random(1 << 20));
    }
    ASSERT_TRUE(keep("anna", contents).ok());
    int steps = 0;
    while (store_->scrub_some(1000 + steps).value()) {
        ++steps;
        ASSERT_LT(steps, 10);
        start();
    }
    EXPECT_EQ(steps, 3); // of 8 MiB and a little
    EXPECT_EQ(store_->scrub()->ended_us, 1000 + steps);
    EXPECT_EQ(store_->scrub()->began_us, 0);
}

TEST_P(ContentSuite, ReadsALargeContentInStepsToo) {
    const std::string large = random(20 << 20);
    ASSERT_TRUE(keep("anna", {large, "small"}).ok());
    int steps = 0;
    while (store_->scrub_some(1000).value()) {
        ASSERT_LT(++steps, 10);
        start();
    }
    EXPECT_GE(steps, 3);
    EXPECT_EQ(store_->damaged_count().value(), 0U);
    const std::string file = files().front();
    std::string bent = bytes_of(file);
    ASSERT_GT(bent.size(), large.size());
    bent[18 << 20] = static_cast<char>(bent[18 << 20] ^ 1);
    put_bytes(file, bent);
    while (store_->scrub_some(2000).value()) {
        ASSERT_LT(++steps, 20);
    }
    EXPECT_EQ(store_->damaged(2)->at(0).hash, trust::sha256(large));
    EXPECT_EQ(read("anna", trust::sha256("small")), "small");
}

TEST_P(ContentSuite, DestroysAUsersContentsWithHisKey) {
    ASSERT_TRUE(keep("anna", {"of anna"}).ok());
    ASSERT_TRUE(keep("bert", {"of bert"}).ok());
    const std::string copy = bytes_of(files().front());
    auto transaction = store::Transaction::begin(*db_);
    ASSERT_TRUE(store_->destroy("anna").ok() && transaction->commit().ok());
    ASSERT_TRUE(store_->scour().ok());
    const std::string hash = trust::sha256("of anna");
    EXPECT_EQ(read("anna", hash), "(not_found)");
    EXPECT_EQ(read("bert", trust::sha256("of bert")), "of bert");
    // The same name begins with another key: what was kept does not open with it.
    ASSERT_TRUE(keep("anna", {"new"}).ok());
    ASSERT_TRUE(
        db_->execute("INSERT INTO contents VALUES ('clinics', 'anna', ?1, 1, 0, 60, 7, 0, 0)",
                     store::Blob{hash})
            .ok());
    EXPECT_EQ(read("anna", hash), "(refused)");
}

TEST_P(ContentSuite, OpensNothingWithoutTheTiersKey) {
    ASSERT_TRUE(keep("anna", {"of anna"}).ok());
    const std::string key = bytes_of(contents_key_file);
    EXPECT_EQ(world_->disk().stat(contents_key_file)->mode, 0600U);
    ASSERT_TRUE(world_->disk().remove(contents_key_file).ok());
    EXPECT_EQ(start_refused(), "refused");
    put_bytes(contents_key_file, "nothing of a key");
    EXPECT_EQ(start_refused(), "refused");
    put_bytes(contents_key_file, to_hex(random(32)) + "\n");
    EXPECT_EQ(start_refused(), "refused");
    put_bytes(contents_key_file, key);
    start();
    EXPECT_EQ(store_->damaged_count().value(), 0U);
    EXPECT_EQ(read("anna", trust::sha256("of anna")), "of anna");
}

TEST_P(ContentSuite, GivesBackTheRoomOfWhatIsNoLongerNeeded) {
    std::vector<std::string> contents;
    for (int i = 0; i < 120; ++i) {
        contents.push_back(random(900'000));
    }
    ASSERT_TRUE(keep("anna", contents).ok());
    ASSERT_EQ(files().size(), 2U); // the first segment is full
    for (std::size_t i = 0; i < contents.size(); ++i) {
        if (i % 4 != 0) {
            drop("anna", trust::sha256(contents[i]));
        }
    }
    int steps = 0;
    while (store_->compact_some().value()) {
        ASSERT_LT(++steps, 10);
    }
    EXPECT_GE(steps, 2); // a bounded piece each
    ASSERT_TRUE(store_->compact_some().ok());
    std::uint64_t sum = 0;
    for (const std::string& file : files()) {
        sum += bytes_of(file).size();
    }
    EXPECT_LT(sum, std::uint64_t{75} << 20); // of 103 MiB; the segment is left
    start();
    for (std::size_t i = 0; i < contents.size(); i += 4) {
        EXPECT_EQ(read("anna", trust::sha256(contents[i])), contents[i]);
    }
    const std::string large = random(2 << 20);
    ASSERT_TRUE(keep("anna", {large}).ok());
    const std::size_t with = files().size();
    drop("anna", trust::sha256(large));
    ASSERT_TRUE(store_->compact_some().ok());
    EXPECT_EQ(files().size(), with - 1);
}

} // namespace hasp::sync
