// PROTOCOL.md is what crosses the links: each example is something that the tiers say in the
// conversation below, and (in tree.cpp) nothing crosses a link in any test without an example.
#include "golden.h"
#include "tree.h"
#include "usage_ring_fixture.h"

#include "base/files.h"
#include "base/text.h"
#include "maint/restoration.h"

#include "trust/hash.h"

#include <filesystem>
#include <set>

namespace hasp::maint::tests {

namespace {

// Two tiers that have something of everything to say to each other.
class Talk {
  public:
    Talk() {
        apps();
        people();
        tokens();
        usage();
        files();
        offline();
        questions();
        releases();
        years();
        direct();
        differences();
        restored();
        removed();
    }
    std::vector<Said> said() const {
        std::vector<Said> out;
        Conversation conversation;
        for (const Crossed& one : tree.crossed) {
            if (one.from != "tokyo" && one.to != "tokyo") {
                continue;
            }
            out.push_back(conversation.hear(one.from == "tokyo", one.head, !one.body.empty()));
        }
        return out;
    }

  private:
    void apps() {
        tree.add_app(center, "leaflets", {"tokyo"}, Json::object(), 100'000);
        tree.pass_s(3);
        EXPECT_EQ(tokyo.route("leaflets"), registry::Route::here);
    }

    // The center comes back from a backup that is as new as can be.
    void restored() {
        // Years have passed, and his files are not at tokyo any more.
        EXPECT_EQ(tokyo.log_in("ito", good_password)->status, 303);
        tree.pass_s(5);
        center.close();
        const auto life =
            new_life(*read_file(center.state + "/keys/tier.json", 4096), tree.clock.wall_us());
        ASSERT_TRUE(life.ok());
        ASSERT_TRUE(begin_new_life(center.state, *life,
                                   {tree.clock.wall_us(), tree.clock.wall_us(), "backup"})
                        .ok());
        center.open();
        EXPECT_TRUE(tree.link(tokyo));
        EXPECT_EQ(tokyo.log_in("ito", good_password)->status, 303);
        tree.pass_s(60);
    }

    void people() {
        tree.add_user(center, "anna", good_password, {"leaflets"});
        tree.add_user(tokyo, "mei", good_password, {"leaflets"});
        tree.pass_s(3);
        // Homes above and below, and a session of each.
        const auto anna = tokyo.log_in("anna", good_password);
        EXPECT_EQ(tokyo.log_in("mei", good_password)->status, 303);
        EXPECT_EQ(center.log_in("mei", good_password)->status, 303);
        const auto mei = tokyo.log_in("mei", good_password);
        const std::string meis = text_of(tokyo.who_cookie(mei->cookie()), "sid");
        EXPECT_EQ(text_of(center.who_link("tokyo", meis), "user"), "mei");
        EXPECT_EQ(tokyo.log_in("anna", "battery staple")->status, 401);
        // Used again after a while, held against the parent's word after a cut.
        for (int hour = 0; hour < 3; ++hour) {
            tree.pass_s(3600, 30);
            EXPECT_EQ(text_of(tokyo.who_cookie(anna->cookie()), "user"), "anna");
        }
        tree.cut(tokyo);
        EXPECT_TRUE(tree.link(tokyo));
        // Changes, and the ends of sessions, from both sides.
        EXPECT_TRUE(tokyo.admin("user.entitle", {{"user", "mei"}, {"apps", {"wiki"}}}).ok());
        EXPECT_TRUE(center.admin("user.entitle", {{"user", "anna"}, {"apps", {"wiki"}}}).ok());
        EXPECT_EQ(tokyo.log_in("anna", good_password)->status, 303); // ends with the account
        const std::string annas = text_of(tokyo.who_cookie(anna->cookie()), "sid");
        tokyo.page({{"method", "POST"}, {"target", "/hasp/logout"}, {"sid", annas}});
        EXPECT_TRUE(center.admin("user.disable", {{"name", "anna"}}).ok());
        EXPECT_TRUE(tokyo.admin("user.remove", {{"name", "mei"}}).ok());
    }

    void tokens() {
        for (Node* home : {&center, &tokyo}) {
            const std::string user = "robot-of-" + home->name;
            tree.add_user(*home, user, good_password, {"leaflets"});
            tree.pass_s(3);
            const auto made = home->admin(
                "token.create", {{"user", user}, {"label", "cron"}, {"apps", {"leaflets"}}});
            ASSERT_TRUE(made.ok()) << made.error().message;
            const std::string text = text_of(*made, "token");
            EXPECT_EQ(text_of((home == &center ? tokyo : center).who_token(text, user), "user"),
                      user);
            EXPECT_TRUE(home->admin("token.revoke", {{"id", text_of(*made, "id")}}).ok());
        }
    }

    void usage() {
        Ring ring(1);
        ring.use(tree, 3);
        EXPECT_EQ(ring.harvest(tokyo), 3U);
        tree.pass_s(3);
        EXPECT_FALSE(center.admin("bill.close", {{"period", "2099-01"}}).ok());
        tree.pass_s(3);
    }

    // Homes above and below; a change at a third tier, and answers of more than one piece.
    void files() {
        tree.add_user(center, "ito", good_password, {"notes"});
        tree.add_user(tokyo, "rei", good_password, {"notes"});
        Node& osaka = tree.below(center, "osaka");
        tree.add_app(center, "notes", {"center", "tokyo", "osaka"}, {{"personal", true}});
        tree.pass_s(5);
        EXPECT_EQ(tokyo.log_in("ito", good_password)->status, 303);
        EXPECT_EQ(osaka.log_in("ito", good_password)->status, 303);
        EXPECT_EQ(tokyo.log_in("rei", good_password)->status, 303);
        tree.pass_s(2);
        sync(osaka, "ito", tree.random.bytes(300'000));
        const std::string pages = tree.random.bytes(30'000);
        sync(tokyo, "ito", pages); // in two pieces
        // What tokyo holds of it is gone when it comes again under another name.
        std::filesystem::remove(tokyo.state + "/data/users/ito/notes/today");
        for (const auto& base :
             std::filesystem::directory_iterator(tokyo.state + "/sync/client/base")) {
            std::filesystem::remove_all(base);
        }
        EXPECT_TRUE(
            write_file_durably(osaka.state + "/data/users/ito/notes/again", pages, 0644).ok());
        EXPECT_TRUE(osaka.admin("sync.begin", {{"user", "ito"}}).ok());
        tree.pass_s(2);
        sync(tokyo, "rei", tree.random.bytes(300'000));
        EXPECT_EQ(center.log_in("rei", good_password)->status, 303);
        tree.pass_s(2);
        sync(center, "rei", tree.random.bytes(300'001)); // in two pieces
        sync(tokyo, "rei", "five patients");
        EXPECT_EQ(osaka.log_in("rei", good_password)->status, 303);
        // More than the center puts into one answer.
        EXPECT_TRUE(
            write_file_durably(osaka.state + "/data/users/ito/notes/tomorrow", "six patients", 0644)
                .ok());
        sync(osaka, "ito", "seven patients");
        // What osaka may not have sent, when it is out of reach.
        tree.pass_s(15);
        tree.cut(osaka);
        EXPECT_EQ(tokyo.log_in("ito", good_password)->status, 303);
        tree.pass_s(2);
        EXPECT_TRUE(tree.link(osaka));
        tree.pass_s(2);
        // A content that comes later than its file.
        const std::string letter(5'000, 'x');
        EXPECT_TRUE(
            write_file_durably(center.state + "/data/users/ito/notes/letter", letter, 0644).ok());
        EXPECT_TRUE(center.admin("sync.begin", {{"user", "ito"}}).ok());
        tree.pass_s(2);
        tree.say(tokyo, {{"t", "files.fetch"},
                         {"user", "ito"},
                         {"app", "notes"},
                         {"content", to_hex(trust::sha256(letter))},
                         {"offset", 100},
                         {"bytes", 2'000},
                         {"q", 990}});
    }
    // Accounts are removed, one above and one below.
    void removed() {
        tree.add_user(center, "yuki", good_password, {"notes"});
        tree.pass_s(3);
        EXPECT_EQ(tokyo.log_in("yuki", good_password)->status, 303);
        tree.pass_s(2);
        sync(tokyo, "yuki", "two patients");
        EXPECT_TRUE(tokyo.admin("user.remove", {{"name", "rei"}}).ok());
        EXPECT_TRUE(center.admin("user.remove", {{"name", "yuki"}}).ok());
        tree.pass_s(5);
    }
    void sync(Node& at, const std::string& user, const std::string& content) {
        const std::string folder = at.state + "/data/users/" + user + "/notes";
        ASSERT_TRUE(make_folders(folder).ok());
        ASSERT_TRUE(write_file_durably(folder + "/today", content, 0644).ok());
        EXPECT_TRUE(at.admin("sync.begin", {{"user", user}}).ok());
        tree.pass_s(2);
    }

    // Of two who log in without the link, one is no longer to.
    void offline() {
        tree.add_user(center, "nurse", good_password, {"leaflets"});
        tree.add_user(center, "guest", good_password, {"leaflets"});
        EXPECT_TRUE(
            center.admin("local.allow", {{"name", "tokyo"}, {"users", {"nurse", "guest"}}}).ok());
        tree.pass_s(5);
        tree.cut(tokyo);
        EXPECT_EQ(tokyo.log_in("nurse", good_password)->status, 303);
        EXPECT_EQ(tokyo.log_in("guest", good_password)->status, 303);
        EXPECT_TRUE(center.admin("user.disable", {{"name", "guest"}}).ok());
        EXPECT_TRUE(tree.link(tokyo));
        tree.pass_s(2);
    }

    void questions() {
        for (const char* app : {"leaflets", "notes"}) {
            EXPECT_TRUE(
                center.admin("why", {{"app", app}, {"at", "tokyo"}, {"user", "nurse"}}).ok());
        }
        EXPECT_TRUE(center.admin("why", {{"app", "leaflets"}, {"at", "tokyo"}}).ok());
        EXPECT_TRUE(center.admin("offline.report", {{"at", "tokyo"}}).ok());
    }

    void releases() {
        tree.add_app(center, "leaflets", {"tokyo"}, {{"text", "another"}});
        tree.pass_s(5);
        EXPECT_TRUE(center.admin("app.rollback", {{"app", "leaflets"}}).ok());
        tree.pass_s(5);
        set_budget(1);
        tree.add_app(center, "atlas", {"tokyo"}, Json::object(), 2 << 20);
        tree.pass_s(5);
        tree.add_app(center, "cards", {"tokyo"});
        tree.pass_s(5);
        set_budget(0);
    }
    void set_budget(std::int64_t mib) {
        tokyo.config.link.budget_releases_mib = mib;
        tree.restart(tokyo);
        EXPECT_TRUE(tree.linked(tokyo) || tree.link(tokyo));
        tree.pass_s(5);
    }

    // A browser that reaches the center opens an app there.
    void direct() {
        center.config.web.app_host = "{app}.center.example";
        center.config.web.direct_url = "https://{app}.center.example";
        center.config.web.direct_networks = {"192.0.2.0/24"};
        tree.restart(center);
        EXPECT_TRUE(tree.linked(tokyo) || tree.link(tokyo));
        tree.add_app(center, "charts", {"center"}, {{"manifest", "direct = \"pages\"\n"}});
        tree.add_user(center, "kay", good_password, {"charts"});
        tree.pass_s(3);
        Json browser{{"scheme", "https"},
                     {"authority", "localhost"},
                     {"host", "localhost"},
                     {"client", "192.0.2.7"}};
        browser["sid"] =
            text_of(tokyo.who_cookie(tokyo.log_in("kay", good_password)->cookie()), "sid");
        const auto path = [](const std::optional<PageSeen>& page) {
            const std::string to = page->header("location");
            return to.substr(std::min(to.size(), to.find("/hasp/")));
        };
        const auto asked = tokyo.get("direct?app=charts&target=%2Fx&back=%2F", browser);
        const auto begun = center.get(path(asked), {{"scheme", "https"},
                                                    {"authority", "charts.center.example"},
                                                    {"host", "charts.center.example"}});
        EXPECT_EQ(tokyo.get(path(begun), browser)->status, 303);
    }

    void years() {
        tree.cut(tokyo);
        tree.clock.advance_us(400LL * 24 * 3600 * 1'000'000);
        EXPECT_TRUE(tree.link(tokyo));
    }
    // Before this, every level goes whole: the examples show what is said. And there is an
    // authority for browsers.
    void differences() {
        center.config.web_ca.names = {"clinic.lan"};
        center.config.acme.directory = "https://acme.example/directory";
        center.config.acme.names = {"clinic.lan"};
        center.config.link.addresses = {"center.example:8490", "[2001:db8::5]:8490"};
        tokyo.config.web.tls_from = Config::TlsFrom::acme;
        tokyo.config.web.tls_names = {"tokyo.clinic.lan"};
        center.whole_levels = tokyo.whole_levels = false;
        tree.restart(center);
        tree.restart(tokyo);
        tokyo.config.web.tls_from = Config::TlsFrom::lan;
        tree.restart(tokyo);
        tree.add_app(center, "posters", {"tokyo"});
        tree.pass_s(3);
    }

    static Config one_row_an_answer() {
        Config config;
        config.files.answer_rows = 1;
        return config;
    }

    Tree tree;
    Node& center = tree.top("center", one_row_an_answer());
    Node& tokyo = tree.below(center, "tokyo");
};

} // namespace

TEST(Protocol, EveryExampleIsWhatTiersSay) {
    const Talk talk;
    const std::vector<Said> conversation = talk.said();
    for (const Example& example : Golden::of_maint().examples()) {
        bool said = false;
        const Said* near = nullptr;
        for (const Said& one : conversation) {
            said = said || Golden::matches(example, one);
            if (one.type == example.type && one.up == example.up && one.answer == example.answer) {
                near = &one;
            }
        }
        EXPECT_TRUE(said) << "PROTOCOL.md:" << example.line << " shows\n"
                          << example.text << "\nand nobody said it. "
                          << (near == nullptr
                                  ? "Nor anything of its type."
                                  : "What was said, for example:\n" + Golden::line_of(*near));
    }
    if (std::getenv("HASP_TEST_SAID") != nullptr) {
        std::set<std::string> lines;
        for (const Said& one : conversation) {
            lines.insert(one.type + "\t" + Golden::line_of(one));
        }
        for (const std::string& line : lines) {
            std::puts(line.c_str());
        }
    }
}

TEST(Protocol, TheFrameOfAnExampleHasExactlyTheBytesShown) {
    int frames = 0;
    for (const Example& example : Golden::of_maint().examples()) {
        if (example.frame.empty()) {
            continue;
        }
        ++frames;
        std::string bytes;
        ASSERT_TRUE(ipc::encode_frame(bytes, example.text, {}).ok());
        EXPECT_EQ(to_hex(bytes), to_hex(example.frame)) << "PROTOCOL.md:" << example.line;
        std::vector<ipc::Frame> read;
        ipc::FrameDecoder decoder{false};
        ASSERT_TRUE(decoder
                        .feed(example.frame,
                              [&](ipc::Frame&& frame, std::size_t) {
                                  read.push_back(std::move(frame));
                                  return true;
                              })
                        .ok());
        ASSERT_EQ(read.size(), 1U);
        EXPECT_EQ(read[0].head, example.text);
    }
    EXPECT_GE(frames, 2);
}

} // namespace hasp::maint::tests
