// A pushing tier and a receiving tier in one temporary folder.
#pragma once

#include "base/files.h"
#include "base/random.h"
#include "maint/release_git.h"
#include "maint/release_store.h"
#include "release_repo.h"

#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <optional>
#include <unistd.h>

namespace hasp::maint {

namespace fs = std::filesystem;

class ReleaseTest : public testing::Test {
  protected:
    void SetUp() override {
        std::string name = testing::TempDir() + "/hasp_release_XXXXXX";
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        dir = name;
        fs::create_directory(dir + "/app");
        store.emplace(dir + "/held", child());
    }
    void TearDown() override { EXPECT_TRUE(remove_read_only_tree(dir).ok()); }

    void put(const std::string& path, const std::string& content, bool executable = false) const {
        const fs::path at = fs::path(dir + "/app") / path;
        fs::create_directories(at.parent_path());
        ASSERT_TRUE(write_file_durably(at.string(), content, executable ? 0755 : 0644).ok());
    }

    Result<Release> make(std::uint64_t number = 1) const {
        return make_release_from_folder(dir + "/app", repo(), "wiki", 1, number);
    }
    std::string repo() const { return dir + "/push.git"; }
    std::string pack() const { return dir + "/pack"; }
    static ImportChild child() { return {RELEASE_IMPORT_CHILD, {}, 100}; }

    // Nothing of an import may stay behind a refusal: no tree, no manifest, no stage, no pack.
    void expect_nothing_staged() const {
        std::error_code ec;
        for (const auto& entry : fs::recursive_directory_iterator(dir + "/held", ec)) {
            const std::string path = entry.path().string();
            EXPECT_EQ(path.find(".stage"), std::string::npos) << path;
            EXPECT_EQ(path.find(".release"), std::string::npos) << path;
            EXPECT_FALSE(path.ends_with(".pack")) << path;
        }
        EXPECT_TRUE(store->list()->empty());
    }

    std::string read(const std::string& path) const {
        return read_file(path, 1 << 26).value_or("?");
    }

    std::string dir;
    std::optional<ReleaseStore> store;
};

} // namespace hasp::maint
