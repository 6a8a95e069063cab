#include "command.h"

#include "base/clock.h"
#include "base/files.h"
#include "base/random.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hasp::cmd {
namespace {

using testing::HasSubstr;
using testing::Not;

// What the last run of a command saw.
struct Seen {
    std::string name;
    std::string state;
    std::string days;
    std::vector<std::string> to;
    std::vector<std::string> files;
    bool now = false;
    bool pull = false;
    bool json = false;
    int calls = 0;
};
Seen seen;

int run_invite(const Args& args, Env& env) {
    seen = {args.get("NAME"),  args.state(),      args.get("days"),
            args.list("to"),   args.list("FILE"), args.flag("now"),
            args.flag("pull"), args.json(),       seen.calls + 1};
    const Result<std::uint64_t> days = args.number("days", 1, 30);
    return days.ok() ? 0 : report(args, env, days.error());
}
int run_refused(const Args& args, Env& env) {
    return report(args, env, fail(Code::refused, "no \"quotes\" here", "ask the operator"));
}
int run_throwing(const Args&, Env&) {
    throw std::runtime_error("boom");
}
int run_bill(const Args& args, Env& env) {
    env.out("billed " + args.get("period") + "\n");
    return 0;
}

std::vector<Command> commands() {
    return {
        {.path = {"serve"}, .summary = "run a tier", .run = run_refused},
        {.path = {"local"}, .summary = "the children of this tier"},
        {.path = {"local", "invite"},
         .summary = "invite a child",
         .description = "Writes an invitation.\n\n.starts with a dot - and it's \\fine.",
         .options =
             {{.name = "days",
               .letter = 'd',
               .metavar = "N",
               .text = "how long it is good",
               .kind = Kind::value,
               .default_text = "7",
               .env = "HASP_DAYS"},
              {.name = "to", .metavar = "TIER", .text = "a target", .kind = Kind::list},
              {.name = "now", .text = "at once"},
              {.name = "pull", .text = "fetch first", .kind = Kind::toggle, .default_text = "true"},
              {.name = "form",
               .metavar = "FORM",
               .text = "how it looks",
               .kind = Kind::value,
               .choices = {"line", "file"}}},
         .positionals =
             {{.name = "NAME", .text = "the child's name"},
              {.name = "FILE", .text = "more files", .required = false, .repeated = true}},
         .examples = {{"hasp local invite kiosk > kiosk.invite", "Invites the tier kiosk."}},
         .exit_codes = {6},
         .run = run_invite},
        {.path = {"local", "show"}, .summary = "show one child", .run = run_throwing},
        {.path = {"bill"},
         .summary = "compute the bills",
         .options = {{.name = "period",
                      .metavar = "YYYY-MM",
                      .text = "the month",
                      .kind = Kind::value,
                      .required = true}},
         .run = run_bill},
        {.path = {"bill", "tariff", "set"},
         .summary = "set prices",
         .positionals = {{.name = "FILE"}},
         .run = run_refused},
        {.path = {"process-front"}, .summary = "internal", .run = run_invite, .hidden = true},
    };
}

class Cli : public testing::Test {
  protected:
    void SetUp() override { seen = {}; }

    int run(std::vector<const char*> words) {
        out.clear();
        err.clear();
        words.insert(words.begin(), "hasp");
        return run_cli(program(), static_cast<int>(words.size()), words.data(), env);
    }
    Program program() const { return {table, manuals}; }

    std::vector<Command> table = commands();
    std::vector<FileManual> manuals = {
        {"hasp.toml",
         "the config of a tier",
         "About it.",
         {{"web", "keepalive_s", "number", "seconds", "75", "1 to 3600", "How long."}},
         "[web]\nkeepalive_s = 5\n\n.odd\n"}};
    std::string out;
    std::string err;
    std::map<std::string, std::string> variables;
    ManualClock clock;
    SeededRandom random{1};
    Env env{.out = [this](std::string_view text) { out += text; },
            .err = [this](std::string_view text) { err += text; },
            .in = [](std::size_t) { return Result<std::string>(std::string()); },
            .variable =
                [this](const std::string& name) {
                    const auto found = variables.find(name);
                    return found == variables.end() ? std::nullopt : std::optional(found->second);
                },
            .clock = clock,
            .random = random};
};

TEST_F(Cli, OptionsPositionalsAndDefaultsReachTheCommand) {
    EXPECT_EQ(run({"local", "invite", "kiosk", "--to", "a", "--to=b", "--now", "one", "two"}), 0)
        << err;
    EXPECT_EQ(seen.name, "kiosk");
    EXPECT_EQ(seen.days, "7");
    EXPECT_EQ(seen.to, (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(seen.files, (std::vector<std::string>{"one", "two"}));
    EXPECT_TRUE(seen.now);
    EXPECT_TRUE(seen.pull);
    EXPECT_EQ(seen.state, default_state);
}

TEST_F(Cli, AWordBehindAnOptionsValueIsAPositional) {
    EXPECT_EQ(run({"local", "invite", "--days", "3", "--form", "line", "kiosk", "one"}), 0) << err;
    EXPECT_EQ(seen.days, "3");
    EXPECT_EQ(seen.name, "kiosk");
    EXPECT_EQ(seen.files, (std::vector<std::string>{"one"}));
    EXPECT_EQ(run({"local", "invite", "--days", "3", "--days", "4", "kiosk"}), 2);
    EXPECT_THAT(err, HasSubstr("takes one value, once"));
}

TEST_F(Cli, GlobalOptionsMayStandBeforeAndBehindTheCommand) {
    EXPECT_EQ(run({"--state", "/a", "local", "--json", "invite", "kiosk"}), 0) << err;
    EXPECT_EQ(seen.state, "/a");
    EXPECT_TRUE(seen.json);
    EXPECT_EQ(run({"local", "invite", "kiosk", "--state=/b"}), 0) << err;
    EXPECT_EQ(seen.state, "/b");
}

TEST_F(Cli, AnOptionWinsOverItsVariableAndAVariableOverTheDefault) {
    variables = {{"HASP_DAYS", "9"}, {"HASP_STATE", "/from/env"}};
    EXPECT_EQ(run({"local", "invite", "kiosk"}), 0) << err;
    EXPECT_EQ(seen.days, "9");
    EXPECT_EQ(seen.state, "/from/env");
    EXPECT_EQ(run({"local", "invite", "kiosk", "-d", "3", "--no-pull"}), 0) << err;
    EXPECT_EQ(seen.days, "3");
    EXPECT_FALSE(seen.pull);
}

TEST_F(Cli, APositionalThatIsNamedLikeACommandIsNoCommand) {
    EXPECT_EQ(run({"local", "invite", "serve", "local"}), 0) << err;
    EXPECT_EQ(seen.name, "serve");
    EXPECT_EQ(seen.files, (std::vector<std::string>{"local"}));
}

TEST_F(Cli, WhatFollowsTwoDashesIsNoOption) {
    EXPECT_EQ(run({"local", "invite", "--", "--odd", "--json"}), 0) << err;
    EXPECT_EQ(seen.name, "--odd");
    EXPECT_FALSE(seen.json);
}

TEST_F(Cli, AnUnknownCommandNamesTheNearestOneAndTheHelp) {
    EXPECT_EQ(run({"locl"}), 2);
    EXPECT_THAT(err, HasSubstr("hasp: there is no command `hasp locl`\n"));
    EXPECT_THAT(err, HasSubstr("did you mean `hasp local`? `hasp --help` says more"));
    EXPECT_EQ(run({"local", "invit", "x"}), 2);
    EXPECT_THAT(err, HasSubstr("did you mean `hasp local invite`? `hasp local --help` says more"));
}

TEST_F(Cli, AnUnknownOptionNamesTheNearestOneAndRunsNothing) {
    EXPECT_EQ(run({"local", "invite", "kiosk", "--dys=4"}), 2);
    EXPECT_THAT(err, HasSubstr("`hasp local invite` has no option --dys"));
    EXPECT_THAT(err, HasSubstr("did you mean `--days`? `hasp local invite --help` says more"));
    EXPECT_EQ(seen.calls, 0);
}

TEST_F(Cli, MissingRepeatedAndSurplusWordsAreRefused) {
    EXPECT_EQ(run({"local", "invite"}), 2);
    EXPECT_THAT(err, HasSubstr("NAME is missing (the child's name)"));
    EXPECT_EQ(run({"local", "invite", "a", "--days", "1", "--days", "2"}), 2);
    EXPECT_THAT(err, HasSubstr("--days"));
    EXPECT_EQ(run({"local", "invite", "a", "--days"}), 2);
    EXPECT_THAT(err, HasSubstr("--days takes one value, once"));
    EXPECT_EQ(run({"serve", "surplus"}), 2);
    EXPECT_THAT(err, HasSubstr("does not take the argument `surplus`"));
    EXPECT_EQ(run({"bill"}), 2);
    EXPECT_THAT(err, HasSubstr("--period is missing"));
    EXPECT_EQ(run({"local", "invite", "a", "--form", "fil"}), 2);
    EXPECT_THAT(err, HasSubstr("--form must be one of line, file, not `fil`"));
    EXPECT_EQ(run({"local", "invite", "a", "--days", "31"}), 2);
    EXPECT_THAT(err, HasSubstr("days must be a number from 1 to 30, not `31`"));
    EXPECT_EQ(seen.calls, 1); // only the last one reached the command
}

TEST_F(Cli, ANounAlonePrintsItsVerbsAndEndsWithTwo) {
    EXPECT_EQ(run({"local"}), 2);
    EXPECT_THAT(err, HasSubstr("local invite"));
    EXPECT_EQ(run({}), 2);
    EXPECT_THAT(err, HasSubstr("serve"));
    EXPECT_THAT(err, Not(HasSubstr("process-front")));
    EXPECT_EQ(out, "");
}

TEST_F(Cli, ACommandMayRunAndHaveVerbsToo) {
    EXPECT_EQ(run({"bill", "--period", "2026-10"}), 0) << err;
    EXPECT_EQ(out, "billed 2026-10\n");
    EXPECT_EQ(run({"bill", "tariff", "set", "f"}), 4);
    EXPECT_EQ(run({"bill", "tariff"}), 2);
    EXPECT_THAT(err, HasSubstr("bill tariff set"));
}

TEST_F(Cli, HiddenCommandsRunButAreInNoHelp) {
    EXPECT_EQ(run({"process-front", "--help"}), 0);
    EXPECT_EQ(run({"--help"}), 0);
    EXPECT_THAT(out, Not(HasSubstr("process-front")));
    for (const Document& document : render_documents(program(), "all")) {
        EXPECT_THAT(document.text, Not(HasSubstr("process-front"))) << document.path;
    }
}

TEST_F(Cli, ErrorsAreTextOrJsonAndEndWithTheirCode) {
    EXPECT_EQ(run({"serve"}), 4);
    EXPECT_EQ(err, "hasp: no \"quotes\" here\n  ask the operator\n");
    EXPECT_EQ(run({"serve", "--json"}), 4);
    EXPECT_EQ(err, "{\"error\":{\"code\":\"refused\",\"message\":\"no \\\"quotes\\\" "
                   "here\",\"hint\":\"ask the operator\"}}\n");
    EXPECT_EQ(run({"nothing", "--json"}), 2);
    EXPECT_THAT(err, testing::StartsWith("{\"error\":{\"code\":\"usage\""));
}

TEST_F(Cli, AnExceptionOfACommandIsAnErrorAndNoCrash) {
    EXPECT_EQ(run({"local", "show"}), 1);
    EXPECT_THAT(err, HasSubstr("internal error: boom"));
}

TEST_F(Cli, HelpSaysWhatTheTableSays) {
    EXPECT_EQ(run({"local", "invite", "--help"}), 0);
    EXPECT_THAT(out, HasSubstr("Usage: hasp local invite [OPTION...] NAME [FILE...]"));
    EXPECT_THAT(out, HasSubstr("-d, --days N"));
    EXPECT_THAT(out, HasSubstr("how long it is good (default: 7; environment:"));
    EXPECT_THAT(out, HasSubstr("--[no-]pull"));
    EXPECT_THAT(out, HasSubstr("hasp local invite kiosk > kiosk.invite"));
    const std::string by_option = out;
    EXPECT_EQ(run({"help", "local", "invite"}), 0);
    EXPECT_EQ(out, by_option);
    EXPECT_EQ(run({"--version"}), 0);
    EXPECT_THAT(out, HasSubstr("hasp "));
}

TEST_F(Cli, DocumentsAreTheSameEachTimeAndCoverEveryCommand) {
    const std::vector<Document> documents = render_documents(program(), "all");
    std::vector<std::string> paths;
    for (const Document& document : documents) {
        paths.push_back(document.path);
        EXPECT_TRUE(document.text.ends_with('\n')) << document.path;
    }
    EXPECT_THAT(paths,
                testing::ElementsAre("man/hasp.1", "man/hasp-serve.1", "man/hasp-local.1",
                                     "man/hasp-bill.1", "man/hasp.toml.5", "completions/hasp.bash",
                                     "completions/_hasp", "completions/hasp.fish"));
    const std::vector<Document> again = render_documents(program(), "all");
    for (std::size_t i = 0; i < documents.size(); ++i) {
        EXPECT_EQ(documents[i].text, again[i].text);
    }
    EXPECT_THAT(documents[2].text, HasSubstr(".SS hasp local invite"));
    EXPECT_THAT(documents[2].text, HasSubstr("\\&.starts with a dot \\- and it\\(aqs \\efine."));
    EXPECT_THAT(documents[4].text, HasSubstr("keepalive_s"));
    EXPECT_TRUE(render_documents(program(), "pdf").empty());
}

TEST_F(Cli, HelpDumpWritesTheDocumentsIntoAFolder) {
    const std::string folder = testing::TempDir() + "/hasp_documents";
    ASSERT_TRUE(remove_tree(folder).ok());
    EXPECT_EQ(run({"help-dump", "all", folder.c_str()}), 0) << err;
    for (const Document& document : render_documents(program(), "all")) {
        const Result<std::string> written = read_file(folder + "/" + document.path, 1 << 20);
        ASSERT_TRUE(written.ok()) << document.path;
        EXPECT_EQ(*written, document.text);
    }
    EXPECT_EQ(run({"help-dump", "pdf", folder.c_str()}), 2);
    EXPECT_EQ(run({"help-dump"}), 2);
}

} // namespace
} // namespace hasp::cmd
