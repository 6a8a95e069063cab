#include "base/text.h"
#include "signon/pages.h"
#include "template.h"
#include "text_rules.h"
#include "trust/hash.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hasp::signon {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::string evil = R"(<script>alert("1")</script>'"&{{user}})";
const std::string evil_escaped = html_escape(evil);
constexpr std::int64_t minute_us = 60'000'000;
// 2026-11-23 (a Monday) 15:00 UTC.
constexpr std::int64_t monday_us = 1'795'446'000'000'000;

std::size_t count(const std::string& text, std::string_view part) {
    std::size_t n = 0;
    for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
        ++n;
    }
    return n;
}

std::vector<std::string> every_page(const std::string& filling) {
    const PageFrame frame{filling, filling};
    Tile tile{filling, filling, filling, filling, TileState::stopped, filling, monday_us, filling};
    Tile away = tile;
    away.state = TileState::unreachable;
    away.href = "https://wiki.example/" + filling;
    ErrorPage error{frame, 503, filling, filling, filling, filling, true, true};
    return {render(LoginPage{frame, filling, filling, filling, filling, filling}),
            render(PortalPage{frame, filling, filling, {tile, away}, filling, monday_us, 0, {}}),
            render(LoggedOutPage{frame, filling}), render(error), not_found_page(frame)};
}

TEST(Pages, NothingThatIsGivenBecomesMarkup) {
    for (const std::string& page : every_page(evil)) {
        EXPECT_THAT(page, Not(HasSubstr("<script")));
        EXPECT_THAT(page, Not(HasSubstr("\"1\"")));
        EXPECT_THAT(page, HasSubstr(evil_escaped));
    }
}

TEST(Pages, NoPageHasScriptsOutsideSourcesOrInlineStyles) {
    for (const std::string& page : every_page("plain")) {
        EXPECT_THAT(page, Not(HasSubstr("<script")));
        EXPECT_THAT(page, Not(HasSubstr(" src=")));
        EXPECT_THAT(page, Not(HasSubstr("<link")));
        EXPECT_THAT(page, Not(HasSubstr(" style=")));
        EXPECT_THAT(page, Not(HasSubstr("@import")));
        EXPECT_THAT(page, Not(HasSubstr("url(")));
        EXPECT_THAT(page, Not(HasSubstr("{{")));
        EXPECT_TRUE(page.starts_with("<!doctype html>"));
        EXPECT_EQ(count(page, "<h1"), 1U);
        EXPECT_EQ(count(page, "<main"), 1U);
        EXPECT_THAT(page, HasSubstr("lang=\"en\""));
    }
}

TEST(Pages, ThePolicyNamesTheHashOfTheStyleThatThePagesCarry) {
    const std::string page = not_found_page({});
    const auto begin = page.find("<style>") + 7;
    const std::string style = page.substr(begin, page.find("</style>") - begin);
    EXPECT_THAT(content_security_policy(),
                HasSubstr("style-src 'sha256-" + to_base64(sha256(style)) + "'"));
    EXPECT_THAT(content_security_policy(), HasSubstr("default-src 'none'"));
}

TEST(Pages, ThePolicyTakesPlainFormTargetsOnly) {
    const std::string targets[] = {"http://*.localhost:8080", "https://x; script-src *", "",
                                   "'unsafe-inline'"};
    EXPECT_TRUE(
        content_security_policy(targets).ends_with("form-action 'self' http://*.localhost:8080"));
}

TEST(Pages, TheLogInFormPostsUserPasswordAndNext) {
    const std::string page = render(LoginPage{{"Clinic"}, "", "/apps/wiki/?a=1&b=2", "", "", ""});
    EXPECT_THAT(page, HasSubstr(R"(<form method="post" action="/hasp/login">)"));
    EXPECT_THAT(page, HasSubstr(R"(name="user" value="")"));
    EXPECT_THAT(page,
                HasSubstr(R"(name="password" type="password" autocomplete="current-password")"));
    EXPECT_THAT(page, HasSubstr(R"(name="next" value="/apps/wiki/?a=1&amp;b=2")"));
    EXPECT_THAT(page, Not(HasSubstr("role=\"alert\"")));
}

TEST(Pages, AfterAnErrorTheUserNameIsKeptAndThePasswordAskedFor) {
    const std::string page =
        render(LoginPage{{"Clinic"}, "anna", "/", "That was not right.", "", ""});
    EXPECT_THAT(page, HasSubstr(R"(role="alert" id="problem">That was not right.<)"));
    EXPECT_THAT(page, HasSubstr(R"(value="anna")"));
    EXPECT_EQ(count(page, " autofocus"), 1U);
    EXPECT_GT(page.find(" autofocus"), page.find("name=\"password\""));
}

TEST(Pages, ThePortalGreetsAndShowsEachAppWithItsState) {
    PortalPage portal{{"Clinic"}, "anna", "Anna Müller", {}, "", monday_us, 0, {}};
    portal.tiles.push_back({"Wiki",
                            "wiki",
                            "Notes of the team",
                            "http://wiki.localhost/",
                            TileState::ready,
                            "",
                            {},
                            ""});
    portal.tiles.push_back({"", "xray", "", "/apps/xray/", TileState::unreachable, "",
                            monday_us - 58 * minute_us, "center"});
    const std::string page = render(portal);
    EXPECT_THAT(page, HasSubstr("Hello, <span dir=\"auto\">Anna Müller</span>"));
    EXPECT_THAT(page, HasSubstr(R"(<a href="http://wiki.localhost/">Wiki</a>)"));
    EXPECT_THAT(page, HasSubstr("Notes of the team"));
    EXPECT_THAT(page, HasSubstr(R"(<a href="/apps/xray/">xray</a>)"));
    EXPECT_THAT(page, HasSubstr("Cannot be reached since 14:02 (center)"));
    EXPECT_THAT(page, HasSubstr(R"(method="post" action="/hasp/logout")"));
    EXPECT_THAT(page, Not(HasSubstr("No apps yet")));
}

TEST(Pages, WithoutAppsThePortalSaysWhatToDo) {
    EXPECT_THAT(render(PortalPage{{"Clinic"}, "anna", "", {}, "", 0, 0, {}}),
                HasSubstr("No apps yet"));
}

TEST(Pages, APortalWithProbesHasTheOneScriptThatItsPolicyNames) {
    const std::vector<std::string> probes{"https://wiki.center.example", "https://x\"><script>"};
    const std::string page =
        render(PortalPage{{"Clinic"}, "anna", "", {}, "", monday_us, 0, probes});
    EXPECT_THAT(page, HasSubstr("data-reach=\"https://wiki.center.example\""));
    EXPECT_EQ(count(page, "<script"), 1U);
    const std::size_t from = page.find("<script>") + 8;
    const std::string script = page.substr(from, page.find("</script>") - from);
    const std::string policy = content_security_policy({}, probes);
    EXPECT_THAT(policy, HasSubstr("script-src 'sha256-" + to_base64(trust::sha256(script)) +
                                  "'; connect-src 'self' https://wiki.center.example"));
    EXPECT_THAT(policy, Not(HasSubstr("https://x")));
    EXPECT_THAT(content_security_policy(), Not(HasSubstr("script-src")));
}

TEST(Pages, AnAddressThatIsNoneBecomesNoLink) {
    for (const char* href : {"javascript:alert(1)", "", "//evil.example", "data:text/html,x",
                             " http://x", "ftp://x"}) {
        PortalPage portal{{"Clinic", "javascript:alert(2)"},
                          "anna",
                          "",
                          {{"Wiki", "wiki", "", href, TileState::ready, "", {}, ""}},
                          "",
                          0,
                          0,
                          {}};
        const std::string page = render(portal);
        EXPECT_THAT(page, HasSubstr("<h2 dir=\"auto\">Wiki</h2>")) << href;
        EXPECT_THAT(page, Not(HasSubstr("javascript:")));
    }
}

TEST(Pages, AnInitialIsAWholeCharacter) {
    PortalPage portal{
        {"Clinic"}, "anna", "", {{"Ärzte", "doctors", "", "/", TileState::ready, "", {}, ""}},
        "",         0,      0,  {}};
    EXPECT_THAT(render(portal), HasSubstr("aria-hidden=\"true\">Ä</span>"));
}

TEST(Pages, AnErrorSaysWhatSinceWhenAndWhatToDo) {
    ErrorPage error;
    error.frame = {"Clinic", "https://portal.example/"};
    error.status = 503;
    error.headline = "Wiki cannot be reached";
    error.since = "Since 14:02";
    error.what_to_do = "Try again in a few minutes.";
    error.retry_link = true;
    const std::string page = render(error);
    for (const char* part :
         {"Error 503", "<h1 dir=\"auto\">Wiki cannot be reached</h1>", "Since 14:02",
          "Try again in a few minutes.", R"(<a class="primary" href="">Try again</a>)",
          R"(<a class="secondary" href="https://portal.example/">Your apps</a>)"}) {
        EXPECT_THAT(page, HasSubstr(part));
    }
    error.retry_link = false;
    error.portal_link = false;
    EXPECT_THAT(render(error), Not(HasSubstr("class=\"actions\"")));
}

TEST(Pages, LoggingInAgainLeadsWhereOneWas) {
    EXPECT_THAT(render(LoggedOutPage{{"Clinic"}, "/apps/wiki/?a=b"}),
                HasSubstr(R"(href="/hasp/login?next=%2Fapps%2Fwiki%2F%3Fa%3Db")"));
    EXPECT_THAT(render(LoggedOutPage{{"Clinic"}, ""}), HasSubstr(R"(href="/hasp/login")"));
}

TEST(StateText, IsTheSentenceThatPeopleRead) {
    Tile tile;
    EXPECT_EQ(state_text(tile, monday_us, 0), "Ready");
    tile.state = TileState::starts_on_use;
    EXPECT_EQ(state_text(tile, monday_us, 0), "Starts on first use");
    tile.state = TileState::starting;
    EXPECT_EQ(state_text(tile, monday_us, 0), "Starting");
    tile.state = TileState::stopped;
    EXPECT_EQ(state_text(tile, monday_us, 0), "Stopped");
    tile.reason = "the disk is full";
    EXPECT_EQ(state_text(tile, monday_us, 0), "Stopped: the disk is full");
    tile.state = TileState::unreachable;
    EXPECT_EQ(state_text(tile, monday_us, 0), "Cannot be reached");
    tile.since_us = monday_us;
    tile.where = "center";
    EXPECT_EQ(state_text(tile, monday_us, 0), "Cannot be reached since 15:00 (center)");
}

TEST(ClockText, NamesTheDayWhenItIsNotToday) {
    EXPECT_EQ(clock_text(monday_us, monday_us, 0), "15:00");
    EXPECT_EQ(clock_text(monday_us, monday_us, 3600), "16:00");
    EXPECT_EQ(clock_text(monday_us, monday_us + 8 * 60 * minute_us, 0), "15:00");
    EXPECT_EQ(clock_text(monday_us, monday_us + 8 * 60 * minute_us, 3600), "Mon 16:00");
    EXPECT_EQ(clock_text(monday_us, monday_us + 6 * 24 * 60 * minute_us, 0), "Mon 15:00");
    EXPECT_EQ(clock_text(monday_us, monday_us + 7 * 24 * 60 * minute_us, 0), "23 Nov 15:00");
    EXPECT_EQ(clock_text(monday_us + 24 * 60 * minute_us, monday_us, 0), "24 Nov 15:00");
    EXPECT_EQ(clock_text(-1, 0, 0), "Wed 23:59");
}

TEST(Template, AValueIsNeverSearchedForPlaceholders) {
    EXPECT_EQ(fill("{{a}}{{#b}}[{{a}}]{{/b}}", {{"a", text("{{b}}<")}, {"b", text("")}}).code,
              "{{b}}&lt;");
    EXPECT_EQ(fill("{{#b}}[{{b}}]{{/b}}", {{"b", text("x")}}).code, "[x]");
}

TEST(TemplateDeathTest, APlaceholderWithoutAValueEndsTheProcess) {
    EXPECT_DEATH(static_cast<void>(fill("{{a}}", {})), "");
}

} // namespace
} // namespace hasp::signon
