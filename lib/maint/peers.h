// Centers beside this one, of this realm or of another. For some apps that neither this tier nor
// the one above holds, requests of our users go there; some of ours its users may use. Both sides
// must list each other; each side's row alone says what it does. One thread.
#pragma once

#include "base/clock.h"
#include "base/log.h"
#include "dial_addresses.h"
#include "json_tools.h"
#include "maint/config.h"
#include "maint/keeper_ports.h"
#include "maint/tier_identity.h"
#include "maint/tier_store.h"
#include "trust/peer.h"
#include "trusted_clock.h"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace hasp::maint {

inline constexpr std::size_t peers_max = 64;
inline constexpr std::size_t peer_apps_max = 256; // in each list of one
// So that a peer's user has a name of at most 40 bytes, which is what a usage record holds.
inline constexpr std::size_t peer_name_bytes_max = 16;

// How a peer's user is called here: "mia@west". A long name is cut, and stays another's by a hash.
std::string peer_user(const std::string& user, const std::string& peer);

class Peers {
  public:
    struct World {
        KeeperPorts& ports;
        const Clock& clock;
        const TrustedClock& time;
        const Log& log;
        const TierIdentity& me;
        TierStore& store;
        const Config& config;
        // Asked again with every tick.
        ResolveHost resolve;
        // Front must know the peers anew, and apps must know what is asked for where.
        std::function<void()> changed;
        // Front must know the peers' addresses anew; all else is as it was.
        std::function<void()> moved;
    };
    explicit Peers(World world) : world_(std::move(world)) {}

    // A row that cannot be used is kept and listed, with the reason, until it is replaced or
    // removed. The present time is no reason: each connection is judged when it begins.
    Status load();
    void tick();

    // The line that our operator gives to the other's.
    Result<std::string> card(const std::vector<std::string>& addresses) const;

    struct Wanted {
        std::string name;
        std::string card; // empty: as it is
        std::vector<std::string> asks;
        std::vector<std::string> offers;
    };
    // Adds one, or replaces all of what is known under the name and cuts what is under way.
    // Code::usage, refused or conflict: nothing changed. Refused, too, for apps where this tier has
    // no app_host: what a peer sends is shown under a host of its own alone.
    Status put(const Wanted& wanted);
    // Ends every connection and everything that its users have here, at once; its row is dropped
    // whatever is in it. `name` with or without "@".
    Status remove(const std::string& name);

    // By peer, as front and the snapshot call it ("@west"): the apps that are asked for there.
    std::map<std::string, std::vector<std::string>> asked() const;
    // For front's credentials.
    Json credentials() const;
    // For status and the list: {name, tier, state, since, address, reason, asks, offers}; of a row
    // that cannot be used: {name, state: "unusable", reason, asks, offers}.
    Json json() const;
    // The same of one; null: there is none. `name` with or without "@".
    Json json(const std::string& name) const;
    // Wall time from which it is as front last said; nothing: front has not, or there is none.
    std::optional<std::int64_t> since_us(const std::string& name) const;

    // Front: the assertion for {peer, app, user} → {text, until_us} or {error}.
    Json assertion(const Json& question) const;
    // Front: {child: "@west", secret: its assertion} → {peer: {user, app, until_us}} or {error}.
    Json identify(const Json& question);
    // Front: how a connection to it ended.
    void said(const Json& head);

  private:
    struct Peer {
        PeerRow row;
        trust::PeerCard card;
        std::string realm_id;
        bool seen = false; // front has said how it stands
        bool up = false;
        std::int64_t since_us = 0;
        std::string why;
    };
    struct Unusable {
        PeerRow row;
        std::string why;
    };
    Result<Peer> read(const PeerRow& row) const;
    Status check_new(const Peer& peer) const;
    Status check_asked(const PeerRow& row) const;
    const Peer* find(const std::string& name) const;
    trust::AssertionParties from_us(const Peer& peer) const;
    trust::AssertionParties to_us(const Peer& peer) const;
    std::vector<std::string> numeric(const Peer& peer) const;
    Json to_json(const Peer& peer) const;
    void cut(const std::string& name, const std::string& reason);

    World world_;
    std::map<std::string, Peer> peers_;
    std::map<std::string, Unusable> unusable_;
    std::int64_t refusal_logged_us_ = 0;                   // boot clock
    std::map<std::string, std::vector<std::string>> told_; // addresses, as front last got them
};

} // namespace hasp::maint
