// Tiers whose files have extended attributes.
#pragma once

#include "engine_fixture.h"
#include "sync/attributes.h"

#include <sys/xattr.h>

namespace hasp::sync {

// On a disk whose file system has attributes, which one in memory may not have.
class Attributes : public Engine {
  protected:
    std::string place() const override { return ::testing::TempDir(); }
    static void set(const Machine& at, const std::string& path, const std::string& name,
                    const std::string& value) {
        ASSERT_EQ(::setxattr(at.path(path).c_str(), name.c_str(), value.data(), value.size(), 0), 0)
            << "the file system of the tests' folder has no attributes";
    }
    static void drop(const Machine& at, const std::string& path, const std::string& name) {
        ASSERT_EQ(::removexattr(at.path(path).c_str(), name.c_str()), 0);
    }
    static std::string get(const Machine& at, const std::string& path, const std::string& name) {
        std::string value(70'000, '\0');
        const ssize_t n =
            ::getxattr(at.path(path).c_str(), name.c_str(), value.data(), value.size());
        return n < 0 ? "(none)" : value.substr(0, static_cast<std::size_t>(n));
    }
    void both() {
        sync(*tokyo_);
        sync(*osaka_);
        sync(*tokyo_);
    }
    void quiet() {
        for (Machine* at : {tokyo_.get(), osaka_.get()}) {
            EXPECT_EQ(at->client->look(at->folder)->unsent_files, 0U);
            EXPECT_EQ(sync(*at).files, 0U);
        }
    }
};

} // namespace hasp::sync
