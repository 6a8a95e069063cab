// Packs that somebody made on purpose. Trees are written as raw objects, so that git's own checks
// are not in the way.
#include "base/text.h"
#include "release_fixture.h"
#include "release_hash.h"

#include <algorithm>
#include <fcntl.h>
#include <zlib.h>

namespace hasp::maint {
namespace {

using testing::HasSubstr;

struct RawEntry {
    std::string mode;
    std::string name;
    git_oid id;
};

class HostilePack : public ReleaseTest {
  protected:
    void SetUp() override {
        ReleaseTest::SetUp();
        const std::string path = repo();
        repo_ = std::move(open_repo(path, true).value());
        odb_ = std::move(open_odb(repo_.get()).value());
    }

    git_oid object(git_object_t type, const std::string& bytes) const {
        git_oid id{};
        EXPECT_EQ(git_odb_write(&id, odb_.get(), bytes.data(), bytes.size(), type), 0);
        return id;
    }
    git_oid blob(const std::string& bytes) const { return object(GIT_OBJECT_BLOB, bytes); }
    git_oid tree(const std::vector<RawEntry>& entries) const {
        std::string text;
        for (const RawEntry& entry : entries) {
            text += entry.mode + " " + entry.name + '\0';
            text.append(reinterpret_cast<const char*>(entry.id.id), GIT_OID_RAWSZ);
        }
        return object(GIT_OBJECT_TREE, text);
    }
    git_oid commit(const git_oid& root) const {
        return object(GIT_OBJECT_COMMIT,
                      "tree " + hex_of(root) +
                          "\nauthor a <a@b> 0 +0000\ncommitter a <a@b> 0 +0000\n\nx\n");
    }

    static ReleaseFile file(const std::string& path, const std::string& content,
                            FileMode mode = FileMode::plain) {
        return {path, mode, content.size(), sha256_hex(content)};
    }

    // A pack of exactly these objects; libgit2 is not asked what belongs to what.
    void write_objects(const std::vector<git_oid>& ids) const {
        git_packbuilder* builder = nullptr;
        ASSERT_EQ(git_packbuilder_new(&builder, repo_.get()), 0);
        for (const git_oid& id : ids) {
            ASSERT_EQ(git_packbuilder_insert(builder, &id, nullptr), 0);
        }
        git_buf bytes = GIT_BUF_INIT;
        ASSERT_EQ(git_packbuilder_write_buf(&bytes, builder), 0);
        ASSERT_TRUE(write_file_durably(pack(), {bytes.ptr, bytes.size}, 0600).ok());
        git_buf_dispose(&bytes);
        git_packbuilder_free(builder);
    }

    // What the import of the pack says; the manifest claims `files`.
    std::string import(const git_oid& commit_id, std::vector<ReleaseFile> files) {
        std::sort(files.begin(), files.end(),
                  [](const ReleaseFile& a, const ReleaseFile& b) { return a.path < b.path; });
        const Result<std::string> id =
            store->import_pack(pack(), {"wiki", 1, 1, hex_of(commit_id), std::move(files)});
        if (id.ok()) {
            return "accepted";
        }
        expect_nothing_staged();
        return id.error().message;
    }

    // A tree at the root with these entries, against a manifest with `files`.
    std::string import_tree(const std::vector<RawEntry>& entries,
                            const std::vector<ReleaseFile>& files,
                            const std::vector<git_oid>& more = {}) {
        const git_oid root = tree(entries);
        const git_oid top = commit(root);
        std::vector<git_oid> ids = {top, root};
        for (const RawEntry& entry : entries) {
            if (entry.mode != "160000") {
                ids.push_back(entry.id);
            }
        }
        ids.insert(ids.end(), more.begin(), more.end());
        write_objects(ids);
        return import(top, files);
    }

    GitLibrary git_;
    GitRepo repo_;
    GitOdb odb_;
};

TEST_F(HostilePack, AnHonestOneMadeByHandIsAccepted) {
    EXPECT_EQ(import_tree({{"100644", "a", blob("1")}}, {file("a", "1")}), "accepted");
}

TEST_F(HostilePack, SymlinksThatLeaveTheReleaseAreRefused) {
    for (const std::string target : {"../x", "/etc/passwd", "a/../../x"}) {
        EXPECT_THAT(
            import_tree({{"120000", "l", blob(target)}}, {file("l", target, FileMode::symlink)}),
            HasSubstr("is a symlink"))
            << target;
    }
}

TEST_F(HostilePack, NamesThatTheManifestCouldNotHaveAreRefused) {
    for (const std::string name :
         {".git", ".GIT", "git~1", "..", ".", "a\\b", ".git::$DATA", ".g\xe2\x80\x8cit", "x\ny"}) {
        EXPECT_THAT(import_tree({{"100644", "a", blob("1")}, {"100644", name, blob("2")}},
                                {file("a", "1"), file("b", "2")}),
                    HasSubstr("the pack does not hold the release"))
            << name;
        // And as a folder.
        const git_oid inner = tree({{"100644", "config", blob("3")}});
        EXPECT_THAT(import_tree({{"100644", "a", blob("1")}, {"40000", name, inner}},
                                {file("a", "1"), file("b/config", "3")}, {blob("3")}),
                    HasSubstr("the pack does not hold the release"))
            << name;
    }
}

TEST_F(HostilePack, ANameWithASlashIsRefusedThoughItsPathIsInTheManifest) {
    EXPECT_THAT(import_tree({{"100644", "a/b", blob("1")}}, {file("a/b", "1")}),
                HasSubstr("has a name with a slash"));
    EXPECT_THAT(import_tree({{"100644", "../a", blob("1")}}, {file("a", "1")}), HasSubstr("slash"));
}

TEST_F(HostilePack, AManifestWithAnUnsafePathNeverReachesTheChild) {
    EXPECT_THAT(import_tree({{"100644", ".git", blob("1")}}, {file(".git", "1")}),
                HasSubstr("for .git"));
}

TEST_F(HostilePack, EntriesThatAreThereTwiceAreRefused) {
    EXPECT_THAT(
        import_tree({{"100644", "a", blob("1")}, {"100644", "a", blob("1")}}, {file("a", "1")}),
        HasSubstr("is there twice"));
    const git_oid inner = tree({{"100644", "x", blob("2")}});
    EXPECT_THAT(import_tree({{"120000", "a", blob("b")}, {"40000", "a", inner}},
                            {file("a", "b", FileMode::symlink), file("c", "3"), file("d", "4")},
                            {blob("2")}),
                HasSubstr("is there twice"));
}

TEST_F(HostilePack, ExtraMissingAndChangedFilesAreRefused) {
    EXPECT_THAT(import_tree({{"100644", "a", blob("1")}, {"100644", "b", blob("2")}},
                            {file("a", "1"), file("c", "2")}),
                HasSubstr("`b` is not in the manifest"));
    EXPECT_THAT(import_tree({{"100644", "a", blob("1")}}, {file("a", "1"), file("b", "2")}),
                HasSubstr("`b` is missing"));
    EXPECT_THAT(import_tree({{"100644", "a", blob("evil")}}, {file("a", "good")}),
                HasSubstr("`a` has another content"));
    EXPECT_THAT(import_tree({{"100755", "a", blob("1")}}, {file("a", "1")}),
                HasSubstr("another kind or mode"));
    EXPECT_THAT(import_tree({{"120000", "a", blob("b")}}, {file("a", "b")}),
                HasSubstr("another kind or mode"));
    EXPECT_THAT(import_tree({{"100664", "a", blob("1")}}, {file("a", "1")}),
                HasSubstr("another kind or mode"));
    EXPECT_THAT(import_tree({{"40000", "d", tree({})}, {"100644", "a", blob("1")}},
                            {file("a", "1"), file("b", "2")}),
                HasSubstr("`d` is a folder that the manifest does not have"));
}

TEST_F(HostilePack, ASubmoduleIsRefused) {
    EXPECT_THAT(import_tree({{"100644", "a", blob("1")}, {"160000", "s", blob("2")}},
                            {file("a", "1"), file("s", "2")}),
                HasSubstr("another kind or mode"));
}

TEST_F(HostilePack, TruncatedDamagedAndForeignBytesAreRefused) {
    const git_oid root = tree({{"100644", "a", blob(SeededRandom(5).bytes(5'000))}});
    const std::vector<ReleaseFile> files = {file("a", SeededRandom(5).bytes(5'000))};
    const git_oid top = commit(root);
    write_objects({top, root, blob(SeededRandom(5).bytes(5'000))});
    const std::string good = read(pack());
    for (const std::size_t size : {std::size_t{0}, std::size_t{4}, std::size_t{12},
                                   std::size_t{100}, good.size() / 2, good.size() - 1}) {
        ASSERT_TRUE(write_file_durably(pack(), good.substr(0, size), 0600).ok());
        EXPECT_NE(import(top, files), "accepted") << size;
    }
    for (std::size_t at = 0; at < good.size(); at += good.size() / 12) {
        std::string bad = good;
        bad[at] = static_cast<char>(bad[at] ^ 0x10);
        ASSERT_TRUE(write_file_durably(pack(), bad, 0600).ok());
        EXPECT_NE(import(top, files), "accepted") << at;
    }
    ASSERT_TRUE(write_file_durably(pack(), SeededRandom(6).bytes(1'000), 0600).ok());
    EXPECT_NE(import(top, files), "accepted");
    ASSERT_TRUE(write_file_durably(pack(), good, 0600).ok());
    EXPECT_EQ(import(top, files), "accepted");
}

std::string entry_head(unsigned type, std::uint64_t size) {
    std::string out;
    unsigned byte = type << 4 | static_cast<unsigned>(size & 0xf);
    for (size >>= 4; size > 0; size >>= 7) {
        out += static_cast<char>(byte | 0x80);
        byte = static_cast<unsigned>(size & 0x7f);
    }
    return out + static_cast<char>(byte);
}

std::string deflated(const std::string& bytes) {
    uLongf size = compressBound(bytes.size());
    std::string out(size, '\0');
    EXPECT_EQ(compress(reinterpret_cast<Bytef*>(out.data()), &size,
                       reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()),
              Z_OK);
    out.resize(size);
    return out;
}

TEST_F(HostilePack, SizesThatNoFileOfTheManifestHasAreRefusedBeforeTheyAreMade) {
    const git_oid base = blob(std::string(1000, 'b'));
    const git_oid root = tree({{"100644", "a", base}});
    const git_oid top = commit(root);
    // The second file makes room for one object more.
    const std::vector<ReleaseFile> files = {file("a", std::string(1000, 'b')), file("b", "2")};
    const auto with_entry = [&](const std::string& entry) {
        write_objects({top, root, base});
        std::string bytes = read(pack());
        bytes.resize(bytes.size() - 20);
        bytes[11] = 4;
        bytes += entry;
        EXPECT_TRUE(write_file_durably(pack(), bytes, 0600).ok());
        const Fd fd(::open(pack().c_str(), O_RDONLY));
        EXPECT_TRUE(write_file_durably(pack(), bytes + sha1_bytes_of_file(fd.get()), 0600).ok());
        return import(top, files);
    };
    // A blob that says it has 4 GiB, and one that has 64 MiB of zeros in 64 KiB.
    EXPECT_THAT(with_entry(entry_head(3, std::uint64_t{4} << 30) + deflated("x")),
                HasSubstr("an object says it has 4294967296 bytes"));
    EXPECT_THAT(with_entry(entry_head(3, 64U << 20) + deflated(std::string(64U << 20, '\0'))),
                HasSubstr("an object says it has 67108864 bytes"));
    // A delta whose result is 4 GiB less one, made of copies.
    std::string delta = "\xe8\x07";      // base: 1000 bytes
    delta += "\xff\xff\xff\xff\x0f";     // result
    delta += std::string("\x90\xff", 2); // copy 255 bytes from 0
    std::string bomb = entry_head(7, delta.size());
    bomb.append(reinterpret_cast<const char*>(base.id), GIT_OID_RAWSZ);
    EXPECT_THAT(with_entry(bomb + deflated(delta)), HasSubstr("a delta makes an object larger"));
    // One that says it is small and is not.
    EXPECT_THAT(with_entry(entry_head(3, 10) + deflated(std::string(64U << 20, '\0'))),
                HasSubstr("not as long as it says"));
}

TEST_F(HostilePack, MoreObjectsThanTheManifestNeedsAreRefused) {
    const git_oid root = tree({{"100644", "a", blob("1")}});
    const git_oid top = commit(root);
    std::vector<git_oid> ids = {top, root, blob("1")};
    for (int i = 0; i < 50; ++i) {
        ids.push_back(blob("surplus " + std::to_string(i)));
    }
    write_objects(ids);
    EXPECT_NE(import(top, {file("a", "1")}), "accepted");
}

TEST_F(HostilePack, FoldersThatNameOneAnotherManyTimesAreRefusedAtTheFirstUnknownOne) {
    git_oid level = tree({{"100644", "a", blob("1")}});
    std::vector<git_oid> ids = {level, blob("1")};
    for (int i = 0; i < 20; ++i) {
        std::vector<RawEntry> entries;
        for (char c = 'a'; c < 'k'; ++c) {
            entries.push_back({"40000", std::string(1, c), level});
        }
        level = tree(entries);
        ids.push_back(level);
    }
    const git_oid top = commit(level);
    ids.push_back(top);
    write_objects(ids);
    EXPECT_NE(import(top, {file("a", "1")}), "accepted");
}

TEST_F(HostilePack, ATreeThatIsNoTreeAndACommitThatIsNoCommitAreRefused) {
    const git_oid garbage = object(GIT_OBJECT_TREE, "100644 a");
    const git_oid top = commit(garbage);
    write_objects({top, garbage});
    EXPECT_NE(import(top, {file("a", "1")}), "accepted");
    const git_oid text = object(GIT_OBJECT_COMMIT, "tree zz");
    write_objects({text});
    EXPECT_NE(import(text, {file("a", "1")}), "accepted");
    const git_oid no_commit = blob("tree");
    write_objects({no_commit});
    EXPECT_NE(import(no_commit, {file("a", "1")}), "accepted");
}

} // namespace
} // namespace hasp::maint
