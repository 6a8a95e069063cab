// hasp's own pages: front asks, the keeper answers. Routing of /hasp/… and the portal; the HTML is
// lib/signon's. One thread.
#pragma once

#include "apps.h"
#include "direct_return.h"
#include "enrolment.h"
#include "json_tools.h"
#include "links.h"
#include "maint/config.h"
#include "peers.h"
#include "people.h"
#include "roaming.h"
#include "signon/pages.h"
#include "signon/token_store.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace hasp::maint {

// How the link to the parent stands, as front sees it.
struct ParentLink {
    bool up = false;
    std::string address;
    std::int64_t since_us = 0;
    std::string why;
};

class Pages {
  public:
    struct World {
        const Clock& clock;
        const Log& log;
        const Config& config;
        const TierIdentity& me;
        Links& links;
        People& people;
        Apps& apps;
        const Peers& peers;
        Enrolment& enrolment;
        signon::SessionStore& sessions;
        signon::TokenStore& tokens;
        DirectReturn& direct;
        Random& random;
        const ParentLink& parent;
        // See Admin::run_push.
        std::function<void(const Json& request, const std::string& body,
                           const std::vector<std::string>& apps,
                           const std::function<void(Result<Json>)>& answer)>
            push;
        // What a user is told of his files: a sentence, or nothing.
        std::function<std::string(const std::string& user)> files_notice;
        Roaming& roaming;
    };
    explicit Pages(World world) : world_(std::move(world)) {}

    struct Request {
        std::string method;
        std::string scheme;
        std::string authority;
        std::string host;
        std::string target;
        std::string client;
        std::string sid;  // of the session that front resolved; empty: nobody
        std::string door; // "users" or "link"
        Json headers;
        std::string body;
        std::string header(const char* name) const { return text_of(headers, name); }
    };
    struct Response {
        int status = 200;
        std::vector<std::pair<std::string, std::string>> headers;
        std::string body;
    };
    using Done = std::function<void(Response)>;
    void serve(const Request& request, Done done);

    // The name of the cookie that front looks for; over TLS "__Host-" comes before it. One a tier,
    // so that tiers that share a host name (on one machine, by port) do not end each other's
    // sessions.
    static std::string cookie_name(const trust::TierName& me) { return "hasp-" + me.leaf(); }

  private:
    void login(const Request& request, Done done);
    void post_login(const Request& request, Done done);
    Response logout(const Request& request);
    Response portal(const Request& request, const signon::Identity& who,
                    const std::vector<Owing>& owing);
    // pages_roaming.cpp: what another tier has not sent of his files, and what he does about it.
    signon::OwedNotice owed_notice(const Request& request, const std::vector<Owing>& owing) const;
    Response choose(const Request& request, const signon::Identity& who);
    Response enter(const Request& request);
    Response go(const Request& request, const std::string& sid, const std::string& next,
                const std::string& cookie);
    Response enrol(const Request& request);
    void push(const Request& request, Done done);
    Response notice(const Request& request);
    // pages_direct.cpp
    void direct_ask(const Request& request, const Done& done);
    Response direct_begin(const Request& request);
    void direct_back(const Request& request, const Done& done);
    void direct_enter(const Request& request, const Done& done);
    Response direct_reached(const Request& request);
    // A form or script of this very host sent it, as far as the browser tells.
    static bool is_same_origin(const Request& request);
    void serve_direct(const Request& request, const std::string& path, const Done& done);
    signon::PageFrame frame_for(const Request& request) const;
    Response page(const Request& request, int status, std::string html,
                  std::span<const std::string> probes = {}) const;
    Response error(const Request& request, int status, const std::string& headline,
                   const std::string& what, const std::string& advice) const;
    Response to_login(const Request& request) const;
    std::string link_down() const;
    std::optional<signon::Identity> signed_on(const Request& request);
    std::string set_cookie(const Request& request, const std::string& value) const;
    std::string app_authority(const Request& request, const std::string& app) const;
    std::vector<std::string> app_authorities(const Request& request) const;
    signon::PageFrame frame() const;

    World world_;
};

} // namespace hasp::maint
