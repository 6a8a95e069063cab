// The door of pipelines: POST /hasp/push with a token. The body is a request as on the admin
// socket, one line of JSON, and behind it the bytes of a piece.
#include "pages.h"

#include <algorithm>

namespace hasp::maint {

namespace {

int status_of(Code code) {
    switch (code) {
    case Code::usage:
        return 400;
    case Code::refused:
        return 403;
    case Code::not_found:
        return 404;
    case Code::conflict:
        return 409;
    case Code::try_later:
        return 503;
    default:
        return 500;
    }
}

Pages::Response json_answer(int status, const Json& json) {
    return {status,
            {{"content-type", "application/json"}, {"cache-control", "no-store"}},
            dump(json) + "\n"};
}

} // namespace

void Pages::push(const Request& request, Done done) {
    const std::string authorization = request.header("authorization");
    const std::string_view prefix = "Bearer ";
    auto who = world_.tokens.verify(authorization.starts_with(prefix)
                                        ? std::string_view(authorization).substr(prefix.size())
                                        : std::string_view(),
                                    std::nullopt);
    if (!who.ok()) {
        Response response = json_answer(who.error().code == Code::refused ? 401 : 500,
                                        Json{{"error", error_json(who.error())}});
        response.headers.emplace_back("www-authenticate", "Bearer");
        done(std::move(response));
        return;
    }
    // An identity does not say what a token is for: its row does.
    std::vector<std::string> apps;
    bool may = who->role == signon::Role::operator_;
    if (auto tokens = world_.tokens.list(who->user); !may && tokens.ok()) {
        for (const signon::Token& token : *tokens) {
            if (token.id == who->sid && token.scope.kind == signon::ScopeKind::push) {
                apps = token.scope.apps;
                may = true;
            }
        }
    }
    if (!may) {
        done(json_answer(
            403, Json{{"error", error_json(fail(Code::refused, "this token may not push",
                                                "make one that may: hasp token create USER --push "
                                                "APP"))}}));
        return;
    }
    const std::size_t line = std::min(request.body.find('\n'), request.body.size());
    const std::string rest = request.body.substr(std::min(line + 1, request.body.size()));
    world_.push(parse_object(request.body.substr(0, line)), rest, apps,
                [done](const Result<Json>& result) {
                    done(result.ok() ? json_answer(200, Json{{"result", *result}})
                                     : json_answer(status_of(result.error().code),
                                                   Json{{"error", error_json(result.error())}}));
                });
}

} // namespace hasp::maint
