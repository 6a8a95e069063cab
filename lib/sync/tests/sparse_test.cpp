// A file that is far larger than what is in it: up, down and edited, in bounded memory and room.
#include "engine_fixture.h"

#include <sys/resource.h>

namespace hasp::sync {

namespace {

constexpr off_t large_bytes = off_t{256} << 20;
constexpr off_t islands = 16; // of 64 KB each
constexpr std::size_t island_bytes = std::size_t{64} * 1024;
constexpr std::int64_t memory_bytes_max = std::int64_t{34} << 20;

class Sparse : public Engine {
  protected:
    void write_at(const Machine& at, off_t where, const std::string& bytes) const {
        const Fd fd(::open(at.path("disk.img").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
        ASSERT_TRUE(fd.get() >= 0 && ::ftruncate(fd.get(), large_bytes) == 0);
        ASSERT_EQ(::pwrite(fd.get(), bytes.data(), bytes.size(), where),
                  static_cast<ssize_t>(bytes.size()));
    }
    static std::int64_t room_of(const std::string& path) {
        std::int64_t out = 0;
        for (const auto& one : std::filesystem::recursive_directory_iterator(path)) {
            struct stat st {};
            out += ::lstat(one.path().c_str(), &st) == 0 ? st.st_blocks * 512 : 0;
        }
        return out;
    }
    static std::string hash_of(Machine& at) {
        auto file = at.disk().open(at.folder.path + "/disk.img");
        EXPECT_TRUE(file.ok());
        auto read = file ? digest(**file) : Result<Digest>(file.error());
        EXPECT_TRUE(read.ok());
        return read ? read->hash : "";
    }
    static std::int64_t memory_bytes() {
        rusage used{};
        ::getrusage(RUSAGE_SELF, &used);
        return used.ru_maxrss * 1024;
    }
};

} // namespace

TEST_F(Sparse, GoesUpComesDownAndIsEditedInTheRoomAndMemoryOfWhatIsInIt) {
    for (off_t i = 0; i < islands; ++i) {
        write_at(*tokyo_, large_bytes / islands * i + 12'345, noise(island_bytes));
    }
    const std::int64_t before = memory_bytes();
    EXPECT_LT(sync(*tokyo_).up, std::uint64_t{2} << 20);
    EXPECT_LT(sync(*osaka_).down, std::uint64_t{2} << 20);
    EXPECT_EQ(hash_of(*osaka_), hash_of(*tokyo_));
    write_at(*osaka_, large_bytes / 2 + 777, noise(5'000));
    EXPECT_LT(sync(*osaka_).up, 20'000U);
    EXPECT_LT(sync(*tokyo_).down, 20'000U);
    EXPECT_EQ(hash_of(*osaka_), hash_of(*tokyo_));
    const std::int64_t used = memory_bytes() - before;
    for (const char* at : {"/tokyo", "/osaka", "/center"}) {
        EXPECT_LT(room_of(folder_ + at), std::int64_t{4} << 20) << at;
    }
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "all but its memory (" << used << "): the sanitizer has its own allocator";
#endif
    EXPECT_LT(used, memory_bytes_max);
}

} // namespace hasp::sync
