#include "enrolment.h"
#include "base/text.h"
#include "maint/enrol_request.h"
#include "maint/restoration.h"
#include "trust/hash.h"
#include "trust/invite.h"

#include <algorithm>

namespace hasp::maint {

namespace {
constexpr std::size_t tls_spki_bytes_max = 512;
constexpr std::int64_t sign_again_after_us = 3'600LL * 1'000'000;
Error not_valid() {
    return fail(Code::refused, "this invitation is not valid",
                "ask for a new one: hasp local invite NAME");
}
} // namespace

std::string enrol_proof_bytes(const std::string& token_id, const std::string& tls_spki) {
    return std::string("hasp-enrol-1\n") + to_hex(token_id) + "\n" + to_hex(tls_spki) + "\n";
}

std::string enrol_request(const trust::Invitation& invitation,
                          const trust::SigningKey& envelope_key, const trust::TlsKey& tls_key) {
    const std::string proof =
        envelope_key.sign(enrol_proof_bytes(invitation.token_id, tls_key.spki_der()));
    return dump({{"invitation", to_base64url(invitation.token_id)},
                 {"secret", to_base64url(invitation.secret)},
                 {"name", invitation.name},
                 {"envelope_key", to_base64url(envelope_key.public_key().raw())},
                 {"tls_key", to_base64url(tls_key.spki_der())},
                 {"proof", to_base64url(proof)}});
}

Result<std::string> Enrolment::invite(const std::string& name,
                                      const std::vector<std::string>& addresses,
                                      std::int64_t lifetime_us) {
    auto known = world_.store.child(name);
    if (!known.ok()) {
        return known.error();
    }
    if (*known && (*known)->state == "enrolled") {
        return fail(Code::conflict, "a tier '" + name + "' is enrolled here",
                    "choose another name, or revoke it first: hasp local revoke " + name);
    }
    auto made = trust::make_invitation(addresses, world_.me.name, name, world_.me.realm_id,
                                       world_.clock.wall_us() + lifetime_us, world_.random);
    if (!made.ok()) {
        return made.error();
    }
    ChildRow child = *known ? **known : ChildRow{};
    child.name = name;
    child.epoch = *known && (*known)->state == "revoked" ? child.epoch + 1 : child.epoch;
    child.state = "invited";
    child.since_us = world_.clock.wall_us();
    child.envelope_key.clear();
    child.tls_key_sha256.clear();
    child.certificates.clear();
    child.verifier_key = world_.random.bytes(32);
    // The box may have had this name before this tier came back from a backup that does not know
    // it: what it is given now is above all that it can have seen.
    auto restored = restored_fact(world_.store);
    if (!restored.ok()) {
        return restored.error();
    }
    child.lease_number = restored->at_us;
    child.desired_generation = std::max(child.desired_generation, restored->at_us);
    child.reached_lease = child.reached_generation = 0;
    child.report.clear();
    const Status stored = world_.store.transact([&]() -> Status {
        if (Status dropped = world_.store.drop_invitations(name); !dropped.ok()) {
            return dropped;
        }
        if (Status put = world_.store.put_child(child); !put.ok()) {
            return put;
        }
        // The next box is lent to anew, under its own verifier key.
        if (Status dropped = world_.store.drop_lease(name); !dropped.ok()) {
            return dropped;
        }
        return world_.store.put_invitation({to_hex(made->record.token_id), name,
                                            made->record.secret_sha256, made->record.not_after_us,
                                            ""});
    });
    if (!stored.ok()) {
        return stored.error();
    }
    return made->invitation.text();
}

Result<std::string> Enrolment::enrol(const std::string& request) {
    const Json json = parse_object(request);
    const auto token_id = from_base64url(text_of(json, "invitation"));
    const auto secret = from_base64url(text_of(json, "secret"));
    const auto raw_key = from_base64url(text_of(json, "envelope_key"));
    const auto tls_spki = from_base64url(text_of(json, "tls_key"));
    const auto proof = from_base64url(text_of(json, "proof"));
    std::string invited; // known once the request names an invitation that there is
    const auto refuse = [&](const std::string& why) -> Result<std::string> {
        world_.log.warn("enrol.refused", why, {{"name", invited}});
        // Strangers can ask for anything as often as they like: that must not fill the disk.
        if (!invited.empty()) {
            [[maybe_unused]] const Status kept =
                world_.store.add_error({world_.clock.wall_us(), "enrol.refused",
                                        "A box was refused as '" + invited + "': " + why});
        }
        return not_valid();
    };
    if (!token_id || !secret || !raw_key || !tls_spki || !proof ||
        tls_spki->size() > tls_spki_bytes_max) {
        return refuse("the request is malformed");
    }
    auto invitation = world_.store.invitation(to_hex(*token_id));
    if (!invitation.ok()) {
        return invitation.error();
    }
    if (!*invitation) {
        return refuse("there is no such invitation, or a newer one has replaced it");
    }
    const InvitationRow& row = **invitation;
    invited = row.child;
    const trust::InvitationRecord record{*token_id, row.secret_sha256, row.child, row.not_after_us};
    // The name is the invitation's; the one in the request is only compared.
    if (const Status good =
            trust::redeem(record, *secret, text_of(json, "name"), world_.clock.wall_us());
        !good.ok()) {
        return refuse(good.error().message);
    }
    auto key = trust::PublicKey::from_raw(*raw_key);
    if (!key.ok() || !key->verify(enrol_proof_bytes(*token_id, *tls_spki), *proof)) {
        return refuse("the box does not hold the key that it shows");
    }
    auto child = world_.store.child(row.child);
    const auto name = world_.me.name.child(row.child);
    if (!child.ok() || !*child || !name.ok()) {
        return child.ok() ? refuse("the name of this invitation is gone") : child.error();
    }
    if (!row.used_by.empty()) {
        const bool same = row.used_by == *raw_key && (*child)->state == "enrolled" &&
                          (*child)->tls_key_sha256 == to_hex(trust::spki_fingerprint(*tls_spki));
        return same ? Result<std::string>((*child)->certificates)
                    : refuse("the invitation was used already, with another key");
    }
    if ((*child)->state != "invited") {
        return refuse("the name is not waiting for a box");
    }
    auto certificates = certify(**child, *name, *key, *tls_spki);
    return certificates.ok() ? certificates
                             : refuse("it cannot be certified: " + certificates.error().message);
}

Result<std::string> Enrolment::sign_certificates(const ChildRow& child, const trust::TierName& name,
                                                 const trust::PublicKey& key,
                                                 const std::string& tls_spki) {
    const trust::Validity validity = trust::valid_for(world_.clock.wall_us(), certificate_life_us);
    auto ca = trust::issue_ca(world_.me.issuer(), name, key, validity, world_.random);
    if (!ca.ok()) {
        return ca.error();
    }
    auto tls = trust::issue_tls(world_.me.issuer(), name, tls_spki, validity, world_.random);
    if (!tls.ok()) {
        return tls.error();
    }
    std::vector<std::string> chain{*ca};
    chain.insert(chain.end(), world_.me.ca_chain_der.begin(), world_.me.ca_chain_der.end());
    return dump({{"name", name.text()},
                 {"epoch", child.epoch},
                 {"tls_cert", trust::to_pem({*tls})},
                 {"ca_chain", trust::to_pem(chain)}});
}

Result<std::string> Enrolment::certify(const ChildRow& invited, const trust::TierName& name,
                                       const trust::PublicKey& key, const std::string& tls_spki) {
    auto certificates = sign_certificates(invited, name, key, tls_spki);
    if (!certificates.ok()) {
        return certificates;
    }
    ChildRow child = invited;
    child.state = "enrolled";
    child.since_us = world_.clock.wall_us();
    child.envelope_key = key.raw();
    child.tls_key_sha256 = to_hex(trust::spki_fingerprint(tls_spki));
    child.certificates = *std::move(certificates);
    const Status stored = world_.store.transact([&]() -> Status {
        if (Status put = world_.store.put_child(child); !put.ok()) {
            return put;
        }
        // By the child's name there is one invitation: mark it as used by this key.
        return world_.store.use_invitation(child.name, child.envelope_key);
    });
    if (!stored.ok()) {
        return stored.error();
    }
    world_.log.info("enrol.done", "a tier has joined", {{"name", name.text()}});
    world_.enrolled();
    return child.certificates;
}

Result<std::string> Enrolment::renew(const std::string& name, const std::string& tls_spki) {
    auto row = world_.store.child(name);
    if (!row.ok()) {
        return row.error();
    }
    const auto full_name = world_.me.name.child(name);
    if (!*row || (*row)->state != "enrolled" || !full_name.ok()) {
        return fail(Code::refused, "no tier '" + name + "' is enrolled here");
    }
    ChildRow child = **row;
    const auto key = trust::PublicKey::from_raw(child.envelope_key);
    if (!key.ok() || tls_spki.size() > tls_spki_bytes_max ||
        to_hex(trust::spki_fingerprint(tls_spki)) != child.tls_key_sha256) {
        return fail(Code::refused, "the tier '" + name + "' is enrolled with another key",
                    "join with a new invitation: hasp local invite " + name);
    }
    if (signed_lately(child.certificates)) {
        return child.certificates;
    }
    auto certificates = sign_certificates(child, *full_name, *key, tls_spki);
    if (!certificates.ok()) {
        return certificates;
    }
    child.certificates = *certificates;
    if (const Status put = world_.store.put_child(child); !put.ok()) {
        return put.error();
    }
    world_.log.info("certificates.signed", "a tier has new certificates", {{"name", name}});
    return certificates;
}

bool Enrolment::signed_lately(const std::string& certificates) const {
    const auto chain = trust::from_pem(text_of(parse_object(certificates), "ca_chain"));
    if (!chain.ok() || chain->empty() ||
        !std::equal(chain->begin() + 1, chain->end(), world_.me.ca_chain_der.begin(),
                    world_.me.ca_chain_der.end())) {
        return false;
    }
    const auto end = trust::certificate_end_us(chain->front());
    return end.ok() && *end > world_.clock.wall_us() + certificate_life_us - sign_again_after_us;
}

Status Enrolment::revoke(const std::string& name) {
    auto child = world_.store.child(name);
    if (!child.ok()) {
        return child.error();
    }
    if (!*child) {
        return fail(Code::not_found, "there is no tier '" + name + "' below this one",
                    "hasp local list shows those that are");
    }
    if ((*child)->state == "revoked") {
        return {};
    }
    ChildRow next = **child;
    next.state = "revoked";
    next.since_us = world_.clock.wall_us();
    return world_.store.transact([&]() -> Status {
        if (Status dropped = world_.store.drop_invitations(name); !dropped.ok()) {
            return dropped;
        }
        return world_.store.put_child(next);
    });
}

} // namespace hasp::maint
