// Users' files between keepers: where the home is, who may keep what, and what a cut link costs.
#include "base/files.h"
#include "tree.h"

#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <sys/stat.h>
#include <unistd.h>

namespace hasp::maint::tests {

namespace {

std::string path_at(const Node& node, const std::string& name) {
    return node.state + "/data/users/anna/notes/" + name;
}

void write_at(const Node& node, const std::string& name, const std::string& content) {
    const std::string path = path_at(node, name);
    ASSERT_TRUE(make_folders(std::filesystem::path(path).parent_path().string()).ok());
    ASSERT_TRUE(write_file_durably(path, content, 0644).ok());
}

std::string content_at(const Node& node, const std::string& name) {
    auto text = read_file(path_at(node, name), 1 << 24);
    return text.ok() ? *text : "(" + std::string(code_name(text.error().code)) + ")";
}

std::vector<std::string> names_at(const Node& node) {
    std::vector<std::string> out;
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator(path_at(node, ""), none)) {
        out.push_back(entry.path().filename().string());
    }
    std::sort(out.begin(), out.end());
    return out;
}

// One round by an operator; its result for anna's notes.
Json round_at(Tree& tree, Node& node, const Json& more = Json::object()) {
    Json args{{"user", "anna"}};
    args.update(more);
    auto begun = node.admin("sync.begin", args);
    EXPECT_TRUE(begun.ok()) << (begun.ok() ? "" : begun.error().message);
    tree.settle();
    auto seen = begun.ok() ? node.admin("sync.look", {{"round", int_of(*begun, "round")}})
                           : Result<Json>(begun.error());
    EXPECT_TRUE(seen.ok() && true_of(*seen, "done")) << "the round ends in the end";
    return seen.ok() && !member(*seen, "folders").empty() ? member(*seen, "folders")[0] : Json();
}

// Says what a test tells it.
class ToldWatch final : public sync::Watch {
  public:
    std::map<std::string, sync::Noticed> noticed; // by folder
    std::set<std::string> folders;
    std::uint64_t takes = 0;
    bool refuses = false;

    Result<bool> add(const std::string& folder) override {
        if (refuses) {
            return fail(Code::failed, "the kernel watches no more folders");
        }
        return folders.insert(folder).second;
    }
    void remove(const std::string& folder) override { folders.erase(folder); }
    bool watches(const std::string& folder) const override { return folders.contains(folder); }
    int fd() const override { return -1; }
    std::vector<std::string> ready() override {
        std::vector<std::string> out;
        for (const auto& [folder, what] : noticed) {
            out.push_back(folder);
        }
        return out;
    }
    sync::Noticed take(const std::string& folder, sync::Take) override {
        ++takes;
        sync::Noticed out;
        std::swap(out, noticed[folder]);
        noticed.erase(folder);
        return out;
    }
    std::string name() const override { return "told"; }
};

Json folder_at(Node& node) {
    auto status = node.admin("sync.status");
    return status.ok() && !member(*status, "folders").empty() ? member(*status, "folders")[0]
                                                              : Json();
}

// A tree whose leaves both run anna's notes, with her account at the top.
struct Notes {
    Tree tree;
    std::vector<Node*> line;
    Node* tokyo = nullptr;
    Node* osaka = nullptr;

    explicit Notes(std::size_t depth) {
        line = tree.chain(depth);
        tokyo = line.back();
        osaka = &tree.below(*line[depth - 2], "osaka");
        tree.add_user(*line[0], "anna", good_password, {"notes"});
        std::vector<std::string> to{tokyo->name, "osaka"};
        tree.add_app(*line[depth - 2], "notes", to, {{"personal", true}});
        tree.pass_s(5);
    }
    void log_in_everywhere() {
        for (Node* at : {tokyo, osaka}) {
            EXPECT_EQ(at->log_in("anna", good_password)->status, 303);
        }
        tree.pass_s(2);
    }
};

} // namespace

class FilesAtDepth : public testing::TestWithParam<std::size_t> {};

TEST_P(FilesAtDepth, WrittenAtOneLocalAreAtAnotherAfterTheLogInThere) {
    Notes notes(GetParam());
    EXPECT_EQ(notes.tokyo->log_in("anna", good_password)->status, 303);
    notes.tree.pass_s(2);
    write_at(*notes.tokyo, "today", "three patients");
    const Json sent = round_at(notes.tree, *notes.tokyo);
    EXPECT_EQ(int_of(sent, "sent_files"), 1) << dump(sent);
    EXPECT_GT(int_of(sent, "wire_up"), 0);
    EXPECT_EQ(content_at(*notes.osaka, "today"), "(not_found)");
    EXPECT_EQ(notes.osaka->log_in("anna", good_password)->status, 303);
    notes.tree.settle();
    EXPECT_EQ(content_at(*notes.osaka, "today"), "three patients") << "the log-in itself fetches";
}

TEST_P(FilesAtDepth, ComeToWhoHoldsThemAsSoonAsTheHomeKnows) {
    Notes notes(GetParam());
    notes.log_in_everywhere();
    write_at(*notes.tokyo, "deep/today", "three patients");
    round_at(notes.tree, *notes.tokyo);
    EXPECT_EQ(content_at(*notes.osaka, "deep/today"), "three patients");
    ASSERT_EQ(::unlink(path_at(*notes.osaka, "deep/today").c_str()), 0);
    round_at(notes.tree, *notes.osaka);
    EXPECT_EQ(content_at(*notes.tokyo, "deep/today"), "(not_found)");
}

TEST_P(FilesAtDepth, AreSpokenOfOnlyToThoseWhoDidNotSendThem) {
    Notes notes(GetParam());
    notes.log_in_everywhere();
    write_at(*notes.tokyo, "today", "three patients");
    notes.tree.crossed.clear();
    round_at(notes.tree, *notes.tokyo);
    std::map<std::string, int> told;
    for (const Crossed& one : notes.tree.crossed) {
        told[one.to] += text_of(one.head, "t") == "files.changed" ? 1 : 0;
    }
    std::erase_if(told, [](const auto& one) { return one.second == 0; });
    EXPECT_EQ(told, (std::map<std::string, int>{{"osaka", 1}}));
    EXPECT_EQ(content_at(*notes.osaka, "today"), "three patients");
}

TEST_P(FilesAtDepth, ReachTheOthersWhenTheAnswerToTheirSenderWasLost) {
    Notes notes(GetParam());
    notes.log_in_everywhere();
    for (int after = 0; after < static_cast<int>(GetParam()) - 1; ++after) {
        const std::string name = "today" + std::to_string(after);
        write_at(*notes.tokyo, name, "three patients");
        notes.tree.cut_at("re", after);
        static_cast<void>(notes.tokyo->admin("sync.begin", {{"user", "anna"}}));
        notes.tree.settle();
        notes.tree.cut_at("", 0);
        for (std::size_t i = 1; i < notes.line.size(); ++i) {
            if (!notes.tree.linked(*notes.line[i])) {
                ASSERT_TRUE(notes.tree.link(*notes.line[i]));
            }
        }
        ASSERT_TRUE(notes.tree.linked(*notes.osaka));
        notes.tree.pass_s(40); // tokyo tries again by itself
        EXPECT_EQ(content_at(*notes.osaka, name), "three patients") << after;
    }
}

TEST_P(FilesAtDepth, EditedOfflineAtBothSidesAreBothThereAfterTheReturn) {
    Notes notes(GetParam());
    notes.log_in_everywhere();
    write_at(*notes.tokyo, "both", "1");
    round_at(notes.tree, *notes.tokyo);
    notes.tree.cut(*notes.tokyo);
    write_at(*notes.tokyo, "both", "by tokyo");
    write_at(*notes.tokyo, "of-tokyo", "x");
    write_at(*notes.osaka, "both", "by osaka");
    write_at(*notes.osaka, "of-osaka", "y");
    round_at(notes.tree, *notes.osaka);
    const Json dark = round_at(notes.tree, *notes.tokyo);
    EXPECT_EQ(text_of(member(dark, "error"), "code"), "unreachable");
    EXPECT_EQ(int_of(dark, "unsent_files"), 2);
    EXPECT_EQ(int_of(member(notes.tokyo->status(), "unsent"), "files"), 2);
    ASSERT_TRUE(notes.tree.link(*notes.tokyo));
    notes.tree.pass_s(3);
    const std::vector<std::string> names = names_at(*notes.tokyo);
    ASSERT_EQ(names.size(), 4U);
    EXPECT_EQ(names_at(*notes.osaka), names);
    EXPECT_EQ(content_at(*notes.tokyo, "both"), "by osaka");
    const std::string copy = names[0] == "both" ? names[1] : names[0];
    EXPECT_TRUE(copy.starts_with("both (conflict anna@" + notes.tokyo->name + " ")) << copy;
    EXPECT_EQ(content_at(*notes.osaka, copy), "by tokyo");
    EXPECT_EQ(int_of(member(notes.tokyo->status(), "unsent"), "files"), 0);
}

TEST_P(FilesAtDepth, AreCompleteWhicheverMessageALinkDies) {
    Notes notes(GetParam());
    notes.log_in_everywhere();
    for (const char* type : {"files.push", "files.fetch", "re"}) {
        for (int after = 0; after < 4; ++after) {
            const std::string name = std::string(type) + std::to_string(after);
            write_at(*notes.tokyo, name, notes.tree.random.bytes(700'000));
            notes.tree.cut_at(type, after);
            auto begun = notes.tokyo->admin("sync.begin", {{"user", "anna"}});
            notes.tree.settle();
            notes.tree.cut_at("", 0);
            for (Node* at : notes.line) {
                if (at != notes.line[0] && !notes.tree.linked(*at)) {
                    ASSERT_TRUE(notes.tree.link(*at));
                }
            }
            if (!notes.tree.linked(*notes.osaka)) {
                ASSERT_TRUE(notes.tree.link(*notes.osaka));
            }
            notes.tree.pass_s(3);
            round_at(notes.tree, *notes.tokyo);
            round_at(notes.tree, *notes.osaka);
            ASSERT_EQ(content_at(*notes.osaka, name), content_at(*notes.tokyo, name)) << name;
        }
    }
    EXPECT_EQ(names_at(*notes.osaka).size(), 12U) << "nothing twice";
}

// Questions for pieces that were not answered yet, at the most, by who asks.
std::map<std::string, int> most_under_way(const Tree& tree) {
    std::map<std::string, int> most;
    std::map<std::string, std::set<std::int64_t>> asked; // and not answered
    for (const Crossed& one : tree.crossed) {
        const std::string type = text_of(one.head, "t");
        if (type == "files.push" || type == "files.fetch") {
            std::set<std::int64_t>& open = asked[one.from];
            open.insert(int_of(one.head, "q"));
            most[one.from] = std::max(most[one.from], static_cast<int>(open.size()));
        } else if (type == "re") {
            asked[one.to].erase(int_of(one.head, "q"));
        }
    }
    return most;
}

TEST_P(FilesAtDepth, MoveInSeveralPiecesAtOnce) {
    Notes notes(GetParam());
    notes.log_in_everywhere();
    write_at(*notes.tokyo, "scan", notes.tree.random.bytes(900'000));
    notes.tree.crossed.clear();
    round_at(notes.tree, *notes.tokyo);
    // Up from tokyo, and then down to osaka.
    auto most = most_under_way(notes.tree);
    EXPECT_GE(most[notes.tokyo->name], 3);
    EXPECT_GE(most["osaka"], 3);
    EXPECT_EQ(content_at(*notes.osaka, "scan"), content_at(*notes.tokyo, "scan"));
}

INSTANTIATE_TEST_SUITE_P(Depths, FilesAtDepth, testing::Values(2, 4));

TEST(FilesInParts, GoOnWhereTheyWereCutAfterARestartToo) {
    Notes notes(2);
    notes.line[0]->config.files.answer_rows = 2;
    notes.tokyo->config.files.batch_operations = 3;
    const auto start = [&notes](Node& at) {
        notes.tree.restart(at);
        for (Node* below : {notes.tokyo, notes.osaka}) {
            EXPECT_TRUE(notes.tree.linked(*below) || notes.tree.link(*below));
        }
        notes.tree.pass_s(3);
    };
    start(*notes.line[0]);
    start(*notes.tokyo);
    EXPECT_EQ(notes.tokyo->log_in("anna", good_password)->status, 303);
    notes.tree.pass_s(2);
    for (int i = 0; i < 13; ++i) {
        write_at(*notes.tokyo, "note" + std::to_string(i), "of tokyo");
    }
    EXPECT_EQ(int_of(round_at(notes.tree, *notes.tokyo), "sent_files"), 13);
    notes.tree.cut_at("files.push", 3);
    notes.osaka->log_in("anna", good_password);
    notes.tree.settle();
    notes.tree.cut_at("", 0);
    const auto had = static_cast<std::int64_t>(names_at(*notes.osaka).size());
    EXPECT_GT(had, 0);
    EXPECT_LT(had, 13);
    start(*notes.osaka);
    EXPECT_EQ(names_at(*notes.osaka).size(), 13U);
    EXPECT_EQ(int_of(member(folder_at(*notes.osaka), "last_moved"), "received_files"), 13 - had);
}

// anna's account is at tokyo, which is the home of her files.
struct HomeBelow {
    Tree tree;
    Node& center = tree.top();
    Node& tokyo = tree.below(center, "tokyo");
    Node& osaka = tree.below(center, "osaka");

    explicit HomeBelow(const std::vector<std::string>& holders) {
        tree.add_user(tokyo, "anna", good_password, {"notes"});
        tree.add_app(center, "notes", holders, {{"personal", true}});
        tree.pass_s(5);
    }
    void log_in(const std::vector<Node*>& at) {
        for (Node* one : at) {
            EXPECT_EQ(one->log_in("anna", good_password)->status, 303);
        }
        tree.pass_s(2);
    }
};

TEST(FilesOfAnAccountBelow, HaveTheirHomeThere) {
    HomeBelow below({"center", "tokyo", "osaka"});
    auto& [tree, center, tokyo, osaka] = below;
    below.log_in({&tokyo, &osaka, &center});
    write_at(osaka, "note", "from osaka");
    round_at(tree, osaka);
    EXPECT_EQ(content_at(tokyo, "note"), "from osaka");
    EXPECT_EQ(content_at(center, "note"), "from osaka");
}

TEST(FilesOfAnAccountBelow, MoveOnePieceAfterTheOtherWhereNoLinkSaysHowManyItBears) {
    HomeBelow below({"center", "tokyo"});
    Tree& tree = below.tree;
    Node& center = below.center;
    Node& tokyo = below.tokyo;
    below.log_in({&tokyo});
    write_at(tokyo, "scan", tree.random.bytes(1'500'000));
    round_at(tree, tokyo);
    tree.crossed.clear();
    below.log_in({&center});
    EXPECT_EQ(content_at(center, "scan"), content_at(tokyo, "scan"));
    write_at(center, "other", tree.random.bytes(1'500'000));
    round_at(tree, center);
    EXPECT_EQ(content_at(tokyo, "other"), content_at(center, "other"));
    EXPECT_EQ(most_under_way(tree)["center"], 1);
}

TEST(FilesOfAnAccountBelow, AreSpokenOfAgainWhenTheWayToThemWasAway) {
    HomeBelow below({"tokyo", "osaka"});
    Tree& tree = below.tree;
    Node& tokyo = below.tokyo;
    Node& osaka = below.osaka;
    below.log_in({&tokyo, &osaka});
    tree.cut(tokyo);
    write_at(tokyo, "note", "of tokyo");
    round_at(tree, tokyo);
    ASSERT_TRUE(tree.link(tokyo));
    tree.pass_s(1);
    EXPECT_EQ(content_at(osaka, "note"), "of tokyo") << "the center has no copy, and passes it on";

    // The link dies with the message, and is away for long.
    write_at(tokyo, "second", "of tokyo");
    tree.cut_at("files.changed", 0);
    round_at(tree, tokyo);
    tree.cut_at("", 0);
    ASSERT_FALSE(tree.linked(tokyo));
    EXPECT_EQ(content_at(osaka, "second"), "(not_found)");
    tree.clock.advance_us(1'300'000'000);
    ASSERT_TRUE(tree.link(tokyo));
    tree.pass_s(1);
    ASSERT_TRUE(tree.linked(osaka));
    EXPECT_EQ(content_at(osaka, "second"), "of tokyo");
}

TEST(FilesWithoutAGrant, AreNeitherGivenNorTaken) {
    Tree tree;
    Node& center = tree.top();
    Node& tokyo = tree.below(center, "tokyo");
    tree.add_user(center, "anna", good_password, {"notes"});
    tree.add_app(center, "notes", {"center", "tokyo"}, {{"personal", true}});
    tree.pass_s(5);
    write_at(center, "note", "of the center");
    EXPECT_EQ(center.log_in("anna", good_password)->status, 303);
    round_at(tree, center);
    write_at(tokyo, "planted", "by tokyo");
    tree.restart(tokyo);
    tree.pass_s(3);
    const Json refused = round_at(tree, tokyo);
    EXPECT_EQ(text_of(member(refused, "error"), "code"), "not_found") << dump(refused);
    EXPECT_EQ(content_at(tokyo, "note"), "(not_found)");
    round_at(tree, center);
    EXPECT_EQ(content_at(center, "planted"), "(not_found)");

    // With a keep grant and nobody logged in, both ways.
    ASSERT_TRUE(center.admin("local.allow", {{"name", "tokyo"}, {"users", {"anna"}}}).ok());
    tree.pass_s(3);
    const Json taken = round_at(tree, tokyo);
    EXPECT_FALSE(taken.contains("error")) << dump(taken);
    EXPECT_EQ(content_at(tokyo, "note"), "of the center");
    EXPECT_EQ(content_at(center, "planted"), "by tokyo");

    // Withdrawn: what was written while it was in force is taken, nothing is given. Her app runs
    // on, so that what is there stays.
    static_cast<void>(tokyo.ask({{"t", "start"}, {"app", "notes"}, {"user", "anna"}}));
    ASSERT_FALSE(tokyo.process("notes.anna").empty());
    write_at(tokyo, "late", "written in time");
    ASSERT_TRUE(
        center.admin("local.allow", {{"name", "tokyo"}, {"users", {"anna"}}, {"remove", true}})
            .ok());
    ASSERT_TRUE(center.admin("lease.sign", {{"name", "tokyo"}}).ok());
    tree.pass_s(3);
    round_at(tree, tokyo);
    EXPECT_EQ(content_at(center, "late"), "written in time");
    write_at(center, "new", "of the center");
    round_at(tree, center);
    EXPECT_EQ(text_of(member(round_at(tree, tokyo), "error"), "code"), "not_found");
    EXPECT_EQ(content_at(tokyo, "new"), "(not_found)");

    // Nor is anything given in the answer to what is taken; with a new grant all of it comes.
    write_at(tokyo, "later", "also of tokyo");
    write_at(tokyo, "note", "by tokyo");
    write_at(center, "note", "by the center");
    round_at(tree, center);
    const Json judged = round_at(tree, tokyo);
    EXPECT_EQ(int_of(judged, "conflicts"), 1) << dump(judged);
    EXPECT_EQ(content_at(center, "later"), "also of tokyo");
    EXPECT_EQ(content_at(tokyo, "new"), "(not_found)");
    EXPECT_EQ(content_at(tokyo, "note"), "by tokyo");
    ASSERT_TRUE(center.admin("local.allow", {{"name", "tokyo"}, {"users", {"anna"}}}).ok());
    tree.pass_s(3);
    round_at(tree, tokyo);
    EXPECT_EQ(content_at(tokyo, "new"), "of the center");
    EXPECT_EQ(content_at(tokyo, "note"), "by the center");
    round_at(tree, center);
    EXPECT_EQ(names_at(tokyo), names_at(center));
    EXPECT_EQ(names_at(center).size(), 6U) << "note, planted, late, new, later and the copy";
}

TEST(FilesMassDeletion, IsHeldAndShownUntilAnOperatorReleasesIt) {
    Notes notes(2);
    notes.log_in_everywhere();
    for (int i = 0; i < 60; ++i) {
        write_at(*notes.tokyo, "f" + std::to_string(i), std::to_string(i));
    }
    round_at(notes.tree, *notes.tokyo);
    for (int i = 0; i < 60; ++i) {
        ASSERT_EQ(::unlink(path_at(*notes.tokyo, "f" + std::to_string(i)).c_str()), 0);
    }
    const Json held = round_at(notes.tree, *notes.tokyo);
    EXPECT_EQ(int_of(held, "held_files"), 60);
    EXPECT_EQ(names_at(*notes.osaka).size(), 60U);
    round_at(notes.tree, *notes.tokyo, {{"release_deletions", true}});
    EXPECT_EQ(names_at(*notes.osaka).size(), 0U);
}

TEST(FilesBeforeAnAppStarts, AreFetchedAndAnUnreachableHomeHoldsNothingUp) {
    Notes notes(2);
    notes.log_in_everywhere();
    write_at(*notes.tokyo, "today", "three patients");
    round_at(notes.tree, *notes.tokyo);
    ASSERT_TRUE(remove_tree(path_at(*notes.osaka, "")).ok());
    ASSERT_TRUE(remove_tree(notes.osaka->state + "/sync.db").ok());
    notes.tree.restart(*notes.osaka);
    const auto orders = [&] {
        return std::count_if(notes.osaka->to_spawner.begin(), notes.osaka->to_spawner.end(),
                             [](const Json& j) { return text_of(j, "t") == "start"; });
    };
    static_cast<void>(notes.osaka->ask({{"t", "start"}, {"app", "notes"}, {"user", "anna"}}));
    EXPECT_EQ(orders(), 1);
    EXPECT_EQ(content_at(*notes.osaka, "today"), "three patients") << "before the program started";
    notes.tree.cut(*notes.osaka);
    static_cast<void>(notes.osaka->ask({{"t", "start"}, {"app", "notes"}, {"user", "ben"}}));
    EXPECT_EQ(orders(), 2);
}

TEST(FilesThatArriveUnderAProgram, HaveItEndedFirstAndStartedAnew) {
    Notes notes(2);
    // The same app, with on_data_change = "restart".
    notes.tree.add_app(*notes.line[0], "notes", {notes.tokyo->name, "osaka"},
                       {{"personal", true}, {"manifest", "on_data_change = \"restart\"\n"}});
    notes.tree.pass_s(5);
    notes.log_in_everywhere();
    static_cast<void>(notes.osaka->ask({{"t", "start"}, {"app", "notes"}, {"user", "anna"}}));
    const auto event = [&](const char* kind, const char* state) {
        notes.osaka->keeper->on_spawner({dump({{"t", "event"},
                                               {"instance", notes.osaka->process("notes.anna")},
                                               {"kind", kind},
                                               {"state", state}}),
                                         {},
                                         {}});
        notes.tree.settle();
    };
    event("ready", "ready");
    write_at(*notes.tokyo, "today", "three patients");
    round_at(notes.tree, *notes.tokyo);
    EXPECT_EQ(text_of(notes.osaka->to_spawner.back(), "t"), "start") << "it was used just now";
    notes.tree.pass_s(3);
    EXPECT_EQ(text_of(notes.osaka->to_spawner.back(), "t"), "stop");
    EXPECT_EQ(content_at(*notes.osaka, "today"), "(not_found)") << "not under a running program";
    const std::size_t before = notes.osaka->to_spawner.size();
    static_cast<void>(notes.osaka->ask({{"t", "start"}, {"app", "notes"}, {"user", "anna"}}));
    EXPECT_EQ(notes.osaka->to_spawner.size(), before) << "a request waits meanwhile";
    event("stopped", "stopped");
    notes.tree.pass_s(1);
    EXPECT_EQ(content_at(*notes.osaka, "today"), "three patients");
    ASSERT_GT(notes.osaka->to_spawner.size(), before);
    EXPECT_EQ(text_of(notes.osaka->to_spawner.back(), "t"), "start");
}

TEST(FilesThatAreWatched, AreSentWithoutARequestAndWhatComesMakesNoRounds) {
    Notes notes(2);
    notes.log_in_everywhere();
    auto told = std::make_shared<ToldWatch>();
    notes.tokyo->watch = told;
    notes.tree.restart(*notes.tokyo);
    notes.tree.pass_s(5);
    const std::string folder = "data/users/anna/notes";
    ASSERT_TRUE(told->folders.contains(folder));
    EXPECT_TRUE(true_of(folder_at(*notes.tokyo), "watched"));

    const auto hear = [&](const std::string& path) {
        told->noticed[folder].paths.insert(path);
        notes.tree.post([&] {
            notes.tokyo->keeper->noticed();
            notes.tokyo->keeper->flush();
        });
        notes.tree.settle();
    };
    write_at(*notes.tokyo, "today", "three patients");
    hear("today");
    EXPECT_EQ(content_at(*notes.osaka, "today"), "three patients");

    // As if apply() had caused it.
    const std::int64_t wire = int_of(member(folder_at(*notes.tokyo), "last"), "wire_up");
    const auto home = notes.line[0]->background_runs;
    hear("today");
    EXPECT_EQ(notes.line[0]->background_runs, home) << "the home hears nothing of it";
    EXPECT_EQ(int_of(member(folder_at(*notes.tokyo), "last"), "wire_up"), wire);
    EXPECT_TRUE(told->noticed.empty()) << "and it is taken";
}

TEST(FilesThatAreWatched, AreAskedForOnceWhenAnOperatorAsksWhileTheyAreSent) {
    Notes notes(2);
    notes.log_in_everywhere();
    auto told = std::make_shared<ToldWatch>();
    notes.tokyo->watch = told;
    notes.tree.restart(*notes.tokyo);
    notes.tree.pass_s(5);
    write_at(*notes.tokyo, "today", "three patients");
    told->noticed["data/users/anna/notes"].paths.insert("today");
    notes.tree.crossed.clear();
    notes.tokyo->hold_background = true;
    notes.tree.post([&] {
        notes.tokyo->keeper->noticed();
        notes.tokyo->keeper->flush();
    });
    notes.tree.settle();
    static_cast<void>(notes.tokyo->admin("sync.begin", {{"user", "anna"}}));
    notes.tokyo->hold_background = false;
    notes.tokyo->let_background_go();
    notes.tree.settle();
    const auto pushes = [&notes] {
        return std::count_if(
            notes.tree.crossed.begin(), notes.tree.crossed.end(), [&notes](const Crossed& one) {
                return text_of(one.head, "t") == "files.push" && one.from == notes.tokyo->name;
            });
    };
    EXPECT_EQ(pushes(), 1);
    const auto seen = notes.tokyo->admin("sync.look", {{"round", 1}});
    ASSERT_TRUE(seen.ok() && true_of(*seen, "done")) << (seen.ok() ? dump(*seen) : "");
    EXPECT_EQ(content_at(*notes.osaka, "today"), "three patients");

    // Whoever asks afterwards means what the home has then.
    round_at(notes.tree, *notes.tokyo);
    EXPECT_EQ(pushes(), 2);
}

TEST(FilesThatAreWatched, AreLookedAtInWholeByTheClockAndWhereNobodyCanWatch) {
    Notes notes(2);
    notes.log_in_everywhere();
    auto told = std::make_shared<ToldWatch>();
    notes.tokyo->watch = told;
    notes.tokyo->config.files.scan_hours = 1;
    notes.tree.restart(*notes.tokyo);
    notes.tree.pass_s(5);
    write_at(*notes.tokyo, "unheard", "1");
    notes.tree.pass_s(600);
    EXPECT_EQ(content_at(*notes.osaka, "unheard"), "(not_found)") << "nobody said anything";
    notes.tree.pass_s(3'100);
    EXPECT_EQ(content_at(*notes.osaka, "unheard"), "1");

    told->refuses = true;
    notes.tree.restart(*notes.tokyo);
    notes.tree.pass_s(5);
    EXPECT_FALSE(true_of(folder_at(*notes.tokyo), "watched"));
    EXPECT_EQ(text_of(folder_at(*notes.tokyo), "unwatched"), "the kernel watches no more folders");
    write_at(*notes.tokyo, "unwatched", "2");
    notes.tree.pass_s(310);
    EXPECT_EQ(content_at(*notes.osaka, "unwatched"), "2");
}

TEST(FilesThatAreWatched, AfterAStopInOrderAreCheckedInTheBackground) {
    Notes notes(2);
    notes.log_in_everywhere();
    auto told = std::make_shared<ToldWatch>();
    notes.tokyo->watch = told;
    notes.tree.restart(*notes.tokyo);
    notes.tree.pass_s(5);
    notes.tokyo->keeper->finish();
    write_at(*notes.tokyo, "while down", "1");
    told->folders.clear();
    notes.tree.restart(*notes.tokyo);
    notes.tree.pass_s(3);
    EXPECT_TRUE(true_of(folder_at(*notes.tokyo), "unchecked"));
    notes.tree.pass_s(15);
    EXPECT_FALSE(true_of(folder_at(*notes.tokyo), "unchecked"));
    EXPECT_EQ(content_at(*notes.osaka, "while down"), "1");
}

} // namespace hasp::maint::tests
