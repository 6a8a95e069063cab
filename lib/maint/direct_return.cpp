#include "direct_return.h"

#include "base/text.h"
#include "net/networks.h"
#include "net/target.h"
#include "signon/web_rules.h"

#include <algorithm>
#include <set>
#include <utility>

namespace hasp::maint {

namespace {

constexpr std::size_t nonce_digits = 64;
constexpr std::size_t sid_digits = 32;

// "https://{app}.center.example" for one app.
std::string origin_of(const std::string& url, const std::string& app) {
    const std::size_t at = url.find("{app}");
    return at == std::string::npos ? "" : url.substr(0, at) + app + url.substr(at + 5);
}

// As browsers write it: without the scheme's own port.
std::string plain_origin(const std::string& origin) {
    const std::string_view port = origin.starts_with("https://") ? ":443" : ":80";
    return to_lower(origin.ends_with(port) ? origin.substr(0, origin.size() - port.size())
                                           : origin);
}

bool is_origin(const std::string& text) {
    const std::size_t at = text.find("://");
    const std::string scheme = text.substr(0, at);
    return at != std::string::npos && (scheme == "http" || scheme == "https") &&
           text.size() <= 300 && net::parse_authority(std::string_view(text).substr(at + 3));
}

bool in_networks(const DirectFacts& direct, const std::string& client) {
    net::Networks all;
    for (const std::string& one : direct.networks) {
        [[maybe_unused]] const Status added = all.add(one); // checked when it came
    }
    return all.contains(client);
}

// From a page that is secret on its way, nobody is led to one that is not.
bool scheme_fits(const std::string& from, const std::string& to) {
    return !from.starts_with("https:") || to.starts_with("https:");
}

bool is_sealed_text(const std::string& text) {
    return !text.empty() && text.size() <= signon::direct_text_bytes_max &&
           from_base64url(text).has_value();
}

// What the app answers there under the same path, and no page of hasp's own.
bool target_fits(const std::string& target) {
    return target.size() <= signon::direct_target_bytes_max &&
           signon::safe_next(target, "", {}) == target && target != "/hasp" &&
           !target.starts_with("/hasp/") && !target.starts_with("/hasp?");
}

} // namespace

DirectReturn::DirectReturn(World world, std::string_view secret)
    : world_(world), seals_(world.clock, world.random, secret),
      pending_(world.clock, world.random) {
    for (const char* type : {"direct.pass", "direct.ticket"}) {
        world_.links.on(type,
                        [this](const std::string& from, const Message& m,
                               const Links::Answer& answer) { on_question(from, m, answer); });
    }
}

void DirectReturn::begin(const Asked& asked, const To& done) {
    const AppFacts* const app = world_.apps.of_parent(asked.app);
    const auto session = world_.sessions.by_sid(asked.sid);
    const Error nowhere = fail(Code::not_found, "it is passed on");
    if (app == nullptr || app->direct.url.empty() || !world_.config.web.direct || !session.ok() ||
        !*session || !(*session)->online) {
        done(nowhere);
        return;
    }
    const DirectFacts& direct = app->direct;
    const std::string there = origin_of(direct.url, asked.app);
    if (!target_fits(asked.target) || !is_origin(asked.origin) ||
        !is_own_host(asked.origin, *app) || !scheme_fits(asked.origin, there) ||
        pending_.paused(asked.sid, direct.url) ||
        !(in_networks(direct, asked.client) || pending_.does_reach(asked.sid, direct.url))) {
        done(nowhere);
        return;
    }
    const std::string state = pending_.set_out(
        asked.sid, {asked.app, direct.url, asked.origin, asked.target, asked.back});
    if (state.empty()) {
        done(nowhere);
        return;
    }
    ask_parent(
        {{"t", "direct.pass"},
         {"sid", asked.sid},
         {"app", asked.app},
         {"origin", asked.origin},
         {"state", state}},
        "pass",
        [this, sid = asked.sid, url = direct.url, state, there, done](Result<std::string> pass) {
            if (!pass.ok()) {
                pending_.forget(sid, state);
                pending_.rest(sid, url);
            }
            done(pass.ok() ? Result<std::string>(there + "/hasp/direct/begin?pass=" + *pass)
                           : pass);
        });
}

void DirectReturn::back(const std::string& sid, const std::string& origin, const std::string& state,
                        const std::string& nonce_hash, const To& done) {
    auto journey = pending_.come_back(sid, state);
    if (!journey || journey->origin != origin || !is_lower_hex(nonce_hash, nonce_digits)) {
        done(fail(Code::refused, "this browser was not sent there by this session"));
        return;
    }
    ask_parent({{"t", "direct.ticket"},
                {"sid", sid},
                {"app", journey->app},
                {"method", "GET"},
                {"target", journey->target},
                {"nonce", nonce_hash}},
               "ticket", [this, sid, journey = *journey, done](const Result<std::string>& ticket) {
                   if (!ticket.ok()) {
                       pending_.pause(sid, journey.url); // or it would be sent round and round
                   }
                   if (!ticket.ok() || !pending_.goes(sid, journey.app, journey.url)) {
                       done(journey.origin + journey.back);
                       return;
                   }
                   done(origin_of(journey.url, journey.app) +
                        "/hasp/direct/enter?ticket=" + *ticket);
               });
}

// `done` gets the text in `field` of the answer, or an error, within direct_answer_us.
void DirectReturn::ask_parent(Json question, const char* field, const To& done) {
    auto waits = std::make_shared<To>(done);
    questions_.push_back({world_.clock.boot_us() + direct_answer_us, waits});
    world_.links.ask(to_parent, std::move(question), {},
                     [waits, field = std::string(field)](Result<Message> answer) {
                         if (const To still = std::exchange(*waits, nullptr)) {
                             const std::string text =
                                 answer.ok() ? text_of(answer->head, field.c_str()) : "";
                             still(answer.ok() && is_sealed_text(text) ? Result<std::string>(text)
                                   : answer.ok() ? fail(Code::failed, "an answer without a seal")
                                                 : answer.error());
                         }
                     });
}

void DirectReturn::tick() {
    while (!questions_.empty() && (*questions_.front().done == nullptr ||
                                   questions_.front().until_us <= world_.clock.boot_us())) {
        const auto waits = questions_.front().done;
        questions_.pop_front();
        if (const To still = std::exchange(*waits, nullptr)) {
            still(fail(Code::timed_out, "the tier above did not say in time where to go"));
        }
    }
}

std::vector<std::string> DirectReturn::to_probe(const signon::Identity& who,
                                                const std::string& scheme,
                                                const std::string& client) const {
    std::vector<std::string> out;
    std::set<std::string> seen;
    constexpr std::size_t probes_max = 8; // tiers above a user
    if (!world_.config.web.direct) {
        return out;
    }
    for (const AppFacts& app : world_.apps.from_parent()) {
        const std::string& url = app.direct.url;
        if (!url.empty() && out.size() < probes_max && may(who, app.name, app.open) &&
            scheme_fits(scheme + ":", url) && !in_networks(app.direct, client) &&
            seen.insert(url).second) {
            out.push_back(origin_of(url, app.name));
        }
    }
    return out;
}

void DirectReturn::reached(const signon::Identity& who, const std::string& origin) {
    for (const AppFacts& app : world_.apps.from_parent()) {
        if (!app.direct.url.empty() && may(who, app.name, app.open) &&
            origin_of(app.direct.url, app.name) == origin) {
            pending_.reaches(who.sid, app.direct.url);
            return;
        }
    }
}

std::vector<std::string> DirectReturn::form_targets() const {
    std::set<std::string> out;
    for (const AppFacts& app : world_.apps.from_parent()) {
        const std::string& url = app.direct.url;
        const std::size_t dot = url.find('.');
        if (!url.empty() && dot != std::string::npos && world_.config.web.direct) {
            out.insert(url.substr(0, url.find("://") + 3) + "*" + url.substr(dot));
        }
    }
    return {out.begin(), out.end()};
}

bool DirectReturn::may(const signon::Identity& who, const std::string& app, bool open) const {
    return open || signon::may_use(who, app);
}

// Of an app that is served here and may be reached directly; empty: it is not, or may not.
std::string DirectReturn::own_origin(const std::string& app, bool also_ended) const {
    const DirectFacts direct = world_.apps.direct_of(app);
    return direct.url.empty() || (!also_ended && world_.apps.ended(app))
               ? ""
               : origin_of(direct.url, app);
}

bool DirectReturn::is_door(const std::string& origin) const {
    const std::string& url = world_.config.web.direct_url;
    const std::size_t mark = url.find("{app}");
    if (mark == std::string::npos) {
        return false;
    }
    const std::string asked = plain_origin(origin);
    const std::string whole = plain_origin(url);
    const std::string_view tail = std::string_view(whole).substr(mark + 5);
    return asked.size() > mark + tail.size() && asked.compare(0, mark, whole, 0, mark) == 0 &&
           asked.ends_with(tail);
}

// A name by which users are known to reach this tier. Any other that a request gives may be its
// sender's own, who would have somebody else's browser come back there.
bool DirectReturn::is_own_host(const std::string& origin, const AppFacts& app) const {
    const auto authority =
        net::parse_authority(std::string_view(origin).substr(origin.find("://") + 3));
    const std::string host = authority ? to_lower(authority->host) : "";
    const auto is_listed = [&host](const std::vector<std::string>& names) {
        return std::any_of(names.begin(), names.end(),
                           [&](const std::string& one) { return to_lower(one) == host; });
    };
    const std::string& pattern = world_.config.web.app_host;
    const std::size_t dot = pattern.find('.');
    const bool beside_apps = world_.config.web.portal_hosts.empty() && dot != std::string::npos &&
                             host == to_lower(pattern.substr(dot + 1));
    return !host.empty() &&
           (beside_apps || is_listed(world_.config.web.portal_hosts) || is_listed(app.hosts) ||
            (!pattern.empty() && host == to_lower(origin_of(pattern, app.name))));
}

bool DirectReturn::may_have_a_ticket(const std::string& child) {
    Given& given = tickets_[child];
    const std::int64_t now_us = world_.clock.boot_us();
    if (now_us - given.since_us >= signon::direct_life_us) {
        given = {now_us, 0};
    }
    return ++given.count <= direct_tickets_max;
}

bool DirectReturn::is_open_here(const std::string& app) const {
    const auto manifest = world_.apps.manifests().find(app);
    return manifest != world_.apps.manifests().end() &&
           manifest->second.access == run::Access::everyone;
}

// A child asks on behalf of a session that we granted to it, or of a user of its own.
void DirectReturn::on_question(const std::string& from, const Message& message,
                               const Links::Answer& answer) {
    const std::string sid = text_of(message.head, "sid");
    const std::string app = text_of(message.head, "app");
    if (from == to_parent || !is_lower_hex(sid, sid_digits) || !valid_name(app)) {
        answer(fail(Code::refused, "a tier below may ask this, of a session and an app"));
        return;
    }
    world_.people.identify_child(
        from, sid, [this, from, app, head = message.head, answer](Result<signon::Identity> who) {
            if (!who.ok()) {
                answer(who.error());
                return;
            }
            const AppFacts* const above = world_.apps.of_parent(app);
            if (!own_origin(app).empty() && may(*who, app, is_open_here(app))) {
                answer(seal(from, *who, head));
            } else if (world_.apps.row(app) == nullptr && above != nullptr &&
                       !above->direct.url.empty() && may(*who, app, above->open)) {
                Json question = Json::object();
                for (const char* field :
                     {"t", "sid", "app", "origin", "state", "method", "target", "nonce"}) {
                    if (head.contains(field)) {
                        question[field] = text_of(head, field);
                    }
                }
                world_.links.ask(to_parent, std::move(question), {}, answer);
            } else {
                answer(fail(Code::not_found, "there is no such app that is reached directly"));
            }
        });
}

Result<Message> DirectReturn::seal(const std::string& child, const signon::Identity& who,
                                   const Json& head) {
    const std::string app = text_of(head, "app");
    if (text_of(head, "t") == "direct.pass") {
        const signon::DirectPass pass{app, text_of(head, "origin"), text_of(head, "state")};
        if (!is_origin(pass.origin) || !is_lower_hex(pass.state, sid_digits)) {
            return fail(Code::usage, "a pass to an origin that is none");
        }
        return Message{{{"pass", seals_.seal(pass)}}, {}};
    }
    const signon::DirectTicket ticket{child,
                                      who.sid,
                                      who.user,
                                      app,
                                      text_of(head, "method"),
                                      text_of(head, "target"),
                                      text_of(head, "nonce")};
    if (ticket.method != "GET" || !target_fits(ticket.target) ||
        !is_lower_hex(ticket.nonce, nonce_digits)) {
        return fail(Code::usage, "a ticket for a request that gets none");
    }
    if (!may_have_a_ticket(child)) {
        return fail(Code::try_later, "too many go directly at a time");
    }
    const auto text = seals_.seal(ticket);
    return text.ok() ? Result<Message>(Message{{{"ticket", *text}}, {}})
                     : Result<Message>(text.error());
}

Result<std::string> DirectReturn::send_back(const std::string& pass, const std::string& origin,
                                            const std::string& nonce) const {
    const auto opened = seals_.open(pass);
    if (!opened.ok()) {
        return opened.error();
    }
    if (plain_origin(origin) != plain_origin(own_origin(opened->app))) {
        return fail(Code::refused, "a pass for another host");
    }
    return opened->origin + "/hasp/direct/back?state=" + opened->state +
           "&nonce=" + signon::direct_nonce_hash(nonce);
}

void DirectReturn::enter(const Entry& entry, const std::function<void(Result<Entered>)>& done) {
    auto ticket = seals_.redeem(entry.ticket, entry.nonce, entry.method);
    if (!ticket.ok()) {
        done(ticket.error());
        return;
    }
    if (plain_origin(entry.origin) != plain_origin(own_origin(ticket->app))) {
        done(fail(Code::refused, "a ticket for another host"));
        return;
    }
    // The session may have ended since, or be another's by now.
    world_.people.identify_child(
        ticket->child, ticket->sid, [this, ticket = *ticket, done](Result<signon::Identity> who) {
            if (!who.ok() || who->user != ticket.user ||
                !may(*who, ticket.app, is_open_here(ticket.app))) {
                done(fail(Code::refused, "the session of the ticket has ended"));
                return;
            }
            const std::int64_t until_us =
                world_.clock.wall_us() + world_.config.session.hours * hour_us;
            done(Entered{ticket.target, seals_.seal(signon::DirectCookie{
                                            ticket.child, ticket.sid, ticket.app, until_us,
                                            signon::direct_user_word(ticket.user)})});
        });
}

void DirectReturn::identify(const std::string& cookie, const std::string& host,
                            const std::function<void(Result<signon::Identity>)>& found) {
    const Error nobody = fail(Code::refused, "no such session");
    const auto opened = seals_.open_cookie(cookie);
    // What a lease that has ended means for the app, front decides.
    const std::string own = opened.ok() ? to_lower(own_origin(opened->app, true)) : "";
    const std::size_t at = own.find("://");
    const auto authority =
        net::parse_authority(std::string_view(own).substr(at == std::string::npos ? 0 : at + 3));
    if (own.empty() || !authority || authority->host != host) {
        found(nobody);
        return;
    }
    world_.people.identify_child(
        opened->child, opened->sid,
        [this, cookie = *opened, nobody, found](Result<signon::Identity> who) {
            if (!who.ok()) {
                found(who.error()); // whether to ask again later is in it
                return;
            }
            if (signon::direct_user_word(who->user) != cookie.user ||
                !may(*who, cookie.app, is_open_here(cookie.app))) {
                found(nobody);
                return;
            }
            std::erase_if(who->apps, [&](const std::string& one) { return one != cookie.app; });
            who->role = signon::Role::user;
            who->until_us = std::min(who->until_us, cookie.until_us);
            found(std::move(who));
        });
}

} // namespace hasp::maint
