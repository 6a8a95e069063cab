// What a cache may do with an answer, as pure functions (RFC 9111, RFC 5861): the clock is an
// argument, and nothing here reads or writes anything.
#pragma once

#include "cache/directives.h"
#include "net/header.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hasp::cache {

// Who a stored answer may be given to.
enum class Scope : std::uint8_t {
    none,   // it is not stored
    owner,  // the user whose request it answered, and nobody else
    shared, // whoever may ask for it
};

// The request that an answer is to, as far as storing cares.
struct AskedBy {
    bool get = false;           // GET; nothing else is stored
    bool no_store = false;      // the request said so
    bool identity = false;      // a signed-on user: what he gets may be meant for him
    bool authorization = false; // credentials of the app's own
    bool cookie = false;        // a cookie of the app's own
    bool may_own = false;       // this tier keeps answers for that user alone
};

// Whether an answer may be stored at all, whoever asked (§3); never what answers conditions,
// expectations or the sender of one request (412, 417; RFC 6585: 428, 429, 431, 511). `whole`: it
// has a body whose end is announced.
bool may_be_stored(int status, const net::Headers& headers, bool whole);
// Whether, and for whom (§3.5). A request with an identity, with Authorization or with a cookie is
// answered for whoever sent it, unless the answer says public or s-maxage; so is an answer that
// sets a cookie. must-revalidate opens what is under Authorization alone: apps that are told who
// asks by other fields say it without thinking of caches.
Scope scope_of(int status, const net::Headers& headers, const AskedBy& by, bool whole);

// A heuristic lifetime is a tenth of the time since the last change, and at most this (§4.2.2).
inline constexpr std::int64_t heuristic_s_max = 3'600;

// Freshness of a stored answer, from its fields and from when it was asked for and came. Seconds of
// the wall clock.
struct Freshness {
    std::int64_t initial_age_s = 0; // corrected_initial_age (§4.2.3)
    std::int64_t response_s = 0;    // when it came
    std::int64_t lifetime_s = 0;
    bool has_validator = false;
    bool always_validate = false; // no-cache
    bool never_stale = false;     // must-revalidate and the like: stale it is of no use to anybody
    std::int64_t while_revalidate_s = 0;
    std::optional<std::int64_t> if_error_s;

    std::int64_t age_s(std::int64_t now_s) const {
        return initial_age_s + (now_s > response_s ? now_s - response_s : 0);
    }
    std::int64_t left_s(std::int64_t now_s) const { return lifetime_s - age_s(now_s); }
};
Freshness freshness_of(int status, const net::Headers& headers, Scope scope, std::int64_t request_s,
                       std::int64_t response_s);

enum class Use : std::uint8_t {
    as_it_is,  // fresh
    and_renew, // stale, within stale-while-revalidate: the answer now, a new one beside it
    validate,  // ask first
};
// `confirmed` false: fresh or not, it is to be asked for once.
Use use_of(const Freshness& fresh, const RequestDirectives& asked, std::int64_t now_s,
           bool confirmed);
// Why an answer is sought that cannot be had: the app answered with a server error, or nobody could
// be reached (§4.2.4).
enum class Trouble : std::uint8_t { server_error, disconnected };
// May the stale answer stand in? `disconnected_s`: how long beyond its end while nobody is reached
// and the answer does not say for itself.
bool may_stand_in(const Freshness& fresh, Trouble trouble, std::int64_t disconnected_s,
                  std::int64_t now_s);

// Vary (§4.1). `names`: in lower case, sorted. False: "*", or too many; no request matches.
inline constexpr std::size_t vary_names_max = 16;
bool vary_names(const net::Headers& answer, std::vector<std::string>& names);
// The value of one field of a request as it is compared: lines joined, white space around commas
// dropped, languages in lower case.
std::string vary_value(const net::Headers& request, std::string_view name);

// What the request's own conditions make of a stored 200 (§4.3.2, RFC 9110 §13.2.2).
enum class Condition : std::uint8_t { none, not_modified, failed };
Condition condition_of(const net::Headers& request, const net::Headers& stored,
                       std::int64_t response_s, std::int64_t now_s);
// If-Range allows the Range: there is none, or it names the stored answer exactly (RFC 9110
// §13.1.5).
bool if_range_matches(const net::Headers& request, const net::Headers& stored, std::int64_t now_s);

// A field that belongs to the connection, to the proxy or to this one answer, and is not stored
// (§3.1). Names of any case.
bool is_not_stored(const net::Header& field);
// A 304 is about this stored answer (§4.3.4): the entity tags are those of one content, or without
// a tag of its own it says the same time of change, or nothing at all.
bool confirms(const net::Headers& stored, const net::Headers& newer);
// The stored head, and after it `newer` of a 304: each name that it carries replaces what was
// stored under it, but for what frames the body (§3.2). Appends lines "Name: value\r\n".
void merge_fields(const net::Headers& stored, const net::Headers& newer, std::string& out);

// The first member of Age (§5.1); nothing when it is no number.
std::optional<std::int64_t> parse_age(std::string_view value);

} // namespace hasp::cache
