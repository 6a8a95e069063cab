// Large folders: batches that go on from one look.
#include "engine_parts.h"

namespace hasp::sync {
namespace {

class OneLook : public Parts {};

TEST_F(OneLook, ManyBatchesGoUpByOneLook) {
    for (int i = 0; i < 95; ++i) {
        tokyo_->write(numbered("file", i), noise(100));
    }
    const std::uint64_t before = tokyo_->disk().listed;
    EXPECT_EQ(sync(*tokyo_).exchanges, 10U);
    EXPECT_EQ(tokyo_->disk().listed - before, 1U);
    EXPECT_EQ(home_->home->tree({"anna", "wiki"})->size(), 95U);
    tokyo_->write("later", "later");
    sync(*tokyo_);
    EXPECT_EQ(tokyo_->disk().listed - before, 2U) << "each round looks";
    expect_equal();
}

TEST_F(OneLook, WhatChangesBetweenBatchesGoesUpAsItIsThen) {
    folder(*tokyo_, "d");
    for (int i = 10; i < 40; ++i) {
        tokyo_->write(numbered("file", i), numbered("text ", i));
    }
    sync(*tokyo_);
    for (int i = 10; i < 40; ++i) {
        std::filesystem::rename(tokyo_->path(numbered("file", i)),
                                tokyo_->path(numbered("moved", i)));
        tokyo_->write(numbered("new", i), noise(100));
    }
    remove(*tokyo_, "d");
    bool again = false;
    ASSERT_TRUE(exchange(*tokyo_, again).has_value());
    ASSERT_TRUE(again);
    for (const char* name : {"moved10", "moved39"}) {
        tokyo_->write(name, "another text");
    }
    tokyo_->write("new39", "another text");
    tokyo_->write("file10", "back");
    remove(*tokyo_, "new38");
    while (again) {
        ASSERT_TRUE(exchange(*tokyo_, again).has_value());
    }
    const Tree tree = *home_->home->tree({"anna", "wiki"});
    EXPECT_EQ(tree.at("new39").size, 12U);
    EXPECT_EQ(tree.at("moved10").size, 12U) << "its content is known where it was moved from";
    EXPECT_EQ(tree.at("moved39").size, 12U);
    EXPECT_FALSE(tree.contains("new38"));
    EXPECT_TRUE(tree.contains("file10")) << "it was there again before its removal was sent";
    EXPECT_FALSE(tree.contains("file11"));
    expect_equal();
    EXPECT_EQ(osaka_->content("file10"), "back");
    EXPECT_EQ(osaka_->content("moved39"), "another text");
}

TEST_F(OneLook, AFolderThatVanishesBetweenBatchesIsLookedAtAnew) {
    for (int i = 0; i < 30; ++i) {
        tokyo_->write(numbered("agreed", i), "text");
    }
    sync(*tokyo_);
    for (int i = 0; i < 30; ++i) {
        tokyo_->write(numbered("new", i), "text");
    }
    bool again = false;
    ASSERT_TRUE(exchange(*tokyo_, again).has_value());
    ASSERT_TRUE(again);
    std::filesystem::remove_all(root(*tokyo_));
    ASSERT_TRUE(hasp::make_folders(root(*tokyo_).string()).ok());
    while (again) {
        ASSERT_TRUE(exchange(*tokyo_, again).has_value());
    }
    EXPECT_EQ(tokyo_->client->status(tokyo_->folder.id)->held, "the folder is gone");
    EXPECT_EQ(home_->home->tree({"anna", "wiki"})->size(), 40U);
}

TEST_F(OneLook, ALongRoundLooksAgainAfterAWhile) {
    for (int i = 0; i < 35; ++i) {
        tokyo_->write(numbered("file", i), noise(100));
    }
    const std::uint64_t before = tokyo_->disk().listed;
    bool again = false;
    ASSERT_TRUE(exchange(*tokyo_, again).has_value());
    tokyo_->write("meanwhile", "text");
    clock_.advance_us(61'000'000);
    while (again) {
        ASSERT_TRUE(exchange(*tokyo_, again).has_value());
    }
    EXPECT_EQ(tokyo_->disk().listed - before, 2U);
    EXPECT_TRUE(home_->home->tree({"anna", "wiki"})->contains("meanwhile"));
}

} // namespace
} // namespace hasp::sync
