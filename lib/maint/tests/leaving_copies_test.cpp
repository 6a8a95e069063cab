// How long a tier has the files of users whose home is elsewhere: to the end of its right to them,
// or until it needs the room; and always until their home has everything.
#include "base/clock.h"
#include "base/files.h"
#include "base/text.h"
#include "forwarding_disk.h"
#include "sync/working_copies.h"
#include "tree.h"

#include <filesystem>

namespace hasp::maint::tests {

namespace {

struct Copies {
    Tree tree;
    Node& center = tree.top();
    Node& tokyo;
    std::map<std::string, std::string> sids;

    explicit Copies(const Config& config = {}) : tokyo(tree.below(center, "tokyo", config)) {
        for (const char* user : {"anna", "ben", "cleo"}) {
            tree.add_user(center, user, good_password, {"notes"});
        }
        tree.add_app(center, "notes", {"center", "tokyo"}, {{"personal", true}});
        tree.pass_s(5);
    }
    static std::string path(const Node& at, const std::string& user, const std::string& name) {
        return at.state + "/data/users/" + user + "/notes/" + name;
    }
    static bool has(const Node& at, const std::string& user) {
        return std::filesystem::exists(at.state + "/data/users/" + user);
    }
    static std::string content(const Node& at, const std::string& user, const std::string& name) {
        auto text = read_file(path(at, user, name), 1 << 24);
        return text.ok() ? *text : "(" + std::string(code_name(text.error().code)) + ")";
    }
    void log_in(const std::string& user) {
        const auto page = tokyo.log_in(user, good_password);
        ASSERT_EQ(page->status, 303);
        sids[user] = text_of(tokyo.who_cookie(page->cookie()), "sid");
        tree.pass_s(2);
    }
    void log_out(const std::string& user) {
        const auto page = tokyo.page({{"method", "POST"},
                                      {"target", "/hasp/logout"},
                                      {"sid", sids[user]},
                                      {"headers", {{"origin", "http://portal.example:8480"}}}});
        ASSERT_EQ(page->status, 200);
        tree.settle();
    }
    void write(const std::string& user, const std::string& name, const std::string& text) {
        ASSERT_TRUE(make_folders(path(tokyo, user, "")).ok());
        ASSERT_TRUE(write_file_durably(path(tokyo, user, name), text, 0644).ok());
        ASSERT_TRUE(tokyo.admin("sync.begin", {{"user", user}}).ok());
        tree.pass_s(2);
    }
    void allow(const std::string& user, bool allowed = true) {
        Json args{{"name", "tokyo"}, {"users", {user}}};
        if (!allowed) {
            args["remove"] = true;
        }
        ASSERT_TRUE(center.admin("local.allow", args).ok());
        if (!allowed) { // it drops all that was lent: an operator says that it is meant
            ASSERT_TRUE(center.admin("lease.sign", {{"name", "tokyo"}}).ok());
        }
        tree.pass_s(5);
    }
    // Tokyo may keep hers; she logs in, writes, and goes.
    void anna_was_here() {
        allow("anna");
        log_in("anna");
        write("anna", "today", "three patients");
        log_out("anna");
    }
    // Logs in, writes so much, and goes.
    void visit(const std::string& user, std::size_t bytes) {
        log_in(user);
        write(user, "today", tree.random.bytes(bytes));
        log_out(user);
        tree.pass_s(900, 30);
    }
};

// One that cannot remove what somebody made immutable.
class StubbornDisk final : public sync::ForwardingDisk {
  public:
    using ForwardingDisk::ForwardingDisk;
    std::string immutable; // the end of its path
    Status remove(const std::string& path) override {
        return !immutable.empty() && path.ends_with(immutable)
                   ? fail(Code::failed, "cannot remove " + path + ": operation not permitted")
                   : disk_->remove(path);
    }
};

} // namespace

TEST(CopiesAtATier, WhoseRemovalCannotBeFinishedAreThereForTheirUserAllTheSame) {
    Copies c;
    c.allow("anna");
    auto disk = sync::open_disk(c.tokyo.state);
    ASSERT_TRUE(disk.ok());
    const auto stubborn = std::make_shared<StubbornDisk>(*std::move(disk));
    auto copies = sync::WorkingCopies::open(c.tokyo.state);
    ASSERT_TRUE(copies.ok());
    c.tokyo.files = {stubborn, std::make_shared<sync::WorkingCopies>(*std::move(copies))};
    c.tree.restart(c.tokyo);
    ASSERT_TRUE(c.tree.linked(c.tokyo) || c.tree.link(c.tokyo));
    c.log_in("anna");
    c.write("anna", "immutable", "stays");
    c.write("anna", "today", "three patients");
    c.write("anna", "zone", "7");
    c.log_out("anna");
    stubborn->immutable = "/immutable";
    c.allow("anna", false);
    c.tree.pass_s(600, 10);
    EXPECT_EQ(Copies::content(c.tokyo, "anna", "immutable"), "stays");
    c.log_in("anna");
    for (const auto& [name, text] : std::map<std::string, std::string>{
             {"immutable", "stays"}, {"today", "three patients"}, {"zone", "7"}}) {
        EXPECT_EQ(Copies::content(c.tokyo, "anna", name), text);
    }
    c.write("anna", "today", "four patients");
    ASSERT_EQ(c.center.log_in("anna", good_password)->status, 303);
    c.tree.pass_s(5);
    EXPECT_EQ(Copies::content(c.center, "anna", "today"), "four patients");
    c.log_out("anna");
    stubborn->immutable.clear();
    c.tree.pass_s(1500, 10);
    EXPECT_FALSE(Copies::has(c.tokyo, "anna"));
}

TEST(CopiesAtATier, ThatCannotBeRemovedWithTheirAccountAreSaidAndTriedAgain) {
    Copies c;
    auto disk = sync::open_disk(c.center.state);
    auto copies = sync::WorkingCopies::open(c.center.state);
    ASSERT_TRUE(disk.ok() && copies.ok());
    const auto stubborn = std::make_shared<StubbornDisk>(*std::move(disk));
    c.center.files = {stubborn, std::make_shared<sync::WorkingCopies>(*std::move(copies))};
    c.tree.restart(c.center);
    ASSERT_TRUE(c.tree.linked(c.tokyo) || c.tree.link(c.tokyo));
    c.log_in("anna");
    c.write("anna", "immutable", "stays");
    c.write("anna", "today", "three patients");
    ASSERT_EQ(Copies::content(c.center, "anna", "immutable"), "stays");
    stubborn->immutable = "/immutable";
    const auto removed = c.center.admin("user.remove", {{"name", "anna"}});
    ASSERT_FALSE(removed.ok());
    EXPECT_NE(removed.error().message.find("/immutable"), std::string::npos)
        << removed.error().message;
    const Json anna{{"name", "anna"}, {"password", good_password}};
    EXPECT_EQ(c.center.admin("user.add", anna).error().code, Code::try_later);
    c.tree.restart(c.center);
    c.tree.pass_s(200, 10);
    EXPECT_EQ(c.center.admin("user.add", anna).error().code, Code::try_later);
    stubborn->immutable.clear();
    c.tree.pass_s(200, 10);
    EXPECT_FALSE(Copies::has(c.center, "anna"));
    EXPECT_TRUE(c.center.admin("user.add", anna).ok());
}

TEST(CopiesAtATier, GoWithTheRightToKeepThemAndComeAgainWithTheNextLogIn) {
    Copies c;
    c.anna_was_here();
    c.tree.pass_s(3 * day_s, 600);
    ASSERT_EQ(Copies::content(c.tokyo, "anna", "today"), "three patients")
        << "as long as it may keep them";
    c.allow("anna", false);
    c.tree.pass_s(130);
    EXPECT_FALSE(Copies::has(c.tokyo, "anna"));
    EXPECT_EQ(c.tokyo.status()["copies"].size(), 0U);
    c.tree.restart(c.tokyo);
    EXPECT_TRUE(c.tree.linked(c.tokyo) || c.tree.link(c.tokyo));
    c.tree.pass_s(130);
    EXPECT_FALSE(Copies::has(c.tokyo, "anna"));
    c.log_in("anna");
    EXPECT_EQ(Copies::content(c.tokyo, "anna", "today"), "three patients");
    EXPECT_EQ(c.tokyo.status()["copies"].size(), 1U);
}

TEST(CopiesAtATier, StayWhileTheirUserIsThere) {
    Copies c;
    c.allow("anna");
    c.log_in("anna");
    c.write("anna", "today", "three patients");
    c.allow("anna", false);
    c.tree.pass_s(300, 10);
    EXPECT_EQ(Copies::content(c.tokyo, "anna", "today"), "three patients");
    c.log_out("anna");
    c.tree.pass_s(130);
    EXPECT_FALSE(Copies::has(c.tokyo, "anna"));
}

TEST(CopiesAtATier, OfSomebodyWhomNoLeaseNamesStayForADay) {
    Copies c;
    c.log_in("anna");
    c.write("anna", "today", "three patients");
    c.log_out("anna");
    c.tree.pass_s(20 * 3600, 60);
    EXPECT_TRUE(Copies::has(c.tokyo, "anna"));
    c.tree.pass_s(5 * 3600, 60);
    EXPECT_FALSE(Copies::has(c.tokyo, "anna"));
}

TEST(CopiesAtATier, AreSentBeforeTheyGoHoweverLongTheLinkWasDown) {
    Copies c;
    c.anna_was_here();
    c.tree.cut(c.tokyo);
    c.write("anna", "today", "four patients");
    c.tree.pass_s(40 * day_s, 3600); // the lease ends, and its grants with it
    EXPECT_EQ(Copies::content(c.tokyo, "anna", "today"), "four patients");
    c.allow("anna", false);
    ASSERT_TRUE(c.tree.link(c.tokyo));
    c.tree.pass_s(1000, 10);
    EXPECT_FALSE(Copies::has(c.tokyo, "anna"));
    const auto page = c.center.log_in("anna", good_password);
    ASSERT_EQ(page->status, 303);
    c.tree.pass_s(5);
    EXPECT_EQ(Copies::content(c.center, "anna", "today"), "four patients");
}

TEST(CopiesAtATier, ThatHaveAllOfTheirHomeGoWithTheLeaseWithoutALinkToo) {
    Copies c;
    c.anna_was_here();
    c.tree.pass_s(60);
    c.tree.cut(c.tokyo);
    c.tree.pass_s(6 * day_s, 3600);
    EXPECT_TRUE(Copies::has(c.tokyo, "anna"));
    c.tree.pass_s(40 * day_s, 3600);
    EXPECT_FALSE(Copies::has(c.tokyo, "anna"));
}

TEST(CopiesAtATier, StayWhereTheirHomeHasLostThem) {
    Copies c;
    c.anna_was_here();
    c.center.close();
    for (const char* end : {"", "-wal", "-shm"}) {
        std::filesystem::remove(c.center.state + "/files.db" + end);
    }
    c.center.open();
    ASSERT_TRUE(c.tree.link(c.tokyo));
    c.tree.pass_s(5);
    c.allow("anna", false);
    c.tree.pass_s(2 * 3600, 20);
    EXPECT_EQ(Copies::content(c.tokyo, "anna", "today"), "three patients");
    c.tree.cut(c.tokyo);
    c.tree.pass_s(3600, 30);
    EXPECT_EQ(Copies::content(c.tokyo, "anna", "today"), "three patients");
}

TEST(CopiesAtATier, StayAfterARestartWithoutALinkUntilTheirHomeHasSaidThatItHasThem) {
    Copies c;
    c.anna_was_here();
    c.tree.cut(c.tokyo);
    c.tree.restart(c.tokyo);
    c.tree.pass_s(50 * day_s, 3600);
    EXPECT_EQ(Copies::content(c.tokyo, "anna", "today"), "three patients");
    c.allow("anna", false);
    ASSERT_TRUE(c.tree.linked(c.tokyo) || c.tree.link(c.tokyo));
    c.tree.pass_s(300, 10);
    EXPECT_FALSE(Copies::has(c.tokyo, "anna"));
}

TEST(CopiesAtATier, StayWhileAProcessIsThereThatMightWrite) {
    Copies c;
    c.allow("anna");
    c.log_in("anna");
    c.write("anna", "today", "three patients");
    c.tokyo.ask({{"t", "start"}, {"app", "notes"}, {"user", "anna"}});
    c.tree.pass_s(2);
    const std::string process = c.tokyo.process("notes.anna");
    ASSERT_FALSE(process.empty());
    c.tokyo.event(process, "ready");
    c.log_out("anna");
    c.allow("anna", false);
    c.tokyo.event(process, "running", {{"state", "restarting"}});
    c.tree.pass_s(200, 10);
    EXPECT_TRUE(Copies::has(c.tokyo, "anna")) << "it is started again and again";
    c.tokyo.event(process, "stopped", {{"state", "stopped"}});
    c.tree.pass_s(200, 10);
    EXPECT_FALSE(Copies::has(c.tokyo, "anna"));
}

TEST(CopiesAtATier, WhatAnAppWritesAfterALogOutIsSentWhereNoLeaseNamesItsUserToo) {
    Copies c;
    c.log_in("anna");
    c.write("anna", "today", "three patients");
    c.log_out("anna");
    c.write("anna", "today", "four patients");
    c.tree.pass_s(60);
    ASSERT_EQ(c.center.log_in("anna", good_password)->status, 303);
    c.tree.pass_s(5);
    EXPECT_EQ(Copies::content(c.center, "anna", "today"), "four patients");
    ASSERT_TRUE(write_file_durably(Copies::path(c.center, "anna", "today"), "five", 0644).ok());
    ASSERT_TRUE(c.center.admin("sync.begin", {{"user", "anna"}}).ok());
    c.tree.pass_s(60);
    EXPECT_EQ(Copies::content(c.tokyo, "anna", "today"), "four patients")
        << "it may give, and is told nothing";
    c.log_in("anna");
    EXPECT_EQ(Copies::content(c.tokyo, "anna", "today"), "five");
}

TEST(CopiesAtATier, GoToMakeRoomTheOneThatWasUsedLongestAgoFirst) {
    Config config;
    config.files.copies_mib = 3;
    Copies c(config);
    for (const char* user : {"anna", "ben", "cleo"}) {
        c.allow(user);
    }
    c.visit("anna", 700'000); // each takes twice as much: what is kept of its content too
    c.visit("ben", 700'000);
    EXPECT_TRUE(Copies::has(c.tokyo, "anna")) << "there is room for two";
    EXPECT_LE(int_of(member(c.tokyo.status(), "room"), "bytes"), 3 << 20);
    EXPECT_EQ(int_of(member(c.tokyo.status(), "room"), "most_bytes"), 3 << 20);
    c.log_in("anna"); // ben is the one who was here longest ago now
    c.log_out("anna");
    c.tree.pass_s(900, 30);
    c.visit("cleo", 700'000);
    EXPECT_TRUE(Copies::has(c.tokyo, "anna"));
    EXPECT_FALSE(Copies::has(c.tokyo, "ben"));
    EXPECT_TRUE(Copies::has(c.tokyo, "cleo"));
    EXPECT_EQ(int_of(member(c.tokyo.status(), "room"), "users"), 2);
    c.log_in("ben");
    EXPECT_EQ(Copies::content(c.tokyo, "ben", "today").size(), 700'000U) << "the log-in brings it";
    c.log_out("ben");
    c.tree.pass_s(200, 10);
    EXPECT_FALSE(Copies::has(c.tokyo, "anna")) << "it is her turn";
}

TEST(CopiesAtATier, ThatArePinnedOrUnsentOrCannotBeBroughtStayWhateverRoomTheyTake) {
    Config config;
    config.files.copies_mib = 1;
    config.files.pinned = {"ben"};
    Copies c(config);
    for (const char* user : {"anna", "ben", "cleo"}) {
        c.allow(user);
    }
    c.log_in("anna");
    c.write("anna", "today", c.tree.random.bytes(700'000));
    c.log_in("ben");
    c.write("ben", "today", c.tree.random.bytes(700'000));
    c.log_in("cleo");
    c.write("cleo", "today", c.tree.random.bytes(700'000));
    c.tree.pass_s(200, 10);
    EXPECT_TRUE(Copies::has(c.tokyo, "anna")) << "she is there";
    c.tree.cut(c.tokyo);
    c.write("cleo", "today", "unsent");
    for (const char* user : {"anna", "ben", "cleo"}) {
        c.log_out(user);
    }
    c.tree.pass_s(200, 10);
    EXPECT_TRUE(Copies::has(c.tokyo, "anna")) << "it could not be brought again";
    ASSERT_TRUE(c.tree.link(c.tokyo));
    c.tree.pass_s(300, 10);
    EXPECT_FALSE(Copies::has(c.tokyo, "anna"));
    EXPECT_TRUE(Copies::has(c.tokyo, "ben")) << "pinned";
    EXPECT_FALSE(Copies::has(c.tokyo, "cleo"));
    EXPECT_EQ(Copies::content(c.center, "cleo", "today"), "unsent") << "it was sent before it went";
}

TEST(CopiesAtATier, TwoRequestsOfAUserAtOnceFetchHisFilesOnce) {
    Copies c;
    ASSERT_EQ(c.center.log_in("anna", good_password)->status, 303);
    const std::string at_center = Copies::path(c.center, "anna", "");
    ASSERT_TRUE(make_folders(at_center).ok());
    ASSERT_TRUE(write_file_durably(at_center + "today", c.tree.random.bytes(700'000), 0644).ok());
    ASSERT_TRUE(c.center.admin("sync.begin", {{"user", "anna"}}).ok());
    c.tree.pass_s(2);
    c.tree.crossed.clear();
    // The log-in begins to fetch, and both requests come before anything of it is there.
    c.tokyo.hold_background = true;
    c.tokyo.log_in("anna", good_password);
    for (int i = 0; i < 2; ++i) {
        c.tokyo.ask({{"t", "start"}, {"app", "notes"}, {"user", "anna"}});
    }
    c.tokyo.hold_background = false;
    c.tokyo.let_background_go();
    c.tree.pass_s(5);
    EXPECT_EQ(Copies::content(c.tokyo, "anna", "today").size(), 700'000U);
    std::size_t brought = 0;
    for (const Crossed& one : c.tree.crossed) {
        brought += one.to == "tokyo" && text_of(one.head, "t") == "re" ? one.body.size() : 0;
    }
    EXPECT_LT(brought, 720'000U) << "once, and not once a request";
    EXPECT_GE(brought, 700'000U);
}

} // namespace hasp::maint::tests
