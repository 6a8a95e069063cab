#include "signon/pages.h"

#include "base/text.h"
#include "embedded/web_files.h"
#include "template.h"
#include "text_rules.h"

#include <algorithm>
#include <cstdlib>

namespace hasp::signon {

namespace {

constexpr std::string_view title_when_none = "hasp";
constexpr unsigned tile_colours = 8;

std::string_view web_file(std::string_view name) {
    for (const store::EmbeddedFile& file : embedded::web_files()) {
        if (file.name == name) {
            return file.text;
        }
    }
    std::abort();
}

Html flag(bool on) {
    return {on ? "1" : ""};
}

// The first character of the title, whole: not the first byte of it.
std::string initial(std::string_view title) {
    std::size_t size = 1;
    while (size < title.size() && (static_cast<unsigned char>(title[size]) & 0xc0U) == 0x80) {
        ++size;
    }
    return std::string(title.substr(0, size));
}

std::string colour_class(std::string_view name) {
    unsigned hash = 0;
    for (const char c : name) {
        hash = hash * 31 + static_cast<unsigned char>(c);
    }
    return std::to_string(hash % tile_colours);
}

// What a page may link to: javascript: and the like are no addresses.
std::string safe_href(std::string_view href) {
    const bool local = href.starts_with('/') && !href.starts_with("//");
    const bool absolute = href.starts_with("https://") || href.starts_with("http://");
    return local || absolute ? std::string(href) : std::string();
}

std::string document(const PageFrame& frame, std::string_view page_title, Html user_bar, Html main,
                     int again_s = 0) {
    const std::string_view tier = frame.tier_title.empty() ? title_when_none : frame.tier_title;
    return fill(web_file("document.html"),
                {{"style", {std::string(web_file("style.css"))}},
                 {"page_title", text(page_title)},
                 {"tier_title", text(tier)},
                 {"portal_href", text(safe_href(frame.portal_href))},
                 {"again_s", text(again_s > 0 ? std::to_string(again_s) : std::string())},
                 {"user_bar", std::move(user_bar)},
                 {"main", std::move(main)}})
        .code;
}

const char* state_class(TileState state) {
    switch (state) {
    case TileState::ready:
        return "ready";
    case TileState::starts_on_use:
        return "idle";
    case TileState::starting:
        return "starting";
    case TileState::stopped:
        return "stopped";
    case TileState::unreachable:
        return "away";
    }
    return "idle";
}

Html tile_html(const Tile& tile, const PortalPage& page) {
    const std::string& title = tile.title.empty() ? tile.name : tile.title;
    const std::string href = safe_href(tile.href);
    return fill(web_file("tile.html"),
                {{"href", text(href)},
                 {"no_href", flag(href.empty())},
                 {"title", text(title)},
                 {"initial", text(initial(title))},
                 {"colour", {colour_class(tile.name)}},
                 {"description", text(tile.description)},
                 {"state", {state_class(tile.state)}},
                 {"state_text", text(state_text(tile, page.now_us, page.utc_offset_s))}});
}

} // namespace

std::string state_text(const Tile& tile, std::int64_t now_us, int utc_offset_s) {
    const std::string since =
        tile.since_us ? " since " + clock_text(*tile.since_us, now_us, utc_offset_s) : "";
    switch (tile.state) {
    case TileState::ready:
        return "Ready";
    case TileState::starts_on_use:
        return "Starts on first use";
    case TileState::starting:
        return "Starting";
    case TileState::stopped:
        return "Stopped" + since + (tile.reason.empty() ? "" : ": " + tile.reason);
    case TileState::unreachable:
        return "Cannot be reached" + since + (tile.where.empty() ? "" : " (" + tile.where + ")");
    }
    return {};
}

std::string render(const LoginPage& page) {
    return document(page.frame, "Log in", {},
                    fill(web_file("login.html"), {{"tier_title", text(page.frame.tier_title.empty()
                                                                          ? title_when_none
                                                                          : page.frame.tier_title)},
                                                  {"user", text(page.user)},
                                                  {"no_user", flag(page.user.empty())},
                                                  {"next", text(page.next)},
                                                  {"error", text(page.error)},
                                                  {"app", text(page.app)},
                                                  {"offline_note", text(page.offline_note)}}));
}

namespace {

Html owed_html(const OwedNotice& owed) {
    using State = OwedNotice::State;
    if (owed.lines.empty()) {
        return {};
    }
    Html lines;
    for (const std::string& line : owed.lines) {
        lines.code += "<p>" + text(line).code + "</p>\n";
    }
    const State state = owed.state;
    return fill(web_file("owed.html"), {{"lines", std::move(lines)},
                                        {"to_choose", flag(state == State::to_choose)},
                                        {"waiting", flag(state == State::waiting)},
                                        {"reading", flag(state == State::reading)},
                                        {"going_on", flag(state == State::going_on)},
                                        {"may_wait", flag(state != State::waiting)},
                                        {"may_read", flag(state != State::reading)},
                                        {"may_go_on", flag(state != State::going_on)}});
}

} // namespace

std::string render(const PortalPage& page) {
    const std::string& person = page.display_name.empty() ? page.user : page.display_name;
    Html tiles;
    for (const Tile& tile : page.tiles) {
        tiles.code += tile_html(tile, page).code;
    }
    const Html none = flag(page.tiles.empty());
    Html reach;
    for (const std::string& origin : page.probes) {
        reach.code += "<span hidden data-reach=\"" + text(origin).code + "\"></span>\n";
    }
    if (!page.probes.empty()) {
        reach.code += "<script>" + std::string(web_file("reach.js")) + "</script>\n";
    }
    return document(
        page.frame, "Apps",
        fill(web_file("user_bar.html"), {{"user", text(page.user)}, {"person", text(person)}}),
        fill(web_file("portal.html"), {{"person", text(person)},
                                       {"notice", text(page.notice)},
                                       {"owed", owed_html(page.owed)},
                                       {"tiles", std::move(tiles)},
                                       {"no_tiles", none},
                                       {"reach", std::move(reach)}}),
        page.owed.again_s);
}

std::string render(const LoggedOutPage& page) {
    const std::string next = page.next.empty() ? "" : "?next=" + percent_encode(page.next);
    return document(
        page.frame, "Logged out", {},
        fill(web_file("logged_out.html"), {{"login_href", text("/hasp/login" + next)}}));
}

std::string render(const ErrorPage& page) {
    const std::string portal = page.portal_link ? safe_href(page.frame.portal_href) : "";
    return document(page.frame, page.headline, {},
                    fill(web_file("message.html"),
                         {{"status", text(page.status > 0 ? std::to_string(page.status) : "")},
                          {"headline", text(page.headline)},
                          {"what", text(page.what)},
                          {"since", text(page.since)},
                          {"what_to_do", text(page.what_to_do)},
                          {"retry", flag(page.retry_link)},
                          {"actions", flag(page.retry_link || !portal.empty())},
                          {"portal_href", text(portal)}}),
                    page.again_s);
}

std::string not_found_page(const PageFrame& frame) {
    ErrorPage page;
    page.frame = frame;
    page.status = 404;
    page.headline = "There is nothing here";
    page.what = "The address may be mistyped, or you have not been given access to it.";
    page.what_to_do = "Start from your apps. If something is missing there, ask the person who "
                      "looks after this system.";
    return render(page);
}

std::string content_security_policy(std::span<const std::string> form_targets,
                                    std::span<const std::string> probes) {
    const auto add = [](std::string& policy, std::span<const std::string> origins) {
        for (const std::string& one : origins) {
            const bool plain = !one.empty() && std::all_of(one.begin(), one.end(), [](char c) {
                return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view(".:/*-[]").find(c) != std::string_view::npos;
            });
            policy += plain ? " " + one : "";
        }
    };
    std::string policy = "default-src 'none'; style-src 'sha256-" +
                         to_base64(sha256(web_file("style.css"))) +
                         "'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'";
    add(policy, form_targets);
    if (!probes.empty()) {
        policy += "; script-src 'sha256-" + to_base64(sha256(web_file("reach.js"))) +
                  "'; connect-src 'self'";
        add(policy, probes);
    }
    return policy;
}

} // namespace hasp::signon
