// A home that answers five rows at a time, and tiers that send ten files at a time.
#pragma once

#include "engine_fixture.h"

#include <map>

namespace hasp::sync {

class Parts : public Engine {
  protected:
    void SetUp() override {
        Engine::SetUp();
        home_->answers = {5, std::uint64_t{1} << 20};
        for (Machine* at : {tokyo_.get(), osaka_.get()}) {
            at->batches.operations = 10;
            at->start();
        }
        home_->start();
    }
    void fresh() {
        TearDown();
        SetUp();
    }
    static std::filesystem::path root(const Machine& at) {
        return std::filesystem::path(at.path("x")).parent_path();
    }
    static std::string numbered(const std::string& name, int number) {
        return name + std::to_string(number);
    }
    static void folder(const Machine& at, const std::string& name) {
        ASSERT_TRUE(hasp::make_folders(at.path(name)).ok());
    }
    static void remove(const Machine& at, const std::string& name) {
        std::filesystem::remove_all(at.path(name));
    }
    static std::map<std::string, std::string> contents(const Machine& at) {
        std::map<std::string, std::string> out;
        for (const auto& one : std::filesystem::recursive_directory_iterator(root(at))) {
            const std::string name = one.path().lexically_relative(root(at)).string();
            out[name] = one.is_directory() ? "(folder)" : at.content(name);
        }
        return out;
    }
    void expect_equal() {
        sync(*tokyo_);
        sync(*osaka_);
        sync(*tokyo_);
        EXPECT_EQ(contents(*osaka_), contents(*tokyo_));
        EXPECT_EQ(contents(*tokyo_).size(), home_->home->tree({"anna", "wiki"})->size());
        for (Machine* at : {tokyo_.get(), osaka_.get()}) {
            const Round quiet = sync(*at);
            EXPECT_EQ(quiet.files + quiet.skipped, 0U);
            EXPECT_LT(quiet.up + quiet.down, 100U);
        }
    }
    // What is unsent, as one revision.
    void in_one_batch(Machine& at) {
        at.batches.operations = batch_operations_max;
        at.start();
        sync(at);
    }
    // 30 files in 4 folders.
    void fill(Machine& at) {
        for (const char* name : {"a", "a/deep", "a/deep/er", "b"}) {
            folder(at, name);
        }
        for (int i = 0; i < 10; ++i) {
            at.write(numbered("a/deep/er/", i), noise(1'000));
            at.write(numbered("b/", i), noise(1'000));
            at.write(numbered("c", i), noise(1'000));
        }
    }
    bool one_exchange(Machine& at) {
        bool again = false;
        EXPECT_TRUE(exchange(at, again).has_value());
        return again;
    }
};

} // namespace hasp::sync
