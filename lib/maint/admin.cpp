#include "admin.h"

#include "base/clock.h"
#include "base/text.h"

#include <algorithm>

namespace hasp::maint {

namespace {
constexpr std::int64_t invitation_hours_max = 24 * 90;

} // namespace

Admin::Admin(World world) : world_(std::move(world)) {
    tier_commands();
    ca_commands();
    user_commands();
    token_commands();
    app_commands();
    push_commands();
    release_commands();
    file_commands();
    peer_commands();
    bill_commands();
}

void Admin::run(const Json& request, const std::string& body, Answer answer) {
    if (text_of(request, "cmd") == "push.chunk") {
        push_chunk(member(request, "args"), body, answer);
        return;
    }
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
        answer(answer_of(revoked));
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
    commands_["lease.show"] = [this](const Json& args, const Answer& answer) {
        if (const std::string name = text_of(args, "name");
            !name.empty() && name != world_.me.name.leaf()) {
            answer(lent_json(name));
            return;
        }
        const Json list = to_json(world_.delegation.held());
        const trust::Counter counter = world_.delegation.held_lease();
        answer(Json{{"epoch", counter.epoch}, {"number", counter.number}, {"grants", list}});
    };
    commands_["lease.extend"] = [this](const Json& args, const Answer& answer) {
        auto changed = world_.delegation.extend(text_of(args, "name"),
                                                {text_of(args, "app"), text_of(args, "user"),
                                                 int_of(args, "days"), true_of(args, "dry_run")});
        if (!changed.ok()) {
            answer(changed.error());
            return;
        }
        Json list = Json::array();
        for (const Delegation::Extended& one : *changed) {
            list.push_back({{"kind", one.before.kind},
                            {"what", one.before.what},
                            {"expired", rfc3339(one.before.expires_us)},
                            {"expires", rfc3339(one.expires_us)}});
        }
        answer(Json{{"extended", list}, {"dry_run", true_of(args, "dry_run")}});
    };
    commands_["local.show"] = [this](const Json& args, const Answer& answer) {
        answer(local_json(text_of(args, "name")));
    };
    commands_["why"] = [this](const Json& args, const Answer& answer) {
        auto at = text_of(args, "at").empty() ? Result<trust::TierName>(world_.me.name)
                                              : target(text_of(args, "at"));
        const std::string app = text_of(args, "app");
        if (!at.ok() || !valid_name(app)) {
            answer(at.ok() ? fail(Code::usage, "'" + app + "' is not the name of an app")
                           : at.error());
            return;
        }
        world_.explain.why(*at, app, text_of(args, "user"), answer);
    };
    commands_["offline.report"] = [this](const Json& args, const Answer& answer) {
        auto at = text_of(args, "at").empty() ? Result<trust::TierName>(world_.me.name)
                                              : target(text_of(args, "at"));
        if (!at.ok()) {
            answer(at.error());
            return;
        }
        world_.explain.offline_report(*at, answer);
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

void Admin::ca_commands() {
    // Of the authority here; else of the one whose certificate this tier holds.
    commands_["ca.show"] = [this](const Json&, const Answer& answer) {
        if (world_.web_authority.there()) {
            answer(world_.web_authority.show());
            return;
        }
        const std::string pem = world_.web_certificates.authority_pem();
        if (pem.empty()) {
            answer(fail(Code::not_found, "this tier has and knows no authority for browsers",
                        "set names under [web_ca] here or at a tier above, and tls_from = \"lan\" "
                        "under [web] where browsers connect"));
            return;
        }
        answer(Json{{"from", "above"}, {"certificate", pem}});
    };
    commands_["ca.renew"] = [this](const Json& args, const Answer& answer) {
        if (!world_.web_authority.there()) {
            answer(fail(Code::not_found, "this tier is no authority for browsers",
                        "it is renewed where names are set under [web_ca]"));
            return;
        }
        const Status done = true_of(args, "use") ? world_.web_authority.use_next()
                                                 : world_.web_authority.make_next();
        answer(done.ok() ? Result<Json>(world_.web_authority.show()) : Result<Json>(done.error()));
    };
}

Result<Json> Admin::lent_json(const std::string& child) {
    auto lent = world_.delegation.lent(child);
    if (!lent.ok()) {
        return lent.error();
    }
    Json extended = Json::object();
    for (const auto& [what, until_us] : lent->extended) {
        extended[what] = rfc3339(until_us);
    }
    return Json{{"tier", child},
                {"epoch", lent->counter.epoch},
                {"number", lent->counter.number},
                {"signed", lent->signed_us > 0 ? Json(rfc3339(lent->signed_us)) : Json()},
                {"taken", lent->taken},
                {"extended", extended},
                {"grants", to_json(lent->grants)}};
}

// What somebody who steals this box would hold: who can log in there, whose files and which apps.
Result<Json> Admin::local_json(const std::string& name) {
    auto lent = world_.delegation.lent(name);
    if (!lent.ok()) {
        return lent.error();
    }
    Json shown;
    const Json status = world_.status();
    for (const Json& child : member(status, "children")) {
        if (text_of(child, "name") == name) {
            shown = child;
        }
    }
    std::map<std::string, Json> holds;
    for (const char* kind : {"run", "log-in", "keep", "write"}) {
        holds[kind] = Json::array();
    }
    for (const GrantLine& line : lent->grants) {
        if (const auto at = holds.find(line.kind); at != holds.end()) {
            at->second.push_back({{"name", line.what}, {"until", rfc3339(line.expires_us)}});
        }
    }
    shown["holds"] = {{"apps", holds["run"]},
                      {"log_ins", holds["log-in"]},
                      {"files_of", holds["keep"]},
                      {"datasets", holds["write"]}};
    auto rows = world_.store.allowed(name);
    Json list = Json::array();
    if (rows.ok()) {
        for (const auto& [kind, who] : *rows) {
            list.push_back({{"kind", kind}, {"name", who}});
        }
    }
    shown["allowed"] = list;
    return shown;
}

void Admin::token_commands() {
    commands_["token.create"] = [this](const Json& args, const Answer& answer) {
        signon::Scope scope;
        if (std::vector<std::string> apps = texts_of(args, "push"); !apps.empty()) {
            scope = {signon::ScopeKind::push, std::move(apps)};
        } else if (apps = texts_of(args, "apps"); !apps.empty()) {
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
        answer(answer_of(revoked));
    };
}

} // namespace hasp::maint
