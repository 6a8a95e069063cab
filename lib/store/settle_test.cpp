#include "store/settle.h"

#include "base/files.h"
#include "store/test_db.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace hasp::store {
namespace {

constexpr std::size_t bytes_max = std::size_t{10} << 20;

void copy(const std::string& from, const std::string& to) {
    auto bytes = read_file(from, bytes_max);
    ASSERT_TRUE(bytes.ok()) << bytes.error().message;
    ASSERT_TRUE(write_file_durably(to, *bytes, 0600).ok());
}

TEST(ACopiedDatabase, IsWholeWithoutItsJournalOnceItIsSettled) {
    TestDb live;
    ASSERT_TRUE(
        live->run_script("CREATE TABLE t (n INTEGER) STRICT; INSERT INTO t VALUES (1), (2)").ok());
    const std::string path = live.folder() + "/copy.db";
    copy(live.path(), path);
    copy(live.path() + "-wal", path + "-wal");
    ASSERT_TRUE(settle_copy(path).ok());
    const std::string alone = live.folder() + "/alone.db";
    copy(path, alone);
    auto db = Db::open(alone);
    ASSERT_TRUE(db.ok());
    auto sum =
        (*db)->first("SELECT sum(n) FROM t", [](const Statement& s) { return s.integer(0); });
    ASSERT_TRUE(sum.ok());
    EXPECT_EQ(sum->value_or(0), 3);
}

TEST(ACopiedDatabase, ThatIsNoneIsRefused) {
    TestDb live;
    const std::string path = live.folder() + "/none.db";
    ASSERT_TRUE(write_file_durably(path, std::string(5000, 'x'), 0600).ok());
    EXPECT_EQ(settle_copy(path).error().code, Code::refused);
    EXPECT_FALSE(settle_copy(live.folder() + "/missing.db").ok());
}

} // namespace
} // namespace hasp::store
