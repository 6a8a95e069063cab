// hasp's own pages: pure functions from values to whole HTML documents. Any thread. Everything
// given is escaped; nothing is fetched from anywhere and no script is used, so that they show on a
// box without a link and under a strict policy. But for one: a portal with `probes` asks each of
// them for /hasp/direct/reach, and says at /hasp/direct/reached which of them answered.
//
// Answer them as text/html; charset=utf-8 with content_security_policy() and `cache-control:
// no-store`.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hasp::signon {

// What every page shows.
struct PageFrame {
    std::string tier_title; // "Clinic Brückenstraße": in the heading and the window's title
    std::string portal_href = "/"; // the portal as seen from this page: absolute on an app's host
};

struct LoginPage {
    PageFrame frame;
    std::string user;         // filled in again after an error
    std::string next;         // comes back in the form; check it with safe_next when used
    std::string error;        // a sentence, empty at first
    std::string app;          // title of the app that the user wants, may be empty
    std::string offline_note; // a sentence when the parent cannot be reached, may be empty
};

enum class TileState : unsigned char { ready, starts_on_use, starting, stopped, unreachable };

struct Tile {
    std::string title;       // empty: `name` is shown
    std::string name;        // the app's name; picks the tile's colour
    std::string description; // may be empty
    std::string href;        // http(s) address or path; anything else shows a tile without a link
    TileState state = TileState::ready;
    std::string reason;                   // stopped: why
    std::optional<std::int64_t> since_us; // unreachable, stopped: since when
    std::string where;                    // unreachable: which tier ("center")
};

// What other tiers have not sent of this user's files; he may wait until they have, only read until
// then, or go on.
struct OwedNotice {
    std::vector<std::string> lines; // a sentence a tier; empty: nothing is owed
    enum class State : unsigned char { to_choose, waiting, reading, going_on };
    State state = State::to_choose;
    // Waiting: the page loads itself again after so long, 0: not.
    int again_s = 0;
};

struct PortalPage {
    PageFrame frame;
    std::string user;
    std::string display_name; // empty: the user name is shown
    std::vector<Tile> tiles;
    std::string notice; // a sentence above the tiles ("The link to the center is down since 14:02.
                        // …"), may be empty
    std::int64_t now_us = 0;
    int utc_offset_s = 0;            // of the tier's clock on the wall
    std::vector<std::string> probes; // origins; mostly none
    OwedNotice owed = {};
};

struct LoggedOutPage {
    PageFrame frame;
    std::string next;
};

struct ErrorPage {
    PageFrame frame;
    int status = 500;        // shown small
    std::string headline;    // "Wiki cannot be reached"
    std::string what;        // a sentence or two; may be empty
    std::string since;       // "since 14:02 today", may be empty: see clock_text
    std::string what_to_do;  // may be empty
    bool retry_link = false; // a link to the same address
    bool portal_link = true;
    int again_s = 0; // the page loads itself again after so long; 0: not
};

std::string render(const LoginPage& page);
std::string render(const PortalPage& page);
std::string render(const LoggedOutPage& page);
std::string render(const ErrorPage& page);
// For what is not there and for what one may not use, which look the same.
std::string not_found_page(const PageFrame& frame);

// "Ready", "Starts on first use", "Stopped: reason", "Cannot be reached since 14:02 (center)".
std::string state_text(const Tile& tile, std::int64_t now_us, int utc_offset_s);

// "14:02" on the same day, "Mon 14:02" within six days, else "23 Nov 14:02".
std::string clock_text(std::int64_t at_us, std::int64_t now_us, int utc_offset_s);

// The policy for these pages: no source but the hash of their one style element. `form_targets` are
// origins that a log-in may be redirected to ("http://*.localhost:8080"), which Chromium checks
// against form-action; `probes` as in PortalPage. Ones with odd characters are left out.
std::string content_security_policy(std::span<const std::string> form_targets = {},
                                    std::span<const std::string> probes = {});

} // namespace hasp::signon
