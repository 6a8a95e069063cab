#include "trust/grants.h"

#include "base/text.h"
#include "bytes.h"
#include "grant_rules.h"
#include "trust/hash.h"

#include "json_tools.h"
#include <algorithm>
#include <set>

namespace hasp::trust {

namespace {
using nlohmann::json;

constexpr char hidden_mark = '#';
constexpr std::size_t hidden_line_bytes = 1 + (sha256_bytes * 4 + 2) / 3;
constexpr std::array<const char*, 3> at_expiry_names = {"continue", "read-only", "stop"};

// Objects of nlohmann::json keep their keys sorted; dump() refuses text that is not UTF-8 by an
// exception.
json to_json(const RunGrant& g) {
    return {{"app", g.app},
            {"release", g.release},
            {"origin", g.origin.text()},
            {"at_expiry", at_expiry_names.at(static_cast<std::size_t>(g.at_expiry))},
            {"expires_us", g.expires_us}};
}
json to_json(const UseGrant& g) {
    return {{"user", g.user},
            {"app", g.app},
            {"origin", g.origin.text()},
            {"expires_us", g.expires_us}};
}
json to_json(const LoginGrant& g) {
    return {{"user", g.user},
            {"display_name", g.display_name},
            {"email", g.email},
            {"groups", g.groups},
            {"apps", g.apps},
            {"origin", g.origin.text()},
            {"expires_us", g.expires_us}};
}
json to_json(const VerifierGrant& g) {
    json keys = json::array();
    for (const std::string& k : g.keys) {
        keys.push_back(to_base64url(k));
    }
    return {{"user", g.user},
            {"home", g.home.text()},
            {"version", g.version},
            {"salt", to_base64url(g.salt)},
            {"memory_kib", g.memory_kib},
            {"passes", g.passes},
            {"lanes", g.lanes},
            {"v", to_base64url(g.v)},
            {"keys", std::move(keys)}};
}
json to_json(const KeepGrant& g) {
    return {{"user", g.user}, {"origin", g.origin.text()}, {"expires_us", g.expires_us}};
}
json to_json(const WriteGrant& g) {
    return {{"dataset", g.dataset},
            {"origin", g.origin.text()},
            {"fence_epoch", g.fence.epoch},
            {"fence_number", g.fence.number},
            {"expires_us", g.expires_us}};
}

// Reading throws on a missing key or another type. What it is lenient about shows in the comparison
// of the bytes afterwards.
TierName tier_in(const json& j, const char* key) {
    return TierName::parse(j.at(key).get<std::string>()).value_or({});
}
// Whole and not negative, and nothing that would have to be converted.
std::uint64_t whole(const json& j, const char* key) {
    return j.at(key).get_ref<const json::number_unsigned_t&>();
}
std::int64_t time_in(const json& j) {
    // What does not fit becomes 0, which no grant may have.
    const std::uint64_t us = whole(j, "expires_us");
    return us > INT64_MAX ? 0 : static_cast<std::int64_t>(us);
}
std::uint32_t small(const json& j, const char* key) {
    const std::uint64_t value = whole(j, key);
    return value > UINT32_MAX ? 0 : static_cast<std::uint32_t>(value);
}
std::string bytes_in(const json& j) {
    return from_base64url(j.get<std::string>()).value_or("");
}

void read(const json& j, RunGrant& g) {
    const auto* const name = std::find(at_expiry_names.begin(), at_expiry_names.end(),
                                       j.at("at_expiry").get<std::string>());
    const auto index = name == at_expiry_names.end() ? 0 : name - at_expiry_names.begin();
    g = {j.at("app"), j.at("release"), tier_in(j, "origin"), static_cast<AtExpiry>(index),
         time_in(j)};
}
void read(const json& j, UseGrant& g) {
    g = {j.at("user"), j.at("app"), tier_in(j, "origin"), time_in(j)};
}
void read(const json& j, LoginGrant& g) {
    g = {j.at("user"),
         j.at("display_name"),
         j.at("email"),
         j.at("groups").get<std::vector<std::string>>(),
         j.at("apps").get<std::vector<std::string>>(),
         tier_in(j, "origin"),
         time_in(j)};
}
void read(const json& j, VerifierGrant& g) {
    g = {j.at("user"),           tier_in(j, "home"),     whole(j, "version"),
         bytes_in(j.at("salt")), small(j, "memory_kib"), small(j, "passes"),
         small(j, "lanes"),      bytes_in(j.at("v")),    {}};
    for (const json& k : j.at("keys")) {
        g.keys.push_back(bytes_in(k));
    }
}
void read(const json& j, KeepGrant& g) {
    g = {j.at("user"), tier_in(j, "origin"), time_in(j)};
}
void read(const json& j, WriteGrant& g) {
    g = {j.at("dataset"),
         tier_in(j, "origin"),
         {whole(j, "fence_epoch"), whole(j, "fence_number")},
         time_in(j)};
}

template <typename T>
Result<std::string> line_of(const T& grant) {
    std::string fault = detail::fault_of(grant);
    if (fault.empty()) {
        try {
            std::string line = to_json(grant).dump();
            if (line.size() <= grant_line_bytes_max) {
                return line;
            }
            fault = "it is longer than " + std::to_string(grant_line_bytes_max) + " bytes";
        } catch (const json::exception&) {
            fault = "it has text that is not UTF-8";
        }
    }
    return fail(Code::usage, "the grant '" + std::string(detail::kind_of<T>()) + " " +
                                 detail::key_of(grant) + "' cannot be written: " + fault);
}

template <typename T>
Result<T> grant_of(std::string_view line) {
    const std::string where =
        "a line of the lease's section '" + std::string(detail::kind_of<T>()) + "'";
    if (line.size() > grant_line_bytes_max) {
        return fail(Code::refused,
                    where + " is longer than " + std::to_string(grant_line_bytes_max) + " bytes");
    }
    T grant;
    try {
        read(json::parse(line), grant);
    } catch (const json::exception&) {
        return fail(Code::refused, where + " cannot be read");
    }
    const Result<std::string> again = line_of(grant);
    if (!again) {
        return fail(Code::refused, again.error().message);
    }
    if (*again != line) {
        return fail(Code::refused, where + " is not in its one canonical form");
    }
    return grant;
}

// Lines without their \n. Every line must have one.
Result<std::vector<std::string_view>> lines_of(const Section& section) {
    const std::string where = "the lease's section '" + section.name + "'";
    if (section.text.size() > section_bytes_max) {
        return fail(Code::refused,
                    where + " is larger than " + std::to_string(section_bytes_max) + " bytes");
    }
    if (section.text.empty()) {
        return std::vector<std::string_view>{};
    }
    if (section.text.back() != '\n') {
        return fail(Code::refused, where + " is cut short: its last line has no end");
    }
    std::vector<std::string_view> lines = split(section.text, '\n');
    lines.pop_back();
    if (lines.size() > section_grants_max) {
        return fail(Code::refused,
                    where + " has more than " + std::to_string(section_grants_max) + " lines");
    }
    return lines;
}

template <typename T>
Status encode_into(const std::vector<T>& grants, std::vector<Section>& out) {
    std::vector<std::string> lines;
    std::set<std::string> keys;
    std::size_t bytes = 0;
    const std::string kind(detail::kind_of<T>());
    for (const T& grant : grants) {
        Result<std::string> line = line_of(grant);
        if (!line) {
            return line.error();
        }
        if (!keys.insert(detail::key_of(grant)).second) {
            return fail(Code::usage,
                        "the grant '" + kind + " " + detail::key_of(grant) + "' is there twice");
        }
        bytes += line->size() + 1;
        lines.push_back(std::move(*line));
    }
    if (bytes > section_bytes_max || lines.size() > section_grants_max) {
        return fail(Code::usage, "the section '" + kind +
                                     "' is beyond its limits: " + std::to_string(lines.size()) +
                                     " grants, " + std::to_string(bytes) + " bytes");
    }
    std::sort(lines.begin(), lines.end());
    Section section{kind, {}};
    section.text.reserve(bytes);
    for (const std::string& line : lines) {
        section.text += line;
        section.text += '\n';
    }
    out.push_back(std::move(section));
    return {};
}

template <typename T>
Status decode_into(const Section& section, std::vector<T>& out) {
    const Result<std::vector<std::string_view>> lines = lines_of(section);
    if (!lines) {
        return lines.error();
    }
    std::vector<T> grants;
    std::set<std::string> keys;
    std::string_view before;
    for (const std::string_view line : *lines) {
        Result<T> grant = grant_of<T>(line);
        if (!grant) {
            return grant.error();
        }
        if (line <= before || !keys.insert(detail::key_of(*grant)).second) {
            return fail(Code::refused, "the lease's section '" + section.name +
                                           "' is not sorted, or has a grant twice");
        }
        before = line;
        grants.push_back(std::move(*grant));
    }
    out.insert(out.end(), std::make_move_iterator(grants.begin()),
               std::make_move_iterator(grants.end()));
    return {};
}

std::string line_hash(std::string_view line) {
    return sha256("hasp-lease-line-v1" + std::string(1, '\0') + std::string(line));
}

// A line's hash, whether the line or its hash is there.
std::optional<std::string> shown_or_hidden_hash(std::string_view line) {
    if (!line.starts_with(hidden_mark)) {
        return line_hash(line);
    }
    const auto hash =
        line.size() == hidden_line_bytes ? from_base64url(line.substr(1)) : std::nullopt;
    return hash;
}

template <typename T>
Result<detail::AnyGrant> any_grant_of(std::string_view line) {
    Result<T> grant = grant_of<T>(line);
    return grant ? Result<detail::AnyGrant>(std::move(*grant))
                 : Result<detail::AnyGrant>(grant.error());
}

Result<detail::AnyGrant> any_grant(std::string_view kind, std::string_view line) {
    if (kind == "run") {
        return any_grant_of<RunGrant>(line);
    }
    if (kind == "use") {
        return any_grant_of<UseGrant>(line);
    }
    if (kind == "login") {
        return any_grant_of<LoginGrant>(line);
    }
    if (kind == "keep") {
        return any_grant_of<KeepGrant>(line);
    }
    if (kind == "write") {
        return any_grant_of<WriteGrant>(line);
    }
    return fail(Code::refused, "the section '" + std::string(kind.substr(0, name_length_max)) +
                                   "' has no place in a lease's chain");
}
} // namespace

std::size_t Grants::count() const {
    return run.size() + use.size() + login.size() + keep.size() + write.size();
}

Result<std::vector<Section>> encode_sections(const Grants& grants) {
    std::vector<Section> out;
    for (const Status& done : {encode_into(grants.keep, out), encode_into(grants.login, out),
                               encode_into(grants.run, out), encode_into(grants.use, out),
                               encode_into(grants.verifier, out), encode_into(grants.write, out)}) {
        if (!done) {
            return done.error();
        }
    }
    return out;
}

Status decode_section(const Section& section, Grants& out) {
    if (section.name == "keep") {
        return decode_into(section, out.keep);
    }
    if (section.name == "login") {
        return decode_into(section, out.login);
    }
    if (section.name == "run") {
        return decode_into(section, out.run);
    }
    if (section.name == "use") {
        return decode_into(section, out.use);
    }
    if (section.name == "verifier") {
        return decode_into(section, out.verifier);
    }
    if (section.name == "write") {
        return decode_into(section, out.write);
    }
    return fail(Code::refused, "a lease has no section '" +
                                   section.name.substr(0, name_length_max) + "' in this version");
}

Result<std::string> section_digest(const Section& section) {
    const Result<std::vector<std::string_view>> lines = lines_of(section);
    if (!lines) {
        return lines.error();
    }
    detail::Writer head;
    head.raw("hasp-lease-section-v1");
    head.number(0, 1);
    head.sized(section.name.substr(0, name_length_max), 1);
    head.number(lines->size(), 8);
    Sha256 digest;
    digest.update(head.take());
    for (const std::string_view line : *lines) {
        const auto hash = shown_or_hidden_hash(line);
        if (!hash) {
            return fail(Code::refused, "the lease's section '" + section.name +
                                           "' has a hidden line that cannot be read");
        }
        digest.update(*hash);
    }
    return digest.finish();
}

namespace detail {

Result<std::map<std::string, Line>> disclosed_lines(const std::vector<Section>& sections) {
    std::map<std::string, Line> out;
    for (const Section& section : sections) {
        const Result<std::vector<std::string_view>> lines = lines_of(section);
        if (!lines) {
            return lines.error();
        }
        for (const std::string_view line : *lines) {
            if (line.starts_with(hidden_mark)) {
                continue;
            }
            Result<AnyGrant> grant = any_grant(section.name, line);
            if (!grant) {
                return grant.error();
            }
            std::string title = title_of(*grant);
            if (!out.emplace(std::move(title), Line{std::string(line), std::move(*grant)}).second) {
                return fail(Code::refused, "the section '" + section.name +
                                               "' in the lease's chain has a grant twice");
            }
        }
    }
    return out;
}

Section redact(const Section& section, const std::map<std::string, Line>& shown) {
    std::set<std::string_view> keep;
    for (const auto& [title, line] : shown) {
        keep.insert(line.text);
    }
    Section out{section.name, {}};
    const Result<std::vector<std::string_view>> lines = lines_of(section);
    for (const std::string_view line : lines.value_or({})) {
        const bool as_is = line.starts_with(hidden_mark) || keep.contains(line);
        out.text += as_is ? std::string(line) : hidden_mark + to_base64url(line_hash(line));
        out.text += '\n';
    }
    return out;
}

} // namespace detail

} // namespace hasp::trust
