// What the data plane asks of the keeper. cmd/hasp implements it over the socket pair; tests
// implement it in memory.
#pragma once

#include "base/result.h"
#include "passon/identity.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hasp::passon {

// Whose request is it? Answered by an identity, by null (nobody: unknown, wrong or over), or by an
// error: try_later (guessed too often: 429), anything else (the keeper cannot say: 503).
struct WhoQuestion {
    enum class Kind : std::uint8_t {
        cookie, // secret: the cookie's value
        bearer, // secret: the token
        basic,  // secret: "user:password", decoded
        link,   // secret: the session id that `child` named
        peer,   // secret: the assertion that the peer `child` ("@west") sent
    };
    Kind kind = Kind::cookie;
    std::string secret;
    std::string host;           // that the user typed, lower case, without port
    std::string child;          // link, peer: the neighbour that asks
    std::string client_address; // of the user, as far as known
};
using WhoAnswer = Result<std::shared_ptr<const Identity>>;

// One of hasp's own pages: the portal, log-in, hand-over, assets.
struct PageQuestion {
    std::string method;
    std::string scheme;    // "http" or "https"
    std::string authority; // host with port, as the user typed it
    std::string host;      // lower case, without port
    std::string target;    // path and query, as sent, safe by net::check_path
    // Of the request, names in lower case: accept, accept-language, content-type, cookie (hasp's
    // own only), if-none-match, origin, referer, sec-fetch-site, user-agent, authorization.
    std::vector<std::pair<std::string, std::string>> headers;
    std::string body;
    std::string client_address;
    std::string request_id;
    std::shared_ptr<const Identity> identity; // null: nobody is signed on
};
struct PageAnswer {
    int status = 200;
    std::vector<std::pair<std::string, std::string>>
        headers; // set-cookie of hasp's own cookies is allowed here
    std::string body;
};

// Start an instance of an app (or wait until it runs). Single flight is up to this library: one
// question per instance at a time.
struct StartQuestion {
    std::string app;
    std::string user; // who asks; empty: nobody is signed on
    std::string request_id;
};
// Ok: its dial socket answers now. Error: what to tell people, with the last log lines in `hint`;
// partial: its user's files are on their way.
using StartAnswer = Status;

// An assertion toward a peer, for a user who may use the app by what is known here.
struct AssertionQuestion {
    std::string peer; // "@west"
    std::string app;
    std::string user;
};
struct AssertionAnswer {
    std::string text;          // as it goes into the request
    std::int64_t until_us = 0; // trusted time; not sent from then on
};

// How a peer stands, by the last connection that was tried or made.
struct PeerState {
    std::string name; // "@west"
    bool up = false;
    std::int64_t since_us = 0; // wall clock of the last change
    std::string why;           // of being down, for people
};

// State of the link to the parent, as the data plane sees it.
struct ParentState {
    bool up = false;
    std::string address;       // in use, or tried last
    std::int64_t since_us = 0; // wall clock of the last change
    std::string why;           // of being down, for people
    // Of LinkCredentials::parent_addresses, where it answered last, in its name; empty: nowhere
    // yet.
    std::string reached;
};

// Which addresses of an upstream app may be used.
struct UpstreamState {
    struct Address {
        std::string address; // "192.0.2.7:8080"
        bool up = true;
        std::int64_t since_us = 0; // wall clock; of being down, else 0
        std::string why;           // of being down, for people
    };
    std::string app;
    std::vector<Address> addresses; // none: the app is not here any more
};

// A control stream between two tiers; bytes are ipc frames, which this library does not look into.
using ControlId = std::uint64_t;
struct ControlOpened {
    ControlId id = 0;
    std::string peer; // name of the neighbour's tier
    bool to_parent = false;
    std::string address;            // of the neighbour
    std::vector<std::string> chain; // its DER certificates, its own first
};

// Every call comes on the engine's thread and must not block; every callback must be called on that
// thread, once, at any later time or never (the engine limits its wait), and never after the engine
// is gone: keep them in something that ends with it. A callback may be called inside the call.
class KeeperPort {
  public:
    virtual ~KeeperPort() = default;
    virtual void ask_who(WhoQuestion question, std::function<void(WhoAnswer)> answer) = 0;
    virtual void ask_page(PageQuestion question,
                          std::function<void(Result<PageAnswer>)> answer) = 0;
    virtual void ask_start(StartQuestion question, std::function<void(StartAnswer)> answer) = 0;
    // Code::refused: there is no such peer, or this app is not asked for there.
    virtual void ask_assertion(AssertionQuestion question,
                               std::function<void(Result<AssertionAnswer>)> answer) = 0;

    // The link came up or went down; or, with the same since, it is down and another reason is
    // known, or up and the parent was reached at another address.
    virtual void parent_changed(const ParentState& state) = 0;
    // An address went down or came up. Of an app whose addresses were up all along nothing is said.
    virtual void upstream_changed(const UpstreamState& state) = 0;
    // At the first answer of a peer or the first failure, and when it went down or came up.
    virtual void peer_changed(const PeerState& state) = 0;
    // After Engine::leave() and leave_cache(): a request changed something here that the engine
    // which has the kept answers now did not see (Engine::confirm_answers()).
    virtual void answers_changed() = 0;
    virtual void control_opened(const ControlOpened& opened) = 0;
    // To slow the peer down, call Engine::control_hold and later control_release.
    virtual void control_data(ControlId id, std::string_view bytes) = 0;
    virtual void control_closed(ControlId id, const std::string& why) = 0;
};

} // namespace hasp::passon
