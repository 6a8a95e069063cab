// What applying differences may cost beside their bytes, and what reading sealed contents does.
#include "collect.h"
#include "difference.h"
#include "effort.h"
#include "numbers.h"
#include "sealed.h"

#include "base/random.h"

#include <gtest/gtest.h>

namespace hasp::sync {
namespace {

class CountingFile final : public ReadFile {
  public:
    explicit CountingFile(std::string content) : file_(std::move(content)) {}
    std::uint64_t reads = 0;
    std::uint64_t bytes = 0;
    Result<std::size_t> read(std::uint64_t offset, std::span<char> into) override {
        auto got = file_.read(offset, into);
        ++reads;
        bytes += got.value_or(0);
        return got;
    }
    Result<FileStat> stat() override { return file_.stat(); }

  private:
    MemoryFile file_;
};

constexpr std::uint64_t places = 2 * stretches_at_hand;
constexpr std::uint64_t base_bytes = places * stretch_bytes;

std::string steps_of(std::uint64_t count, std::uint64_t length, std::uint64_t stretches_apart) {
    std::string out;
    std::uint64_t base_at = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
        const std::uint64_t from = i * stretches_apart % places * stretch_bytes;
        put_number(out, 0);
        put_number(out, length);
        put_number(out, zigzag(static_cast<std::int64_t>(from - base_at)));
        base_at = from + length;
    }
    return out;
}

Status apply_steps(const std::string& steps, std::uint64_t& reads) {
    std::string difference("\1", 1);
    put_number(difference, steps.size());
    difference += steps + std::string(3, '\0');
    CountingFile base(std::string(base_bytes, 'b'));
    MemoryFile file(difference);
    std::string out;
    Status done = apply_difference(base, pull_from(file), 1ULL << 30, into(out));
    reads = base.reads;
    return done;
}

bool refused(const Status& status) {
    return !status.ok() && status.error().code == Code::refused;
}

TEST(Effort, OfADifferenceIsBoundByWhatItMakes) {
    std::uint64_t reads = 0;
    EXPECT_TRUE(apply_steps(steps_of(1000, bytes_a_stretch, 1), reads).ok());
    EXPECT_EQ(reads, 1000U);
    EXPECT_TRUE(apply_steps(steps_of(stretches_least, 1, 1), reads).ok());
    EXPECT_TRUE(refused(apply_steps(steps_of(stretches_least + 1, 1, 1), reads)));
    EXPECT_TRUE(refused(apply_steps(steps_of(10'000, bytes_a_stretch / 2, 1), reads)));
    EXPECT_EQ(reads, 0U) << "a chunk is judged before it is done";
    // From one place, but in too many steps.
    EXPECT_TRUE(apply_steps(steps_of(10'000, bytes_a_step, 0), reads).ok());
    EXPECT_TRUE(refused(apply_steps(steps_of(2000, 1, 0), reads)));
}

TEST(Effort, OfADifferenceIsBoundByItsChunks) {
    const std::string packed = pack_with_prefix("n", {}, 1).value_or("");
    std::string chunk("\1\2\1\0\1", 5); // one new byte
    put_number(chunk, packed.size());
    put_number(chunk, 1 << 20);
    chunk += packed;
    for (const std::uint64_t count : {packs_least, packs_least + 1}) {
        std::string difference;
        for (std::uint64_t i = 0; i < count; ++i) {
            difference += chunk;
        }
        difference.push_back('\0');
        MemoryFile base(std::string(base_bytes, 'b'));
        MemoryFile file(difference);
        std::string out;
        const Status done = apply_difference(base, pull_from(file), 1000, into(out));
        EXPECT_EQ(done.ok(), count == packs_least);
        EXPECT_TRUE(done.ok() || refused(done));
    }
}

TEST(Effort, OfAPatchIsBoundByWhatItMakes) {
    for (const std::size_t length : {std::size_t{1}, std::size_t{8192}}) {
        std::string delta("rs\x02\x36", 4);
        for (std::uint64_t i = 0; i < 2000; ++i) {
            const std::uint64_t from = i % places * stretch_bytes;
            delta.push_back(0x4e); // a copy, with four bytes of where and two of how much
            for (int shift = 24; shift >= 0; shift -= 8) {
                delta.push_back(static_cast<char>(from >> shift & 0xff));
            }
            delta.push_back(static_cast<char>(length >> 8));
            delta.push_back(static_cast<char>(length & 0xff));
        }
        delta.push_back('\0');
        CountingFile base(std::string(base_bytes, 'b'));
        MemoryFile file(delta);
        std::string out;
        const Status done = patch(base, pull_from(file), 1 << 30, into(out));
        EXPECT_EQ(done.ok(), length > 1);
        if (done.ok()) {
            EXPECT_EQ(out.size(), 2000 * length);
        } else {
            EXPECT_TRUE(refused(done));
            EXPECT_LT(base.reads, 2 * stretches_least);
        }
    }
}

TEST(Effort, OfWhatIsMadeFromPiecesOfALargeFileStaysWithinItsBound) {
    SeededRandom random(31);
    const std::string old = random.bytes(2 * base_bytes);
    std::string now;
    for (std::uint64_t i = 0; i < 160; ++i) { // never from a stretch that is at hand
        now += old.substr(i * 37 % (2 * places) * stretch_bytes, 2000);
    }
    MemoryFile base(old);
    MemoryFile target(now);
    std::string difference;
    std::string delta;
    ASSERT_TRUE(make_difference(base, target, into(difference)).ok());
    ASSERT_TRUE(delta_from_base(base, target, into(delta)).ok());
    for (const bool is_delta : {false, true}) {
        MemoryFile file(is_delta ? delta : difference);
        std::string out;
        const Status done = is_delta
                                ? patch(base, pull_from(file), now.size(), into(out))
                                : apply_difference(base, pull_from(file), now.size(), into(out));
        ASSERT_TRUE(done.ok()) << done.error().message;
        EXPECT_TRUE(out == now);
    }
    EXPECT_LT(difference.size(), now.size() * 3 / 4) << "what may be taken is";
}

// Every piece of the file stands in the base, far from the others, and what follows it does not.
TEST(Effort, OfSearchesThatFindLittleIsBound) {
    SeededRandom random(32);
    const std::string old = random.bytes(64 * stretch_bytes);
    std::string now;
    while (now.size() < 300'000) {
        now += old.substr(random.below(64) * stretch_bytes, 64) + random.bytes(1);
    }
    CountingFile base(old);
    MemoryFile target(now);
    std::string difference;
    ASSERT_TRUE(make_difference(base, target, into(difference)).ok());
    EXPECT_LT(base.reads, 4000U);
}

TEST(SealedContents, AreUnsealedOnceWhereAFewPlacesAreReadInTurns) {
    SeededRandom random(33);
    const std::string content = random.bytes(40 * sealed_frame_bytes + 1000);
    const std::string key = random.bytes(trust::aead_key_bytes);
    const std::string hash(32, 'h');
    std::string sealed;
    Sealer sealer(key, random);
    ASSERT_TRUE(sealer.begin(hash, into(sealed)).ok() && sealer.write(content).ok() &&
                sealer.finish().ok());
    auto counting = std::make_unique<CountingFile>(sealed);
    const CountingFile& read = *counting;
    auto file = open_sealed(std::move(counting), {0, sealed.size(), content.size()}, key, hash);
    ASSERT_TRUE(file.ok());
    std::string out(100, '\0');
    for (std::uint64_t i = 0; i < 100 * stretches_at_hand; ++i) {
        const std::uint64_t at = i % stretches_at_hand * sealed_frame_bytes + i;
        ASSERT_EQ((*file)->read(at, out).value_or(0), out.size());
        ASSERT_EQ(out, content.substr(at, out.size())) << at;
    }
    EXPECT_LT(read.bytes, (stretches_at_hand + 1) * sealed_frame_bytes);
    for (int i = 0; i < 1000; ++i) {
        const std::uint64_t at = random.below(content.size());
        const std::size_t got = (*file)->read(at, out).value_or(0);
        ASSERT_EQ(out.substr(0, got), content.substr(at, out.size())) << at;
    }
}

} // namespace
} // namespace hasp::sync
