#include "pages.h"

#include "base/text.h"
#include "signon/pages.h"
#include "signon/web_rules.h"

#include <algorithm>
#include <ctime>

namespace hasp::maint {

namespace {
constexpr int arriving_again_s = 5;

std::string path_of(const std::string& target) {
    return target.substr(0, target.find('?'));
}

std::optional<std::string> query_value(const std::string& target, std::string_view name) {
    const std::size_t mark = target.find('?');
    return mark == std::string::npos ? std::nullopt
                                     : form_value(std::string_view(target).substr(mark + 1), name);
}

std::string port_of(const std::string& authority) {
    const std::size_t colon = authority.rfind(':');
    return colon == std::string::npos || authority.ends_with(']') ? "" : authority.substr(colon);
}

int utc_offset_s(std::int64_t wall_us) {
    const std::time_t t = static_cast<std::time_t>(wall_us / 1'000'000);
    std::tm local{};
    localtime_r(&t, &local);
    return static_cast<int>(local.tm_gmtoff);
}

std::string capitalised(std::string text) {
    if (!text.empty() && text.front() >= 'a' && text.front() <= 'z') {
        text.front() = static_cast<char>(text.front() - 'a' + 'A');
    }
    return text;
}

Pages::Response see_other(const std::string& location) {
    return {303, {{"location", location}, {"cache-control", "no-store"}}, ""};
}

signon::TileState tile_state(const std::string& state) {
    if (state == "ready") {
        return signon::TileState::ready;
    }
    if (state == "starting") {
        return signon::TileState::starting;
    }
    return signon::TileState::starts_on_use;
}

// The wall clock in "Since 2026-11-29T07:25:43Z: …"; 0 when there is none.
std::int64_t since_of(std::string_view detail) {
    constexpr std::string_view word = "Since ";
    return detail.starts_with(word) ? us_of_rfc3339(detail.substr(word.size())) : 0;
}

} // namespace

signon::PageFrame Pages::frame() const {
    return {capitalised(world_.me.name.leaf())};
}

signon::PageFrame Pages::frame_for(const Request& request) const {
    signon::PageFrame out = frame();
    // On an app's own host the portal is another host.
    const std::vector<std::string> hosts = app_authorities(request);
    if (std::find(hosts.begin(), hosts.end(), request.authority) != hosts.end()) {
        const std::size_t dot = request.host.find('.');
        const std::string portal = !world_.config.web.portal_hosts.empty()
                                       ? world_.config.web.portal_hosts.front()
                                   : dot == std::string::npos ? request.host
                                                              : request.host.substr(dot + 1);
        out.portal_href = request.scheme + "://" + portal + port_of(request.authority) + "/";
    }
    return out;
}

Pages::Response Pages::page(const Request& request, int status, std::string html,
                            std::span<const std::string> probes) const {
    std::vector<std::string> targets;
    if (const std::string& pattern = world_.config.web.app_host; !pattern.empty()) {
        const std::size_t at = pattern.find("{app}");
        targets.push_back(request.scheme + "://*" + pattern.substr(at + 5) +
                          port_of(request.authority));
    }
    for (std::string& target : world_.direct.form_targets()) {
        targets.push_back(std::move(target));
    }
    return {status,
            {{"content-type", "text/html; charset=utf-8"},
             {"cache-control", "no-store"},
             {"content-security-policy", signon::content_security_policy(targets, probes)},
             {"x-content-type-options", "nosniff"},
             {"referrer-policy", "same-origin"}},
            std::move(html)};
}

Pages::Response Pages::error(const Request& request, int status, const std::string& headline,
                             const std::string& what, const std::string& advice) const {
    signon::ErrorPage page_values;
    page_values.frame = frame();
    page_values.status = status;
    page_values.headline = headline;
    page_values.what = what;
    page_values.what_to_do = advice;
    return page(request, status, signon::render(page_values));
}

std::string Pages::set_cookie(const Request& request, const std::string& value) const {
    // Over plain HTTP clients drop Secure cookies, and the prefix demands Secure.
    const bool secure = request.scheme == "https";
    return (secure ? "__Host-" : "") + cookie_name(world_.me.name) + "=" + value +
           "; Path=/; HttpOnly; SameSite=Lax" + (secure ? "; Secure" : "") +
           (value.empty() ? "; Max-Age=0" : "");
}

std::optional<signon::Identity> Pages::signed_on(const Request& request) {
    if (request.sid.empty()) {
        return std::nullopt;
    }
    auto session = world_.sessions.by_sid(request.sid);
    return session.ok() && *session ? std::optional<signon::Identity>((*session)->identity)
                                    : std::nullopt;
}

std::string Pages::app_authority(const Request& request, const std::string& app) const {
    const std::string& pattern = world_.config.web.app_host;
    const std::size_t at = pattern.find("{app}");
    if (at == std::string::npos) {
        return "";
    }
    // An address typed as numbers has no sibling names: apps are then reached by path.
    const bool numeric = request.host.find_first_not_of("0123456789.") == std::string::npos ||
                         request.host.starts_with('[');
    return numeric
               ? ""
               : pattern.substr(0, at) + app + pattern.substr(at + 5) + port_of(request.authority);
}

std::vector<std::string> Pages::app_authorities(const Request& request) const {
    std::vector<std::string> out;
    for (const AppFacts& app : world_.apps.known()) {
        if (std::string authority = app_authority(request, app.name); !authority.empty()) {
            out.push_back(std::move(authority));
        }
        for (const std::string& host : app.hosts) {
            out.push_back(host + port_of(request.authority));
        }
    }
    return out;
}

void Pages::serve(const Request& request, Done done) {
    const std::string path = path_of(request.target);
    const bool reads = request.method == "GET" || request.method == "HEAD";
    if (request.door == "link") {
        done(path == "/hasp/link/enrol" && request.method == "POST" ? enrol(request)
                                                                    : Response{404, {}, ""});
        return;
    }
    if (path == "/hasp/login" && reads) {
        login(request, std::move(done));
    } else if (path == "/hasp/login" && request.method == "POST") {
        post_login(request, std::move(done));
    } else if (path == "/hasp/logout" && request.method == "POST") {
        done(logout(request));
    } else if (path == "/hasp/enter" && reads) {
        done(enter(request));
    } else if (path == "/hasp/push" && request.method == "POST") {
        push(request, std::move(done));
    } else if (path == "direct") { // as the next one
        direct_ask(request, done);
    } else if (path.starts_with("/hasp/direct/")) {
        serve_direct(request, path, done);
    } else if (path == "notice") { // front's own question: no user can ask for this target
        done(notice(request));
    } else if (path == "/" && reads) {
        const auto who = signed_on(request);
        if (!who) {
            done(to_login(request));
            return;
        }
        world_.roaming.owed(who->user,
                            [this, request, who = *who, done](const std::vector<Owing>& owing) {
                                done(portal(request, who, owing));
                            });
    } else if (path == "/hasp/files" && request.method == "POST") {
        const auto who = signed_on(request);
        done(who ? choose(request, *who) : to_login(request));
    } else {
        done(page(request, 404, signon::not_found_page(frame())));
    }
}

Pages::Response Pages::to_login(const Request& request) const {
    return see_other("/hasp/login?next=" + percent_encode(request.target));
}

// "the link to Center is down since 09:12"; empty while it is up, and where there is no parent.
std::string Pages::link_down() const {
    if (!world_.me.has_parent() || world_.links.connected(to_parent)) {
        return {};
    }
    const std::int64_t now_us = world_.clock.wall_us();
    std::string text = "the link to " + capitalised(world_.me.name.parent().leaf()) + " is down";
    if (world_.parent.since_us > 0 && !world_.parent.up) {
        text +=
            " since " + signon::clock_text(world_.parent.since_us, now_us, utc_offset_s(now_us));
    }
    return text;
}

void Pages::login(const Request& request, Done done) {
    const std::string next = query_value(request.target, "next").value_or("/");
    // "again": signed on here, but not where the app is; only a new log-in helps.
    const bool again = query_value(request.target, "again").value_or("") == "1";
    if (const auto who = signed_on(request); who && !again) {
        done(go(request, who->sid, next, ""));
        return;
    }
    signon::LoginPage values;
    values.frame = frame();
    values.next = next;
    if (const std::string down = link_down(); !down.empty()) {
        values.offline_note = "T" + down.substr(1) +
                              ". Accounts of this site and those on its list can log in, and what "
                              "this site holds works.";
    }
    done(page(request, 200, signon::render(values)));
}

bool Pages::is_same_origin(const Request& request) {
    const std::string origin = request.header("origin");
    const std::string site = request.header("sec-fetch-site");
    signon::OriginQuestion question{request.method, false,          std::nullopt,
                                    std::nullopt,   request.scheme, request.authority};
    if (!origin.empty()) {
        question.origin = origin;
    }
    if (!site.empty()) {
        question.sec_fetch_site = site;
    }
    return signon::same_origin_allowed(question);
}

void Pages::post_login(const Request& request, Done done) {
    const std::string user = form_value(request.body, "user").value_or("");
    const std::string next = form_value(request.body, "next").value_or("/");
    if (!is_same_origin(request)) {
        done(error(request, 403, "This log-in came from another site",
                   "For your safety it was not used.", "Open the log-in page here and try again."));
        return;
    }
    const People::LoginAttempt attempt{user, form_value(request.body, "password").value_or(""),
                                       request.client, request.host};
    Request asked = request;
    asked.body.clear(); // it holds the password
    world_.people.log_in(attempt, [this, request = std::move(asked), user, next,
                                   done](Result<signon::Opened> opened) {
        if (opened.ok()) {
            done(go(request, opened->session.identity.sid, next, opened->cookie));
            return;
        }
        signon::LoginPage values;
        values.frame = frame();
        values.user = user;
        values.next = next;
        values.error = opened.error().message;
        int status = 401;
        if (opened.error().code == Code::try_later) {
            status = 429;
        } else if (opened.error().code == Code::unreachable) {
            // One answer for a wrong password, for whoever is on no list, and for nobody at all.
            const std::string down = link_down();
            values.error = "The user name or the password is not right, or this account cannot be "
                           "checked now: " +
                           (down.empty() ? opened.error().message : down) + ".";
        } else if (opened.error().code != Code::refused) {
            status = 503;
            values.error = "Your account cannot be checked now: " + opened.error().message + ".";
        }
        Response response = page(request, status, signon::render(values));
        if (status == 429) {
            response.headers.emplace_back("retry-after",
                                          opened.error().hint.empty() ? "60" : opened.error().hint);
        }
        done(std::move(response));
    });
}

// To `next`, with a cookie for this host if it is new; an app's own host gets one of its own by a
// code.
Pages::Response Pages::go(const Request& request, const std::string& sid, const std::string& next,
                          const std::string& cookie) {
    const std::string safe = signon::safe_next(next, request.scheme, app_authorities(request));
    Response response = see_other(safe);
    if (const std::string start = request.scheme + "://"; safe.starts_with(start)) {
        const std::size_t slash = safe.find('/', start.size());
        const std::string authority =
            safe.substr(start.size(), slash == std::string::npos ? slash : slash - start.size());
        const std::string rest = slash == std::string::npos ? "/" : safe.substr(slash);
        if (authority != request.authority) {
            const std::string code = world_.people.handover_code(sid, authority);
            response = see_other(start + authority + "/hasp/enter?code=" + code +
                                 "&next=" + percent_encode(rest));
        } else {
            response = see_other(rest);
        }
    }
    if (!cookie.empty()) {
        response.headers.emplace_back("set-cookie", set_cookie(request, cookie));
    }
    return response;
}

Pages::Response Pages::enter(const Request& request) {
    const std::string next = query_value(request.target, "next").value_or("/");
    const std::string safe =
        next.starts_with('/') ? signon::safe_next(next, request.scheme, {}) : "/";
    auto sid = world_.people.handover_sid(query_value(request.target, "code").value_or(""),
                                          request.authority);
    auto cookie = sid.ok() ? world_.sessions.add_cookie(*sid, request.host)
                           : Result<std::string>(sid.error());
    if (!cookie.ok()) {
        // Used, too old, or of another host: the app's own door sends the browser round once more.
        return see_other(safe);
    }
    Response response = see_other(safe);
    response.headers.emplace_back("set-cookie", set_cookie(request, *cookie));
    return response;
}

Pages::Response Pages::logout(const Request& request) {
    const std::string origin = request.header("origin");
    signon::OriginQuestion question{request.method, false,          std::nullopt,
                                    std::nullopt,   request.scheme, request.authority};
    if (!origin.empty()) {
        question.origin = origin;
    }
    if (!signon::same_origin_allowed(question)) {
        return error(request, 403, "This log-out came from another site", "It was not carried out.",
                     "");
    }
    if (!request.sid.empty()) {
        if (const Status ended = world_.people.log_out(request.sid); !ended.ok()) {
            return error(request, 503, "You are still logged in",
                         "This server could not keep that you log out. Try again in a moment.", "");
        }
    }
    signon::LoggedOutPage values;
    values.frame = frame();
    values.next = "/";
    Response response = page(request, 200, signon::render(values));
    response.headers.emplace_back("set-cookie", set_cookie(request, ""));
    return response;
}

Pages::Response Pages::portal(const Request& request, const signon::Identity& who,
                              const std::vector<Owing>& owing) {
    signon::PortalPage values;
    values.frame = frame();
    values.user = who.user;
    values.display_name = who.name;
    values.now_us = world_.clock.wall_us();
    values.utc_offset_s = utc_offset_s(values.now_us);
    const auto session = world_.sessions.by_sid(request.sid);
    const bool offline = session.ok() && *session && !(*session)->online;
    const bool parent_up = !world_.me.has_parent() || world_.links.connected(to_parent);
    for (const AppFacts& app : world_.apps.known()) {
        if (!app.open && !signon::may_use(who, app.name)) {
            continue;
        }
        signon::Tile tile;
        tile.name = app.name;
        tile.title = app.title;
        tile.description = app.description;
        const std::string authority = app.mount == "path" ? "" : app_authority(request, app.name);
        tile.href = authority.empty() ? "/apps/" + app.name + "/"
                                      : request.scheme + "://" + authority + "/";
        if (authority.empty() && app.mount == "host") {
            tile.href.clear();
        }
        const auto instance = world_.apps.instance(app.name, who.user);
        const auto manifest = world_.apps.manifests().find(app.name);
        const bool here =
            app.where == world_.me.name.leaf() && manifest != world_.apps.manifests().end();
        if (here && manifest->second.kind == run::Kind::process) {
            tile.state = tile_state(instance ? instance->state : "");
            const bool bad = instance && instance->state == "failing";
            if (bad) {
                tile.state = signon::TileState::stopped;
                tile.reason = instance->reason;
                tile.since_us = instance->since_us;
            }
        }
        if (here) {
            if (const auto over = world_.apps.ended(app.name)) {
                tile.state = signon::TileState::stopped;
                tile.since_us.reset();
                tile.reason = *over == trust::AtExpiry::read_only
                                  ? "for reading only, the time for which it was lent is over"
                              : *over == trust::AtExpiry::go_on
                                  ? "only for those who logged in before its lease ended"
                                  : "the time for which it was lent is over";
            }
        } else if (const std::string peer = world_.apps.peer_of(app.name); !peer.empty()) {
            const Json how = world_.peers.json(peer);
            if (text_of(how, "state") == "down") {
                tile.state = signon::TileState::unreachable;
                tile.where = text_of(how, "name");
                tile.since_us = world_.peers.since_us(peer);
            }
        } else {
            const std::string child = world_.apps.child_of(app.name);
            const bool reachable = child.empty() ? parent_up : world_.links.connected(child);
            if (!reachable) {
                tile.state = signon::TileState::unreachable;
                tile.where = child.empty() ? world_.me.name.parent().leaf() : child;
                if (child.empty()) {
                    tile.since_us = world_.parent.since_us;
                }
            }
        }
        values.tiles.push_back(std::move(tile));
    }
    if (const std::string down = link_down(); !down.empty()) {
        values.notice = "T" + down.substr(1) +
                        ". What this site holds works; the rest will be back with the link.";
        if (offline) {
            values.notice += " It will ask you to log in again then.";
        }
    } else if (offline) {
        values.notice = "You logged in while the link to " +
                        capitalised(world_.me.name.parent().leaf()) +
                        " was down. What this site holds works; apps elsewhere ask you to log in "
                        "again.";
    }
    if (const std::string files = world_.files_notice(who.user); !files.empty()) {
        values.notice += (values.notice.empty() ? "" : " ") + files;
    }
    values.owed = owed_notice(request, owing);
    values.probes = world_.direct.to_probe(who, request.scheme, request.client);
    return page(request, 200, signon::render(values), values.probes);
}

// What front could not do, for people: it names the app by its title, the tier and since when.
Pages::Response Pages::notice(const Request& request) {
    const std::string kind = query_value(request.target, "kind").value_or("");
    const std::string app = query_value(request.target, "app").value_or("");
    const std::string detail = query_value(request.target, "detail").value_or("");
    std::string title = app;
    for (const AppFacts& facts : world_.apps.known()) {
        if (facts.name == app) {
            title = facts.title;
        }
    }
    signon::ErrorPage values;
    values.frame = frame_for(request);
    values.status = 503;
    const std::int64_t now_us = world_.clock.wall_us();
    const int offset_s = utc_offset_s(now_us);
    if (kind == "nowhere") {
        return page(request, 404, signon::not_found_page(values.frame));
    }
    if (kind == "unreachable") {
        const std::string child = world_.apps.child_of(app);
        const std::string peer = world_.apps.peer_of(app);
        const std::string where = !peer.empty()            ? peer.substr(1)
                                  : !child.empty()         ? child
                                  : world_.me.has_parent() ? world_.me.name.parent().leaf()
                                                           : std::string("its server");
        values.headline = (title.empty() ? "This" : title) + " cannot be reached now";
        const bool here = world_.apps.row(app) != nullptr && child.empty();
        const bool link_up =
            peer.empty() && (child.empty() ? world_.parent.up : world_.links.connected(child));
        if (here || link_up) {
            // The app is a server elsewhere, and it is that which cannot be reached from its tier.
            values.what = "The server behind it" +
                          (here ? std::string() : ", beyond " + capitalised(where) + ",") +
                          " does not answer. What this site holds itself goes on.";
            if (const std::int64_t since_us = since_of(detail); since_us > 0) {
                values.since = "since " + signon::clock_text(since_us, now_us, offset_s);
            }
            values.what_to_do = "It works again by itself as soon as the server does.";
        } else {
            values.what = "It is reached through " + capitalised(where) +
                          ", and the link to there is down. What this site holds itself goes on.";
            std::int64_t since_us = world_.parent.up ? 0 : world_.parent.since_us;
            if (!peer.empty()) {
                since_us = since_of(detail);
            } else if (!child.empty()) {
                // When it was heard last; before that in this run, what front knows of it.
                const std::int64_t heard_us = world_.links.heard_us(child);
                since_us =
                    heard_us > 0 ? now_us - (world_.clock.boot_us() - heard_us) : since_of(detail);
            }
            if (since_us > 0) {
                values.since = "since " + signon::clock_text(since_us, now_us, offset_s);
            }
            values.what_to_do = "It works again by itself as soon as the link is back.";
        }
        values.retry_link = true;
    } else if (kind == "not-running") {
        const std::string user = [&] {
            const auto who = signed_on(request);
            return who ? who->user : std::string();
        }();
        values.headline = (title.empty() ? "This app" : title) + " does not run at the moment";
        values.what = detail.empty() ? "It could not be started." : detail;
        if (const auto instance = world_.apps.instance(app, user);
            instance && instance->since_us > 0) {
            values.since = "since " + signon::clock_text(instance->since_us, now_us, offset_s);
        }
        values.what_to_do =
            "Try again in a moment. If it stays like this, tell whoever looks after this site.";
        values.retry_link = true;
    } else if (kind == "arriving") {
        values.headline = (title.empty() ? "This app" : title) + " starts when your files are here";
        values.what = detail.empty() ? "They are on their way to this site." : detail + ".";
        values.what_to_do = "This page looks again by itself.";
        values.status = 0; // not called an error
        values.again_s = arriving_again_s;
    } else if (kind == "expired") {
        values.headline = (title.empty() ? "This app" : title) + " may not run here now";
        values.what = "The time for which it was lent to this site is over. It comes back when the "
                      "site above renews it.";
    } else if (kind == "read-only" && world_.roaming.choice(request.sid) == Roaming::Choice::read) {
        values.status = 409;
        values.headline = "You chose to read only";
        values.what = "Nothing was changed: what you sent is not saved. Another site has not sent "
                      "its changes to your files yet.";
        values.what_to_do = "Your apps' page says which one, and there you can choose to go on.";
    } else if (kind == "read-only") {
        values.status = 409;
        values.headline = (title.empty() ? "This app" : title) + " can only be read now";
        values.what = "The time for which it was lent to this site is over. Nothing was changed: "
                      "what you sent is not saved.";
        values.what_to_do = "It can be changed again when the site above renews it.";
    } else if (kind == "forbidden") {
        values.status = 403;
        values.headline = "This came from another site";
        values.what = "For your safety it was not carried out.";
    } else if (kind == "guessing") {
        values.status = 429;
        values.headline = "Too many tries";
        values.what = "Please wait a while.";
    } else if (kind == "loop") {
        values.status = 508;
        values.headline = "This request went in circles";
        values.what = "Two sites send it to each other. Tell whoever looks after this site.";
    } else {
        values.status = kind == "too-slow" ? 504 : kind == "bad-answer" ? 502 : 503;
        values.headline = (title.empty() ? "This app" : title) + " gave no usable answer";
        values.what = kind == "too-slow" ? "It took too long."
                      : kind == "busy"   ? "Too many requests wait for it."
                                         : "What it sent cannot be understood, or it sent nothing.";
        values.what_to_do = "Try again in a moment.";
        values.retry_link = true;
    }
    const int status = values.status == 0 ? 503 : values.status;
    Response response = page(request, status, signon::render(values));
    if (status == 503 || status == 429) {
        response.headers.emplace_back("retry-after", "10");
    }
    return response;
}

Pages::Response Pages::enrol(const Request& request) {
    auto answer = world_.enrolment.enrol(request.body);
    if (!answer.ok()) {
        return {answer.error().code == Code::refused ? 403 : 500,
                {{"content-type", "application/json"}},
                dump({{"error", error_json(answer.error())}})};
    }
    return {200, {{"content-type", "application/json"}, {"cache-control", "no-store"}}, *answer};
}

} // namespace hasp::maint
