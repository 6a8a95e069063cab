#include "trust/lease.h"

#include "base/text.h"
#include "grant_rules.h"
#include "lease_rules.h"
#include "trust/hash.h"

#include "json_tools.h"
#include <algorithm>
#include <set>

namespace hasp::trust {

namespace {
using nlohmann::json;

std::string manifest_text(const Manifest& manifest) {
    json sections = json::array();
    for (const SectionInfo& s : manifest.sections) {
        sections.push_back({{"name", s.name},
                            {"sha256", to_hex(s.sha256)},
                            {"count", s.count},
                            {"bytes", s.bytes}});
    }
    return json{{"sections", std::move(sections)}}.dump();
}

Result<SectionInfo> describe(const Section& section) {
    Result<std::string> digest = section_digest(section);
    if (!digest) {
        return digest.error();
    }
    const auto lines = std::count(section.text.begin(), section.text.end(), '\n');
    return SectionInfo{section.name, std::move(*digest), static_cast<std::uint64_t>(lines),
                       section.text.size()};
}

// Every verifier needs the log-in grant that it is for, from the same authority, and one key for
// each tier below it.
Status check_verifiers(const Grants& grants, const TierName& holder) {
    std::map<std::string_view, const TierName*> origins;
    for (const LoginGrant& g : grants.login) {
        origins.emplace(g.user, &g.origin);
    }
    for (const VerifierGrant& g : grants.verifier) {
        const auto login = origins.find(g.user);
        if (login == origins.end() || *login->second != g.home || !g.home.is_above(holder) ||
            g.keys.size() != holder.depth() - g.home.depth()) {
            return fail(Code::refused, "the verifier of '" + g.user +
                                           "' does not belong to a log-in grant of this lease");
        }
    }
    return {};
}
} // namespace

namespace detail {

Status check_grants(const Grants& grants, const TierName& issuer, const TierName& holder,
                    std::int64_t not_after_us) {
    for (const AnyGrant& grant : all_of(grants)) {
        const TierName& origin = origin_of(grant);
        if (expiry_of(grant) > not_after_us) {
            return fail(Code::refused, "the grant '" + title_of(grant) +
                                           "' outlives its lease: " + rfc3339(expiry_of(grant)) +
                                           " is after " + rfc3339(not_after_us));
        }
        if (!issuer.is_in_subtree(origin)) {
            return fail(Code::refused, "the grant '" + title_of(grant) + "' has the origin " +
                                           origin.text() + ", which is neither " + issuer.text() +
                                           " nor above it");
        }
    }
    return check_verifiers(grants, holder);
}

Result<Opened> open_lease(std::string_view envelope, const CaKey& issuer, const TierName& audience,
                          std::string_view realm_id, std::int64_t now_us) {
    const Expectation expectation{std::string(lease_type), std::string(realm_id), issuer.name,
                                  audience, envelope_bytes_max};
    return open(envelope, issuer.key, expectation, now_us);
}

} // namespace detail

Result<Lease> issue_lease(const LeaseParams& params, const Grants& grants, const SigningKey& key) {
    if (!params.audience.is_direct_child_of(params.issuer)) {
        return fail(Code::usage, "a lease is for a direct child of " + params.issuer.text() +
                                     ", not for " + params.audience.text());
    }
    if (const Status good =
            detail::check_grants(grants, params.issuer, params.audience, params.not_after_us);
        !good) {
        return fail(Code::usage, good.error().message);
    }
    Result<std::vector<Section>> sections = encode_sections(grants);
    if (!sections) {
        return sections.error();
    }
    Manifest manifest;
    for (const Section& section : *sections) {
        Result<SectionInfo> info = describe(section);
        if (!info) {
            return info.error();
        }
        manifest.sections.push_back(std::move(*info));
    }
    const Header header{std::string(lease_type), params.realm_id, params.issuer,
                        params.audience,         params.counter,  params.issued_at_us,
                        params.not_after_us};
    Result<std::string> envelope = seal(header, manifest_text(manifest), key);
    if (!envelope) {
        return envelope.error();
    }
    return Lease{std::move(*envelope), std::move(*sections)};
}

Result<Manifest> parse_manifest(std::string_view body) {
    const Error unreadable = fail(Code::refused, "the lease's manifest cannot be read",
                                  "compare the versions of hasp on both sides");
    Manifest out;
    try {
        const json manifest = json::parse(body);
        for (const json& s : manifest.at("sections")) {
            out.sections.push_back({s.at("name"),
                                    from_hex(s.at("sha256").get<std::string>()).value_or(""),
                                    s.at("count").get_ref<const json::number_unsigned_t&>(),
                                    s.at("bytes").get_ref<const json::number_unsigned_t&>()});
        }
        if (manifest_text(out) != body) {
            return unreadable;
        }
    } catch (const json::exception&) {
        return unreadable;
    }
    const bool expected =
        out.sections.size() == section_names.size() &&
        std::equal(out.sections.begin(), out.sections.end(), section_names.begin(),
                   [](const SectionInfo& s, std::string_view name) {
                       return s.name == name && s.sha256.size() == sha256_bytes &&
                              s.count <= section_grants_max && s.bytes <= section_bytes_max;
                   });
    return expected ? Result<Manifest>(std::move(out)) : Result<Manifest>(unreadable);
}

std::vector<std::string> missing_sections(const Manifest& wanted, const Manifest& held) {
    std::vector<std::string> out;
    for (const SectionInfo& s : wanted.sections) {
        if (std::find(held.sections.begin(), held.sections.end(), s) == held.sections.end()) {
            out.push_back(s.name);
        }
    }
    return out;
}

bool drops_too_much(const Grants& before, const Grants& after) {
    // A new release of an app is the successor of the old one.
    const auto title = [](const detail::AnyGrant& grant) {
        const auto* run = std::get_if<RunGrant>(&grant);
        return run != nullptr ? "run " + run->app : detail::title_of(grant);
    };
    const auto titles = [&](const Grants& grants) {
        std::set<std::string> out;
        for (const detail::AnyGrant& grant : detail::all_of(grants)) {
            out.insert(title(grant));
        }
        return out;
    };
    const std::set<std::string> old_titles = titles(before);
    const std::set<std::string> new_titles = titles(after);
    const auto gone = static_cast<std::size_t>(
        std::count_if(old_titles.begin(), old_titles.end(),
                      [&](const std::string& t) { return !new_titles.contains(t); }));
    return gone * 4 > old_titles.size();
}

} // namespace hasp::trust
