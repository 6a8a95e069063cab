// What is the same for every kind of grant: its line, its key, its origin, and when one grant lies
// within another. Private to lib/trust.
#pragma once

#include "trust/grants.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace hasp::trust::detail {

// The kinds that are handed on from tier to tier.
using AnyGrant = std::variant<RunGrant, UseGrant, LoginGrant, KeepGrant, WriteGrant>;

template <typename T>
constexpr std::string_view kind_of();
template <>
constexpr std::string_view kind_of<RunGrant>() {
    return "run";
}
template <>
constexpr std::string_view kind_of<UseGrant>() {
    return "use";
}
template <>
constexpr std::string_view kind_of<LoginGrant>() {
    return "login";
}
template <>
constexpr std::string_view kind_of<VerifierGrant>() {
    return "verifier";
}
template <>
constexpr std::string_view kind_of<KeepGrant>() {
    return "keep";
}
template <>
constexpr std::string_view kind_of<WriteGrant>() {
    return "write";
}

// What must not occur twice in a section: the fields that say what is granted, with '/' between
// them.
std::string key_of(const RunGrant& g);
std::string key_of(const UseGrant& g);
std::string key_of(const LoginGrant& g);
std::string key_of(const VerifierGrant& g);
std::string key_of(const KeepGrant& g);
std::string key_of(const WriteGrant& g);

// Every field within its limits. The words say what is wrong, "" when nothing is.
std::string fault_of(const RunGrant& g);
std::string fault_of(const UseGrant& g);
std::string fault_of(const LoginGrant& g);
std::string fault_of(const VerifierGrant& g);
std::string fault_of(const KeepGrant& g);
std::string fault_of(const WriteGrant& g);

// May a tier that holds `held` hand on `handed` (of the same key)? Same origin, nothing more, not
// longer.
bool within(const RunGrant& handed, const RunGrant& held);
bool within(const UseGrant& handed, const UseGrant& held);
bool within(const LoginGrant& handed, const LoginGrant& held);
bool within(const KeepGrant& handed, const KeepGrant& held);
bool within(const WriteGrant& handed, const WriteGrant& held);
// False for different kinds.
bool within(const AnyGrant& handed, const AnyGrant& held);

// "run wiki/2026-1", for messages and as a key over all kinds.
std::string title_of(const AnyGrant& grant);
std::string_view kind_name(const AnyGrant& grant);
const TierName& origin_of(const AnyGrant& grant);
std::int64_t expiry_of(const AnyGrant& grant);

// All but the verifiers.
std::vector<AnyGrant> all_of(const Grants& grants);

// One line of a section, with or without the grant behind it.
struct Line {
    std::string text;
    AnyGrant grant;
};
// The disclosed lines of a link's sections, by title. Code::refused like decode_section; verifier
// sections may not be there.
Result<std::map<std::string, Line>> disclosed_lines(const std::vector<Section>& sections);
// The section with every line hidden whose title is not in `shown`.
Section redact(const Section& section, const std::map<std::string, Line>& shown);

} // namespace hasp::trust::detail
