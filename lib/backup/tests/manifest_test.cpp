#include "backup/manifest.h"

#include "backup/key_file.h"
#include "base/random.h"

#include <algorithm>
#include <gtest/gtest.h>

namespace hasp::backup {
namespace {

const Head of_center{"20261129T210005Z-0a1b2c3d", 1'795'986'005'000'000, "hasp://clinics/center",
                     "0.1", std::string(64, 'a')};

std::string text_of(const std::vector<Item>& items) {
    std::string out;
    ManifestWriter writer([&out](std::string_view bytes) {
        out.append(bytes);
        return Status{};
    });
    EXPECT_TRUE(writer.head(of_center).ok());
    for (const Item& item : items) {
        EXPECT_TRUE(writer.add(item).ok());
    }
    EXPECT_TRUE(writer.end().ok());
    return out;
}

Result<std::vector<Item>> read(const std::string& text) {
    std::size_t at = 0;
    ManifestReader reader([&](std::span<char> into) {
        const std::size_t n = std::min({into.size(), text.size() - at, std::size_t{7}});
        std::copy_n(text.data() + at, n, into.data());
        at += n;
        return Result<std::size_t>(n);
    });
    if (auto read_head = reader.head(); !read_head) {
        return read_head.error();
    }
    std::vector<Item> out;
    for (;;) {
        auto item = reader.next();
        if (!item) {
            return item.error();
        }
        if (!*item) {
            return out;
        }
        out.push_back(*std::move(*item));
    }
}

Item file(const std::string& path) {
    Item item;
    item.path = path;
    item.mode = 0640;
    item.uid = 7;
    item.size = 9;
    item.chunk_bytes = 8;
    item.chunks.resize(2);
    item.chunks[1][0] = '\xff';
    item.seen = {-1, 5, 6};
    return item;
}

TEST(Manifest, ReadsWhatItWrote) {
    Item folder;
    folder.kind = ItemKind::folder;
    folder.path = "data/apps/\xff\n%";
    Item link;
    link.kind = ItemKind::symlink;
    link.path = "to";
    link.target = "/../x y";
    const auto back = read(text_of({folder, file("a/b"), link}));
    ASSERT_TRUE(back.ok()) << back.error().message;
    ASSERT_EQ(back->size(), 3U);
    EXPECT_EQ((*back)[0].path, folder.path);
    EXPECT_EQ((*back)[1].chunks, file("").chunks);
    EXPECT_EQ((*back)[1].seen, file("").seen);
    EXPECT_EQ((*back)[1].uid, 7U);
    EXPECT_EQ((*back)[2].target, link.target);
}

TEST(Manifest, IsTheFormatOfItsProtocol) {
    EXPECT_EQ(
        text_of({file("a")}),
        R"({"at_us":1795986005000000,"hasp_backup":1,"id":"20261129T210005Z-0a1b2c3d","keys":")" +
            std::string(64, 'a') +
            R"(","tier":"hasp://clinics/center","version":"0.1"})"
            "\n"
            R"({"chunk":8,"chunks":")" +
            std::string(64, '0') + "ff" + std::string(62, '0') +
            R"(","ctime_ns":5,"gid":0,"inode":6,"kind":"file","mode":416,"mtime_ns":-1,"path":"a","size":9,"uid":7})"
            "\n"
            R"({"end":1,"sha256":"3525f1dfd81c39011e2891f4a8f7f2099b32e7aced17d2855aad4a1695262154"})"
            "\n");
}

TEST(Manifest, IsRefusedWhereverItIsCutOrBent) {
    const std::string text = text_of({file("a"), file("b")});
    for (std::size_t size = 0; size < text.size(); ++size) {
        EXPECT_FALSE(read(text.substr(0, size)).ok()) << size;
    }
    for (std::size_t at = 0; at < text.size(); ++at) {
        std::string bent = text;
        bent[at] = static_cast<char>(bent[at] ^ 1);
        EXPECT_FALSE(read(bent).ok()) << at;
    }
    EXPECT_FALSE(read(text + "x").ok());
    EXPECT_FALSE(read(text + text).ok());
}

TEST(Manifest, RefusesPathsThatLeadOutAndFilesThatAreNotAsLongAsTheySay) {
    for (const char* path : {"", "/etc/passwd", "../x", "a/../b", "a//b", "."}) {
        EXPECT_FALSE(read(text_of({file(path)})).ok()) << path;
    }
    Item longer = file("a");
    longer.size = 17;
    EXPECT_FALSE(read(text_of({longer})).ok());
    Item large = file("a");
    large.chunk_bytes = chunk_bytes_max + 1;
    EXPECT_FALSE(read(text_of({large})).ok());
    Item mode = file("a");
    mode.mode = 0100644;
    EXPECT_FALSE(read(text_of({mode})).ok());
}

TEST(Manifest, KnowsItsIds) {
    EXPECT_EQ(make_backup_id(1'795'986'005'000'000, "\x0a\x1b\x2c\x3d"), of_center.id);
    for (const char* id : {"", "20261129T210005Z-0a1b2c3", "20261129T210005Z-0A1B2C3D",
                           "../../../../etc/passwd123"}) {
        EXPECT_FALSE(valid_backup_id(id)) << id;
    }
}

TEST(KeyFile, OpensWithItsPassphraseAlone) {
    SeededRandom random(1);
    const Keys keys{{"keys/tier.json", "{}"},
                    {"keys/envelope.pem", std::string("\0\xff", 2)},
                    {"contents.key", "k"}};
    auto sealed = seal_keys(keys, "correct horse battery", random);
    ASSERT_TRUE(sealed.ok());
    EXPECT_EQ(*open_keys(*sealed, "correct horse battery"), keys);
    EXPECT_EQ(open_keys(*sealed, "correct horse batterz").error().code, Code::refused);
    std::string bent = *sealed;
    bent[bent.size() / 2] = bent[bent.size() / 2] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(open_keys(bent, "correct horse battery").ok());
    EXPECT_FALSE(open_keys(sealed->substr(0, 40), "correct horse battery").ok());
    EXPECT_FALSE(open_keys("hasp keys 2\nAAAA\n", "correct horse battery").ok());
    EXPECT_EQ(seal_keys(keys, "short", random).error().code, Code::usage);
}

TEST(KeyFile, RefusesToPutKeysAnywhereElse) {
    SeededRandom random(1);
    for (const char* path : {"keys/../hasp.toml", "keys/a/b", "keys/", "hasp.toml", "keys/.."}) {
        auto sealed = seal_keys({{path, "x"}}, "correct horse battery", random);
        ASSERT_TRUE(sealed.ok());
        EXPECT_FALSE(open_keys(*sealed, "correct horse battery").ok()) << path;
    }
}

TEST(Manifest, TakesNoMoreEntriesThanAReaderReads) {
    ManifestWriter writer([](std::string_view) { return Status{}; }, 2);
    Item folder;
    folder.kind = ItemKind::folder;
    folder.path = "a";
    EXPECT_TRUE(writer.add(folder).ok());
    EXPECT_TRUE(writer.add(folder).ok());
    EXPECT_EQ(writer.add(folder).error().code, Code::refused);
}

TEST(KeyFile, PrintsEachPrivateKeyThatCannotBeMadeAnew) {
    const std::string pem = "-----BEGIN PRIVATE KEY-----\n";
    Keys keys{{"keys/envelope.pem", pem + "a"}, {"keys/tls.pem", pem + "b"}};
    const auto saved = key_prints(keys);
    EXPECT_EQ(saved.size(), 2U);
    keys["keys/tier.json"] = "renewed";
    keys["keys/certificates.pem"] = "-----BEGIN CERTIFICATE-----";
    keys["keys/web-next-key.pem"] = pem + "c";
    EXPECT_EQ(key_prints(keys), saved);
    for (const char* path : {"keys/web-ca-key.pem", "keys/acme-account.pem", "contents.key"}) {
        keys[path] = pem + path;
        const auto now = key_prints(keys);
        EXPECT_FALSE(std::includes(saved.begin(), saved.end(), now.begin(), now.end())) << path;
        keys.erase(path);
    }
    EXPECT_EQ(key_prints(keys), saved);
}

TEST(KeyFile, FitsABackupOfATimeBeforeThereWereContents) {
    Keys keys{{"keys/envelope.pem", "a"}, {"keys/tls.pem", "b"}, {"keys/tier.json", "{}"}};
    const std::string before = fingerprint(keys);
    keys["contents.key"] = "c";
    keys["keys/tier.json"] = "renewed";
    EXPECT_NE(fingerprint(keys), before);
    EXPECT_TRUE(fit(keys, before));
    EXPECT_TRUE(fit(keys, fingerprint(keys)));
    keys["keys/envelope.pem"] = "other";
    EXPECT_FALSE(fit(keys, before));
}

} // namespace
} // namespace hasp::backup
