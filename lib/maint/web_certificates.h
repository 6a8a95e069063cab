// The certificate that browsers see: from files that somebody else renews, or asked for by this
// tier, for a key that is made here and stays here, of the nearest tier above (or itself) that has
// an authority. What is held stands, on the disk and in use, until the next one is verified and
// durable. Passes the questions of tiers below on upward. One thread.
#pragma once

#include "acme.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "json_tools.h"
#include "links.h"
#include "maint/config.h"
#include "maint/tier_identity.h"
#include "trust/web_ca.h"
#include "web_authority.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace hasp::maint {

// When the next certificate is asked for: at two thirds of the life, earlier where less than
// `offline_us` would be left then, but not before one third; less up to a twentieth of the life,
// so that tiers which began together do not ask together (`spread` in 0…999). Wall time.
std::int64_t renew_at_us(std::int64_t from_us, std::int64_t to_us, std::int64_t offline_us,
                         std::uint64_t spread);
// How much of a life is left at least whenever a link drops, if each renewal came when it was due.
std::int64_t always_left_us(std::int64_t life_us, std::int64_t offline_us);

class WebCertificates {
  public:
    struct World {
        KeeperPorts& ports;
        Links& links;
        const Clock& clock;
        Random& random;
        const Log& log;
        const Config& config;
        const TierIdentity& me;
        WebAuthority& authority;
        Acme& acme;
        std::string keys_folder;
        std::function<std::int64_t()> trusted_now_us;
        // How long the tier may go on without the one above, by its leases; 0: nothing is lent.
        std::function<std::int64_t()> lent_us;
        std::function<void()> changed; // status is another
    };
    explicit WebCertificates(World world);

    // What is kept from before; a damaged file is told, and asked for anew.
    void load();
    // Front is there and has no certificate but that of files.
    void front_connected();
    void parent_connected();
    void tick();

    // Null where browsers are not served by TLS: {from, names, issuer?, ends?, renews?,
    // wanted_days, allows_days?, short?, error?}. Times are RFC 3339. `short` is a sentence: the
    // tier is to do without the link for longer than its certificate allows.
    Json show() const;
    // Of the authority that signed what is held, PEM; empty: that is none of a tier.
    std::string authority_pem() const;

  private:
    struct Held {
        std::string from; // "lan" or "acme"
        trust::TlsKey key;
        std::vector<std::string> chain; // DER, the leaf first
        trust::WebCertificate said;
    };
    bool asks() const { return world_.config.web.tls_from != Config::TlsFrom::files; }
    std::string from() const;
    std::int64_t offline_us() const;
    std::int64_t renew_us(const Held& held) const;
    // What is held is of the source and for the names of the config.
    bool fits() const;
    bool due(std::int64_t now_us) const;
    void look_at_files();
    void ask();
    void answered(Result<Message> answer);
    Status take(const std::string& pem);
    // Of a tier below, or of our own: here, or further up.
    void decide(const trust::TierName& tier, const Json& question, const Links::Answer& answer);
    void from_below(const std::string& child, const Message& message, const Links::Answer& answer);
    Status keep(const Held& held) const;
    void tell_front() const;
    void failed(const std::string& why, std::int64_t again_us);
    std::string short_words(std::int64_t allows_us, std::int64_t wanted_us, bool overdue) const;

    World world_;
    std::optional<Held> held_;
    std::optional<trust::TlsKey> next_key_;         // of the question under way
    std::optional<trust::WebCertificate> in_files_; // of the file, where `from` is files
    std::string error_;                             // of the last question, or of the file
    bool asking_ = false;
    int failures_ = 0;          // in a row
    std::int64_t again_us_ = 0; // boot clock; no question before this
    std::int64_t looked_us_ = 0;
};

} // namespace hasp::maint
