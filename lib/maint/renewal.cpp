#include "renewal.h"

#include "base/text.h"

#include <algorithm>

namespace hasp::maint {

namespace {
// After an answer, or none: a parent whose own certificates end soon can give no later ones yet.
constexpr std::int64_t ask_again_us = 24LL * 3600 * 1'000'000;
} // namespace

Renewal::Renewal(World world) : world_(std::move(world)) {
    world_.links.on("certificates.renew", [this](const std::string& from, const Message& m,
                                                 const Links::Answer& answer) {
        if (from == to_parent) {
            answer(fail(Code::refused, "certificates are signed from above"));
            return;
        }
        auto certificates =
            world_.enrolment.renew(from, from_base64url(text_of(m.head, "tls_key")).value_or(""));
        if (!certificates.ok()) {
            world_.log.warn("certificates.refused", certificates.error().message, {{"name", from}});
            answer(certificates.error());
            return;
        }
        answer(Message{Json::object(), *std::move(certificates)});
    });
}

bool Renewal::due() const {
    return world_.me.certificates_end_us() < world_.trusted_now_us() + renew_before_us;
}

void Renewal::parent_connected() {
    again_us_ = 0;
    tick();
}

void Renewal::tick() {
    const std::int64_t now = world_.clock.boot_us();
    if (asking_ || now < again_us_) {
        return;
    }
    again_us_ = now + ask_again_us;
    if (!due()) {
        return;
    }
    if (!world_.me.has_parent()) {
        sign_own();
    } else if (world_.links.connected(to_parent)) {
        ask();
    } else {
        again_us_ = 0;
    }
}

void Renewal::ask() {
    asking_ = true;
    world_.links.ask(
        to_parent,
        {{"t", "certificates.renew"}, {"tls_key", to_base64url(world_.me.tls_key.spki_der())}}, {},
        [this](Result<Message> answer) {
            asking_ = false;
            if (answer.ok()) {
                take(*answer);
            } else {
                world_.log.warn("certificates.renew", answer.error().message);
            }
        });
}

void Renewal::take(const Message& answer) {
    auto certificates =
        read_certificates(answer.body, world_.me.name, world_.me.realm_id, world_.me.envelope_key,
                          world_.me.tls_key, world_.trusted_now_us());
    if (!certificates.ok()) {
        world_.log.warn("certificates.renew", certificates.error().message);
        return;
    }
    TierIdentity next = world_.me;
    next.ca_chain_der = std::move(certificates->ca_chain_der);
    next.tls_cert_der = std::move(certificates->tls_cert_der);
    // Its own certificates may be the ones that end first: then nothing is won yet.
    if (next.certificates_end_us() > world_.me.certificates_end_us()) {
        put_in_use(std::move(next));
    }
}

void Renewal::sign_own() {
    TierIdentity next = world_.me;
    auto leaf = trust::issue_tls(next.issuer(), next.name, next.tls_key.spki_der(),
                                 trust::valid_for(world_.clock.wall_us(), certificate_life_us),
                                 world_.random);
    if (!leaf.ok()) {
        world_.log.error("certificates.renew", leaf.error().message);
        return;
    }
    next.tls_cert_der = *std::move(leaf);
    put_in_use(std::move(next));
}

void Renewal::put_in_use(TierIdentity next) {
    if (const Status saved = save_certificates(world_.keys_folder, next); !saved.ok()) {
        world_.log.error("certificates.keep", saved.error().message);
        return;
    }
    world_.me.ca_chain_der = std::move(next.ca_chain_der);
    world_.me.tls_cert_der = std::move(next.tls_cert_der);
    world_.log.info("certificates.renewed", "new certificates are in use",
                    {{"until", rfc3339(world_.me.certificates_end_us())}});
    world_.renewed();
}

} // namespace hasp::maint
