// How neighbours put an identity into words, shared by the parts of People. Private to lib/maint.
#pragma once

#include "json_tools.h"
#include "links.h"
#include "signon/identity.h"
#include "signon/session_store.h"

#include <algorithm>
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

// The message `identity.changed`. It is about the account: sid and end are those of whatever
// session it meets.
inline Json news_json(const signon::AccountNews& news) {
    Json message{{"t", "identity.changed"}, {"user", news.user}};
    if (news.identity) {
        message["identity"] = identity_json(*news.identity);
    }
    if (news.state.generation > 0) {
        message["generation"] = news.state.generation;
        message["sessions_from"] = news.state.sessions_from;
    }
    return message;
}

inline Result<signon::AccountNews> news_in(const std::string& neighbour, const Json& head) {
    const auto number = [&](const char* key) {
        return std::max<std::int64_t>(0, int_of(head, key));
    };
    signon::AccountNews news{
        text_of(head, "user"), std::nullopt, {number("generation"), number("sessions_from")}};
    if (head.contains("identity")) {
        Json shown = head;
        if (shown["identity"].is_object()) {
            shown["identity"]["sid"] = std::string(32, '0');
            shown["identity"]["until_us"] = 1;
        }
        auto who = word_of(neighbour, shown, news.user);
        if (!who.ok()) {
            return who.error();
        }
        news.identity = *std::move(who);
        news.identity->generation = news.state.generation;
    }
    return news;
}

} // namespace hasp::maint
