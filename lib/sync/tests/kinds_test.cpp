// Kinds of files and names: what comes as it was, what is two files afterwards, and what is not
// kept and said.
#include "engine_fixture.h"

#include <set>
#include <sys/socket.h>
#include <sys/un.h>

namespace hasp::sync {

namespace {

class Kinds : public Engine {
  protected:
    static void link(const Machine& at, const std::string& from, const std::string& to) {
        ASSERT_EQ(::link(at.path(from).c_str(), at.path(to).c_str()), 0);
    }
    static struct stat stat_of(const Machine& at, const std::string& name) {
        struct stat st {};
        EXPECT_EQ(::lstat(at.path(name).c_str(), &st), 0) << name;
        return st;
    }
    // In its place, as a program that has it open does.
    static void append(const Machine& at, const std::string& name, const std::string& more) {
        const Fd fd(::open(at.path(name).c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
        ASSERT_TRUE(fd && write_all(fd.get(), more).ok());
    }
    void all() {
        for (int i = 0; i < 2; ++i) {
            sync(*tokyo_);
            sync(*osaka_);
        }
    }
    void note(const Machine& at, const std::string& path) {
        Noticed noticed;
        noticed.paths.insert(path);
        at.client->note(at.folder.id, noticed);
    }
};

} // namespace

TEST_F(Kinds, TwoNamesOfOneFileGoUpOnceAndAreTwoFilesElsewhere) {
    const std::string large = noise(3'000'000);
    tokyo_->write("one", large);
    link(*tokyo_, "one", "two");
    EXPECT_LT(sync(*tokyo_).up, 3'010'000U) << "the content once";
    sync(*osaka_);
    for (const char* name : {"one", "two"}) {
        EXPECT_EQ(osaka_->content(name), large);
        EXPECT_EQ(stat_of(*osaka_, name).st_nlink, 1U);
        EXPECT_EQ(stat_of(*tokyo_, name).st_nlink, 2U) << "nobody takes them apart here";
    }
}

TEST_F(Kinds, AnEditByOneNameIsOneOfAllNamesWhereOnlyThatNameWasNoticed) {
    tokyo_->write("one", "text");
    for (const char* name : {"two", "three"}) {
        link(*tokyo_, "one", name);
    }
    tokyo_->client->watch_begins(tokyo_->folder.id);
    clock_.advance_us(60'000'000);
    all();
    append(*tokyo_, "two", ", and more");
    note(*tokyo_, "two");
    const std::uint64_t listed = tokyo_->disk().listed;
    all();
    EXPECT_EQ(tokyo_->disk().listed, listed) << "nothing else is looked at";
    for (const char* name : {"one", "two", "three"}) {
        EXPECT_EQ(osaka_->content(name), "text, and more") << name;
    }
    // More such files at once than are followed one by one.
    for (int i = 0; i < 20; ++i) {
        tokyo_->write("f" + std::to_string(i), "text");
        link(*tokyo_, "f" + std::to_string(i), "g" + std::to_string(i));
        note(*tokyo_, "f" + std::to_string(i));
        note(*tokyo_, "g" + std::to_string(i));
    }
    all();
    for (int i = 0; i < 20; ++i) {
        append(*tokyo_, "f" + std::to_string(i), "!");
        note(*tokyo_, "f" + std::to_string(i));
    }
    all();
    for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(osaka_->content("g" + std::to_string(i)), "text!") << i;
    }
}

TEST_F(Kinds, ANewVersionOfOneNameComesBesideTheOtherAndLosesNothing) {
    tokyo_->write("one", "text");
    link(*tokyo_, "one", "two");
    all();
    osaka_->write("one", "edited by osaka");
    sync(*osaka_);
    append(*tokyo_, "two", ", unsent"); // of both names here
    all();
    std::set<std::string> texts;
    const auto tree = home_->home->tree({"anna", "wiki"});
    ASSERT_TRUE(tree.ok());
    for (const auto& [path, entry] : *tree) {
        texts.insert(osaka_->content(path));
        EXPECT_EQ(tokyo_->content(path), osaka_->content(path)) << path;
    }
    EXPECT_EQ(texts, (std::set<std::string>{"edited by osaka", "text, unsent"}));
    EXPECT_EQ(tokyo_->content("one"), "edited by osaka");
    EXPECT_EQ(tokyo_->content("two"), "text, unsent");
    append(*tokyo_, "two", "!");
    all();
    EXPECT_EQ(tokyo_->content("one"), "edited by osaka") << "they are two files from here on";
}

TEST_F(Kinds, DevicesPipesAndSocketsAreCountedAndHoldUpNothing) {
    ASSERT_TRUE(hasp::make_folders(tokyo_->path("d")).ok());
    tokyo_->write("d/note", "text");
    ASSERT_EQ(::mkfifo(tokyo_->path("d/pipe").c_str(), 0600), 0);
    const Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string name = tokyo_->path("socket");
    ASSERT_LT(name.size(), sizeof address.sun_path);
    std::copy(name.begin(), name.end(), address.sun_path);
    ASSERT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    all();
    EXPECT_EQ(tokyo_->client->status()->at(0).skipped, 2U);
    EXPECT_EQ(tokyo_->client->status()->at(0).unsent_files, 0U);
    EXPECT_EQ(osaka_->content("d/note"), "text");
    // One that takes a file's place is that file's removal; the file is in the home's trash.
    ASSERT_EQ(::unlink(tokyo_->path("d/note").c_str()), 0);
    ASSERT_EQ(::mkfifo(tokyo_->path("d/note").c_str(), 0600), 0);
    all();
    EXPECT_EQ(osaka_->content("d/note"), "(not_found)");
    EXPECT_EQ(home_->home->versions({"anna", "wiki"}, "d/note", true, {})->size(), 1U);
}

TEST_F(Kinds, ModesAndTimesComeAsTheyWereHoweverOdd) {
    struct Odd {
        const char* name;
        unsigned mode;
        timespec mtime;
    };
    const std::vector<Odd> odd{{"setuid", 04755, {1'000, 0}},
                               {"setgid", 02640, {1'000, 999'999'999}},
                               {"none", 0000, {0, 0}},
                               {"before", 0644, {-86'400LL * 365 * 60, 123'456'789}},
                               {"later", 0644, {4'102'444'800, 1}},
                               {"empty", 0600, {1'700'000'000, 500}}};
    for (const Odd& one : odd) {
        tokyo_->write(one.name, std::string(one.name) == "empty" ? "" : one.name);
        const timespec times[2] = {{0, UTIME_OMIT}, one.mtime};
        ASSERT_EQ(::utimensat(AT_FDCWD, tokyo_->path(one.name).c_str(), times, 0), 0);
        ASSERT_EQ(::chmod(tokyo_->path(one.name).c_str(), one.mode), 0);
    }
    ASSERT_TRUE(hasp::make_folders(tokyo_->path("empty-folder"), 0711).ok());
    all();
    for (const Odd& one : odd) {
        const struct stat here = stat_of(*tokyo_, one.name);
        const struct stat there = stat_of(*osaka_, one.name);
        EXPECT_EQ(there.st_mode, here.st_mode) << one.name;
        EXPECT_EQ(there.st_size, here.st_size) << one.name;
        EXPECT_EQ(there.st_mtim.tv_sec, here.st_mtim.tv_sec) << one.name;
        EXPECT_EQ(there.st_mtim.tv_nsec, here.st_mtim.tv_nsec / 1000 * 1000)
            << "to the microsecond";
    }
    EXPECT_EQ(stat_of(*osaka_, "empty-folder").st_mode & 07777U, 0711U);
    for (Machine* at : {tokyo_.get(), osaka_.get()}) {
        EXPECT_EQ(at->client->look(at->folder)->unsent_files, 0U);
    }
}

TEST_F(Kinds, NamesThatLookAlikeAreFilesOfTheirOwn) {
    const std::string long_one(251, 'n');
    const std::vector<std::string> names{"caf\xc3\xa9",
                                         "cafe\xcc\x81",
                                         "Caf\xc3\xa9",
                                         long_one + ".txt",
                                         long_one + ".TXT",
                                         "a",
                                         "a ",
                                         "a.",
                                         "\xe2\x80\xae"
                                         "a",
                                         "nul",
                                         "a:b",
                                         "a\\b"};
    for (const std::string& name : names) {
        tokyo_->write(name, "in " + name);
    }
    all();
    for (const std::string& name : names) {
        EXPECT_EQ(osaka_->content(name), "in " + name);
        // Edited at both sides: the copy's name fits too.
        tokyo_->write(name, "by tokyo, " + name);
        osaka_->write(name, "by osaka, " + name);
    }
    all();
    const auto tree = home_->home->tree({"anna", "wiki"});
    ASSERT_TRUE(tree.ok());
    EXPECT_EQ(tree->size(), 2 * names.size());
    for (const auto& [path, entry] : *tree) {
        EXPECT_LE(path.size(), 255U);
        EXPECT_EQ(osaka_->content(path), tokyo_->content(path)) << path;
    }
}

TEST_F(Kinds, LinksAreKeptAndNeverFollowedWhereverTheyPoint) {
    ASSERT_TRUE(hasp::make_folders(folder_ + "/outside").ok());
    ASSERT_TRUE(write_file_durably(folder_ + "/outside/secret", "not ours", 0644).ok());
    const std::vector<std::pair<std::string, std::string>> links{{"absolute", folder_ + "/outside"},
                                                                 {"up", "../../../../outside"},
                                                                 {"gone", "nowhere"},
                                                                 {"self", "self"},
                                                                 {"long", std::string(4000, 'x')}};
    for (const auto& [name, target] : links) {
        ASSERT_EQ(::symlink(target.c_str(), tokyo_->path(name).c_str()), 0);
    }
    all();
    EXPECT_EQ(home_->home->tree({"anna", "wiki"})->size(), links.size()) << "nothing behind them";
    for (const auto& [name, target] : links) {
        EXPECT_EQ(std::filesystem::read_symlink(osaka_->path(name)).string(), target);
    }
    // A folder comes where a link to elsewhere stands meanwhile: nothing is written through it.
    ASSERT_TRUE(hasp::make_folders(tokyo_->path("papers")).ok());
    tokyo_->write("papers/note", "text");
    sync(*tokyo_);
    ASSERT_EQ(::symlink((folder_ + "/outside").c_str(), osaka_->path("papers").c_str()), 0);
    all();
    EXPECT_FALSE(std::filesystem::exists(folder_ + "/outside/note"));
    EXPECT_EQ(tokyo_->content("papers/note"), "text");
}

TEST_F(Kinds, DeepFoldersComeAsFarAsPathsGoAndWhatIsDeeperIsCounted) {
    std::string path;
    for (int i = 0; i < 15; ++i) {
        path += (path.empty() ? "" : "/") + std::string(250, static_cast<char>('a' + i));
        ASSERT_EQ(::mkdir(tokyo_->path(path).c_str(), 0755), 0) << i;
    }
    tokyo_->write(path + "/note", "deep down"); // 3,769 bytes beneath the folder
    const Fd deepest(::open(tokyo_->path(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    // Beyond PATH_MAX, which nobody gets to by one path.
    ASSERT_EQ(::mkdirat(deepest.get(), std::string(250, 'x').c_str(), 0755), 0);
    const Fd deeper(
        ::openat(deepest.get(), std::string(250, 'x').c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSERT_EQ(::mkdirat(deeper.get(), std::string(250, 'y').c_str(), 0755), 0);
    all();
    EXPECT_EQ(osaka_->content(path + "/note"), "deep down");
    EXPECT_EQ(tokyo_->client->status()->at(0).skipped, 1U) << "said";
    const Status left = tokyo_->client->leave(tokyo_->folder);
    ASSERT_FALSE(left.ok()) << "what is deeper is nowhere else";
    EXPECT_EQ(left.error().code, Code::conflict);
    EXPECT_EQ(tokyo_->content(path + "/note"), "deep down");
}

} // namespace hasp::sync
