// Cache-Control of answers and requests, and its targeted form (RFC 9111 §5.2, RFC 9213). Pure;
// views point into the fields.
#pragma once

#include "net/header.h"

#include <cstdint>
#include <optional>
#include <string_view>

namespace hasp::cache {

// The largest number of seconds that is told apart; more counts as this (RFC 9111 §1.2.2).
inline constexpr std::int64_t delta_seconds_max = 2'147'483'648;

// Digits only, as a token or in quotes. Nothing for anything else.
std::optional<std::int64_t> parse_delta_seconds(std::string_view text);

// Of an answer. A freshness lifetime that cannot be read counts as 0: such an answer is stale.
struct AnswerDirectives {
    bool is_public = false;
    bool is_private = false; // with or without a list of fields
    bool no_store = false;
    bool no_cache = false; // without a list of fields
    bool must_revalidate = false;
    bool proxy_revalidate = false;
    bool must_understand = false;
    std::optional<std::int64_t> max_age;
    std::optional<std::int64_t> s_maxage;
    std::optional<std::int64_t> stale_while_revalidate;
    std::optional<std::int64_t> stale_if_error;
    std::string_view no_cache_fields; // the list of no-cache="…", without its quotes
    bool targeted = false;            // from CDN-Cache-Control: Cache-Control and Expires are moot
};
AnswerDirectives answer_directives(const net::Headers& headers);

struct RequestDirectives {
    bool no_cache = false;
    bool no_store = false;
    bool only_if_cached = false;
    std::optional<std::int64_t> max_age;
    std::optional<std::int64_t> min_fresh;
    std::optional<std::int64_t> max_stale; // without a number: delta_seconds_max
};
RequestDirectives request_directives(const net::Headers& headers);

// One CDN-Cache-Control value as a dictionary (RFC 9213 §2.1, RFC 8941 §4.2.2) into `out`. False:
// it is no dictionary, or a known directive has a value of a wrong type, and the field is ignored.
bool parse_targeted(std::string_view value, AnswerDirectives& out);

} // namespace hasp::cache
