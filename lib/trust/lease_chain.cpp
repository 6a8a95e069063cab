// A lease together with the leases above it: enclosing the chain, and verifying against it.
#include "bytes.h"
#include "grant_rules.h"
#include "lease_rules.h"
#include "trust/hash.h"

#include <algorithm>

namespace hasp::trust {

namespace {
using detail::AnyGrant;
using detail::Line;

constexpr std::string_view chain_magic = "haspchn1";

// Those that the issuer does not grant by its own authority.
std::vector<AnyGrant> from_above(std::vector<AnyGrant> grants, const TierName& issuer) {
    std::erase_if(grants, [&](const AnyGrant& g) { return detail::origin_of(g) == issuer; });
    return grants;
}

// The lines of `held` that `handed` rests on. Code::refused when a grant has none, or goes beyond
// it.
Result<std::map<std::string, Line>> covering(const std::vector<AnyGrant>& handed,
                                             const std::map<std::string, Line>& held,
                                             const TierName& issuer) {
    std::map<std::string, Line> out;
    for (const AnyGrant& grant : handed) {
        const std::string title = detail::title_of(grant);
        const auto line = held.find(title);
        if (line == held.end()) {
            return fail(Code::refused, "the grant '" + title + "' comes from " +
                                           detail::origin_of(grant).text() + ", but " +
                                           issuer.text() + " does not hold it in its own lease");
        }
        if (!detail::within(grant, line->second.grant)) {
            return fail(Code::refused, "the grant '" + title +
                                           "' gives more, or lasts longer, than what " +
                                           issuer.text() + " holds in its own lease");
        }
        out.insert(*line);
    }
    return out;
}

std::vector<AnyGrant> grants_of(const std::map<std::string, Line>& lines) {
    std::vector<AnyGrant> out;
    for (const auto& [title, line] : lines) {
        out.push_back(line.grant);
    }
    return out;
}

// Only the sections that show something.
std::vector<Section> redacted(const std::vector<Section>& sections,
                              const std::map<std::string, Line>& shown) {
    std::vector<Section> out;
    for (const Section& section : sections) {
        const bool used = std::any_of(shown.begin(), shown.end(), [&](const auto& entry) {
            return detail::kind_name(entry.second.grant) == section.name;
        });
        if (used) {
            out.push_back(detail::redact(section, shown));
        }
    }
    return out;
}

const SectionInfo* info_of(const Manifest& manifest, const std::string& name) {
    const auto found = std::find_if(manifest.sections.begin(), manifest.sections.end(),
                                    [&](const SectionInfo& s) { return s.name == name; });
    return found == manifest.sections.end() ? nullptr : &*found;
}

// Digest and count; the byte count is that of the section with nothing hidden, so only whole ones
// are held to it.
Status check_section(const Section& section, const Manifest& manifest, const TierName& issuer,
                     bool whole) {
    const SectionInfo* info = info_of(manifest, section.name);
    const Result<std::string> digest = section_digest(section);
    if (!digest) {
        return digest.error();
    }
    if (info == nullptr || *digest != info->sha256 ||
        (whole && section.text.size() != info->bytes)) {
        return fail(
            Code::refused,
            "the section '" + section.name + "' is not the one that " + issuer.text() + " signed",
            "ask for the section again; if it happens again, look at what carries the link");
    }
    return {};
}

Result<Manifest> check_number(const Opened& opened, const LeaseExpectation& expectation) {
    switch (accept_newer(expectation.current, opened.header.counter)) {
    case Acceptance::ok:
        return parse_manifest(opened.body);
    case Acceptance::older:
        return fail(Code::refused,
                    "the lease has number " + std::to_string(opened.header.counter.number) +
                        ", and number " + std::to_string(expectation.current->number) +
                        " is held already");
    case Acceptance::epoch_mismatch:
        break;
    }
    return fail(Code::conflict,
                "the lease is of epoch " + std::to_string(opened.header.counter.epoch) +
                    ", the one held is of epoch " + std::to_string(expectation.current->epoch),
                "the tier above was restored or replaced: an operator must accept its new epoch");
}

struct Checked {
    std::vector<CaKey> cas;
    Opened opened;
    Manifest manifest;
};

Result<Checked> check_envelope(std::string_view envelope, const LeaseChain& chain,
                               const LeaseExpectation& expectation, std::int64_t now_us) {
    Result<std::vector<CaKey>> cas = verify_ca_chain(chain.ca_der, expectation.realm_id, now_us);
    if (!cas) {
        return cas.error();
    }
    if (!expectation.holder.is_direct_child_of(cas->front().name)) {
        return fail(Code::refused, "the lease's chain begins at " + cas->front().name.text() +
                                       ", which is not the parent of " + expectation.holder.text());
    }
    Result<Opened> opened = detail::open_lease(envelope, cas->front(), expectation.holder,
                                               expectation.realm_id, now_us);
    if (!opened) {
        return opened.error();
    }
    Result<Manifest> manifest = check_number(*opened, expectation);
    if (!manifest) {
        return manifest.error();
    }
    return Checked{std::move(*cas), std::move(*opened), std::move(*manifest)};
}

// One step up: `link` is the lease of cas[level], signed by cas[level + 1]. Returns what the grants
// rest on there.
Result<std::vector<AnyGrant>> check_link(const Link& link, const std::vector<AnyGrant>& needed,
                                         const std::vector<CaKey>& cas, std::size_t level,
                                         const std::string& realm_id, std::int64_t now_us) {
    const TierName& holder = cas[level].name;
    const CaKey& issuer = cas[level + 1];
    const Result<Opened> opened =
        detail::open_lease(link.envelope, issuer, holder, realm_id, now_us);
    if (!opened) {
        return fail(Code::refused,
                    "the lease of " + holder.text() + " in the chain: " + opened.error().message,
                    opened.error().hint);
    }
    const Result<Manifest> manifest = parse_manifest(opened->body);
    if (!manifest) {
        return manifest.error();
    }
    for (const Section& section : link.sections) {
        if (const Status good = check_section(section, *manifest, issuer.name, false); !good) {
            return good.error();
        }
    }
    const auto held = detail::disclosed_lines(link.sections);
    if (!held) {
        return held.error();
    }
    const auto lines = covering(needed, *held, holder);
    if (!lines) {
        return lines.error();
    }
    std::vector<AnyGrant> grants = grants_of(*lines);
    for (const AnyGrant& grant : grants) {
        if (detail::expiry_of(grant) > opened->header.not_after_us) {
            return fail(Code::refused, "the grant '" + detail::title_of(grant) +
                                           "' outlives the lease of " + holder.text());
        }
    }
    return grants;
}

Status check_chain(const Grants& grants, const LeaseChain& chain, const std::vector<CaKey>& cas,
                   const std::string& realm_id, std::int64_t now_us) {
    std::vector<AnyGrant> needed = from_above(detail::all_of(grants), cas.front().name);
    for (std::size_t level = 0; !needed.empty(); ++level) {
        // An origin is never below the top, so the last certificate's tier needs no lease:
        // everything left was its own.
        if (level >= chain.links.size() || level + 1 >= cas.size()) {
            return fail(Code::refused, "the grant '" + detail::title_of(needed.front()) +
                                           "' comes from " +
                                           detail::origin_of(needed.front()).text() +
                                           ", but the chain ends before it gets there");
        }
        Result<std::vector<AnyGrant>> held =
            check_link(chain.links[level], needed, cas, level, realm_id, now_us);
        if (!held) {
            return held.error();
        }
        needed = from_above(std::move(*held), cas[level + 1].name);
    }
    return {};
}
} // namespace

Result<LeaseChain> enclose(const TierName& issuer, const Grants& grants, const Lease* own,
                           const LeaseChain* above, std::vector<std::string> ca_der) {
    LeaseChain out;
    out.ca_der = std::move(ca_der);
    TierName holder = issuer;
    std::vector<AnyGrant> needed = from_above(detail::all_of(grants), holder);
    for (std::size_t level = 0; !needed.empty(); ++level) {
        const bool first = level == 0;
        if (first ? own == nullptr : above == nullptr || level > above->links.size()) {
            return fail(Code::refused, "the grant '" + detail::title_of(needed.front()) +
                                           "' comes from above, but " + holder.text() +
                                           " has no lease that it could rest on");
        }
        const Link from = first ? Link{own->envelope, own->sections} : above->links[level - 1];
        std::vector<Section> sections = from.sections;
        std::erase_if(sections,
                      [](const Section& s) { return s.name == detail::kind_of<VerifierGrant>(); });
        const auto held = detail::disclosed_lines(sections);
        if (!held) {
            return held.error();
        }
        const auto lines = covering(needed, *held, holder);
        if (!lines) {
            return lines.error();
        }
        out.links.push_back(Link{from.envelope, redacted(sections, *lines)});
        holder = holder.parent();
        needed = from_above(grants_of(*lines), holder);
    }
    return out;
}

Result<Manifest> verify_lease_envelope(std::string_view envelope, const LeaseChain& chain,
                                       const LeaseExpectation& expectation, std::int64_t now_us) {
    Result<Checked> checked = check_envelope(envelope, chain, expectation, now_us);
    return checked ? Result<Manifest>(std::move(checked->manifest))
                   : Result<Manifest>(checked.error());
}

Result<VerifiedLease> verify_lease(const Lease& lease, const LeaseChain& chain,
                                   const LeaseExpectation& expectation, std::int64_t now_us) {
    Result<Checked> checked = check_envelope(lease.envelope, chain, expectation, now_us);
    if (!checked) {
        return checked.error();
    }
    const TierName& issuer = checked->cas.front().name;
    if (lease.sections.size() != section_names.size()) {
        return fail(Code::refused, "the lease has " + std::to_string(lease.sections.size()) +
                                       " sections instead of " +
                                       std::to_string(section_names.size()));
    }
    VerifiedLease out;
    for (std::size_t i = 0; i < section_names.size(); ++i) {
        const Section& section = lease.sections[i];
        if (section.name != section_names[i]) {
            return fail(Code::refused, "the lease's sections are not in their order: '" +
                                           std::string(section_names[i]) + "' is missing");
        }
        if (const Status good = check_section(section, checked->manifest, issuer, true); !good) {
            return good.error();
        }
        if (const Status good = decode_section(section, out.grants); !good) {
            return good.error();
        }
    }
    out.header = std::move(checked->opened.header);
    if (const Status good =
            detail::check_grants(out.grants, issuer, expectation.holder, out.header.not_after_us);
        !good) {
        return good.error();
    }
    if (const Status good =
            check_chain(out.grants, chain, checked->cas, expectation.realm_id, now_us);
        !good) {
        return good.error();
    }
    out.manifest = std::move(checked->manifest);
    return out;
}

std::string encode_chain(const LeaseChain& chain) {
    detail::Writer w;
    w.raw(chain_magic);
    w.number(chain.ca_der.size(), 1);
    for (const std::string& der : chain.ca_der) {
        w.sized(der, 2);
    }
    w.number(chain.links.size(), 1);
    for (const Link& link : chain.links) {
        w.sized(link.envelope, 4);
        w.number(link.sections.size(), 1);
        for (const Section& section : link.sections) {
            w.sized(section.name, 1);
            w.sized(section.text, 4);
        }
    }
    return w.take();
}

Result<LeaseChain> decode_chain(std::string_view bytes) {
    if (bytes.size() > lease_chain_bytes_max) {
        return fail(Code::refused, "the lease's chain is larger than " +
                                       std::to_string(lease_chain_bytes_max) + " bytes");
    }
    detail::Reader r(bytes);
    LeaseChain out;
    const bool known = r.raw(chain_magic.size()) == chain_magic;
    for (auto certs = r.number(1); certs > 0 && !r.failed(); --certs) {
        out.ca_der.emplace_back(r.sized(2));
    }
    for (auto links = r.number(1); links > 0 && !r.failed(); --links) {
        Link link;
        link.envelope = r.sized(4);
        for (auto sections = r.number(1); sections > 0 && !r.failed(); --sections) {
            Section section;
            section.name = r.sized(1);
            section.text = r.sized(4);
            link.sections.push_back(std::move(section));
        }
        out.links.push_back(std::move(link));
    }
    if (!known || !r.at_end()) {
        return fail(
            Code::refused,
            "the lease's chain cannot be read: it is cut short, altered or of another version");
    }
    return out;
}

} // namespace hasp::trust
