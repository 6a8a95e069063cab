// The steps of direct return that browsers take (doc/decisions/0021). What leads on says neither
// where it came from nor what it carries, and is kept nowhere.
#include "base/text.h"
#include "pages.h"
#include "signon/web_rules.h"

#include <algorithm>

namespace hasp::maint {

namespace {

constexpr std::size_t nonce_bytes = 32;
constexpr std::size_t nonce_text_bytes = 43;
// Another page that is opened meanwhile goes by the same nonce.
constexpr const char* nonce_age = "300";

std::string direct_value(const std::string& target, std::string_view name) {
    const std::size_t mark = target.find('?');
    return mark == std::string::npos
               ? ""
               : form_value(std::string_view(target).substr(mark + 1), name).value_or("");
}

std::string origin_of_request(const Pages::Request& request) {
    return request.scheme + "://" + request.authority;
}

// Over HTTPS no other host and no plain connection can set it (doc/decisions/0004).
std::string nonce_cookie(const Pages::Request& request, const trust::TierName& me) {
    return (request.scheme == "https" ? "__Host-" : "") + Pages::cookie_name(me) + "-direct";
}

std::string nonce_of(const Pages::Request& request, const trust::TierName& me) {
    const std::string name = nonce_cookie(request, me);
    const std::string cookies = request.header("cookie");
    for (const std::string_view pair : split(cookies, ';')) {
        const std::string_view one = trim(pair);
        const std::size_t equals = one.find('=');
        if (equals != std::string_view::npos && one.substr(0, equals) == name &&
            one.size() - equals - 1 == nonce_text_bytes && from_base64url(one.substr(equals + 1))) {
            return std::string(one.substr(equals + 1));
        }
    }
    return {};
}

Pages::Response lead_on(const std::string& location) {
    return {
        303,
        {{"location", location}, {"cache-control", "no-store"}, {"referrer-policy", "no-referrer"}},
        ""};
}

} // namespace

void Pages::serve_direct(const Request& request, const std::string& path, const Done& done) {
    const bool reads = request.method == "GET" || request.method == "HEAD";
    if (path == "/hasp/direct/begin" && reads) {
        done(direct_begin(request));
    } else if (path == "/hasp/direct/back" && reads) {
        direct_back(request, done);
    } else if (path == "/hasp/direct/enter" && reads) {
        direct_enter(request, done);
    } else if (path == "/hasp/direct/reach" && reads &&
               world_.direct.is_door(origin_of_request(request))) {
        // For scripts of any portal: there is nothing in it but that it was reached.
        done({200,
              {{"content-type", "text/plain; charset=utf-8"},
               {"cache-control", "no-store"},
               {"access-control-allow-origin", "*"},
               {"x-content-type-options", "nosniff"}},
              "reached\n"});
    } else if (path == "/hasp/direct/reached" && request.method == "POST") {
        done(direct_reached(request));
    } else {
        done(page(request, 404, signon::not_found_page(frame_for(request))));
    }
}

// Front's own question: 303 is where to go, anything else that it is passed on.
void Pages::direct_ask(const Request& request, const Done& done) {
    world_.direct.begin({request.sid, direct_value(request.target, "app"),
                         origin_of_request(request), request.client,
                         direct_value(request.target, "target"),
                         direct_value(request.target, "back")},
                        [done](const Result<std::string>& to) {
                            done(to.ok() ? lead_on(*to) : Response{404, {}, ""});
                        });
}

Pages::Response Pages::direct_begin(const Request& request) {
    std::string nonce = nonce_of(request, world_.me.name);
    if (nonce.empty()) {
        nonce = to_base64url(world_.random.bytes(nonce_bytes));
    }
    const auto to = world_.direct.send_back(direct_value(request.target, "pass"),
                                            origin_of_request(request), nonce);
    if (!to.ok()) {
        return error(request, 403, "This way in is over",
                     "It is good for a minute, and from the page that led here.",
                     "Open the app again from where you came.");
    }
    Response response = lead_on(*to);
    response.headers.emplace_back("set-cookie", nonce_cookie(request, world_.me.name) + "=" +
                                                    nonce + "; Path=/; Max-Age=" + nonce_age +
                                                    "; HttpOnly; SameSite=Lax" +
                                                    (request.scheme == "https" ? "; Secure" : ""));
    return response;
}

void Pages::direct_back(const Request& request, const Done& done) {
    world_.direct.back(
        request.sid, origin_of_request(request), direct_value(request.target, "state"),
        direct_value(request.target, "nonce"),
        [this, request, done](const Result<std::string>& to) {
            done(to.ok() ? lead_on(*to)
                         : error(request, 403, "This way back is over",
                                 "It is good for a minute, once, and in the browser that was sent.",
                                 "Open the app again."));
        });
}

void Pages::direct_enter(const Request& request, const Done& done) {
    world_.direct.enter(
        {direct_value(request.target, "ticket"), nonce_of(request, world_.me.name), request.method,
         origin_of_request(request)},
        [this, request, done](const Result<DirectReturn::Entered>& entered) {
            if (!entered.ok()) {
                world_.log.warn("direct.refused", entered.error().message,
                                {{"client", request.client}, {"host", request.host}});
                Response refused = error(request, 403, "This way in is over",
                                         "It is good for a minute, once, and in the browser that "
                                         "was sent here.",
                                         "Open the app again from where you came.");
                std::erase_if(refused.headers,
                              [](const auto& one) { return one.first == "referrer-policy"; });
                refused.headers.emplace_back("referrer-policy", "no-referrer");
                done(std::move(refused));
                return;
            }
            Response response = lead_on(entered->target);
            response.headers.emplace_back("set-cookie", set_cookie(request, entered->cookie));
            done(std::move(response));
        });
}

Pages::Response Pages::direct_reached(const Request& request) {
    const auto who = signed_on(request);
    if (!who || !is_same_origin(request)) {
        return {403, {{"cache-control", "no-store"}}, ""};
    }
    world_.direct.reached(*who, form_value(request.body, "at").value_or(""));
    return {204, {{"cache-control", "no-store"}}, ""};
}

} // namespace hasp::maint
