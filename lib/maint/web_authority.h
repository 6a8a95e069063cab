// The authority for browsers of a tier: [web_ca] in its config, a key and a certificate beside the
// tier's own keys. It signs for tiers below and for its own, and knows no other names than those
// that its certificate permits. One thread; files at construction and at renew() only.
#pragma once

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "json_tools.h"
#include "maint/config.h"
#include "maint/tier_identity.h"
#include "trust/web_ca.h"
#include "web_zones.h"

#include <optional>
#include <string>

namespace hasp::maint {

// Of the authority's own certificate. It is not renewed by itself: everybody who trusts it has to
// be given the next one.
inline constexpr std::int64_t web_ca_life_us = 3650LL * 24 * 3600 * 1'000'000;
// From here on its end is told.
inline constexpr std::int64_t web_ca_late_us = 365LL * 24 * 3600 * 1'000'000;

class WebAuthority {
  public:
    struct World {
        const Clock& clock; // trusted: what is signed is to be good now for those below
        Random& random;
        const Log& log;
        const Config& config;
        const TierIdentity& me;
        std::string keys_folder;
    };
    explicit WebAuthority(World world) : world_(std::move(world)) {}

    // Loads, or makes at the first start with names under [web_ca]. Nothing is made, and nothing is
    // wrong, where the config has none.
    Status load();
    bool there() const { return key_.has_value(); }

    // The certificate and the authority's, PEM. refused: names that are not the tier's, with a hint
    // for its operator.
    Result<std::string> sign(const trust::TierName& tier, const trust::WebRequest& request);

    // {from, tier, permits, ends, late?, names_differ?, certificate (PEM), next? (PEM)}
    Json show() const;
    // In two steps, so that everybody can be given the next one beforehand: makes it, or puts the
    // one that was made into use. conflict: the other step is due.
    Status make_next();
    Status use_next();

  private:
    struct Pair {
        trust::TlsKey key;
        std::string der;
    };
    std::string key_file(bool next) const;
    std::string certificate_file(bool next) const;
    Result<Pair> make() const;
    Result<std::optional<Pair>> read(bool next) const;
    bool next_was_begun() const;
    Status save(const Pair& pair, bool next) const;

    World world_;
    WebZones zones_;
    std::optional<Pair> key_;
    std::optional<Pair> next_;
};

} // namespace hasp::maint
