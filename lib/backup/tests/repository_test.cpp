#include "backup/repository.h"

#include "backup/put_back.h"
#include "base/clock.h"
#include "base/text.h"
#include "forwarding_disk.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>

namespace hasp::backup {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Fails at the n-th call that changes something, and at all that follow, as where the power goes.
class CutDisk final : public sync::ForwardingDisk {
  public:
    using ForwardingDisk::ForwardingDisk;
    int changes_left = -1; // that are made, and one less; -1: without end
    int changes = 0;

    Result<std::unique_ptr<sync::WriteFile>> create(const std::string& path, std::uint32_t mode,
                                                    sync::Owner owner) override {
        if (!may()) {
            return gone();
        }
        auto file = disk_->create(path, mode, owner);
        return file ? Result<std::unique_ptr<sync::WriteFile>>(
                          std::make_unique<File>(*this, *std::move(file)))
                    : std::move(file);
    }
    Status rename(const std::string& from, const std::string& to) override {
        return may() ? disk_->rename(from, to) : Status(gone());
    }
    Status remove(const std::string& path) override {
        return may() ? disk_->remove(path) : Status(gone());
    }
    Status make_folder(const std::string& path, std::uint32_t mode, sync::Owner owner) override {
        return may() ? disk_->make_folder(path, mode, owner) : Status(gone());
    }
    Status sync_folder(const std::string& path) override {
        return may() ? disk_->sync_folder(path) : Status(gone());
    }
    Status sync_all() override { return may() ? disk_->sync_all() : Status(gone()); }

  private:
    static Error gone() { return fail(Code::failed, "the power is gone"); }
    bool may() {
        ++changes;
        changes_left -= changes_left > 0 ? 1 : 0;
        return changes_left != 0;
    }
    class File final : public sync::WriteFile {
      public:
        File(CutDisk& disk, std::unique_ptr<sync::WriteFile> file)
            : disk_(disk), file_(std::move(file)) {}
        Status write(std::string_view bytes) override {
            if (disk_.may()) {
                return file_->write(bytes);
            }
            // The first half of it was written.
            [[maybe_unused]] const Status half = file_->write(bytes.substr(0, bytes.size() / 2));
            return gone();
        }
        Status sync() override { return disk_.may() ? file_->sync() : Status(gone()); }

      private:
        CutDisk& disk_;
        std::unique_ptr<sync::WriteFile> file_;
    };
};

class RepositoryTest : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string name = testing::TempDir() + "backups.XXXXXX";
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder_ = name;
        fresh();
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    // As the next process would.
    void fresh(Repository::Open how = Repository::Open::make) {
        repository_.reset();
        auto disk = sync::open_disk(folder_);
        ASSERT_TRUE(disk.ok());
        disk_ = std::make_unique<CutDisk>(*std::move(disk));
        auto opened = Repository::open(*disk_, how);
        ASSERT_TRUE(opened.ok()) << opened.error().message;
        repository_ = *std::move(opened);
    }

    // A backup of these files; its id.
    Result<std::string> make(const std::map<std::string, std::string>& files) {
        const std::int64_t at_us = 1'764'000'000'000'000 + 60'000'000 * ++made_;
        const Head head{make_backup_id(at_us, random_.bytes(4)), at_us, "hasp://r/c", "1",
                        std::string(64, '0')};
        Status done = repository_->begin_writing();
        done = done ? repository_->begin(head) : done;
        for (const auto& [path, text] : files) {
            Item item;
            item.path = path;
            item.mode = 0640;
            item.size = text.size();
            item.chunk_bytes = 8;
            for (std::size_t at = 0; done && at < text.size(); at += 8) {
                auto put = repository_->put(std::string_view(text).substr(at, 8));
                done = put ? Status{} : Status(put.error());
                if (put) {
                    item.chunks.push_back(put->name);
                    written_ += put->written > 0 ? 1 : 0;
                }
            }
            done = done ? repository_->add(item) : done;
        }
        done = done ? repository_->commit() : done;
        return done ? Result<std::string>(head.id) : done.error();
    }

    Result<std::map<std::string, std::string>> files_of(const std::string& id) {
        std::map<std::string, std::string> out;
        auto head = repository_->read(id, [&](const Item& item) -> Status {
            for (const ChunkName& name : item.chunks) {
                auto bytes = repository_->chunk(name);
                if (!bytes) {
                    return bytes.error();
                }
                out[item.path] += *bytes;
            }
            return {};
        });
        return head ? Result<std::map<std::string, std::string>>(std::move(out)) : head.error();
    }

    std::vector<std::string> objects() const {
        std::vector<std::string> out;
        for (const auto& entry :
             std::filesystem::recursive_directory_iterator(folder_ + "/objects")) {
            if (entry.is_regular_file()) {
                out.push_back(entry.path().string());
            }
        }
        return out;
    }
    static void write(const std::string& path, const std::string& text) {
        std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
    }

    std::string folder_;
    std::unique_ptr<CutDisk> disk_;
    std::unique_ptr<Repository> repository_;
    SeededRandom random_{7};
    int made_ = 0;
    int written_ = 0;
};

const std::map<std::string, std::string> some{{"a", "first of all, and more"},
                                              {"b", "second of them"}};

TEST_F(RepositoryTest, GivesBackWhatWasPutIntoItAndWritesOnlyWhatIsNew) {
    auto one = make(some);
    ASSERT_TRUE(one.ok()) << one.error().message;
    const int before = written_;
    std::map<std::string, std::string> more = some;
    more["c"] = "third.";
    fresh(Repository::Open::existing);
    auto two = make(more);
    ASSERT_TRUE(two.ok());
    EXPECT_EQ(written_, before + 1);
    EXPECT_EQ(*files_of(*one), some);
    EXPECT_EQ(*files_of(*two), more);
    EXPECT_EQ(*repository_->newest(), *two);
    const auto listed = repository_->list();
    ASSERT_EQ(listed->size(), 2U);
    EXPECT_EQ(listed->front().files, 2U);
    EXPECT_EQ(*backup_at(*repository_, listed->front().head.at_us), *one);
    EXPECT_EQ(*backup_at(*repository_, listed->front().head.at_us - 1), std::nullopt);
    EXPECT_EQ(repository_->check(false, {})->damaged, 0U);
}

TEST_F(RepositoryTest, IsNotMadeOfAFolderWithSomethingElseInIt) {
    std::string name = testing::TempDir() + "others.XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    write(name + "/letter", "dear");
    auto disk = sync::open_disk(name);
    auto refused = Repository::open(**disk, Repository::Open::make);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, Code::refused);
    std::filesystem::remove(name + "/letter");
    EXPECT_EQ(Repository::open(**disk, Repository::Open::existing).error().code, Code::not_found);
    write(name + "/hasp-backup", "hasp backup 2\n");
    EXPECT_EQ(Repository::open(**disk, Repository::Open::make).error().code, Code::refused);
    std::filesystem::remove_all(name);
}

TEST_F(RepositoryTest, SaysWhichFileOfWhichBackupIsDamagedAndTheNextBackupWritesItAnew) {
    auto one = make(some);
    ASSERT_TRUE(one.ok());
    auto two = make({{"b", some.at("b")}});
    ASSERT_TRUE(two.ok());
    for (const std::string& path : objects()) {
        std::ifstream in(path, std::ios::binary);
        std::string bytes((std::istreambuf_iterator<char>(in)), {});
        for (std::string bad : {bytes.substr(0, bytes.size() / 2), std::string(), bytes + "x",
                                std::string(bytes.size(), '\0')}) {
            write(path, bad);
            EXPECT_EQ(repository_->check(false, {})->damaged, 1U) << path;
        }
        write(path, bytes);
    }
    EXPECT_EQ(repository_->check(false, {})->damaged, 0U);

    const auto name = repository_->put("second o")->name; // the first of b
    const std::string text = to_hex({name.data(), name.size()});
    write(folder_ + "/objects/" + text.substr(0, 2) + "/" + text, "bad");
    auto checked = repository_->check(true, {});
    ASSERT_TRUE(checked.ok());
    ASSERT_EQ(checked->damages.size(), 2U);
    EXPECT_EQ(checked->damages[0].id, *one);
    EXPECT_EQ(checked->damages[0].path, "b");
    EXPECT_EQ(checked->damages[1].id, *two);
    EXPECT_TRUE(checked->set_aside);
    EXPECT_FALSE(files_of(*one).ok());
    fresh();
    ASSERT_TRUE(make(some).ok());
    EXPECT_EQ(*files_of(*one), some);
    EXPECT_EQ(repository_->check(false, {})->damaged, 0U);
}

TEST_F(RepositoryTest, NeverGivesOutAListThatIsCutShortOrBent) {
    auto one = make(some);
    ASSERT_TRUE(one.ok());
    const std::string path = folder_ + "/backups/" + *one;
    std::ifstream in(path, std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(in)), {});
    const auto all = [this, &one] {
        std::map<std::string, std::string> out;
        return files_of(*one).ok();
    };
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        write(path, bytes.substr(0, size));
        EXPECT_FALSE(all()) << size;
    }
    for (std::size_t at = 0; at < bytes.size(); at += 3) {
        std::string bent = bytes;
        bent[at] = static_cast<char>(bent[at] ^ 0x10);
        write(path, bent);
        // zstd may not look at a byte; then all is as it was.
        if (auto files = files_of(*one); files.ok()) {
            EXPECT_EQ(*files, some) << at;
        }
    }
    write(path, bytes + bytes);
    EXPECT_FALSE(all());
    write(path, bytes);
    EXPECT_TRUE(all());
    write(folder_ + "/backups/20251124T161800Z-00000000", bytes); // another one's
    EXPECT_EQ(repository_->check(false, {})->damaged, 1U);
    EXPECT_EQ(repository_->prune({}).error().code, Code::refused);
}

TEST_F(RepositoryTest, IsWholeWhereverItsWriterEnds) {
    auto one = make(some);
    ASSERT_TRUE(one.ok());
    std::map<std::string, std::string> more = some;
    more["a"] = "first, and changed since";
    more["c"] = "third.";
    int cut = 0;
    for (bool through = false; !through; ++cut) {
        ASSERT_LT(cut, 200);
        fresh();
        disk_->changes_left = cut + 1;
        more["c"] =
            "third" + std::to_string(cut); // what a cut one left does not spare this one its writes
        auto made = make(more);
        through = made.ok();
        fresh();
        const auto listed = repository_->list();
        ASSERT_TRUE(listed.ok());
        for (const Repository::Listed& each : *listed) {
            EXPECT_EQ(each.problem, "") << cut;
            auto files = *files_of(each.id);
            if (each.id != *one) {
                EXPECT_EQ(files.at("c").substr(0, 5), "third") << cut;
                files["c"] = more["c"];
            }
            EXPECT_EQ(files, each.id == *one ? some : more) << cut;
        }
        EXPECT_EQ(repository_->check(false, {})->damaged, 0U) << cut;
    }
    EXPECT_GT(cut, 12);
    // A half-written chunk whose name was durable before its bytes were.
    const auto name = repository_->put("new here")->name;
    const std::string text = to_hex({name.data(), name.size()});
    write(folder_ + "/objects/" + text.substr(0, 2) + "/" + text, "");
    fresh();
    auto last = make({{"d", "new here"}});
    ASSERT_TRUE(last.ok());
    EXPECT_EQ(files_of(*last)->at("d"), "new here");
}

TEST_F(RepositoryTest, PrunesWhatOnlyRemovedBackupsNeedWhereverItEnds) {
    std::vector<std::string> ids;
    for (int i = 0; i < 3; ++i) {
        ids.push_back(
            *make({{"same", "this stays the same"}, {"own", "only " + std::to_string(i)}}));
    }
    const std::size_t before = objects().size();
    for (int cut = 0; cut < 4; ++cut) {
        fresh();
        disk_->changes_left = cut + 1;
        [[maybe_unused]] auto cut_off = repository_->prune({ids[0], ids[1]});
        fresh();
        EXPECT_EQ(files_of(ids[2])->at("own"), "only 2");
        EXPECT_EQ(repository_->check(false, {})->damaged, 0U) << cut;
    }
    auto pruned = repository_->prune({ids[0], ids[1]});
    ASSERT_TRUE(pruned.ok());
    EXPECT_EQ(repository_->list()->size(), 1U);
    EXPECT_EQ(objects().size(), before - 2);
    EXPECT_EQ(files_of(ids[2])->at("same"), "this stays the same");
    EXPECT_EQ(repository_->check(false, {})->chunks, objects().size());
}

TEST_F(RepositoryTest, HasOneWriterAtATime) {
    auto first = lock_repository(folder_, Share::write);
    ASSERT_TRUE(first.ok());
    EXPECT_EQ(lock_repository(folder_, Share::write).error().code, Code::conflict);
    EXPECT_EQ(lock_repository(folder_, Share::read).error().code, Code::conflict);
    first->reset();
    auto reader = lock_repository(folder_, Share::read);
    EXPECT_TRUE(reader.ok());
    EXPECT_TRUE(lock_repository(folder_, Share::read).ok());
    EXPECT_FALSE(lock_repository(folder_, Share::write).ok());
}

TEST_F(RepositoryTest, PutsBackOnlyIntoAnEmptyFolderAndNothingFalse) {
    auto one = make(some);
    ASSERT_TRUE(one.ok());
    const std::string target =
        folder_ + "/../" + std::filesystem::path(folder_).filename().string() + ".back";
    std::filesystem::create_directory(target);
    write(target + "/mine", "mine");
    EXPECT_EQ(put_back(*repository_, *one, target, {}).error().code, Code::conflict);
    std::filesystem::remove(target + "/mine");
    auto back = put_back(*repository_, *one, target, {});
    ASSERT_TRUE(back.ok()) << back.error().message;
    EXPECT_EQ(back->files, 2U);
    EXPECT_EQ(static_cast<int>(std::filesystem::status(target + "/a").permissions()), 0640);
    std::filesystem::remove_all(target);
    std::filesystem::create_directory(target);
    write(objects().front(), "bad");
    auto refused = put_back(*repository_, *one, target, {});
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, Code::refused);
    EXPECT_THAT(refused.error().hint, HasSubstr("backup check"));
    std::filesystem::remove_all(target);
}

} // namespace
} // namespace hasp::backup
