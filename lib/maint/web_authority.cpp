#include "web_authority.h"

#include "base/files.h"
#include "base/text.h"

#include <algorithm>
#include <unistd.h>

namespace hasp::maint {

namespace {
constexpr std::size_t authority_bytes_max = 64 * 1024;
constexpr std::size_t label_max = 64;

std::int64_t end_of(const std::string& der) {
    const auto end = trust::certificate_end_us(der);
    return end.ok() ? *end : 0;
}
} // namespace

std::string WebAuthority::key_file(bool next) const {
    return world_.keys_folder + (next ? "/web-ca-next-key.pem" : "/web-ca-key.pem");
}

std::string WebAuthority::certificate_file(bool next) const {
    return world_.keys_folder + (next ? "/web-ca-next.pem" : "/web-ca.pem");
}

Result<WebAuthority::Pair> WebAuthority::make() const {
    const std::int64_t now = world_.clock.wall_us();
    trust::TlsKey key = trust::TlsKey::generate(world_.random);
    // The year tells the next one from this one in a list of authorities.
    const std::string label =
        (world_.me.name.realm() + " " + world_.me.name.leaf()).substr(0, label_max - 16) +
        " browsers " + rfc3339(now).substr(0, 4);
    auto der = trust::issue_web_ca(key, label, zones_.names(),
                                   trust::valid_for(now, web_ca_life_us), world_.random);
    if (!der.ok()) {
        return der.error();
    }
    return Pair{std::move(key), *std::move(der)};
}

Result<std::optional<WebAuthority::Pair>> WebAuthority::read(bool next) const {
    auto pem = read_file(certificate_file(next), authority_bytes_max);
    if (!pem.ok() && pem.error().code == Code::not_found) {
        return std::optional<Pair>();
    }
    auto key = trust::load_tls_key(key_file(next));
    auto der = pem.ok() ? trust::from_pem(*pem) : Result<std::vector<std::string>>(pem.error());
    if (!key.ok() || !der.ok()) {
        return key.ok() ? der.error() : key.error();
    }
    const auto said = trust::read_web_certificate(der->front());
    if (!said.ok() || said->tls_fingerprint != key->fingerprint()) {
        return fail(Code::refused, certificate_file(next) + " and its key do not fit",
                    "restore both from a backup");
    }
    return std::optional<Pair>(Pair{*std::move(key), std::move(der->front())});
}

// The certificate last: its presence says that the key is there.
Status WebAuthority::save(const Pair& pair, bool next) const {
    if (Status saved = trust::save_private(key_file(next), pair.key.pem()); !saved.ok()) {
        return saved;
    }
    return write_file_durably(certificate_file(next), trust::to_pem({pair.der}), 0600);
}

// A crash, or a disk that was full, between the steps of use_next(): its key is in place, and the
// certificate may be.
bool WebAuthority::next_was_begun() const {
    const auto key = trust::load_tls_key(key_file(false));
    return next_ && key.ok() && key->fingerprint() == next_->key.fingerprint();
}

Status WebAuthority::load() {
    const Config::WebCa& config = world_.config.web_ca;
    if (config.names.empty()) {
        return {};
    }
    auto zones = WebZones::parse(config.names, config.assign);
    if (!zones.ok()) {
        return zones.error();
    }
    zones_ = *std::move(zones);
    auto next = read(true);
    if (!next.ok()) {
        return next.error();
    }
    next_ = *std::move(next);
    if (next_was_begun()) {
        return use_next();
    }
    auto key = read(false);
    if (!key.ok()) {
        return key.error();
    }
    if (*key) {
        key_ = *std::move(key);
        return {};
    }
    if (next_) {
        return use_next();
    }
    auto made = make();
    if (!made.ok()) {
        return made.error();
    }
    if (Status saved = save(*made, false); !saved.ok()) {
        return saved;
    }
    key_ = *std::move(made);
    world_.log.info("web_ca.made", "this tier is an authority for browsers: `hasp ca export`");
    return {};
}

Result<std::string> WebAuthority::sign(const trust::TierName& tier,
                                       const trust::WebRequest& request) {
    for (const std::string& name : request.names) {
        if (!zones_.may(world_.me.name, tier, name)) {
            return fail(Code::refused, "'" + name + "' is not a name of " + tier.text(),
                        "names and assign under [web_ca] of " + world_.me.name.text() +
                            " say which tier has which names");
        }
    }
    const std::int64_t now = world_.clock.wall_us();
    trust::Validity validity =
        trust::valid_for(now, world_.config.web_ca.days * 24 * 3600 * 1'000'000);
    validity.to_us = std::min(validity.to_us, end_of(key_->der));
    auto leaf = trust::issue_web_leaf(key_->key, key_->der, request.names, request.tls_spki_der,
                                      validity, world_.random);
    if (!leaf.ok()) {
        return leaf.error();
    }
    world_.log.info("web_ca.signed", "a certificate for browsers",
                    {{"tier", tier.text()},
                     {"name", request.names.front()},
                     {"until", rfc3339(validity.to_us)}});
    return trust::to_pem({*leaf, key_->der});
}

Json WebAuthority::show() const {
    const auto said = trust::read_web_certificate(key_->der);
    const auto permits = trust::web_ca_permits(key_->der);
    Json out{{"from", "here"},
             {"tier", world_.me.name.text()},
             {"name", said.ok() ? said->issuer : ""},
             {"permits", permits.ok() ? permits->texts() : std::vector<std::string>()},
             {"ends", rfc3339(end_of(key_->der))},
             {"certificate", trust::to_pem({key_->der})}};
    const bool same =
        permits.ok() && permits->contains(zones_.names()) && zones_.names().contains(*permits);
    if (permits.ok() && !same) {
        out["names_differ"] = zones_.names().texts();
    }
    if (end_of(key_->der) < world_.clock.wall_us() + web_ca_late_us) {
        out["late"] = true;
    }
    if (next_) {
        out["next"] = trust::to_pem({next_->der});
    }
    return out;
}

Status WebAuthority::make_next() {
    if (next_) {
        return fail(Code::conflict, "the next authority is made already",
                    "give it to everybody (hasp ca export --next), then: hasp ca renew --use");
    }
    auto made = make();
    if (!made.ok()) {
        return made.error();
    }
    if (Status saved = save(*made, true); !saved.ok()) {
        return saved;
    }
    next_ = *std::move(made);
    return {};
}

Status WebAuthority::use_next() {
    if (!next_) {
        return fail(Code::conflict, "there is no next authority", "make one: hasp ca renew");
    }
    // Written over, key first: load() goes on from wherever this ends.
    if (Status saved = save(*next_, false); !saved.ok()) {
        return saved;
    }
    key_ = std::move(next_);
    next_.reset();
    ::unlink(certificate_file(true).c_str());
    ::unlink(key_file(true).c_str());
    return {};
}

} // namespace hasp::maint
