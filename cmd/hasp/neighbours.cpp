#include "neighbours.h"

#include "base/text.h"

namespace hasp::cmd {

namespace {

Result<std::string> name_beside(const Neighbours& all, const std::vector<std::string>& chain,
                                const Clock& clock) {
    for (const auto& [name, beside] : all.beside) {
        if (auto known = all.name_beside_as(name, chain, clock); known.ok()) {
            return known;
        }
    }
    return fail(Code::refused, "no peer's certificate");
}

} // namespace

Result<std::string> Neighbours::name(const std::vector<std::string>& chain,
                                     trust::Relation relation, const Clock& clock) const {
    if (chain.empty()) {
        return fail(Code::refused, "no certificate");
    }
    if (relation == trust::Relation::child) {
        if (auto known = name_beside(*this, chain, clock); known.ok()) {
            return known;
        }
    }
    auto peer = trust::verify_peer(chain.front(), {chain.begin() + 1, chain.end()},
                                   {realm_id, me, relation}, clock.wall_us());
    if (!peer.ok()) {
        return peer.error();
    }
    if (relation == trust::Relation::child) {
        const auto enrolled = children.find(peer->name.leaf());
        if (enrolled == children.end() || enrolled->second != to_hex(peer->tls_fingerprint)) {
            return fail(Code::refused,
                        "the tier '" + peer->name.text() + "' is not enrolled here with this key");
        }
    }
    return peer->name.leaf();
}

Result<std::string> Neighbours::name_beside_as(const std::string& name,
                                               const std::vector<std::string>& chain,
                                               const Clock& clock) const {
    const auto known = beside.find(name);
    if (chain.empty() || known == beside.end()) {
        return fail(Code::refused, "no certificate, or no peer of that name");
    }
    auto peer = trust::verify_peer(
        chain.front(), {chain.begin() + 1, chain.end()},
        {known->second.realm_id, known->second.tier, trust::Relation::peer}, clock.wall_us());
    return peer.ok() ? Result<std::string>(name) : peer.error();
}

} // namespace hasp::cmd
