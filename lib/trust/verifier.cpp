#include "trust/verifier.h"

#include "base/text.h"
#include "bytes.h"
#include "trust/hash.h"

namespace hasp::trust {

Result<std::string> derive_verifier(std::string_view k_child, std::string_view v_parent,
                                    std::string_view user, const TierName& tier,
                                    std::uint64_t version) {
    if (k_child.size() != verifier_bytes || v_parent.size() != verifier_bytes ||
        !valid_name(user) || tier.empty()) {
        return fail(Code::usage, "a verifier is made from 32-byte values, a user and a tier");
    }
    detail::Writer w;
    w.raw("hasp-verifier-v1");
    w.number(0, 1);
    w.raw(v_parent);
    w.sized(user, 1);
    w.sized(tier.text(), 2);
    w.number(version, 8);
    std::string message = w.take();
    std::string v = hmac_sha256(k_child, message);
    wipe(message);
    return v;
}

bool matches(const VerifierGrant& grant, const TierName& holder, std::string_view v0) {
    if (!grant.home.is_above(holder) || grant.keys.size() != holder.depth() - grant.home.depth()) {
        return false;
    }
    std::string v(v0);
    for (std::size_t i = 0; i < grant.keys.size(); ++i) {
        const TierName tier = holder.at_depth(grant.home.depth() + 1 + i);
        Result<std::string> next =
            derive_verifier(grant.keys[i], v, grant.user, tier, grant.version);
        wipe(v);
        if (!next) {
            return false;
        }
        v = std::move(*next);
    }
    const bool same = equal_constant_time(v, grant.v);
    wipe(v);
    return same;
}

Result<VerifierGrant> hand_down(const VerifierGrant& mine, const TierName& holder,
                                const TierName& child, std::string_view k_child) {
    if (!child.is_direct_child_of(holder)) {
        return fail(Code::usage, child.text() + " is not a direct child of " + holder.text());
    }
    if (!holder.is_in_subtree(mine.home) ||
        mine.keys.size() != holder.depth() - mine.home.depth()) {
        return fail(Code::usage,
                    "the verifier of '" + mine.user + "' does not belong to " + holder.text());
    }
    Result<std::string> v = derive_verifier(k_child, mine.v, mine.user, child, mine.version);
    if (!v) {
        return v.error();
    }
    VerifierGrant out = mine;
    out.v = std::move(*v);
    out.keys.emplace_back(k_child);
    return out;
}

} // namespace hasp::trust
