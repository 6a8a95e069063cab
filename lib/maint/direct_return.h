// Direct return (A6): sending a browser that reaches the tier which serves an app there, so that
// answers cross no tier between. Both sides of it: the tier that the user knows asks upward, each
// tier on the way checks its own grant, and the one that serves seals. doc/decisions/0021 has the
// steps and what each is against. One thread.
#pragma once

#include "apps.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "direct_pending.h"
#include "links.h"
#include "maint/config.h"
#include "people.h"
#include "signon/direct.h"
#include "signon/session_store.h"

#include <functional>
#include <list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace hasp::maint {

// A neighbour that has not answered by then is not waited for: the request is passed on.
// Front waits a second.
inline constexpr std::int64_t direct_answer_us = 700'000;
// Tickets that one neighbour gets in a minute: it must not use up what all share.
inline constexpr std::size_t direct_tickets_max = 2'000;

class DirectReturn {
  public:
    struct World {
        Links& links;
        const Clock& clock; // trusted time
        Random& random;
        const Log& log;
        const Config& config;
        People& people;
        Apps& apps;
        signon::SessionStore& sessions;
    };
    // `secret`: the tier's own, the same after a restart.
    DirectReturn(World world, std::string_view secret);

    // An absolute address to send the browser to. Called once.
    using To = std::function<void(Result<std::string>)>;

    // -- at the tier that the user knows
    struct Asked {
        std::string sid;
        std::string app;
        std::string origin; // "https://wiki.tokyo.example", as the user typed it
        std::string client; // address
        std::string target; // path and query at the app's own host
        std::string back;   // path and query here
    };
    // Where to go instead of an answer from here. An error: nowhere, it is passed on.
    void begin(const Asked& asked, const To& done);
    // The browser is back and has a nonce there. Leads on with a ticket, or where it came from when
    // there is none. Code::refused: it was not sent by us, or not this session.
    void back(const std::string& sid, const std::string& origin, const std::string& state,
              const std::string& nonce_hash, const To& done);
    // Origins of tiers above, one each, of which it is to be found out whether this browser reaches
    // them: the portal's script asks each for /hasp/direct/reach.
    std::vector<std::string> to_probe(const signon::Identity& who, const std::string& scheme,
                                      const std::string& client) const;
    // It reached one of those.
    void reached(const signon::Identity& who, const std::string& origin);
    // For the policy of pages whose forms may end there: "https://*.center.example".
    std::vector<std::string> form_targets() const;

    // -- at the tier that serves
    // Where a browser with this pass goes for its ticket; `origin` is that under which it came.
    Result<std::string> send_back(const std::string& pass, const std::string& origin,
                                  const std::string& nonce) const;
    struct Entered {
        std::string target;
        std::string cookie;
    };
    struct Entry {
        std::string ticket;
        std::string nonce;  // that the browser shows
        std::string method; // of this request
        std::string origin;
    };
    void enter(const Entry& entry, const std::function<void(Result<Entered>)>& done);
    // Whose cookie is it? As People::identify.
    void identify(const std::string& cookie, const std::string& host,
                  const std::function<void(Result<signon::Identity>)>& found);
    // Some app of this tier may be reached under it.
    bool is_door(const std::string& origin) const;

    // Gives up waiting for neighbours.
    void tick();

  private:
    void on_question(const std::string& from, const Message& message, const Links::Answer& answer);
    void ask_parent(Json question, const char* field, const To& done);
    Result<Message> seal(const std::string& child, const signon::Identity& who, const Json& head);
    bool may(const signon::Identity& who, const std::string& app, bool open) const;
    std::string own_origin(const std::string& app, bool also_ended = false) const;
    bool is_own_host(const std::string& origin, const AppFacts& app) const;
    bool may_have_a_ticket(const std::string& child);
    bool is_open_here(const std::string& app) const;

    World world_;
    signon::DirectSeals seals_;
    DirectPending pending_;
    struct Question {
        std::int64_t until_us;
        std::shared_ptr<To> done; // null when it was answered
    };
    std::list<Question> questions_;
    struct Given {
        std::int64_t since_us = 0;
        std::size_t count = 0;
    };
    std::map<std::string, Given> tickets_; // by child: of its current minute
};

} // namespace hasp::maint
