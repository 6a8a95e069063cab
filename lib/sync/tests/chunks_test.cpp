// What contents are called, and that the name of an edit is that of the content.
#include "sync/chunks.h"

#include "base/random.h"
#include "base/text.h"
#include "trust/hash.h"

#include <gtest/gtest.h>

namespace hasp::sync {
namespace {

constexpr std::size_t chunk_mib = std::size_t{1} << 20;

Digest named(const std::string& content, bool by_chunks = true) {
    MemoryFile file(content);
    return identify(file, by_chunks).value();
}

// PROTOCOL.md has this content and its name.
std::string chunked_example() {
    std::string out;
    for (std::uint64_t i = 0; out.size() < 2 * chunk_mib; ++i) {
        out += trust::sha256(std::to_string(i));
    }
    return out;
}

TEST(Chunks, OfTheExampleAreThoseThatTheProtocolSays) {
    const Digest found = named(chunked_example());
    ASSERT_TRUE(found.chunks);
    EXPECT_EQ(to_hex(found.hash),
              "01b16ba1c64f511ed6d62fa336a2bc023b77c6b01a7ee2e9972e861f9db1291d65");
    EXPECT_EQ(found.chunks->count(), 153U);
    EXPECT_EQ(found.chunks->bytes(0), 8987U);
    EXPECT_EQ(found.chunks->bytes(1), 18370U);
    EXPECT_EQ(to_hex(found.chunks->hash(0)),
              "65edb9beceabecf5fe944995c62f6d430f952e93bcc2547f0ef52fbd7ceb2be8");
}

TEST(Chunks, NameLargeContentsAloneAndOnlyWhereThatIsAsked) {
    SeededRandom random(1);
    const std::string small = random.bytes(chunk_mib);
    EXPECT_EQ(named(small).hash, trust::sha256(small));
    EXPECT_EQ(named(small).chunks, nullptr);
    const std::string large = random.bytes(chunk_mib + 1);
    EXPECT_TRUE(named_by_chunks(named(large).hash));
    EXPECT_EQ(named(large, false).hash, trust::sha256(large));
    EXPECT_TRUE(valid_content_name(named(large).hash));
    EXPECT_TRUE(valid_content_name(named(small).hash));
    EXPECT_FALSE(valid_content_name(named(large).hash.substr(0, 20)));
    EXPECT_FALSE(valid_content_name("\x02" + trust::sha256(large)));
}

TEST(Chunks, KeepWithinTheirBoundsAndMakeUpTheContent) {
    SeededRandom random(2);
    for (const std::string& content : {random.bytes(3 * chunk_mib), std::string(3 * chunk_mib, 'x'),
                                       std::string(2 * chunk_mib + 17, '\0')}) {
        const Digest found = named(content);
        const ChunkBounds bounds = chunk_bounds(content.size());
        ASSERT_TRUE(found.chunks);
        EXPECT_EQ(found.chunks->size(), content.size());
        for (std::size_t i = 0; i < found.chunks->count(); ++i) {
            const auto from = static_cast<std::size_t>(found.chunks->begin(i));
            const auto bytes = static_cast<std::size_t>(found.chunks->bytes(i));
            EXPECT_LE(bytes, bounds.most);
            EXPECT_TRUE(bytes > bounds.least || i + 1 == found.chunks->count());
            EXPECT_EQ(found.chunks->hash(i), trust::sha256(content.substr(from, bytes)));
            EXPECT_EQ(found.chunks->beginning_at(from), std::optional<std::size_t>(i));
            EXPECT_EQ(found.chunks->beginning_at(from + 1), std::nullopt);
        }
        EXPECT_EQ(found.chunks->beginning_at(content.size()), std::nullopt);
    }
}

TEST(Chunks, GrowWithTheContentSoThatTheirListStaysSmall) {
    for (std::uint64_t size = chunked_bytes_least; size <= file_bytes_max; size *= 2) {
        const ChunkBounds bounds = chunk_bounds(size);
        EXPECT_LE(size / bounds.least, chunks_max) << size;
        EXPECT_LE(bounds.most, size) << size;
    }
    EXPECT_EQ(chunk_bounds(512 * chunk_mib), chunk_bounds(chunk_mib));
    EXPECT_EQ(chunk_bounds(512 * chunk_mib + 1).least, 2 * chunk_bounds(chunk_mib).least);
}

TEST(Chunks, AreTheSameHoweverTheBytesCome) {
    SeededRandom random(3);
    const std::string content = random.bytes(2 * chunk_mib + 12'345);
    for (const std::size_t step : {std::size_t{1}, std::size_t{4097}, std::size_t{700'001}}) {
        Naming naming(content.size(), true);
        for (std::size_t at = 0; at < content.size(); at += step) {
            naming.update(std::string_view(content).substr(at, step));
        }
        EXPECT_EQ(naming.finish().hash, named(content).hash) << step;
    }
}

TEST(Chunks, OfMoreOrFewerBytesThanWereAnnouncedNameNothing) {
    const std::string content(4 * chunk_mib, 'x');
    for (const std::uint64_t announced : {2 * chunk_mib, 600 * chunk_mib}) {
        Naming naming(announced, true);
        naming.update(content);
        const Digest found = naming.finish();
        EXPECT_EQ(found.size, content.size());
        EXPECT_EQ(found.hash, "");
        EXPECT_EQ(found.chunks, nullptr);
    }
}

TEST(Chunks, AContentThatWasCalledOtherwiseKeepsItsName) {
    const std::string content = chunked_example();
    MemoryFile file(content);
    const std::string flat = trust::sha256(content);
    const std::string chunked = named(content).hash;
    const auto is = [](const std::string& expected) {
        return [expected](const std::string& name) { return name == expected; };
    };
    EXPECT_EQ(identify(file, true, is(flat))->hash, flat);
    EXPECT_EQ(identify(file, false, is(chunked))->hash, chunked);
    EXPECT_EQ(identify(file, true, is(trust::sha256("other")))->hash, chunked);
    EXPECT_TRUE(is_named(file, flat).value());
    EXPECT_TRUE(is_named(file, chunked).value());
    EXPECT_FALSE(is_named(file, named(content + "x").hash).value());
}

// An edit, as pieces of what it was and of what is new.
struct RandomEdit {
    std::vector<Piece> pieces;
    std::string content;
};

void add(RandomEdit& edit, const std::string& before, std::uint64_t from, std::uint64_t length) {
    edit.pieces.push_back({true, from, length});
    edit.content += before.substr(static_cast<std::size_t>(from), static_cast<std::size_t>(length));
}

RandomEdit random_edit(const std::string& before, Random& random) {
    const auto below = [&random](std::uint64_t limit) {
        std::uint64_t value = 0;
        for (const char c : random.bytes(8)) {
            value = value << 8U | static_cast<unsigned char>(c);
        }
        return limit == 0 ? 0 : value % limit;
    };
    RandomEdit out;
    std::uint64_t at = 0;
    for (std::uint64_t i = below(8) + 1; i > 0 && at < before.size(); --i) {
        const std::uint64_t kept = below(before.size() - at + 1);
        if (kept > 0) {
            add(out, before, at, kept);
        }
        at += kept;
        const std::string fresh = random.bytes(below(3) == 0 ? below(200'000) : below(300));
        if (!fresh.empty()) {
            out.pieces.push_back({false, 0, fresh.size()});
            out.content += fresh;
        }
        at = below(5) == 0 ? below(before.size()) : std::min(before.size(), at + below(100'000));
    }
    if (below(2) == 0 && at < before.size()) {
        add(out, before, at, before.size() - at);
    }
    return out;
}

class BytesReadFile final : public ReadFile {
  public:
    explicit BytesReadFile(std::string content) : file_(std::move(content)) {}
    Result<std::size_t> read(std::uint64_t offset, std::span<char> into) override {
        auto got = file_.read(offset, into);
        bytes += got.value_or(0);
        return got;
    }
    Result<FileStat> stat() override { return file_.stat(); }
    std::uint64_t bytes = 0;

  private:
    MemoryFile file_;
};

TEST(Chunks, OfAnEditAreThoseOfTheContentForAnyEdit) {
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
        SeededRandom random(seed);
        std::string now = random.bytes(chunk_mib + chunk_mib / 2);
        if (seed % 3 == 0) { // which repeats itself, and has chunks of the largest size
            now.append(300'000, 'r').append(now.substr(0, 400'000));
        }
        Digest was = named(now);
        for (int edit = 0; edit < 4; ++edit) {
            RandomEdit next = random_edit(now, random);
            if (next.content.size() < chunked_bytes_least) {
                continue;
            }
            MemoryFile file(next.content);
            auto chunks = chunks_of_edit(next.pieces, was.chunks.get(), file, next.content.size());
            ASSERT_TRUE(chunks.ok());
            Naming naming(next.content.size(), true);
            naming.update(next.content);
            const Digest is = naming.finish();
            ASSERT_EQ(*chunks, *is.chunks) << seed << " " << edit;
            EXPECT_EQ(chunks->name(), is.hash);
            now = std::move(next.content);
            was = is;
        }
    }
}

TEST(Chunks, OfAnEditAreReadAroundWhatIsNewAlone) {
    SeededRandom random(5);
    const std::string before = random.bytes(8 * chunk_mib);
    const Digest was = named(before);
    RandomEdit edit;
    add(edit, before, 0, 3 * chunk_mib);
    edit.pieces.push_back({false, 0, 1000});
    edit.content += random.bytes(1000);
    add(edit, before, 3 * chunk_mib, 5 * chunk_mib);
    BytesReadFile file(edit.content);
    auto chunks = chunks_of_edit(edit.pieces, was.chunks.get(), file, edit.content.size());
    ASSERT_TRUE(chunks.ok());
    EXPECT_EQ(chunks->name(), named(edit.content).hash);
    EXPECT_LT(file.bytes, 300'000U);
}

TEST(Chunks, OfWhatHasGrownOverABoundAreCutAnew) {
    // Bounds are of the size, which pieces of an edit do not say: a basis with others is none.
    EXPECT_NE(chunk_bounds(512 * chunk_mib), chunk_bounds(512 * chunk_mib + 1));
    SeededRandom random(6);
    const std::string before = random.bytes(2 * chunk_mib);
    ChunkList other; // as if it were of a larger content
    other.add(600 * chunk_mib, trust::sha256("x"));
    MemoryFile file(before);
    auto chunks = chunks_of_edit({{true, 0, before.size()}}, &other, file, before.size());
    ASSERT_TRUE(chunks.ok());
    EXPECT_EQ(chunks->name(), named(before).hash);
}

TEST(Chunks, AreReadFromWhatWasWrittenAndNothingElse) {
    const Digest found = named(chunked_example());
    const std::string text = encode_chunks(*found.chunks);
    auto again = decode_chunks(text, found.hash);
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(*again, *found.chunks);
    EXPECT_FALSE(decode_chunks(text, named(chunked_example() + "x").hash).ok()) << "another name";
    EXPECT_FALSE(decode_chunks(text + "x", found.hash).ok());
    EXPECT_FALSE(decode_chunks("", found.hash).ok());
    for (std::size_t at = 0; at < text.size(); at += 61) {
        EXPECT_FALSE(decode_chunks(text.substr(0, at), found.hash).ok()) << at;
        std::string other = text;
        other[at] = static_cast<char>(other[at] ^ 1);
        EXPECT_FALSE(decode_chunks(other, found.hash).ok()) << at;
    }
}

TEST(Chunks, ThatEndWhereNoneDoesAreRefusedThoughTheNameIsTheirs) {
    ChunkList list;
    list.add(chunk_mib, trust::sha256("too long"));
    list.add(chunk_mib, trust::sha256("too long, too"));
    EXPECT_FALSE(decode_chunks(encode_chunks(list), list.name()).ok());
    ChunkList tiny;
    for (int i = 0; i < 300; ++i) {
        tiny.add(i == 0 ? 100 : 60'000, trust::sha256(std::to_string(i)));
    }
    EXPECT_FALSE(decode_chunks(encode_chunks(tiny), tiny.name()).ok());
}

} // namespace
} // namespace hasp::sync
