#include "admin.h"

#include "base/text.h"

#include <algorithm>

namespace hasp::maint {

namespace {
constexpr std::int64_t hour_us = 3600LL * 1'000'000;
constexpr std::int64_t invitation_hours_max = 24 * 90;

Result<Json> done(const Status& status) {
    return status.ok() ? Result<Json>(Json::object()) : Result<Json>(status.error());
}
} // namespace

Admin::Admin(World world) : world_(std::move(world)) {
    tier_commands();
    user_commands();
    token_commands();
    app_commands();
    file_commands();
    bill_commands();
}

void Admin::run(const Json& request, Answer answer) {
    const auto command = commands_.find(text_of(request, "cmd"));
    if (command == commands_.end()) {
        answer(fail(
            Code::usage, "this tier does not know the command '" + text_of(request, "cmd") + "'",
            "the command line and the daemon are of different versions: restart the daemon"));
        return;
    }
    const Json& args = member(request, "args");
    command->second(args.is_object() ? args : Json::object(), answer);
}

void Admin::tier_commands() {
    commands_["status"] = [this](const Json&, const Answer& answer) { answer(world_.status()); };
    commands_["local.invite"] = [this](const Json& args, const Answer& answer) {
        std::vector<std::string> addresses = texts_of(args, "addresses");
        if (addresses.empty()) {
            addresses = world_.config.link.addresses;
        }
        if (addresses.empty()) {
            answer(fail(Code::usage,
                        "no address in the invitation: the box must know where to find this tier",
                        "set addresses under [link] in hasp.toml, or give --address HOST:PORT"));
            return;
        }
        const std::int64_t hours = int_of(args, "hours", 24);
        if (hours < 1 || hours > invitation_hours_max) {
            answer(fail(Code::usage, "an invitation lasts 1 to " +
                                         std::to_string(invitation_hours_max) + " hours"));
            return;
        }
        auto line = world_.enrolment.invite(text_of(args, "name"), addresses, hours * hour_us);
        answer(line.ok() ? Result<Json>(Json{{"invitation", *line}, {"hours", hours}})
                         : Result<Json>(line.error()));
    };
    commands_["local.list"] = [this](const Json&, const Answer& answer) {
        auto children = world_.store.children();
        if (!children.ok()) {
            answer(children.error());
            return;
        }
        Json list = Json::array();
        const Json status = world_.status();
        for (const Json& child : member(status, "children")) {
            list.push_back(child);
        }
        answer(Json{{"locals", list}});
    };
    commands_["local.revoke"] = [this](const Json& args, const Answer& answer) {
        const std::string name = text_of(args, "name");
        const Status revoked = world_.enrolment.revoke(name);
        if (revoked.ok()) {
            world_.revoked(name);
        }
        answer(done(revoked));
    };
    commands_["local.allow"] = [this](const Json& args, const Answer& answer) {
        const std::string name = text_of(args, "name");
        auto child = world_.store.child(name);
        if (!child.ok() || !*child) {
            answer(child.ok()
                       ? fail(Code::not_found, "there is no tier '" + name + "' below this one",
                              "hasp local list shows those that are")
                       : child.error());
            return;
        }
        const bool allowed = !true_of(args, "remove");
        for (const auto& [kind, key] : {std::pair{"user", "users"}, std::pair{"group", "groups"}}) {
            for (const std::string& who : texts_of(args, key)) {
                if (!valid_name(who)) {
                    answer(fail(Code::usage, "'" + who + "' is not a valid name"));
                    return;
                }
                if (const Status stored = world_.store.allow(name, kind, who, allowed);
                    !stored.ok()) {
                    answer(stored.error());
                    return;
                }
            }
        }
        world_.delegation.touch();
        auto rows = world_.store.allowed(name);
        Json list = Json::array();
        if (rows.ok()) {
            for (const auto& [kind, who] : *rows) {
                list.push_back({{"kind", kind}, {"name", who}});
            }
        }
        answer(Json{{"allowed", list}});
    };
    commands_["lease.show"] = [this](const Json&, const Answer& answer) {
        Json list = Json::array();
        for (const Delegation::Held& held : world_.delegation.held()) {
            list.push_back(
                {{"kind", held.kind}, {"what", held.what}, {"expires", rfc3339(held.expires_us)}});
        }
        const trust::Counter counter = world_.delegation.held_lease();
        answer(Json{{"epoch", counter.epoch}, {"number", counter.number}, {"grants", list}});
    };
    commands_["lease.sign"] = [this](const Json& args, const Answer& answer) {
        const std::string name = text_of(args, "name");
        auto child = world_.store.child(name);
        if (!child.ok() || !*child) {
            answer(child.ok()
                       ? fail(Code::not_found, "there is no tier '" + name + "' below this one",
                              "hasp local list shows those that are")
                       : child.error());
            return;
        }
        world_.delegation.force_next(name);
        world_.delegation.touch();
        answer(Json::object());
    };
}

void Admin::token_commands() {
    commands_["token.create"] = [this](const Json& args, const Answer& answer) {
        signon::Scope scope;
        if (std::vector<std::string> apps = texts_of(args, "apps"); !apps.empty()) {
            scope = {signon::ScopeKind::apps, std::move(apps)};
        } else if (true_of(args, "operator")) {
            scope = {signon::ScopeKind::operator_, {}};
        }
        std::optional<std::int64_t> expires;
        if (const std::int64_t days = int_of(args, "days"); days > 0) {
            expires = world_.clock.wall_us() + days * 24 * hour_us;
        }
        auto issued =
            world_.tokens.issue(text_of(args, "user"), text_of(args, "label"), scope, expires);
        answer(issued.ok() ? Result<Json>(Json{{"token", issued->text}, {"id", issued->token.id}})
                           : Result<Json>(issued.error()));
    };
    commands_["token.list"] = [this](const Json& args, const Answer& answer) {
        auto tokens = world_.tokens.list(text_of(args, "user"));
        if (!tokens.ok()) {
            answer(tokens.error());
            return;
        }
        Json list = Json::array();
        for (const signon::Token& token : *tokens) {
            list.push_back(
                {{"id", token.id},
                 {"user", token.user},
                 {"label", token.label},
                 {"scope", signon::format_scope(token.scope)},
                 {"created", rfc3339(token.created_us)},
                 {"expires", token.expires_us ? Json(rfc3339(*token.expires_us)) : Json()},
                 {"last_used", token.last_used_us ? Json(rfc3339(*token.last_used_us)) : Json()}});
        }
        answer(Json{{"tokens", list}});
    };
    commands_["token.revoke"] = [this](const Json& args, const Answer& answer) {
        const std::string id = text_of(args, "id");
        const Status revoked = world_.tokens.revoke(id);
        if (revoked.ok()) {
            world_.people.token_ended(id);
        }
        answer(done(revoked));
    };
}

} // namespace hasp::maint
