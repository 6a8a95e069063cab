// The content store on the simulated disk, and what a power cut leaves of it.
#include "../../lib/sync/tests/content_suite.h"
#include "disk.h"
#include "store/transaction.h"
#include "sync_disk.h"
#include "trust/hash.h"
#include "vfs.h"

namespace hasp::sync {
namespace {

constexpr const char* folder = "/simulated/contents";

class SimulatedWorld final : public ContentWorld {
  public:
    explicit SimulatedWorld(std::uint64_t seed = 1) : simulated(seed) {
        simulated.plant_folder("/");
    }
    Disk& disk() override { return *disk_; }
    Result<std::unique_ptr<store::Db>> open_db() override {
        return store::Db::open(std::string(folder) + "/files.db");
    }
    sim::Disk simulated;

  private:
    sim::Mount mount_{folder, simulated};
    std::unique_ptr<Disk> disk_ = sim::make_sync_disk(simulated);
};

INSTANTIATE_TEST_SUITE_P(Simulated, ContentSuite,
                         ::testing::Values(NamedContentWorld{
                             "Disk", [] { return std::make_unique<SimulatedWorld>(); }}),
                         [](const auto& at) { return std::string(at.param.name); });

// A store of one life after another, on a disk that loses power anywhere.
class Lives : public ContentSuite {
  public:
    explicit Lives(std::uint64_t seed) : seed_(seed) {}
    void TestBody() override {
        auto simulated = std::make_unique<SimulatedWorld>(seed_);
        sim::Disk& disk = simulated->simulated;
        world_ = std::move(simulated);
        SeededRandom chance(seed_);
        start();
        std::map<std::string, std::string> sure; // hash → content
        std::map<std::string, std::string> gone;
        for (int life = 0; life < 12; ++life) {
            disk.die_after(chance.below(120));
            for (int batch = 0; batch < 4 && !disk.dead(); ++batch) {
                one_batch(chance, sure, gone);
            }
            store_.reset();
            db_.reset();
            disk.crash();
            start();
            for (const auto& [hash, content] : sure) {
                ASSERT_EQ(read("anna", hash), content) << "seed " << seed_ << ", life " << life;
            }
            while (store_->compact_some().value()) {
            }
            EXPECT_EQ(store_->damaged_count().value(), 0U);
        }
        // What was never counted was set aside, and is gone for good later.
        ASSERT_TRUE(store_->remove_lost(std::int64_t{1} << 60).ok());
        EXPECT_EQ(lost(), 0U) << "seed " << seed_;
        std::int64_t files_known = 0;
        ASSERT_TRUE(db_->each("SELECT COUNT(*) FROM content_files",
                              [&](const store::Statement& s) { files_known = s.integer(0); })
                        .ok());
        EXPECT_EQ(files().size(), static_cast<std::size_t>(files_known)) << "seed " << seed_;
    }

  private:
    std::size_t lost() {
        auto files = world_->disk().list(contents_lost_folder);
        return files ? files->size() : 0;
    }
    void one_batch(SeededRandom& chance, std::map<std::string, std::string>& sure,
                   std::map<std::string, std::string>& gone) {
        if (!sure.empty() && chance.below(3) == 0) {
            const auto one = sure.begin();
            gone.insert(*one);
            const std::string hash = one->first;
            sure.erase(one); // it may be gone from here on
            auto transaction = store::Transaction::begin(*db_);
            Status dropped =
                transaction ? store::done(db_->execute("DELETE FROM files_versions WHERE hash = ?1",
                                                       store::Blob{hash}))
                            : Status(transaction.error());
            dropped = dropped ? store_->drop_unneeded("anna", hash) : dropped;
            dropped = dropped ? transaction->commit() : dropped;
            return;
        }
        std::vector<std::string> contents;
        for (std::uint64_t i = 0; i < 1 + chance.below(5); ++i) {
            contents.push_back(chance.bytes(chance.below(8) == 0 ? small_content_bytes_max + 1
                                                                 : chance.below(5000)));
        }
        if (keep("anna", contents)) {
            for (const std::string& content : contents) {
                sure[trust::sha256(content)] = content;
            }
        } else {
            store_->drop_staged();
        }
    }
    std::uint64_t seed_;
};

TEST(ContentStoreOnASimulatedDisk, LosesNothingThatWasRecordedAndLeavesNoRestAtAPowerCutAnywhere) {
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        Lives(seed).TestBody();
        if (HasFailure()) {
            return;
        }
    }
}

} // namespace
} // namespace hasp::sync
