// What every disk that the content store lies on must let it keep. A disk is added by a world and
// INSTANTIATE_TEST_SUITE_P(…, ContentSuite, …).
#pragma once

#include "base/clock.h"
#include "base/random.h"
#include "store/db.h"
#include "sync/content_store.h"
#include "sync/home.h"

#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <string>

namespace hasp::sync {

class ContentWorld {
  public:
    virtual ~ContentWorld() = default;
    virtual Disk& disk() = 0;
    virtual Result<std::unique_ptr<store::Db>> open_db() = 0;
};

using MakeContentWorld = std::function<std::unique_ptr<ContentWorld>()>;
struct NamedContentWorld {
    const char* name;
    MakeContentWorld make;
};

class ContentSuite : public ::testing::TestWithParam<NamedContentWorld> {
  protected:
    void SetUp() override;
    // As after a crash of the process: nothing is told to the old one.
    void start();
    Status try_start();
    std::string start_refused(); // the code, or that it started

    // Stages, keeps and records; a version at `path` needs it, unless that is empty.
    Status keep(const std::string& user, const std::vector<std::string>& contents,
                const std::string& path = "p", const std::vector<std::string>& staged = {});
    // As what differs from `before`, which is kept; `as`: under a false hash.
    Status keep_difference(const std::string& user, const std::string& before,
                           const std::string& now, const std::string& as = "");
    // The same for anna, called by their chunks.
    Status keep_chunked(const std::string& content);
    Status edit_chunked(const std::string& before, const std::string& now,
                        const std::string& as = "");
    std::int64_t chunk_lists();
    std::uint64_t kept_bytes(); // of contents that are needed
    std::int64_t composed();    // contents that are put together
    std::string read(const std::string& user, const std::string& hash);
    std::string bytes_of(const std::string& file);
    void put_bytes(const std::string& file, const std::string& bytes);
    std::vector<std::string> files(); // of the store
    void forget_versions(const std::string& user, const std::string& hash);
    void drop(const std::string& user, const std::string& hash);
    void put_legacy(const std::string& content);
    std::size_t legacy_blobs();
    Result<bool> take_over(); // a step
    std::string random(std::size_t size);

    std::unique_ptr<ContentWorld> world_;
    std::unique_ptr<store::Db> db_;
    std::unique_ptr<ContentStore> store_;
    SeededRandom random_{7};
    ManualClock clock_;
    std::int64_t revision_ = 0;
    std::size_t healed_ = 0; // that take_over() gave back
};

} // namespace hasp::sync
