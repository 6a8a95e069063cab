#include "maint/tier_identity.h"

#include "base/files.h"
#include "base/text.h"
#include "json_tools.h"

#include <algorithm>

namespace hasp::maint {

namespace {
constexpr std::size_t file_bytes_max = 256 * 1024;
constexpr const char* certificates_file = "/certificates.pem"; // TLS, then our CA's, the root last
} // namespace

std::string TierIdentity::tls_chain_pem() const {
    std::vector<std::string> chain{tls_cert_der};
    // The top signs its TLS certificate itself; everybody else's is signed by the parent.
    chain.insert(chain.end(), ca_chain_der.begin() + (name.is_top() ? 0 : 1), ca_chain_der.end());
    return trust::to_pem(chain);
}

std::string TierIdentity::root_pem() const {
    return trust::to_pem({ca_chain_der.back()});
}

Result<TierIdentity> make_top_identity(const std::string& realm, const std::string& name,
                                       const Clock& clock, Random& random) {
    auto top = trust::TierName::make_top(realm, name);
    if (!top.ok()) {
        return top.error();
    }
    const trust::SigningKey key = trust::SigningKey::generate(random);
    const trust::TlsKey tls_key = trust::TlsKey::generate(random);
    auto root =
        trust::issue_root(*top, key, trust::valid_for(clock.wall_us(), root_life_us), random);
    if (!root.ok()) {
        return root.error();
    }
    auto leaf = trust::issue_tls({*top, *root, key}, *top, tls_key.spki_der(),
                                 trust::valid_for(clock.wall_us(), certificate_life_us), random);
    if (!leaf.ok()) {
        return leaf.error();
    }
    return TierIdentity{*top, key.public_key().fingerprint(), 1, key, tls_key, {*root}, *leaf, {},
                        {}};
}

std::int64_t TierIdentity::certificates_end_us() const {
    if (known_end.tls_cert_der == tls_cert_der && known_end.ca_chain_der == ca_chain_der) {
        return known_end.end_us;
    }
    std::int64_t first = INT64_MAX;
    const auto take = [&first](const std::string& der) {
        const auto end = trust::certificate_end_us(der);
        first = std::min(first, end.ok() ? *end : 0);
    };
    take(tls_cert_der);
    for (std::size_t i = 0; i + 1 < ca_chain_der.size(); ++i) {
        take(ca_chain_der[i]);
    }
    known_end = {tls_cert_der, ca_chain_der, first};
    return first;
}

Result<Certificates> read_certificates(std::string_view answer, const trust::TierName& name,
                                       std::string_view realm_id,
                                       const trust::SigningKey& envelope_key,
                                       const trust::TlsKey& tls_key, std::int64_t now_us) {
    const auto refuse = [](const std::string& why) {
        return fail(Code::refused, "the parent's certificates cannot be used: " + why,
                    "check that both tiers run the same version of hasp, and their clocks");
    };
    const Json json = parse_object(answer);
    auto chain = trust::from_pem(text_of(json, "ca_chain"));
    auto leaf = trust::from_pem(text_of(json, "tls_cert"));
    if (!chain.ok() || !leaf.ok() || chain->size() < 2 || leaf->size() != 1 ||
        int_of(json, "epoch", 1) < 1) {
        return refuse("the answer makes no sense");
    }
    const auto authorities = trust::verify_ca_chain(*chain, realm_id, now_us);
    if (!authorities.ok()) {
        return refuse(authorities.error().message);
    }
    if (authorities->front().name != name ||
        authorities->front().key != envelope_key.public_key()) {
        return refuse("they name another tier or another key");
    }
    const auto peer =
        trust::verify_peer(leaf->front(), {chain->begin() + 1, chain->end()},
                           {std::string(realm_id), name.parent(), trust::Relation::child}, now_us);
    if (!peer.ok()) {
        return refuse(peer.error().message);
    }
    if (peer->name != name || peer->tls_fingerprint != tls_key.fingerprint()) {
        return refuse("they name another tier or another key");
    }
    return Certificates{static_cast<std::uint64_t>(int_of(json, "epoch", 1)), *std::move(chain),
                        std::move(leaf->front())};
}

Status save_certificates(const std::string& folder, const TierIdentity& identity) {
    std::vector<std::string> all{identity.tls_cert_der};
    all.insert(all.end(), identity.ca_chain_der.begin(), identity.ca_chain_der.end());
    return write_file_durably(folder + certificates_file, trust::to_pem(all), 0600);
}

Status save_identity(const std::string& folder, const TierIdentity& identity) {
    if (Status made = make_folders(folder, 0700); !made.ok()) {
        return made;
    }
    if (Status saved = trust::save_private(folder + "/envelope.pem", identity.envelope_key.pem());
        !saved.ok()) {
        return saved;
    }
    if (Status saved = trust::save_private(folder + "/tls.pem", identity.tls_key.pem());
        !saved.ok()) {
        return saved;
    }
    if (Status saved = save_certificates(folder, identity); !saved.ok()) {
        return saved;
    }
    const Json facts{{"name", identity.name.text()},
                     {"realm_id", to_hex(identity.realm_id)},
                     {"epoch", identity.epoch},
                     {"parent_addresses", identity.parent_addresses}};
    return write_file_durably(folder + "/tier.json", dump(facts, 2) + "\n", 0600);
}

Result<TierIdentity> load_identity(const std::string& folder) {
    auto text = read_file(folder + "/tier.json", file_bytes_max);
    if (!text.ok()) {
        return text.error();
    }
    const Json facts = parse_object(*text);
    auto name = trust::TierName::parse(text_of(facts, "name"));
    const auto realm_id = from_hex(text_of(facts, "realm_id"));
    if (!name.ok() || !realm_id || realm_id->size() != 32) {
        return fail(Code::refused, folder + "/tier.json is damaged",
                    "restore the folder from a backup, or join again with a new invitation");
    }
    auto key = trust::load_signing_key(folder + "/envelope.pem");
    if (!key.ok()) {
        return key.error();
    }
    auto tls_key = trust::load_tls_key(folder + "/tls.pem");
    if (!tls_key.ok()) {
        return tls_key.error();
    }
    auto pem = read_file(folder + certificates_file, file_bytes_max);
    if (!pem.ok()) {
        return pem.error();
    }
    auto certificates = trust::from_pem(*pem);
    if (!certificates.ok() || certificates->size() < 2) {
        return fail(Code::refused, folder + certificates_file + " does not hold our certificates",
                    "restore the folder from a backup");
    }
    return TierIdentity{*name,
                        *realm_id,
                        static_cast<std::uint64_t>(int_of(facts, "epoch", 1)),
                        *key,
                        *tls_key,
                        {certificates->begin() + 1, certificates->end()},
                        certificates->front(),
                        texts_of(facts, "parent_addresses")};
}

Result<JoinKeys> prepare_join_keys(const std::string& folder, Random& random) {
    if (Status made = make_folders(folder, 0700); !made.ok()) {
        return made.error();
    }
    if (Status swept = remove_unfinished_files(folder); !swept.ok()) {
        return swept.error();
    }
    auto key = trust::load_signing_key(folder + "/envelope.pem");
    auto tls_key = trust::load_tls_key(folder + "/tls.pem");
    if (key.ok() && tls_key.ok()) {
        return JoinKeys{*key, *tls_key};
    }
    const bool fresh = (key.ok() || key.error().code == Code::not_found) &&
                       (tls_key.ok() || tls_key.error().code == Code::not_found);
    if (!fresh) {
        return key.ok() ? tls_key.error() : key.error();
    }
    JoinKeys keys{trust::SigningKey::generate(random), trust::TlsKey::generate(random)};
    if (Status saved = trust::save_private(folder + "/envelope.pem", keys.envelope_key.pem());
        !saved.ok()) {
        return saved.error();
    }
    if (Status saved = trust::save_private(folder + "/tls.pem", keys.tls_key.pem()); !saved.ok()) {
        return saved.error();
    }
    return keys;
}

} // namespace hasp::maint
