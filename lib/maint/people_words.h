// How neighbours put an identity into words, shared by the parts of People. Private to lib/maint.
#pragma once

#include "json_tools.h"
#include "links.h"
#include "signon/identity.h"

#include <optional>
#include <string>

namespace hasp::maint {

inline Json identity_json(const signon::Identity& identity) {
    return Json::parse(signon::encode(identity), nullptr, false);
}

inline Result<signon::Identity> identity_in(const Json& head) {
    const Json& identity = member(head, "identity");
    if (!identity.is_object()) {
        return fail(Code::refused, "the answer names nobody");
    }
    return signon::decode_identity(dump(identity));
}

// What a neighbour says of one user. Nobody is an operator above his home.
inline Result<signon::Identity> word_of(const std::string& neighbour, const Json& head,
                                        const std::optional<std::string>& user) {
    auto who = identity_in(head);
    if (who.ok() && user && who->user != *user) {
        return fail(Code::refused, "the other tier answered for another user");
    }
    if (who.ok() && neighbour != to_parent) {
        who->role = signon::Role::user;
    }
    return who;
}

} // namespace hasp::maint
