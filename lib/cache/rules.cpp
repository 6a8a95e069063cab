#include "cache/rules.h"

#include "base/text.h"
#include "net/fields.h"

#include <algorithm>
#include <array>

namespace hasp::cache {
namespace {

using net::Name;

// RFC 9110 §15.1, without 206, which is no whole answer.
bool heuristic_status(int status) {
    constexpr std::array known{200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501};
    return std::find(known.begin(), known.end(), status) != known.end();
}

// What such an answer says is about the request that was sent, not about what is at its target:
// stored, one client's words would shut out all others.
bool is_about_request(int status) {
    constexpr std::array known{412, 417, 428, 429, 431, 511};
    return std::find(known.begin(), known.end(), status) != known.end();
}

// Statuses whose rules about caching this one follows, for must-understand (§5.2.2.3).
bool understood(int status) {
    constexpr std::array known{200, 203, 204, 300, 301, 302, 303, 307, 308, 400, 401, 403,
                               404, 405, 410, 414, 421, 451, 500, 501, 502, 503, 504};
    return std::find(known.begin(), known.end(), status) != known.end();
}

std::optional<std::int64_t> single_date(const net::Headers& headers, Name name,
                                        std::int64_t now_s) {
    const net::Header* field = headers.find(name);
    if (field == nullptr || headers.next(*field) != nullptr) {
        return std::nullopt;
    }
    return net::parse_loose_http_date(field->value, now_s);
}

std::int64_t lifetime_of(int status, const net::Headers& headers, const AnswerDirectives& said,
                         Scope scope, std::int64_t date_s) {
    if (scope == Scope::shared && said.s_maxage) {
        return *said.s_maxage;
    }
    if (said.max_age) {
        return *said.max_age;
    }
    if (!said.targeted && headers.has(Name::expires)) {
        // Anything that is no date, two of them included, has passed (§5.3).
        const auto end_s = single_date(headers, Name::expires, date_s);
        return end_s ? std::max<std::int64_t>(0, *end_s - date_s) : 0;
    }
    // What is for one user changes with what he does: without a word of the app it is always asked
    // for again.
    const auto changed_s = single_date(headers, Name::last_modified, date_s);
    if (scope == Scope::shared && !said.targeted && changed_s && *changed_s < date_s &&
        (heuristic_status(status) || said.is_public)) {
        return std::min((date_s - *changed_s) / 10, heuristic_s_max);
    }
    return 0;
}

bool has_validator(const net::Headers& headers) {
    return headers.has(Name::etag) || headers.has(Name::last_modified);
}

std::string joined(const net::Headers& headers, std::string_view name) {
    std::string out;
    for (const net::Header& field : headers) {
        if (!iequals(field.name, name)) {
            continue;
        }
        if (!out.empty()) {
            out += ',';
        }
        out.append(field.value);
    }
    return out;
}

} // namespace

bool may_be_stored(int status, const net::Headers& headers, bool whole) {
    if (!whole || status < 200 || status == 206 || status == 304 ||
        (status >= 400 && is_about_request(status))) {
        return false;
    }
    const AnswerDirectives said = answer_directives(headers);
    if (said.must_understand ? !understood(status) : said.no_store) {
        return false;
    }
    const bool explicit_end =
        said.max_age || said.s_maxage || (!said.targeted && headers.has(Name::expires));
    // Without a lifetime or a validator it could never be used again.
    if (!explicit_end && !said.is_public &&
        (!has_validator(headers) || !heuristic_status(status))) {
        return false;
    }
    std::vector<std::string> names;
    return vary_names(headers, names);
}

Scope scope_of(int status, const net::Headers& headers, const AskedBy& by, bool whole) {
    if (!by.get || by.no_store || !may_be_stored(status, headers, whole)) {
        return Scope::none;
    }
    const AnswerDirectives said = answer_directives(headers);
    const bool marked = said.is_public || said.s_maxage;
    const bool sets_cookie = headers.has(Name::set_cookie) || headers.has(Name::set_cookie2);
    const bool personal = by.identity || by.cookie || sets_cookie;
    if (!said.is_private &&
        (marked || (!personal && (!by.authorization || said.must_revalidate)))) {
        return Scope::shared;
    }
    return by.may_own && by.identity && !by.authorization && !sets_cookie ? Scope::owner
                                                                          : Scope::none;
}

Freshness freshness_of(int status, const net::Headers& headers, Scope scope, std::int64_t request_s,
                       std::int64_t response_s) {
    const AnswerDirectives said = answer_directives(headers);
    const std::int64_t date_s = single_date(headers, Name::date, response_s).value_or(response_s);
    Freshness out;
    out.response_s = response_s;
    const std::int64_t apparent_s = std::max<std::int64_t>(0, response_s - date_s);
    const std::int64_t said_s = parse_age(headers.value(Name::age)).value_or(0);
    out.initial_age_s =
        std::max(apparent_s, said_s + std::max<std::int64_t>(0, response_s - request_s));
    out.lifetime_s = lifetime_of(status, headers, said, scope, date_s);
    out.has_validator = has_validator(headers);
    out.always_validate = said.no_cache;
    out.never_stale =
        said.no_cache || said.must_revalidate ||
        (scope == Scope::shared && (said.proxy_revalidate || said.s_maxage.has_value()));
    out.while_revalidate_s = said.stale_while_revalidate.value_or(0);
    out.if_error_s = said.stale_if_error;
    return out;
}

Use use_of(const Freshness& fresh, const RequestDirectives& asked, std::int64_t now_s,
           bool confirmed) {
    const std::int64_t age_s = fresh.age_s(now_s);
    const std::int64_t left_s = fresh.left_s(now_s);
    if (fresh.always_validate || asked.no_cache || asked.no_store || !confirmed ||
        (asked.max_age && age_s > *asked.max_age) || (asked.max_age && *asked.max_age == 0) ||
        (asked.min_fresh && left_s < *asked.min_fresh)) {
        return Use::validate;
    }
    if (left_s > 0) {
        return Use::as_it_is;
    }
    if (fresh.never_stale) {
        return Use::validate;
    }
    if (-left_s <= fresh.while_revalidate_s && fresh.while_revalidate_s > 0) {
        return Use::and_renew;
    }
    return asked.max_stale && -left_s <= *asked.max_stale ? Use::as_it_is : Use::validate;
}

bool may_stand_in(const Freshness& fresh, Trouble trouble, std::int64_t disconnected_s,
                  std::int64_t now_s) {
    if (fresh.left_s(now_s) > 0 && !fresh.always_validate) {
        return true;
    }
    if (fresh.never_stale) {
        return false;
    }
    const std::int64_t beyond_s = -fresh.left_s(now_s);
    if (fresh.if_error_s && beyond_s <= *fresh.if_error_s) {
        return true;
    }
    return trouble == Trouble::disconnected && beyond_s <= disconnected_s;
}

bool vary_names(const net::Headers& answer, std::vector<std::string>& names) {
    names.clear();
    for (const net::Header* field = answer.find(Name::vary); field != nullptr;
         field = answer.next(*field)) {
        net::ListItems items(field->value);
        while (const auto item = items.next()) {
            if (*item == "*" || names.size() == vary_names_max) {
                return false;
            }
            names.push_back(to_lower(*item));
        }
    }
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return true;
}

std::string vary_value(const net::Headers& request, std::string_view name) {
    const std::string value = joined(request, name);
    std::string out;
    for (const std::string_view part : split(value, ',')) {
        if (!out.empty()) {
            out += ',';
        }
        out.append(trim(part));
    }
    return name == "accept-language" ? to_lower(out) : out;
}

Condition condition_of(const net::Headers& request, const net::Headers& stored,
                       std::int64_t response_s, std::int64_t now_s) {
    const std::string_view etag = stored.value(Name::etag);
    const auto listed = [&](Name name, bool strong) {
        return !etag.empty() && net::etag_listed(request.value(name), etag, strong);
    };
    const auto date = [&](Name name) { return net::parse_http_date(request.value(name), now_s); };
    const std::int64_t changed_s =
        net::parse_http_date(stored.value(Name::last_modified), now_s)
            .value_or(net::parse_http_date(stored.value(Name::date), now_s).value_or(response_s));
    if (request.has(Name::if_match)) {
        if (!listed(Name::if_match, true)) {
            return Condition::failed;
        }
    } else if (const auto until = date(Name::if_unmodified_since); until && changed_s > *until) {
        return Condition::failed;
    }
    if (request.has(Name::if_none_match)) {
        return listed(Name::if_none_match, false) || request.value(Name::if_none_match) == "*"
                   ? Condition::not_modified
                   : Condition::none;
    }
    const auto since = date(Name::if_modified_since);
    return since && changed_s <= *since ? Condition::not_modified : Condition::none;
}

bool if_range_matches(const net::Headers& request, const net::Headers& stored, std::int64_t now_s) {
    const net::Header* field = request.find(Name::if_range);
    if (field == nullptr) {
        return true;
    }
    if (field->value.starts_with('"')) {
        return field->value == stored.value(Name::etag);
    }
    // Of one text there are many codings, and all have its date.
    if (stored.has(Name::content_encoding) && !stored.value(Name::etag).starts_with('"')) {
        return false;
    }
    const auto asked = net::parse_http_date(field->value, now_s);
    const auto changed = net::parse_http_date(stored.value(Name::last_modified), now_s);
    return asked && changed && *asked == *changed;
}

bool is_not_stored(const net::Header& field) {
    switch (field.id) {
    case Name::connection:
    case Name::keep_alive:
    case Name::proxy_authenticate:
    case Name::proxy_authorization:
    case Name::proxy_connection:
    case Name::te:
    case Name::trailer:
    case Name::transfer_encoding:
    case Name::upgrade:
    case Name::http2_settings:
    case Name::content_length: // written anew
    case Name::x_request_id:
        return true;
    case Name::other:
        return iequals(field.name, "proxy-authentication-info") ||
               iequals(field.name, "cache-status") ||
               (field.name.size() > 5 && iequals(field.name.substr(0, 5), "hasp-"));
    default:
        return false;
    }
}

namespace {
// About the bytes that are stored, which a newer head does not bring along.
bool is_of_body(const net::Header& field) {
    return field.id == Name::content_encoding || field.id == Name::content_range;
}
} // namespace

bool confirms(const net::Headers& stored, const net::Headers& newer) {
    const std::string_view etag = newer.value(Name::etag);
    const std::string_view known = stored.value(Name::etag);
    if (!etag.empty() && !known.empty()) {
        return net::etag_listed(known, etag, false);
    }
    const net::Header* changed = newer.find(Name::last_modified);
    return changed == nullptr ? etag.empty() : changed->value == stored.value(Name::last_modified);
}

void merge_fields(const net::Headers& stored, const net::Headers& newer, std::string& out) {
    const auto line = [&out](const net::Header& field) {
        out.append(field.name).append(": ").append(field.value).append("\r\n");
    };
    for (const net::Header& field : stored) {
        // A validator's answer tells its own age.
        if (is_not_stored(field) || field.id == Name::age ||
            (newer.find(field.name) != nullptr && !is_of_body(field))) {
            continue;
        }
        line(field);
    }
    for (const net::Header& field : newer) {
        if (!is_not_stored(field) && !is_of_body(field)) {
            line(field);
        }
    }
}

std::optional<std::int64_t> parse_age(std::string_view value) {
    return parse_delta_seconds(trim(value.substr(0, value.find(','))));
}

} // namespace hasp::cache
