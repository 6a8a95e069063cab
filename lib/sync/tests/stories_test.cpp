// Ten ways in which other tools have lost their users' files. Each test makes the fault itself and
// shows what becomes of it here; its comment says which kind of tool lost what by it.
#include "engine_fixture.h"

#include "trust/hash.h"

#include <algorithm>
#include <set>

namespace hasp::sync {

namespace {

constexpr std::int64_t year_2100_s = 4'102'444'800;

class Stories : public Engine {
  protected:
    // All of a folder's files that are text: what stands in them.
    static std::set<std::string> texts(const Machine& at) {
        std::set<std::string> out;
        for (const auto& one : std::filesystem::recursive_directory_iterator(root(at))) {
            if (one.is_regular_file()) {
                out.insert(at.content(one.path().lexically_relative(root(at)).string()));
            }
        }
        return out;
    }
    bool home_has(const std::string& content) {
        auto tree = home_->home->tree({"anna", "wiki"});
        EXPECT_TRUE(tree.ok());
        return tree && std::any_of(tree->begin(), tree->end(), [&](const auto& one) {
                   return one.second.hash == trust::sha256(content);
               });
    }
    static void set_mtime(const Machine& at, const std::string& name, std::int64_t seconds) {
        const timespec times[2] = {{0, UTIME_OMIT}, {seconds, 0}};
        ASSERT_EQ(::utimensat(AT_FDCWD, at.path(name).c_str(), times, 0), 0);
    }
    // The working copies' disk is unmounted: what it was mounted over shows, and is empty.
    static void unmount(const Machine& at) {
        std::filesystem::rename(root(at), root(at) + " elsewhere");
        ASSERT_TRUE(hasp::make_folders(root(at)).ok());
    }
    static void mount(const Machine& at) {
        std::filesystem::remove_all(root(at));
        std::filesystem::rename(root(at) + " elsewhere", root(at));
    }
    static std::string root(const Machine& at) {
        return std::filesystem::path(at.path("x")).parent_path().string();
    }
    void three_files_at_both() {
        for (const char* name : {"a", "b", "c"}) {
            tokyo_->write(name, std::string("content of ") + name);
        }
        sync(*tokyo_);
        sync(*osaka_);
        ASSERT_EQ(osaka_->content("c"), "content of c");
    }
};

} // namespace

// A two-way synchroniser ran while the disk with the user's files was not mounted: the empty mount
// point looked like a folder whose files were all deleted, and it deleted them everywhere else.
TEST_F(Stories, AnEmptyMountPointDeletesNothingAndTheMountComesBackAsItWas) {
    three_files_at_both();
    unmount(*tokyo_);
    for (int i = 0; i < 2; ++i) {
        sync(*tokyo_);
        tokyo_->start(); // whoever mounts something restarts things, too
    }
    sync(*osaka_);
    EXPECT_EQ(home_->home->tree({"anna", "wiki"})->size(), 3U);
    EXPECT_EQ(osaka_->content("b"), "content of b");
    EXPECT_EQ(tokyo_->client->status()->at(0).held, "the folder is gone");
    mount(*tokyo_);
    osaka_->write("b", "edited meanwhile");
    sync(*osaka_);
    sync(*tokyo_);
    EXPECT_EQ(tokyo_->content("b"), "edited meanwhile");
    EXPECT_EQ(tokyo_->client->status()->at(0).held, "") << "nothing is missing any more";
    EXPECT_EQ(tokyo_->client->status()->at(0).unsent_files, 0U);
}

// Clients that write a file and rename it without a sync had files of 0 bytes after a power loss,
// took those for the newest version, and sent them to everybody. What an app wrote without a sync
// turned to nothing likewise, after it had been sent: the old state came back as an edit.
TEST_F(Stories, APowerLossLeavesNoFileOf0BytesAndSendsNone) {
    for (int i = 0; i < 6; ++i) { // more than are made durable one by one
        const std::string name = "file" + std::to_string(i);
        tokyo_->write(name, "1 " + name);
        if (i % 2 == 0) {
            sync(*tokyo_); // alone, the others by twos
        }
    }
    sync(*tokyo_);
    tokyo_->cut_power();
    sync(*osaka_);
    osaka_->cut_power();
    for (Machine* at : {tokyo_.get(), osaka_.get()}) {
        sync(*at);
        for (int i = 0; i < 6; ++i) {
            const std::string name = "file" + std::to_string(i);
            EXPECT_EQ(at->content(name), "1 " + name);
        }
    }
    // One that comes over another, and power goes as soon as it stands there.
    tokyo_->write("file3", "2 file3");
    sync(*tokyo_);
    place_without_noting(*osaka_);
    osaka_->cut_power();
    sync(*osaka_);
    sync(*tokyo_);
    EXPECT_EQ(tokyo_->content("file3"), "2 file3");
    EXPECT_EQ(osaka_->content("file3"), "2 file3");
    EXPECT_EQ(home_->home->tree({"anna", "wiki"})->size(), 6U) << "and nothing twice";
    // What was never sent may be lost to the power, as without hasp; what was before is kept.
    tokyo_->write("file4", "never synced");
    tokyo_->cut_power();
    ASSERT_EQ(tokyo_->content("file4"), "");
    sync(*tokyo_);
    auto versions = home_->home->versions({"anna", "wiki"}, "file4", false, {});
    ASSERT_TRUE(versions.ok());
    EXPECT_GE(versions->size(), 2U) << "the empty one has not replaced it for good";
}

// A client that downloads what the server has newer, between two scans of its own, wrote it over
// what the user had saved a moment before: the edit had not been noticed yet, and was gone.
TEST_F(Stories, AnEditThatNobodyNoticedYetIsNotOverwrittenByWhatComes) {
    for (const bool same_stamp : {false, true}) {
        const std::string name = same_stamp ? "plan" : "note";
        tokyo_->write(name, "0123456789" + name);
        set_mtime(*tokyo_, name, 1'000'000'000);
        clock_.advance_us(60'000'000); // so that stamps count
        sync(*tokyo_);
        sync(*osaka_);
        tokyo_->write(name, "by tokyo, " + name);
        sync(*tokyo_);
        auto out = osaka_->client->prepare(osaka_->folder);
        ASSERT_TRUE(out.ok() && out->batch.empty());
        auto answer =
            home_->home->exchange({osaka_->folder.id, "", out->since, "anna@osaka", false});
        ASSERT_TRUE(answer.ok());
        auto bytes = home_->home->read(answer->file, 0, 1 << 20);
        ASSERT_TRUE(osaka_->client->take(osaka_->folder.id, 0, *bytes).ok());
        // After its scan, as long as the old one and, as some tools do, with the old time.
        osaka_->write(name, "by osaka, " + name);
        if (same_stamp) {
            set_mtime(*osaka_, name, 1'000'000'000);
        }
        ASSERT_TRUE(osaka_->client->arrived(osaka_->folder).ok());
        ASSERT_TRUE(osaka_->client->apply(osaka_->folder, false).ok());
        EXPECT_EQ(osaka_->content(name), "by osaka, " + name);
        EXPECT_EQ(sync(*osaka_).conflicts, 1U);
        sync(*tokyo_);
        for (Machine* at : {tokyo_.get(), osaka_.get()}) {
            EXPECT_TRUE(texts(*at).contains("by osaka, " + name));
            EXPECT_TRUE(texts(*at).contains("by tokyo, " + name));
        }
    }
}

// A server was put back to last week's backup. Clients asked what had changed, found that newer
// files of theirs "were not there", and removed them; or took the old versions for new ones.
TEST_F(Stories, AServerThatWasPutBackToABackupTakesNothingAwayAndSetsNothingBack) {
    three_files_at_both();
    home_->stop();
    const std::filesystem::path center = folder_ + "/center";
    std::filesystem::copy(center, folder_ + "/backup", std::filesystem::copy_options::recursive);
    home_->start();
    tokyo_->write("since", "made since");
    tokyo_->write("a", "edited since");
    sync(*tokyo_);
    sync(*osaka_);
    home_->stop();
    std::filesystem::remove_all(center);
    std::filesystem::rename(folder_ + "/backup", center);
    home_->start();
    tokyo_->write("unsent", "made at tokyo");
    for (Machine* at : {tokyo_.get(), osaka_.get()}) {
        bool again = false;
        EXPECT_FALSE(exchange(*at, again).has_value()) << "an operator is asked";
        EXPECT_NE(last_error_.find("was restored from a backup"), std::string::npos);
        EXPECT_EQ(at->content("since"), "made since");
        EXPECT_EQ(at->content("a"), "edited since");
        ASSERT_TRUE(at->client->begin_anew(at->folder.id).ok());
    }
    for (int i = 0; i < 2; ++i) {
        sync(*tokyo_);
        sync(*osaka_);
    }
    EXPECT_TRUE(home_has("edited since"));
    for (Machine* at : {tokyo_.get(), osaka_.get()}) {
        for (const char* text : {"made since", "edited since", "made at tokyo", "content of b"}) {
            EXPECT_TRUE(texts(*at).contains(text)) << text;
        }
    }
}

// A mirror whose directory listing broke off in the middle, by an I/O error or a lost connection,
// took the part that it had for the whole, and deleted the rest at the other side.
TEST_F(Stories, AListThatBreaksOffIsNoListAtEitherEnd) {
    ASSERT_TRUE(hasp::make_folders(tokyo_->path("papers")).ok());
    three_files_at_both();
    tokyo_->write("papers/one", "in a folder");
    sync(*tokyo_);
    sync(*osaka_);
    for (const char* folder : {"/papers", ""}) {
        tokyo_->disk().unlistable = tokyo_->folder.path + folder;
        auto out = tokyo_->client->prepare(tokyo_->folder);
        ASSERT_FALSE(out.ok());
        EXPECT_NE(out.error().message.find("cannot list"), std::string::npos);
    }
    tokyo_->disk().unlistable.reset();
    EXPECT_EQ(tokyo_->client->look(tokyo_->folder)->unsent_files, 0U);
    // The home's answer, to one who knows nothing yet and to one who does, cut at any byte.
    tokyo_->write("d", noise(300));
    sync(*tokyo_);
    osaka_->write("mine", "made at osaka");
    for (const bool anew : {false, true}) {
        if (anew) {
            ASSERT_TRUE(osaka_->client->begin_anew(osaka_->folder.id).ok());
        }
        auto out = osaka_->client->prepare(osaka_->folder);
        ASSERT_TRUE(out.ok());
        auto answer =
            home_->home->exchange({osaka_->folder.id, "", out->since, "anna@osaka", false});
        ASSERT_TRUE(answer.ok());
        const std::string whole = home_->home->read(answer->file, 0, 1 << 20).value_or("");
        ASSERT_GT(whole.size(), 100U);
        for (std::size_t end = 0; end < whole.size(); end += 7) {
            ASSERT_TRUE(osaka_->client->take(osaka_->folder.id, 0, whole.substr(0, end)).ok());
            EXPECT_FALSE(osaka_->client->arrived(osaka_->folder).ok() &&
                         osaka_->client->apply(osaka_->folder, false).ok())
                << end;
        }
        EXPECT_EQ(texts(*osaka_).size(), 5U) << "all that was there";
    }
    for (int i = 0; i < 2; ++i) {
        sync(*osaka_);
        sync(*tokyo_);
    }
    EXPECT_EQ(texts(*osaka_), texts(*tokyo_));
    EXPECT_EQ(texts(*tokyo_).size(), 6U);
}

// Tools that compare names without their case, or put a new name in place before they remove the
// old one, lost the file when "note" became "Note": the removal hit the only one that there was.
TEST_F(Stories, ARenameInCaseAloneLosesNoFileAndNoEdit) {
    ASSERT_TRUE(hasp::make_folders(tokyo_->path("papers")).ok());
    const std::string text = noise(20'000);
    tokyo_->write("note", text);
    tokyo_->write("papers/one", "in a folder");
    tokyo_->write("up", "lower");
    tokyo_->write("UP", "upper");
    sync(*tokyo_);
    sync(*osaka_);
    EXPECT_EQ(osaka_->content("up") + osaka_->content("UP"), "lowerupper") << "two files stay two";
    const auto rename = [](const Machine& at, const char* from, const char* to) {
        ASSERT_EQ(::rename(at.path(from).c_str(), at.path(to).c_str()), 0);
    };
    rename(*tokyo_, "note", "Note");
    rename(*tokyo_, "papers", "Papers");
    rename(*tokyo_, "up", "x");
    rename(*tokyo_, "UP", "up");
    rename(*tokyo_, "x", "UP");
    osaka_->write("papers/one", "edited at osaka under the old name");
    EXPECT_LT(sync(*tokyo_).up, 1'000U) << "without the content";
    for (int i = 0; i < 2; ++i) {
        sync(*osaka_);
        sync(*tokyo_);
    }
    for (Machine* at : {tokyo_.get(), osaka_.get()}) {
        EXPECT_EQ(at->content("note"), "(not_found)");
        EXPECT_EQ(at->content("Note"), text);
        EXPECT_EQ(at->content("up") + at->content("UP"), "upperlower") << "they changed names";
        EXPECT_EQ(at->content("Papers/one"), "in a folder");
        EXPECT_EQ(at->content("papers/one"), "edited at osaka under the old name");
    }
}

// A client whose database was lost compared an empty past with full folders: it took all that the
// server had for deleted here, or all that was here for deleted there, or made a copy of each file.
TEST_F(Stories, AWipedLocalDatabaseDeletesNothingDoublesNothingAndKeepsWhatWasUnsent) {
    three_files_at_both();
    tokyo_->write("a", "edited at tokyo, unsent");
    tokyo_->write("new", "made at tokyo, unsent");
    osaka_->write("b", "edited at osaka");
    osaka_->write("other", "made at osaka");
    sync(*osaka_);
    tokyo_->forget_everything();
    ASSERT_EQ(tokyo_->client->status()->size(), 0U) << "it knows nothing";
    for (int i = 0; i < 2; ++i) {
        sync(*tokyo_);
        sync(*osaka_);
    }
    EXPECT_EQ(texts(*tokyo_), texts(*osaka_));
    const std::set<std::string> all = texts(*osaka_);
    for (const char* text : {"edited at tokyo, unsent", "made at tokyo, unsent", "edited at osaka",
                             "made at osaka", "content of c"}) {
        EXPECT_TRUE(all.contains(text)) << text;
    }
    // "a" and "b" differ and nobody can say any more which is newer: both are kept. "c" is one.
    EXPECT_EQ(home_->home->tree({"anna", "wiki"})->size(), 7U);
    EXPECT_EQ(tokyo_->client->look(tokyo_->folder)->unsent_files, 0U);
}

// Clients that resolve a conflict by themselves kept the copy at one machine only: it was not sent
// or was ignored by its name, and went with that machine, while the others had one version.
TEST_F(Stories, AConflictCopyIsAtTheHomeBeforeAnybodyLearnsOfTheConflict) {
    tokyo_->write("plan.txt", "first");
    sync(*tokyo_);
    sync(*osaka_);
    tokyo_->write("plan.txt", "by tokyo");
    osaka_->write("plan.txt", "by osaka");
    sync(*tokyo_);
    // Osaka's goes up; its answer is lost, and then osaka with all that it had.
    dies_before_apply_ = true;
    bool again = false;
    EXPECT_FALSE(exchange(*osaka_, again).has_value());
    dies_before_apply_ = false;
    EXPECT_TRUE(home_has("by tokyo") && home_has("by osaka"));
    std::string copy;
    const auto tree = home_->home->tree({"anna", "wiki"});
    ASSERT_TRUE(tree.ok());
    for (const auto& [path, entry] : *tree) {
        copy = entry.hash == trust::sha256("by osaka") ? path : copy;
    }
    EXPECT_TRUE(copy.starts_with("plan (conflict anna@osaka ")) << copy;
    sync(*tokyo_);
    EXPECT_EQ(tokyo_->content("plan.txt"), "by tokyo");
    EXPECT_EQ(tokyo_->content(copy), "by osaka");
    // It is a file like any other: edited at one side, it comes to the other.
    tokyo_->write(copy, "by osaka, read by tokyo");
    sync(*tokyo_);
    sync(*osaka_);
    EXPECT_EQ(osaka_->content("plan.txt"), "by tokyo");
    EXPECT_EQ(osaka_->content(copy), "by osaka, read by tokyo");
}

// Where the newer mtime wins, a file from a machine whose clock was wrong won against every edit
// until that year came; and an edit that set its time back was never noticed.
TEST_F(Stories, AFileFromTheFutureWinsAgainstNoEditAndEditsOfItAreNoticed) {
    tokyo_->write("note", "from the future");
    set_mtime(*tokyo_, "note", year_2100_s);
    clock_.advance_us(60'000'000);
    sync(*tokyo_);
    sync(*osaka_);
    struct stat st {};
    ASSERT_EQ(::stat(osaka_->path("note").c_str(), &st), 0);
    EXPECT_EQ(st.st_mtim.tv_sec, year_2100_s);
    osaka_->write("note", "edited today");
    sync(*osaka_);
    sync(*tokyo_);
    EXPECT_EQ(tokyo_->content("note"), "edited today");
    // As long as it was, and with the same impossible time.
    set_mtime(*tokyo_, "note", year_2100_s);
    sync(*tokyo_);
    sync(*osaka_);
    clock_.advance_us(60'000'000);
    EXPECT_EQ(tokyo_->client->look(tokyo_->folder)->unsent_files, 0U);
    tokyo_->write("note", "EDITED TODAY");
    set_mtime(*tokyo_, "note", year_2100_s);
    sync(*tokyo_);
    sync(*osaka_);
    EXPECT_EQ(osaka_->content("note"), "EDITED TODAY");
    // Both edited: neither time decides.
    tokyo_->write("note", "tokyo, in 2100");
    set_mtime(*tokyo_, "note", year_2100_s);
    osaka_->write("note", "osaka, today");
    sync(*osaka_);
    EXPECT_EQ(sync(*tokyo_).conflicts, 1U);
    EXPECT_TRUE(home_has("tokyo, in 2100") && home_has("osaka, today"));
}

// Downloads that were made to their full size first, with holes, and cut: what resumed by size, or
// asked the file system what was written, took holes for data, and the file was zeros in places.
TEST_F(Stories, ASparseFileThatIsCutAnywhereComesWholeWithItsHoles) {
    const off_t size = off_t{24} << 20;
    const auto write_at = [&](const Machine& at, off_t where, const std::string& bytes) {
        const Fd fd(::open(at.path("disk.img").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
        ASSERT_TRUE(fd.get() >= 0 && ::ftruncate(fd.get(), size) == 0);
        ASSERT_EQ(::pwrite(fd.get(), bytes.data(), bytes.size(), where),
                  static_cast<ssize_t>(bytes.size()));
    };
    const auto blocks = [size](const Machine& at) {
        struct stat st {};
        EXPECT_EQ(::stat(at.path("disk.img").c_str(), &st), 0);
        EXPECT_EQ(st.st_size, size);
        return st.st_blocks * 512;
    };
    for (const off_t where : {off_t{0}, off_t{7'000'001}, size - 9'000}) {
        write_at(*tokyo_, where, noise(9'000));
    }
    const auto brought = [&](Machine& at) {
        int cuts = 0;
        // Each time a few messages more arrive than before the last cut.
        for (int messages = 2;; messages += 2) {
            messages_left_ = messages;
            bool again = false;
            const bool whole = exchange(at, again).has_value();
            messages_left_ = -1;
            if (whole && !again) {
                return cuts;
            }
            ++cuts;
            at.start();
            home_->start();
        }
    };
    EXPECT_GT(brought(*tokyo_), 3);
    EXPECT_GT(brought(*osaka_), 3);
    EXPECT_EQ(trust::sha256(osaka_->content("disk.img")),
              trust::sha256(tokyo_->content("disk.img")));
    EXPECT_LT(blocks(*osaka_), 1 << 20) << "holes stay holes";
    // An edit in the middle of a hole, cut likewise.
    write_at(*tokyo_, off_t{15} << 20, noise(20'000));
    EXPECT_GT(brought(*tokyo_), 3);
    EXPECT_GT(brought(*osaka_), 3);
    EXPECT_EQ(trust::sha256(osaka_->content("disk.img")),
              trust::sha256(tokyo_->content("disk.img")));
    EXPECT_LT(blocks(*osaka_), 1 << 20);
}

} // namespace hasp::sync
