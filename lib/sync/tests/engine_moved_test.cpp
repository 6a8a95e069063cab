// Folders that are moved with all that is in them.
#include "engine_fixture.h"

#include <gtest/gtest.h>
#include <sys/xattr.h>

namespace hasp::sync {
namespace {

namespace fs = std::filesystem;

class Moved : public Engine {
  protected:
    void SetUp() override {
        Engine::SetUp();
        for (int i = 0; i < files; ++i) {
            put(*tokyo_, name("ward", i), "note " + std::to_string(i) + "\n" + noise(200));
        }
        fs::create_directories(tokyo_->path("ward/b"));
        ASSERT_EQ(::symlink("note 1", tokyo_->path("ward/b/link").c_str()), 0);
        sync(*tokyo_);
        sync(*osaka_);
        sync(*tokyo_); // each knows now what the other takes
    }
    static std::string name(const std::string& folder, int i) {
        return folder + (i % 2 == 0 ? "/a" : "/b") + "/note " + std::to_string(i);
    }
    static void put(Machine& at, const std::string& path, const std::string& content) {
        fs::create_directories(fs::path(at.path(path)).parent_path());
        at.write(path, content);
    }
    static void move(Machine& at, const std::string& from, const std::string& to) {
        fs::create_directories(fs::path(at.path(to)).parent_path());
        fs::rename(at.path(from), at.path(to));
    }
    // What stands at the home, and at whoever has all of it.
    std::map<std::string, std::string> contents() {
        std::map<std::string, std::string> out;
        auto tree = home_->home->tree(tokyo_->folder.id);
        EXPECT_TRUE(tree.ok());
        for (const auto& [path, entry] : *tree) {
            out[path] = to_hex(entry.hash) + entry.target + std::to_string(entry.mode);
        }
        return out;
    }
    static constexpr int files = 300;
};

TEST_F(Moved, GoInOneRecordWhateverTheyHold) {
    const std::string ninth = tokyo_->content(name("ward", 9));
    move(*tokyo_, "ward", "old/ward 7");
    const Round round = sync(*tokyo_);
    EXPECT_EQ(round.exchanges, 1U);
    EXPECT_LE(round.up, 250U);
    EXPECT_LE(round.down, 150U);
    EXPECT_EQ(sync(*osaka_).conflicts, 0U);
    EXPECT_EQ(osaka_->content(name("old/ward 7", 9)), ninth);
    EXPECT_FALSE(fs::exists(osaka_->path("ward")));
    EXPECT_EQ(fs::read_symlink(osaka_->path("old/ward 7/b/link")), "note 1");
    EXPECT_EQ(contents().size(), files + 5U);
}

TEST_F(Moved, AreFilesLikeOthersFromThenOn) {
    move(*tokyo_, "ward", "ward 7");
    sync(*tokyo_);
    sync(*osaka_);
    put(*osaka_, name("ward 7", 3), osaka_->content(name("ward 7", 3)) + "one line more\n");
    const Round round = sync(*osaka_);
    EXPECT_EQ(round.conflicts, 0U);
    EXPECT_LE(round.up, 250U);
    EXPECT_EQ(sync(*tokyo_).conflicts, 0U);
    EXPECT_EQ(tokyo_->content(name("ward 7", 3)), osaka_->content(name("ward 7", 3)));
    move(*tokyo_, "ward 7", "ward");
    EXPECT_LE(sync(*tokyo_).up, 250U);
    EXPECT_EQ(sync(*osaka_).conflicts, 0U);
    EXPECT_FALSE(fs::exists(osaka_->path("ward 7")));
}

TEST_F(Moved, WithAnEditOnTheWayTheEditIsKept) {
    put(*osaka_, name("ward", 3), "edited there");
    put(*osaka_, "ward/c/new", "written there");
    sync(*osaka_);
    move(*tokyo_, "ward", "ward 7");
    sync(*tokyo_);
    sync(*osaka_);
    sync(*tokyo_);
    for (Machine* at : {tokyo_.get(), osaka_.get()}) {
        EXPECT_EQ(at->content(name("ward", 3)), "edited there");
        EXPECT_EQ(at->content("ward/c/new"), "written there");
        EXPECT_TRUE(fs::exists(at->path(name("ward 7", 4))));
        EXPECT_FALSE(fs::exists(at->path(name("ward", 4))));
    }
    move(*tokyo_, "ward 7", "ward 8"); // and the next is one again
    EXPECT_LE(sync(*tokyo_).up, 250U);
}

TEST_F(Moved, SeveralAtOnceWithOtherChangesBesideThem) {
    move(*tokyo_, "ward/a", "north");
    move(*tokyo_, "ward/b", "south/b");
    put(*tokyo_, "north/new", "written after the move");
    put(*tokyo_, "south/other", "beside it");
    fs::remove(tokyo_->path("south/b/note 5"));
    sync(*tokyo_);
    EXPECT_EQ(sync(*osaka_).conflicts, 0U);
    EXPECT_FALSE(fs::exists(osaka_->path("ward/a")));
    EXPECT_FALSE(fs::exists(osaka_->path("ward/b")));
    EXPECT_FALSE(fs::exists(osaka_->path("south/b/note 5")));
    EXPECT_EQ(osaka_->content("north/new"), "written after the move");
    EXPECT_EQ(osaka_->content("north/note 4"), tokyo_->content("north/note 4"));
    EXPECT_EQ(osaka_->content("south/b/note 7"), tokyo_->content("south/b/note 7"));
}

TEST_F(Moved, IntoANewFolderOfItsOwnModeWhateverABatchHolds) {
    tokyo_->batches.operations = 3;
    tokyo_->batches.content_bytes = 100;
    tokyo_->start();
    fs::create_directory(tokyo_->path("old"));
    fs::permissions(tokyo_->path("old"), fs::perms::owner_all);
    move(*tokyo_, "ward/a", "old/a");
    move(*tokyo_, "ward/b", "old/b");
    for (int i = 0; i < 9; ++i) {
        put(*tokyo_, "new " + std::to_string(i), "written beside it");
    }
    EXPECT_LE(sync(*tokyo_).up, 2500U);
    EXPECT_EQ(sync(*osaka_).conflicts, 0U);
    for (Machine* at : {tokyo_.get(), osaka_.get()}) {
        EXPECT_EQ(fs::status(at->path("old")).permissions(), fs::perms::owner_all);
        EXPECT_TRUE(fs::exists(at->path("old/b/note 5")));
    }
    EXPECT_EQ(contents()["old"], "448");
}

TEST_F(Moved, WhereAFileStoodBefore) {
    put(*tokyo_, "x", "a file");
    sync(*tokyo_);
    tokyo_->batches.operations = 3;
    tokyo_->start();
    fs::remove(tokyo_->path("x"));
    move(*tokyo_, "ward", "x/ward");
    EXPECT_EQ(sync(*tokyo_).conflicts, 0U);
    EXPECT_EQ(sync(*osaka_).conflicts, 0U);
    EXPECT_TRUE(fs::exists(osaka_->path("x/ward/b/note 5")));
    EXPECT_EQ(contents().size(), files + 5U);
}

TEST_F(Moved, KeepTheAttributesOfWhatIsInThem) {
    for (int i = 0; i < 300; ++i) {
        const std::string path = tokyo_->path(name("ward", i));
        ASSERT_EQ(::setxattr(path.c_str(), "user.note", std::string(1000, 'x').data(), 1000, 0), 0);
    }
    sync(*tokyo_);
    sync(*osaka_);
    move(*tokyo_, "ward", "ward 7");
    EXPECT_LE(sync(*tokyo_).up, 250U);
    EXPECT_EQ(sync(*osaka_).conflicts, 0U);
    std::string value(2000, ' ');
    EXPECT_EQ(::getxattr(osaka_->path(name("ward 7", 3)).c_str(), "user.note", value.data(), 2000),
              1000);
}

TEST_F(Moved, WithAContentThatIsDamagedAtTheHomeBringItAgain) {
    const std::string segment = folder_ + "/center/contents/0/1";
    std::string bytes = read_file(segment, 64 << 20).value();
    bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 4);
    ASSERT_TRUE(write_file_durably(segment, bytes, 0600).ok());
    while (home_->home->upkeep({}).value()) {
    }
    ASSERT_EQ(home_->home->damage(10)->contents, 1U);
    move(*tokyo_, "ward", "ward 7");
    EXPECT_EQ(sync(*tokyo_).conflicts, 0U);
    EXPECT_EQ(home_->home->damage(10)->contents, 0U);
    EXPECT_EQ(contents().size(), files + 4U);
}

TEST_F(Moved, GoOnAfterACutAnywhere) {
    const auto before = contents();
    for (int cut = 0; cut < 6; ++cut) {
        const std::string from = cut % 2 == 0 ? "ward" : "ward 7";
        const std::string to = cut % 2 == 0 ? "ward 7" : "ward";
        move(*tokyo_, from, to);
        messages_left_ = cut;
        bool again = false;
        static_cast<void>(exchange(*tokyo_, again));
        messages_left_ = -1;
        tokyo_->start();
        sync(*tokyo_);
        EXPECT_EQ(sync(*osaka_).conflicts, 0U) << cut;
        EXPECT_TRUE(fs::exists(osaka_->path(name(to, 8)))) << cut;
        EXPECT_FALSE(fs::exists(osaka_->path(from))) << cut;
    }
    EXPECT_EQ(contents(), before);
}

// The same stories with tiers that say each file: nothing else comes of them.
TEST_F(Moved, ComeToTheSameAsWhereEachFileIsSaid) {
    std::array<std::map<std::string, std::string>, 2> ends;
    for (int story = 0; story < 12; ++story) {
        const std::int64_t began = clock_.wall; // names of conflicts have the time
        for (const unsigned format : {batch_format_moved - 1, batch_format_moved}) {
            TearDown();
            random_ = SeededRandom(5);
            Engine::SetUp();
            clock_.wall = began;
            format_ = format;
            SeededRandom choice(static_cast<std::uint64_t>(story));
            for (int i = 0; i < 40; ++i) {
                put(*tokyo_, name("ward", i), "note " + std::to_string(i));
            }
            sync(*tokyo_);
            sync(*osaka_);
            sync(*tokyo_);
            const std::vector<std::string> places{"ward", "ward/a", "x", "x/y", "ward/b", "z"};
            for (int step = 0; step < 12; ++step) {
                Machine& at = choice.below(3) == 0 ? *osaka_ : *tokyo_;
                const std::string from = places[choice.below(places.size())];
                const std::string to = places[choice.below(places.size())];
                const std::string file = name(from, static_cast<int>(choice.below(40)));
                switch (choice.below(4)) {
                case 0:
                    put(at, file, "edit " + std::to_string(step));
                    break;
                case 1:
                    fs::remove(at.path(file));
                    break;
                default:
                    if (fs::exists(at.path(from)) && !fs::exists(at.path(to)) &&
                        !to.starts_with(from + "/")) {
                        move(at, from, to);
                    }
                }
                if (choice.below(2) == 0) {
                    sync(at);
                }
            }
            for (int i = 0; i < 3; ++i) {
                sync(*tokyo_);
                sync(*osaka_);
            }
            ends[format - (batch_format_moved - 1)] = contents();
        }
        EXPECT_EQ(ends[0], ends[1]) << "story " << story;
        EXPECT_FALSE(ends[0].empty());
    }
}

} // namespace
} // namespace hasp::sync
