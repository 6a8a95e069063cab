#include "release_fixture.h"

#include <sys/stat.h>

namespace hasp::maint {
namespace {

using testing::HasSubstr;

mode_t mode_of(const std::string& path) {
    struct stat st {};
    return ::lstat(path.c_str(), &st) == 0 ? st.st_mode & 07777 : 0;
}

TEST_F(ReleaseTest, ATreeArrivesAsItWasPushed) {
    put("index.html", "<p>hello</p>");
    put("bin/run", "#!/bin/sh\n", true);
    put("empty", "");
    put("d\xc3\xa9j\xc3\xa0/\xe6\x97\xa5\xe6\x9c\xac.txt", "unicode");
    put("a/b/c/d", "deep");
    put("a-b", "sorts between a and a/");
    fs::create_symlink("../bin/run", dir + "/app/a/link");
    fs::create_directory(dir + "/app/nothing-in-it");
    put(".git/config", "not part of it");
    const Result<Release> release = make();
    ASSERT_TRUE(release.ok()) << release.error().message;
    EXPECT_EQ(release->files.size(), 7U);
    const Result<PackInfo> info = write_pack(repo(), release->commit, {}, pack());
    ASSERT_TRUE(info.ok()) << info.error().message;
    EXPECT_EQ(info->size, fs::file_size(pack()));

    const Result<std::string> id = store->import_pack(pack(), *release);
    ASSERT_TRUE(id.ok()) << id.error().message;
    EXPECT_EQ(*id, release_id(*release));
    const std::string tree = store->tree_path("wiki", *id);
    EXPECT_EQ(read(tree + "/a/b/c/d"), "deep");
    EXPECT_EQ(read(tree + "/empty"), "");
    EXPECT_EQ(read(tree + "/d\xc3\xa9j\xc3\xa0/\xe6\x97\xa5\xe6\x9c\xac.txt"), "unicode");
    EXPECT_EQ(fs::read_symlink(tree + "/a/link"), "../bin/run");
    EXPECT_EQ(mode_of(tree + "/bin/run"), 0555U);
    EXPECT_EQ(mode_of(tree + "/index.html"), 0444U);
    EXPECT_EQ(mode_of(tree + "/a"), 0555U);
    EXPECT_EQ(mode_of(tree), 0555U);
    EXPECT_FALSE(fs::exists(tree + "/.git"));
    EXPECT_TRUE(store->verify("wiki", *id).ok());
    EXPECT_EQ(*store->manifest("wiki", *id), *release);
    const auto held = store->list();
    ASSERT_EQ(held->size(), 1U);
    EXPECT_EQ(held->front().files, 7U);
}

TEST_F(ReleaseTest, TheSameContentHasTheSameIdWhereverItLies) {
    put("a", "1");
    put("b/c", "2", true);
    const Result<Release> first = make(1);
    fs::rename(dir + "/app", dir + "/elsewhere");
    fs::copy(dir + "/elsewhere", dir + "/app", fs::copy_options::recursive);
    const Result<Release> second =
        make_release_from_folder(dir + "/app", dir + "/other.git", "wiki", 1, 2);
    ASSERT_TRUE(first.ok() && second.ok());
    EXPECT_EQ(first->commit, second->commit);
    EXPECT_EQ(release_id(*first), release_id(*second));
}

TEST_F(ReleaseTest, ATwoLineChangeTravelsAsASmallDelta) {
    SeededRandom random(3);
    for (int i = 0; i < 40; ++i) {
        put("assets/" + std::to_string(i) + ".bin", random.bytes(50'000));
    }
    std::string lines;
    for (int i = 0; i < 20'000; ++i) {
        lines += "line " + std::to_string(random.u64()) + "\n";
    }
    put("big.txt", lines);
    const Result<Release> first = make(1);
    const Result<PackInfo> whole = write_pack(repo(), first->commit, {}, pack());
    ASSERT_TRUE(whole.ok()) << whole.error().message;
    ASSERT_TRUE(store->import_pack(pack(), *first).ok());

    put("big.txt", lines.replace(lines.find('\n', 1000), 1, "\nnew line\n")
                       .replace(lines.find('\n', 300'000), 1, "\nanother\n"));
    const Result<Release> second = make(2);
    const Result<PackInfo> change =
        write_pack(repo(), second->commit, {first->commit, std::string(40, '0')}, pack());
    ASSERT_TRUE(change.ok()) << change.error().message;
    EXPECT_LT(change->size, 1'000U);
    EXPECT_GT(whole->size, 2'000'000U);
    RecordProperty("delta_bytes", static_cast<int>(change->size));

    // Without the base it is refused, with it it arrives.
    const ReleaseStore empty(dir + "/empty", child());
    EXPECT_FALSE(ReleaseStore(empty).import_pack(pack(), *second).ok());
    const Result<std::string> id = store->import_pack(pack(), *second);
    ASSERT_TRUE(id.ok()) << id.error().message;
    EXPECT_TRUE(store->verify("wiki", *id).ok());

    // What arrived as a delta can be passed on as a whole.
    const Result<PackInfo> below =
        write_pack(store->repo_path("wiki"), second->commit, {}, dir + "/below");
    ASSERT_TRUE(below.ok()) << below.error().message;
    EXPECT_TRUE(
        ReleaseStore(dir + "/below-held", child()).import_pack(dir + "/below", *second).ok());
}

TEST_F(ReleaseTest, AFileThatShrankTravelsAsADeltaAgainstItsLargerSelf) {
    const std::string large = SeededRandom(4).bytes(3'000'000);
    put("only", large);
    const Result<Release> first = make(1);
    ASSERT_TRUE(write_pack(repo(), first->commit, {}, pack()).ok());
    ASSERT_TRUE(store->import_pack(pack(), *first).ok());
    put("only", large.substr(1'000'000, 20'000));
    const Result<Release> second = make(2);
    const Result<PackInfo> info = write_pack(repo(), second->commit, {first->commit}, pack());
    ASSERT_TRUE(info.ok()) << info.error().message;
    EXPECT_LT(info->size, 1'000U);
    const Result<std::string> id = store->import_pack(pack(), *second);
    ASSERT_TRUE(id.ok()) << id.error().message;
}

TEST_F(ReleaseTest, AChildThatCannotStartOrDiesIsAnErrorWithNothingStaged) {
    put("a", "1");
    const Result<Release> release = make();
    ASSERT_TRUE(write_pack(repo(), release->commit, {}, pack()).ok());
    EXPECT_FALSE(
        ReleaseStore(dir + "/held", {"/nonexistent", {}, 5}).import_pack(pack(), *release).ok());
    expect_nothing_staged();
    EXPECT_FALSE(
        ReleaseStore(dir + "/held", {"/bin/true", {}, 5}).import_pack(pack(), *release).ok());
    expect_nothing_staged();
    EXPECT_FALSE(ReleaseStore(dir + "/held", {"/bin/sh", {"-c", "kill -9 $$"}, 5})
                     .import_pack(pack(), *release)
                     .ok());
    expect_nothing_staged();
    // One that never ends is ended.
    EXPECT_EQ(ReleaseStore(dir + "/held", {"/bin/sleep", {"60"}, 1})
                  .import_pack(pack(), *release)
                  .error()
                  .code,
              Code::timed_out);
    expect_nothing_staged();
}

TEST_F(ReleaseTest, ThePackOfTheSameReleaseHasTheSameBytes) {
    for (int i = 0; i < 30; ++i) {
        put("f" + std::to_string(i), std::string(static_cast<std::size_t>(i) * 100, 'x'));
    }
    const Result<Release> release = make();
    const Result<PackInfo> one = write_pack(repo(), release->commit, {}, pack());
    const Result<PackInfo> two = write_pack(repo(), release->commit, {}, dir + "/pack2");
    ASSERT_TRUE(one.ok() && two.ok());
    EXPECT_EQ(one->sha256, two->sha256);
}

TEST_F(ReleaseTest, APackMayArriveInChunksAndResume) {
    put("a", std::string(10'000, 'a'));
    put("b", SeededRandom(1).bytes(10'000));
    const Result<Release> release = make();
    const Result<PackInfo> info = write_pack(repo(), release->commit, {}, pack());
    const std::string bytes = read(pack());
    PackSpool first(dir + "/spool", info->size, info->sha256);
    ASSERT_TRUE(first.open().ok());
    ASSERT_TRUE(first.append(0, bytes.substr(0, 4'000)).ok());
    EXPECT_EQ(first.append(0, "x").error().code, Code::conflict);
    EXPECT_EQ(first.finish().error().code, Code::partial);

    PackSpool again(dir + "/spool", info->size, info->sha256);
    ASSERT_TRUE(again.open().ok());
    EXPECT_EQ(again.have_bytes(), 4'000U);
    EXPECT_EQ(again.append(4'000, bytes).error().code, Code::refused);
    ASSERT_TRUE(again.append(4'000, bytes.substr(4'000)).ok());
    ASSERT_TRUE(again.complete());
    ASSERT_TRUE(again.finish().ok());
    EXPECT_TRUE(store->import_pack(again.path(), *release).ok());

    PackSpool wrong(dir + "/spool", info->size, std::string(64, '0'));
    ASSERT_TRUE(wrong.open().ok());
    EXPECT_EQ(wrong.finish().error().code, Code::refused);
    EXPECT_EQ(wrong.have_bytes(), 0U);
    EXPECT_FALSE(PackSpool(dir + "/huge", pack_bytes_max + 1, "").open().ok());
}

TEST_F(ReleaseTest, VerifyFindsEveryKindOfDamage) {
    put("a", "1");
    put("b/c", "2");
    const Result<Release> release = make();
    ASSERT_TRUE(write_pack(repo(), release->commit, {}, pack()).ok());
    const Result<std::string> id = store->import_pack(pack(), *release);
    ASSERT_TRUE(id.ok()) << id.error().message;
    const std::string tree = store->tree_path("wiki", *id);
    fs::permissions(tree, fs::perms::owner_all);
    fs::permissions(tree + "/a", fs::perms::owner_write, fs::perm_options::add);
    ASSERT_TRUE(write_file_durably(tree + "/a", "9", 0444).ok());
    EXPECT_THAT(store->verify("wiki", *id).error().message, HasSubstr("a has another content"));
    ASSERT_TRUE(write_file_durably(tree + "/a", "1", 0555).ok());
    EXPECT_THAT(store->verify("wiki", *id).error().message,
                HasSubstr("a has another kind or mode"));
    fs::remove(tree + "/a");
    EXPECT_THAT(store->verify("wiki", *id).error().message, HasSubstr("a is missing"));
    ASSERT_TRUE(write_file_durably(tree + "/a", "1", 0444).ok());
    EXPECT_TRUE(store->verify("wiki", *id).ok());
    ASSERT_TRUE(write_file_durably(tree + "/more", "1", 0444).ok());
    EXPECT_THAT(store->verify("wiki", *id).error().message,
                HasSubstr("more does not belong to it"));
    EXPECT_EQ(store->verify("wiki", std::string(32, '0')).error().code, Code::not_found);
}

TEST_F(ReleaseTest, RemovingOneReleaseKeepsTheOthersObjects) {
    put("a", SeededRandom(1).bytes(100'000));
    const Result<Release> first = make(1);
    ASSERT_TRUE(write_pack(repo(), first->commit, {}, pack()).ok());
    const Result<std::string> old = store->import_pack(pack(), *first);
    put("a", SeededRandom(2).bytes(100'000));
    const Result<Release> second = make(2);
    ASSERT_TRUE(write_pack(repo(), second->commit, {first->commit}, pack()).ok());
    const Result<std::string> now = store->import_pack(pack(), *second);
    ASSERT_TRUE(old.ok() && now.ok());
    ASSERT_TRUE(store->remove_release("wiki", *old).ok());
    EXPECT_FALSE(store->holds("wiki", *old));
    EXPECT_EQ(write_pack(store->repo_path("wiki"), first->commit, {}, dir + "/p").error().code,
              Code::not_found);
    EXPECT_TRUE(write_pack(store->repo_path("wiki"), second->commit, {}, dir + "/p").ok());
    EXPECT_TRUE(store->verify("wiki", *now).ok());
    EXPECT_TRUE(store->remove_release("wiki", *old).ok());
    ASSERT_TRUE(store->remove_release("wiki", *now).ok());
    EXPECT_FALSE(fs::exists(dir + "/held/wiki"));
}

TEST_F(ReleaseTest, AnImportTwiceOrFromTheRepositoryIsNoError) {
    put("a", "1");
    Result<Release> release = make(1);
    ASSERT_TRUE(write_pack(repo(), release->commit, {}, pack()).ok());
    const Result<std::string> id = store->import_pack(pack(), *release);
    ASSERT_TRUE(id.ok()) << id.error().message;
    release->number = 5;
    EXPECT_EQ(*store->import_pack(pack(), *release), *id);
    EXPECT_EQ(store->manifest("wiki", *id)->number, 5U);
    put("a", "2");
    const Result<Release> own =
        make_release_from_folder(dir + "/app", store->repo_path("wiki"), "wiki", 1, 6);
    ASSERT_TRUE(own.ok()) << own.error().message;
    const Result<std::string> own_id = store->import_from_repo(*own);
    ASSERT_TRUE(own_id.ok()) << own_id.error().message;
    EXPECT_EQ(store->list()->size(), 2U);
}

TEST_F(ReleaseTest, SweepThrowsAwayWhatACrashLeftAndNothingElse) {
    put("a", "1");
    const Result<Release> release = make();
    ASSERT_TRUE(write_pack(repo(), release->commit, {}, pack()).ok());
    ASSERT_TRUE(store->import_pack(pack(), *release).ok());
    fs::create_directories(dir + "/held/wiki/.stage-x/tree");
    ASSERT_TRUE(
        write_file_durably(dir + "/held/wiki/" + std::string(32, 'a') + ".release", "lost", 0600)
            .ok());
    ASSERT_TRUE(store->sweep().ok());
    EXPECT_FALSE(fs::exists(dir + "/held/wiki/.stage-x"));
    EXPECT_FALSE(fs::exists(dir + "/held/wiki/" + std::string(32, 'a') + ".release"));
    EXPECT_EQ(store->list()->size(), 1U);
    EXPECT_TRUE(ReleaseStore(dir + "/nowhere").sweep().ok());
}

TEST_F(ReleaseTest, AFolderWithWhatCannotBePushedIsRefusedByName) {
    const auto refusal = [&] {
        const Result<Release> release = make();
        return release.ok() ? std::string("accepted") : release.error().message;
    };
    EXPECT_THAT(refusal(), HasSubstr("has no files"));
    put("a", "1");
    fs::create_symlink("/etc/passwd", dir + "/app/abs");
    EXPECT_THAT(refusal(), HasSubstr("`abs` is a symlink to an absolute path"));
    fs::remove(dir + "/app/abs");
    fs::create_symlink("../outside", dir + "/app/out");
    EXPECT_THAT(refusal(), HasSubstr("`out` is a symlink that leads out"));
    fs::remove(dir + "/app/out");
    put("lib/.git", "gitdir: ../.git/modules/lib");
    EXPECT_THAT(refusal(), HasSubstr("`lib` is a submodule"));
    fs::remove_all(dir + "/app/lib");
    ASSERT_EQ(::mkfifo((dir + "/app/pipe").c_str(), 0600), 0);
    EXPECT_THAT(refusal(), HasSubstr("`pipe` is a device, a pipe or a socket"));
    fs::remove(dir + "/app/pipe");
    put("GIT~1", "x");
    EXPECT_THAT(refusal(), HasSubstr("for .git"));
    fs::remove(dir + "/app/GIT~1");
    put("back\\slash", "x");
    EXPECT_THAT(refusal(), HasSubstr("contains a backslash"));
    fs::remove(dir + "/app/back\\slash");
    put("bad\xff", "x");
    EXPECT_THAT(refusal(), HasSubstr("is not UTF-8"));
    fs::remove(dir + "/app/bad\xff");
    EXPECT_EQ(refusal(), "accepted");
    EXPECT_FALSE(make_release_from_folder(dir + "/app", repo(), "Wiki", 1, 1).ok());
    EXPECT_EQ(make_release_from_folder(dir + "/none", repo(), "wiki", 1, 1).error().code,
              Code::not_found);
}

} // namespace
} // namespace hasp::maint
