// Contents that are kept as parts of others.
#include "content_suite.h"
#include "store/transaction.h"
#include "sync/difference.h"
#include "trust/hash.h"

namespace hasp::sync {

namespace {

constexpr std::size_t mib = std::size_t{1} << 20;

// As a difference has it (PROTOCOL.md).
void put_number(std::string& out, std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) {
        out.push_back(static_cast<char>((value & 0x7F) | 0x80));
    }
    out.push_back(static_cast<char>(value));
}
std::uint64_t zigzag(std::int64_t value) {
    return value < 0 ? static_cast<std::uint64_t>(-value) * 2 - 1
                     : static_cast<std::uint64_t>(value) * 2;
}

std::string difference_of(const std::string& before, const std::string& now) {
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

Status ContentSuite::keep_difference(const std::string& user, const std::string& before,
                                     const std::string& now, const std::string& as) {
    auto basis = store_->read(user, trust::sha256(before));
    if (!basis) {
        return basis.error();
    }
    MemoryFile difference(difference_of(before, now));
    bool applied = false;
    Status staged =
        store_->stage_difference(user, as.empty() ? trust::sha256(now) : as, trust::sha256(before),
                                 **basis, pull_from(difference), now.size(), applied);
    return staged ? keep(user, {}, "p", {trust::sha256(now)}) : staged;
}

std::uint64_t ContentSuite::kept_bytes() {
    std::uint64_t out = 0;
    EXPECT_TRUE(db_->each("SELECT SUM(live) FROM content_files",
                          [&out](const store::Statement& s) {
                              out = static_cast<std::uint64_t>(s.integer(0));
                          })
                    .ok());
    return out;
}

std::int64_t ContentSuite::composed() {
    return db_
        ->first("SELECT COUNT(*) FROM contents WHERE parts > 0",
                [](const store::Statement& s) { return s.integer(0); })
        .value()
        .value();
}

TEST_P(ContentSuite, KeepsOfAnEditOfALargeContentWhatIsNew) {
    const std::string before = random(5 * mib);
    std::string now = before;
    now.insert(2 * mib, random(1000));
    now += random(500);
    ASSERT_TRUE(keep("anna", {before}).ok());
    const std::uint64_t bytes = kept_bytes();
    ASSERT_TRUE(keep_difference("anna", before, now).ok());
    EXPECT_EQ(composed(), 1);
    EXPECT_LT(kept_bytes(), bytes + 3000);
    start();
    EXPECT_TRUE(store_->has("anna", trust::sha256(now)).value());
    EXPECT_EQ(read("anna", trust::sha256(now)), now);
    EXPECT_EQ(read("anna", trust::sha256(before)), before);
    auto file = store_->read("anna", trust::sha256(now));
    ASSERT_TRUE(file.ok());
    EXPECT_EQ((*file)->stat()->size, now.size());
    for (std::size_t at = 0; at <= now.size() + 1; at += 330'001) {
        std::string part(400'000, '?');
        part.resize((*file)->read(at, part).value());
        EXPECT_EQ(part, at < now.size() ? now.substr(at, 400'000) : "") << at;
    }
}

TEST_P(ContentSuite, KeepsSmallContentsAndThoseOfWhichLittleIsLeftAsTheyAre) {
    const std::string small = random(900'000);
    const std::string large = random(6 * mib);
    ASSERT_TRUE(keep("anna", {small, large}).ok());
    const std::string now = small + "!";
    const std::string rest = large.substr(mib, 2 * mib) + random(100'000);
    ASSERT_TRUE(keep_difference("anna", small, now).ok());
    ASSERT_TRUE(keep_difference("anna", large, rest).ok());
    EXPECT_EQ(composed(), 0);
    EXPECT_EQ(read("anna", trust::sha256(now)), now);
    EXPECT_EQ(read("anna", trust::sha256(rest)), rest);
}

TEST_P(ContentSuite, KeepsWhatHasNothingOfItsBasisAsItIs) {
    const std::string before = random(2 * mib);
    const std::string now = random(2 * mib);
    ASSERT_TRUE(keep("anna", {before}).ok());
    ASSERT_TRUE(keep_difference("anna", before, now).ok());
    EXPECT_EQ(composed(), 0);
    EXPECT_EQ(read("anna", trust::sha256(now)), now);
}

TEST_P(ContentSuite, FollowsAFileThroughManyEdits) {
    std::vector<std::string> history{random(3 * mib)};
    ASSERT_TRUE(keep("anna", history).ok());
    for (int edit = 0; edit < 25; ++edit) {
        std::string now = history.back();
        for (int i = 0; i < 3; ++i) {
            const std::size_t at =
                static_cast<std::size_t>(edit * 700'001 + i * 1'300'003) % now.size();
            const std::string bytes = random(static_cast<std::size_t>(100 + i * 5000));
            if (i == 1) {
                now.insert(at, bytes);
            } else {
                now.replace(at, bytes.size(), bytes);
            }
        }
        if (edit % 7 == 3) {
            now.erase(now.size() / 3, 200'000);
        }
        ASSERT_TRUE(keep_difference("anna", history.back(), now).ok()) << edit;
        history.push_back(now);
        EXPECT_EQ(read("anna", trust::sha256(now)), now) << edit;
        if (edit % 5 == 0) {
            start();
        }
    }
    EXPECT_GT(composed(), 15);
    EXPECT_LT(kept_bytes(), 7 * 3 * mib) << "26 versions of 3 MiB";
    for (std::size_t i = 0; i < history.size(); ++i) {
        EXPECT_EQ(read("anna", trust::sha256(history[i])), history[i]) << i;
    }
    // In any order of going, what is left is whole; and nothing is left behind.
    for (std::size_t i = 0; i < history.size(); ++i) {
        drop("anna", trust::sha256(history[(i * 7) % history.size()]));
        const std::size_t next = ((i + 1) * 7) % history.size();
        if (i + 1 < history.size()) {
            EXPECT_EQ(read("anna", trust::sha256(history[next])), history[next]) << i;
        }
    }
    EXPECT_EQ(kept_bytes(), 0U);
    EXPECT_EQ(composed(), 0);
}

TEST_P(ContentSuite, KeepsAsALongListOfPartsOnlyWhatCanBeReadAtABearableCost) {
    std::string before = random(4 * mib);
    std::string now = before;
    for (std::size_t at = 0; at < now.size(); at += 6000) {
        now.replace(at, 16, random(16));
    }
    ASSERT_TRUE(keep("anna", {before}).ok());
    ASSERT_TRUE(keep_difference("anna", before, now).ok());
    EXPECT_EQ(composed(), 1) << "44 parts in a stretch";
    EXPECT_EQ(read("anna", trust::sha256(now)), now);
    std::string later = now;
    for (std::size_t at = 3000; at < later.size(); at += 6000) {
        later.replace(at, 16, random(16));
    }
    ASSERT_TRUE(keep_difference("anna", now, later).ok());
    EXPECT_EQ(read("anna", trust::sha256(later)), later);
    EXPECT_EQ(composed(), 1) << "88 parts in a stretch";
}

// Of a basis that is put together, one stretch may be of many of another content.
TEST_P(ContentSuite, RefusesADifferenceThatTakesTooLittleFromTooManyPlacesOfABasisOfParts) {
    constexpr std::size_t part = 8192;
    constexpr std::size_t places = 16;
    const std::string first = random(4 * mib);
    std::string basis;
    for (std::size_t i = 0; i < places; ++i) {
        basis += first.substr(i * 262'144 + 1000, part);
    }
    basis += first;
    ASSERT_TRUE(keep("anna", {first}).ok());
    ASSERT_TRUE(keep_difference("anna", first, basis).ok());
    ASSERT_EQ(composed(), 1);
    std::string steps;
    std::uint64_t at = 0;
    for (std::uint64_t i = 0; i < 5000; ++i) {
        const std::uint64_t from = part * (1 + i * 7 % (places - 1)) - 8;
        put_number(steps, 0);
        put_number(steps, 16);
        put_number(steps, zigzag(static_cast<std::int64_t>(from - at)));
        at = from + 16;
    }
    std::string difference("\1", 1);
    put_number(difference, steps.size());
    difference += steps + std::string(3, '\0');
    auto opened = store_->read("anna", trust::sha256(basis));
    ASSERT_TRUE(opened.ok());
    MemoryFile file(difference);
    bool applied = false;
    const std::uint64_t before = store_->unsealed();
    const Status staged = store_->stage_difference("anna", trust::sha256("w"), trust::sha256(basis),
                                                   **opened, pull_from(file), 80'000, applied);
    ASSERT_FALSE(staged.ok());
    EXPECT_EQ(staged.error().code, Code::refused);
    EXPECT_NE(staged.error().message.find("too many places"), std::string::npos);
    EXPECT_LT(store_->unsealed() - before, 700U);
}

// What replaces what is read before any of it is made, from all over the basis.
TEST_P(ContentSuite, TakesManySmallChangesAllOverALargeContent) {
    const std::string before = random(80 * mib);
    std::string now = before;
    for (std::size_t at = 50'000; at + 100 < now.size(); at += 150'000) {
        now.replace(at, 20, random(20));
    }
    ASSERT_TRUE(keep("anna", {before}).ok());
    const Status kept = keep_difference("anna", before, now);
    ASSERT_TRUE(kept.ok()) << kept.error().message;
    EXPECT_EQ(composed(), 1);
    EXPECT_TRUE(read("anna", trust::sha256(now)) == now);
}

TEST_P(ContentSuite, RefusesADifferenceThatMakesSomethingElse) {
    const std::string before = random(2 * mib);
    ASSERT_TRUE(keep("anna", {before}).ok());
    const std::uint64_t bytes = kept_bytes();
    const Status staged =
        keep_difference("anna", before, before + "more", trust::sha256("something else"));
    ASSERT_FALSE(staged.ok());
    EXPECT_EQ(staged.error().code, Code::refused);
    EXPECT_FALSE(store_->staged("anna", trust::sha256("something else")));
    ASSERT_TRUE(keep("anna", {"another"}).ok());
    EXPECT_LT(kept_bytes(), bytes + 200);
    EXPECT_EQ(composed(), 0);
}

TEST_P(ContentSuite, ForgetsTheNewPartsOfWhatLostAgainstAnother) {
    const std::string before = random(2 * mib);
    const std::string now = before + random(1000);
    ASSERT_TRUE(keep("anna", {before}).ok());
    const std::uint64_t bytes = kept_bytes();
    auto basis = store_->read("anna", trust::sha256(before));
    ASSERT_TRUE(basis.ok());
    MemoryFile difference(difference_of(before, now));
    bool applied = false;
    ASSERT_TRUE(store_
                    ->stage_difference("anna", trust::sha256(now), trust::sha256(before), **basis,
                                       pull_from(difference), now.size(), applied)
                    .ok());
    EXPECT_EQ(read("anna", trust::sha256(now)), now) << "staged: as a basis of others in its batch";
    ASSERT_TRUE(keep("anna", {}, "").ok());
    EXPECT_FALSE(store_->has("anna", trust::sha256(now)).value());
    EXPECT_EQ(kept_bytes(), bytes);
}

TEST_P(ContentSuite, GivesNothingThatIsMadeOfADamagedContentUntilThatIsWholeAgain) {
    const std::string before = random(3 * mib);
    const std::string now = random(10) + before;
    const std::string later = now + random(10);
    ASSERT_TRUE(keep("anna", {before}).ok());
    const std::string file = files().front();
    ASSERT_TRUE(keep_difference("anna", before, now).ok());
    ASSERT_TRUE(keep_difference("anna", now, later).ok());
    ASSERT_EQ(composed(), 2);
    const std::string good = bytes_of(file);
    std::string bent = good;
    bent[2 * mib] = static_cast<char>(bent[2 * mib] ^ 1);
    put_bytes(file, bent);
    EXPECT_EQ(read("anna", trust::sha256(later)), "(refused)");
    EXPECT_TRUE(store_->look_at("anna", trust::sha256(later)).value());
    for (const std::string& content : {before, now, later}) {
        EXPECT_FALSE(store_->has("anna", trust::sha256(content)).value());
    }
    EXPECT_EQ(store_->damaged_count().value(), 3U);
    // Sent again: kept as it is, since it is what others are made of.
    ASSERT_TRUE(keep("anna", {later}).ok());
    EXPECT_EQ(read("anna", trust::sha256(later)), later);
    ASSERT_TRUE(keep_difference("anna", later, before).ok());
    EXPECT_EQ(read("anna", trust::sha256(before)), before);
    while (store_->recheck_some([](const auto&) { return Status{}; }).value()) {
    }
    EXPECT_EQ(store_->damaged_count().value(), 0U);
    EXPECT_EQ(read("anna", trust::sha256(now)), now);
    for (const std::string& content : {before, now, later}) {
        drop("anna", trust::sha256(content));
    }
    EXPECT_EQ(kept_bytes(), 0U);
}

TEST_P(ContentSuite, GivesAgainWhatHasNothingOfWhatIsDamagedInAContentThatItIsMadeOf) {
    const std::string before = random(4 * mib);
    std::string now = before;
    now.erase(mib, mib);
    ASSERT_TRUE(keep("anna", {before}).ok());
    const std::string file = files().front();
    ASSERT_TRUE(keep_difference("anna", before, now).ok());
    ASSERT_EQ(composed(), 1);
    while (store_->recheck_some([](const auto&) { return Status{}; }).value()) {
    }
    std::string bent = bytes_of(file);
    bent[mib + mib / 2] = static_cast<char>(bent[mib + mib / 2] ^ 1);
    put_bytes(file, bent);
    EXPECT_TRUE(store_->look_at("anna", trust::sha256(before)).value());
    EXPECT_FALSE(store_->has("anna", trust::sha256(now)).value());
    std::size_t healed = 0;
    while (store_
               ->recheck_some([&healed](const auto& some) {
                   healed += some.size();
                   return Status{};
               })
               .value()) {
    }
    EXPECT_EQ(healed, 1U);
    EXPECT_EQ(read("anna", trust::sha256(now)), now);
    EXPECT_EQ(store_->damaged_count().value(), 1U);
}

TEST_P(ContentSuite, FindsDamageInThePartsOfAContentWithEachPass) {
    const std::string before = random(2 * mib);
    const std::string now = before + random(1000);
    ASSERT_TRUE(keep("anna", {before}).ok());
    const std::string file = files().front();
    ASSERT_TRUE(keep_difference("anna", before, now).ok());
    const auto pass = [this] {
        while (store_->scrub_some(1000).value()) {
        }
    };
    pass();
    EXPECT_EQ(store_->damaged_count().value(), 0U);
    const std::string good = bytes_of(file);
    std::string bent = good;
    bent[mib] = static_cast<char>(bent[mib] ^ 1);
    put_bytes(file, bent);
    pass();
    EXPECT_FALSE(store_->has("anna", trust::sha256(now)).value());
    EXPECT_EQ(store_->damaged_count().value(), 2U);
    put_bytes(file, good);
    start();
    while (store_->recheck_some([](const auto&) { return Status{}; }).value()) {
    }
    EXPECT_EQ(store_->damaged_count().value(), 0U);
    EXPECT_EQ(read("anna", trust::sha256(now)), now);
}

TEST_P(ContentSuite, MovesAListOfPartsWhenItsFileHasLittleLeft) {
    const std::string before = random(2 * mib);
    const std::string now = before + random(1000);
    const std::string ballast = random(900'000);
    ASSERT_TRUE(keep("anna", {before, ballast}).ok());
    ASSERT_TRUE(keep_difference("anna", before, now).ok());
    std::vector<std::string> more;
    for (int i = 0; i < 80; ++i) {
        more.push_back(random(1'000'000));
    }
    ASSERT_TRUE(keep("bert", more).ok()); // another segment
    drop("anna", trust::sha256(ballast));
    for (const std::string& one : more) {
        drop("bert", trust::sha256(one));
    }
    int steps = 0;
    while (store_->compact_some().value()) {
        ASSERT_LT(++steps, 50);
    }
    EXPECT_GT(steps, 0);
    EXPECT_EQ(composed(), 1);
    start();
    EXPECT_EQ(read("anna", trust::sha256(now)), now);
    drop("anna", trust::sha256(before));
    drop("anna", trust::sha256(now));
    EXPECT_EQ(kept_bytes(), 0U);
}

TEST_P(ContentSuite, DestroysPartsWithTheUsersKey) {
    const std::string before = random(2 * mib);
    const std::string now = before + random(1000);
    ASSERT_TRUE(keep("anna", {before}).ok());
    ASSERT_TRUE(keep_difference("anna", before, now).ok());
    auto transaction = store::Transaction::begin(*db_);
    ASSERT_TRUE(store_->destroy("anna").ok() && transaction->commit().ok());
    ASSERT_TRUE(store_->scour().ok());
    EXPECT_EQ(read("anna", trust::sha256(now)), "(not_found)");
    EXPECT_EQ(kept_bytes(), 0U);
    EXPECT_EQ(db_->first("SELECT COUNT(*) FROM content_parts",
                         [](const store::Statement& s) { return s.integer(0); })
                  .value()
                  .value(),
              0);
}

TEST_P(ContentSuite, TakesAListOfPartsForNoContentAndTheReverse) {
    const std::string before = random(2 * mib);
    const std::string now = before + random(1000);
    ASSERT_TRUE(keep("anna", {before}).ok());
    ASSERT_TRUE(keep_difference("anna", before, now).ok());
    ASSERT_TRUE(db_->execute("UPDATE contents SET parts = 0, size = parts WHERE parts > 0").ok());
    EXPECT_EQ(read("anna", trust::sha256(now)), "(refused)");
    ASSERT_TRUE(db_->execute("UPDATE contents SET parts = size WHERE hash = ?1",
                             store::Blob{trust::sha256(before)})
                    .ok());
    EXPECT_EQ(read("anna", trust::sha256(before)), "(refused)");
}

} // namespace hasp::sync
