// The content store on this machine's disk.
#include "base/files.h"
#include "content_suite.h"

#include <cstdlib>
#include <unistd.h>

namespace hasp::sync {
namespace {

class RealWorld final : public ContentWorld {
  public:
    RealWorld() {
        folder_ = (::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : ::testing::TempDir()) +
                  std::string("/hasp_contents_XXXXXX");
        EXPECT_NE(::mkdtemp(folder_.data()), nullptr);
        disk_ = *open_disk(folder_);
    }
    ~RealWorld() override {
        disk_.reset();
        EXPECT_TRUE(remove_tree(folder_).ok());
    }
    Disk& disk() override { return *disk_; }
    Result<std::unique_ptr<store::Db>> open_db() override {
        return store::Db::open(folder_ + "/files.db");
    }

  private:
    std::string folder_;
    std::unique_ptr<Disk> disk_;
};

INSTANTIATE_TEST_SUITE_P(Real, ContentSuite,
                         ::testing::Values(NamedContentWorld{
                             "Disk", [] { return std::make_unique<RealWorld>(); }}),
                         [](const auto& at) { return std::string(at.param.name); });

} // namespace
} // namespace hasp::sync
