// hasp user …: accounts, groups and entitlements of this tier.
#include "admin.h"
#include "base/text.h"

#include <algorithm>
#include <memory>

namespace hasp::maint {

void Admin::changed(const std::string& user) {
    world_.people.account_changed(user);
    world_.delegation.touch();
}

void Admin::changed_group(const std::string& group) {
    if (auto members = world_.accounts.members(group); members.ok()) {
        for (const std::string& user : *members) {
            world_.people.account_changed(user);
        }
    }
    world_.delegation.touch();
}

Json Admin::user_json(const signon::Account& account) {
    auto apps = world_.accounts.apps_of(account.fields.name);
    return {{"name", account.fields.name},
            {"display_name", account.fields.display_name},
            {"email", account.fields.email},
            {"role", signon::role_name(account.fields.role)},
            {"disabled", account.disabled},
            {"password", account.has_password},
            {"groups", account.groups},
            {"apps", apps.ok() ? *apps : std::vector<std::string>{}},
            {"created", rfc3339(account.created_us)},
            {"changed", rfc3339(account.changed_us)}};
}

Status Admin::acceptable(const std::string& password) const {
    return signon::acceptable_password(
        password, static_cast<std::size_t>(world_.config.login.password_bytes_min));
}

void Admin::set_password(const std::string& user, const std::string& password,
                         std::function<void(Status)> finished) {
    auto version = world_.accounts.next_password_version(user);
    if (!version.ok()) {
        finished(version.error());
        return;
    }
    auto verifier = std::make_shared<Result<signon::Verifier>>(fail(Code::failed, "no verifier"));
    world_.ports.background(
        [this, password, version = *version, verifier] {
            const auto& login = world_.config.login;
            *verifier = signon::make_verifier(password, version, login.password_cost, world_.random,
                                              static_cast<std::size_t>(login.password_bytes_min));
        },
        [this, user, verifier, finished] {
            if (!verifier->ok()) {
                finished(verifier->error());
                return;
            }
            // Whoever is logged in with an old one is not any more.
            finished(world_.people.end_everywhere_with(
                user, [&] { return world_.accounts.set_verifier(user, **verifier); }));
        });
}

void Admin::add_user(const Json& args, const Answer& answer) {
    const signon::AccountFields fields{
        text_of(args, "name"), text_of(args, "display_name"), text_of(args, "email"),
        true_of(args, "operator") ? signon::Role::operator_ : signon::Role::user};
    const std::string password = text_of(args, "password");
    const std::vector<std::string> groups = texts_of(args, "groups");
    // Everything that can be wrong is looked at before anything is made.
    if (!valid_name(fields.name)) {
        answer(fail(Code::usage, "'" + fields.name + "' is not a valid account name",
                    "a name has 1 to 40 characters of a-z, 0-9 and '-', and starts with a letter"));
        return;
    }
    for (const std::string& group : groups) {
        if (!valid_name(group)) {
            answer(fail(
                Code::usage, "'" + group + "' is not a valid group name",
                "a name has 1 to 40 characters of a-z, 0-9 and '-', and starts with a letter"));
            return;
        }
    }
    if (!password.empty()) {
        if (const Status good = acceptable(password); !good.ok()) {
            answer(good.error());
            return;
        }
    }
    if (world_.accounts.show(fields.name).ok()) {
        answer(fail(Code::conflict, "there is an account '" + fields.name + "' already",
                    "hasp user show " + fields.name));
        return;
    }
    if (auto below = world_.store.directory(fields.name); below.ok() && !below->empty()) {
        answer(
            fail(Code::conflict,
                 "the account name '" + fields.name + "' is in use under the tier '" + *below + "'",
                 "account names are unique in a realm: choose another"));
        return;
    }
    // What an account of this name kept before its removal may be there still, where that failed or
    // the tier died: whoever gets the name now must not find it.
    auto state = world_.accounts.state_of(fields.name);
    if (!state.ok()) {
        answer(state.error());
        return;
    }
    if (!world_.people.begin_adding(fields.name)) {
        answer(fail(Code::try_later, "an account '" + fields.name + "' is being made already"));
        return;
    }
    const auto made = [this, user = fields.name, answer](Result<Json> said) {
        world_.people.end_adding(user);
        answer(std::move(said));
    };
    world_.people.claim(fields.name, [this, fields, password, groups, made,
                                      was_here = state->generation != 0](Status claimed) {
        if (!claimed.ok()) {
            made(claimed.error());
            return;
        }
        world_.files.end_earlier(
            fields.name, was_here,
            [this, fields, password, groups, made, was_here](const Status& ended) {
                if (ended.ok()) {
                    make_user(fields, password, groups, made);
                    return;
                }
                world_.people.release(fields.name);
                made(fail(ended.error().code,
                          was_here && ended.error().code != Code::try_later
                              ? "there was an account '" + fields.name +
                                    "' before, and its files cannot be destroyed now: " +
                                    ended.error().message
                              : ended.error().message,
                          ended.error().hint));
            });
    });
}

void Admin::make_user(const signon::AccountFields& fields, const std::string& password,
                      const std::vector<std::string>& groups, const Answer& answer) {
    Status made = world_.accounts.add(fields);
    for (const std::string& group : groups) {
        made = made.ok() ? world_.accounts.join(fields.name, group) : made;
    }
    if (!made.ok() || password.empty()) {
        changed(fields.name);
        answer(answer_of(made));
        return;
    }
    set_password(fields.name, password, [this, fields, answer](Status set) {
        changed(fields.name);
        answer(answer_of(set));
    });
}

void Admin::entitle(const Json& args, const Answer& answer, bool give) {
    const std::string user = text_of(args, "user");
    const std::string group = text_of(args, "group");
    if (user.empty() == group.empty()) {
        answer(fail(Code::usage, "name one user, or one group with --group"));
        return;
    }
    const signon::HolderKind kind =
        user.empty() ? signon::HolderKind::group : signon::HolderKind::user;
    const std::vector<std::string> apps = texts_of(args, "apps");
    for (const std::string& app : apps) {
        if (!valid_name(app)) {
            answer(fail(Code::usage, "'" + app + "' is not a valid app name"));
            return;
        }
    }
    for (const std::string& app : apps) {
        const signon::Entitlement entitlement{kind, user.empty() ? group : user, app};
        const Status changed_now =
            give ? world_.accounts.entitle(entitlement) : world_.accounts.withdraw(entitlement);
        if (!changed_now.ok()) {
            answer(changed_now.error());
            return;
        }
    }
    user.empty() ? changed_group(group) : changed(user);
    // A name that nobody knows is allowed (the app may come later), but worth a word.
    Json unknown = Json::array();
    const std::vector<AppFacts> known = world_.apps.known();
    for (const std::string& app : apps) {
        if (std::none_of(known.begin(), known.end(),
                         [&](const AppFacts& f) { return f.name == app; })) {
            unknown.push_back(app);
        }
    }
    answer(Json{{"unknown_apps", unknown}});
}

void Admin::user_commands() {
    commands_["user.add"] = [this](const Json& args, const Answer& answer) {
        add_user(args, answer);
    };
    commands_["user.list"] = [this](const Json&, const Answer& answer) {
        auto accounts = world_.accounts.list();
        if (!accounts.ok()) {
            answer(accounts.error());
            return;
        }
        Json list = Json::array();
        for (const signon::Account& account : *accounts) {
            list.push_back(user_json(account));
        }
        answer(Json{{"users", list}});
    };
    commands_["user.show"] = [this](const Json& args, const Answer& answer) {
        auto account = world_.accounts.show(text_of(args, "name"));
        answer(account.ok() ? Result<Json>(user_json(*account)) : Result<Json>(account.error()));
    };
    commands_["user.remove"] = [this](const Json& args, const Answer& answer) {
        const std::string user = text_of(args, "name");
        world_.files.known_folders(user, [this, user, answer](const Json& folders) {
            const Status removed = world_.accounts.remove(user);
            if (!removed.ok()) {
                answer(answer_of(removed));
                return;
            }
            changed(user);
            world_.people.release(user, folders);
            world_.files.account_removed(user,
                                         [answer](const Status& gone) { answer(answer_of(gone)); });
        });
    };
    commands_["user.disable"] = [this](const Json& args, const Answer& answer) {
        const std::string user = text_of(args, "name");
        const Status set = world_.accounts.set_disabled(user, !true_of(args, "enable"));
        if (set.ok()) {
            changed(user);
        }
        answer(answer_of(set));
    };
    commands_["user.password"] = [this](const Json& args, const Answer& answer) {
        const std::string user = text_of(args, "name");
        if (const Status good = acceptable(text_of(args, "password")); !good.ok()) {
            answer(good.error());
            return;
        }
        set_password(user, text_of(args, "password"), [this, user, answer](Status set) {
            if (set.ok()) {
                world_.delegation.touch();
            }
            answer(answer_of(set));
        });
    };
    commands_["user.join"] = [this](const Json& args, const Answer& answer) {
        const std::string user = text_of(args, "name");
        Status status;
        for (const std::string& group : texts_of(args, "groups")) {
            if (status.ok()) {
                status = true_of(args, "leave") ? world_.accounts.leave(user, group)
                                                : world_.accounts.join(user, group);
            }
        }
        changed(user);
        answer(answer_of(status));
    };
    commands_["user.entitle"] = [this](const Json& args, const Answer& answer) {
        entitle(args, answer, true);
    };
    commands_["user.withdraw"] = [this](const Json& args, const Answer& answer) {
        entitle(args, answer, false);
    };
}

} // namespace hasp::maint
