#include "signon/identity.h"

#include "base/text.h"
#include "text_rules.h"

#include "json_tools.h"
#include <algorithm>

namespace hasp::signon {

namespace {

using nlohmann::json;

void sort_unique(std::vector<std::string>& names) {
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
}

Status check_names(const std::vector<std::string>& names, std::size_t most, const char* what) {
    if (names.size() > most) {
        return fail(Code::usage, std::to_string(names.size()) + " " + what +
                                     " in an identity: at most " + std::to_string(most));
    }
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (!valid_name(names[i])) {
            return fail(Code::usage,
                        std::string("one of the ") + what + " of an identity is no name");
        }
        if (i > 0 && names[i - 1] >= names[i]) {
            return fail(Code::usage, std::string("the ") + what + " of an identity are not sorted");
        }
    }
    return {};
}

bool read(const json& object, const char* key, std::string& out) {
    const auto found = object.find(key);
    if (found == object.end() || !found->is_string()) {
        return false;
    }
    out = found->get_ref<const std::string&>();
    return true;
}

bool read(const json& object, const char* key, std::vector<std::string>& out, std::size_t most) {
    const auto found = object.find(key);
    if (found == object.end() || !found->is_array() || found->size() > most) {
        return false;
    }
    for (const json& item : *found) {
        if (!item.is_string()) {
            return false;
        }
        out.push_back(item.get_ref<const std::string&>());
    }
    return true;
}

bool read(const json& object, const char* key, std::int64_t& out) {
    const auto found = object.find(key);
    if (found == object.end() || !found->is_number_integer()) {
        return false;
    }
    if (found->is_number_unsigned() && found->get<std::uint64_t>() > INT64_MAX) {
        return false;
    }
    out = found->get<std::int64_t>();
    return true;
}

Error malformed(const char* what) {
    return fail(Code::usage, std::string("an identity is malformed: ") + what);
}

} // namespace

const char* role_name(Role role) {
    return role == Role::operator_ ? "operator" : "user";
}

Result<Role> role_from_name(std::string_view name) {
    if (name == "user") {
        return Role::user;
    }
    if (name == "operator") {
        return Role::operator_;
    }
    return fail(Code::usage, "no such role", "a role is user or operator");
}

bool may_use(const Identity& identity, std::string_view app) {
    return std::binary_search(identity.apps.begin(), identity.apps.end(), app, std::less<>{});
}

void normalise(Identity& identity) {
    sort_unique(identity.groups);
    sort_unique(identity.apps);
}

Status validate(const Identity& identity) {
    if (!valid_name(identity.user)) {
        return malformed("the user is no name");
    }
    if (identity.name.size() > display_name_bytes_max || !printable_utf8(identity.name)) {
        return malformed("the display name is too long or not printable UTF-8");
    }
    if (!plausible_email(identity.email)) {
        return malformed("the email address");
    }
    if (!valid_sid(identity.sid)) {
        return malformed("the session id is not 32 hex digits");
    }
    if (identity.until_us < 0) {
        return malformed("it ends before 1970");
    }
    if (identity.generation < 0) {
        return malformed("the generation is negative");
    }
    if (Status groups = check_names(identity.groups, identity_groups_max, "groups"); !groups) {
        return groups;
    }
    return check_names(identity.apps, identity_apps_max, "apps");
}

std::string encode(const Identity& identity) {
    nlohmann::ordered_json object;
    object["user"] = identity.user;
    object["name"] = identity.name;
    object["email"] = identity.email;
    object["groups"] = identity.groups;
    object["apps"] = identity.apps;
    object["sid"] = identity.sid;
    object["until_us"] = identity.until_us;
    object["role"] = role_name(identity.role);
    if (identity.generation > 0) {
        object["generation"] = identity.generation;
    }
    return object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

Result<Identity> decode_identity(std::string_view text) {
    if (text.size() > identity_json_bytes_max) {
        return malformed("too long");
    }
    const json object = json::parse(text.begin(), text.end(), nullptr, false);
    if (!object.is_object()) {
        return malformed("no JSON object");
    }
    Identity identity;
    std::string role;
    if (!read(object, "user", identity.user) || !read(object, "name", identity.name) ||
        !read(object, "email", identity.email) || !read(object, "sid", identity.sid) ||
        !read(object, "role", role)) {
        return malformed("a text is missing");
    }
    if (!read(object, "groups", identity.groups, identity_groups_max) ||
        !read(object, "apps", identity.apps, identity_apps_max)) {
        return malformed("groups or apps are missing, too many, or no lists of names");
    }
    if (!read(object, "until_us", identity.until_us)) {
        return malformed("until_us is missing or no whole number");
    }
    if (object.contains("generation") && !read(object, "generation", identity.generation)) {
        return malformed("the generation is no whole number");
    }
    auto known_role = role_from_name(role);
    if (!known_role) {
        return known_role.error();
    }
    identity.role = *known_role;
    normalise(identity);
    if (Status valid = validate(identity); !valid) {
        return valid.error();
    }
    return identity;
}

} // namespace hasp::signon
