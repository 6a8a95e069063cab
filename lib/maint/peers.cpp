#include "peers.h"

#include "base/text.h"
#include "trust/certificate.h"
#include "trust/hash.h"

#include <algorithm>
#include <iterator>

namespace hasp::maint {

namespace {
constexpr std::size_t user_bytes_max = 40; // of a usage record
constexpr std::size_t user_hash_bytes = 8;
constexpr std::size_t peer_why_bytes_max = 500;
// A peer can send what is wrong as often as it likes: that must not fill the log.
constexpr std::int64_t refusal_log_step_us = 60'000'000;

// Sorted, each once. Code::usage: one is no name, or they are too many.
Status tidy_names(std::vector<std::string>& apps) {
    for (const std::string& app : apps) {
        if (!valid_name(app)) {
            return fail(Code::usage, "'" + app + "' is not the name of an app");
        }
    }
    std::sort(apps.begin(), apps.end());
    apps.erase(std::unique(apps.begin(), apps.end()), apps.end());
    if (apps.size() > peer_apps_max) {
        return fail(Code::usage,
                    "a peer has at most " + std::to_string(peer_apps_max) + " apps a list");
    }
    return {};
}

std::string without_mark(const std::string& name) {
    return name.starts_with('@') ? name.substr(1) : name;
}

Json refusal(const Error& error) {
    return {{"error", error_json(error)}};
}
} // namespace

std::string peer_user(const std::string& user, const std::string& peer) {
    const std::string mark = "@" + peer;
    if (user.size() + mark.size() <= user_bytes_max) {
        return user + mark;
    }
    // No name of a user has a dot, so that this is nobody else's.
    const std::string hash = "." + to_hex(trust::sha256(user).substr(0, user_hash_bytes));
    return user.substr(0, user_bytes_max - hash.size() - mark.size()) + hash + mark;
}

// Judged as of the last moment of the root, so that neither a clock that is still wrong at the
// start nor a root that is over makes a row another one than it was.
Result<Peers::Peer> Peers::read(const PeerRow& row) const {
    auto card = trust::parse_peer_card(row.card);
    if (!card.ok()) {
        return card.error();
    }
    const auto end_us = trust::certificate_end_us(card->root_der);
    if (!end_us.ok()) {
        return end_us.error();
    }
    auto realm_id = trust::realm_id_of(*card, *end_us - second_us);
    if (!realm_id.ok()) {
        return realm_id.error();
    }
    return Peer{row, *std::move(card), *std::move(realm_id), false, false, 0, {}};
}

Status Peers::load() {
    auto rows = world_.store.peers();
    if (!rows.ok()) {
        return rows.error();
    }
    for (PeerRow& row : *rows) {
        const std::string name = row.name;
        auto peer = read(row);
        if (!peer.ok()) {
            world_.log.error("peer.card", peer.error().message, {{"peer", name}});
            unusable_.emplace(name, Unusable{std::move(row), peer.error().message});
            continue;
        }
        peers_.emplace(name, *std::move(peer));
    }
    return {};
}

// Names may have come to stand for other addresses.
void Peers::tick() {
    bool moved = false;
    for (const auto& [name, peer] : peers_) {
        std::vector<std::string> now = numeric(peer);
        std::vector<std::string>& told = told_[name];
        moved = moved || told != now;
        told = std::move(now);
    }
    if (moved) {
        world_.moved();
    }
}

Result<std::string> Peers::card(const std::vector<std::string>& addresses) const {
    auto made = trust::make_peer_card(addresses, world_.me.name, world_.me.ca_chain_der.back(),
                                      world_.me.envelope_key.public_key());
    return made.ok() ? Result<std::string>(made->text()) : made.error();
}

Status Peers::put(const Wanted& wanted) {
    const Peer* known = find(wanted.name);
    PeerRow row{wanted.name, wanted.card, wanted.asks, wanted.offers, world_.clock.wall_us()};
    if (!valid_name(row.name) || row.name.size() > peer_name_bytes_max) {
        return fail(Code::usage, "'" + row.name + "' is no name for a peer",
                    "small letters, digits and hyphens, at most " +
                        std::to_string(peer_name_bytes_max));
    }
    if (row.card.empty() && known == nullptr) {
        return fail(Code::usage, "there is no peer '" + row.name + "' yet",
                    "give its line with --from FILE; the other center prints it with: hasp peer "
                    "export");
    }
    if (known == nullptr && !unusable_.contains(row.name) &&
        peers_.size() + unusable_.size() >= peers_max) {
        return fail(Code::refused, "a tier has at most " + std::to_string(peers_max) + " peers");
    }
    row.card = row.card.empty() ? known->row.card : std::string(trim(row.card));
    for (std::vector<std::string>* list : {&row.asks, &row.offers}) {
        if (Status tidied = tidy_names(*list); !tidied.ok()) {
            return tidied;
        }
    }
    auto peer = read(row);
    if (!peer.ok()) {
        return peer.error();
    }
    for (const Status& checked : {check_new(*peer), check_asked(row)}) {
        if (!checked.ok()) {
            return checked;
        }
    }
    if (Status kept = world_.store.put_peer(row); !kept.ok()) {
        return kept;
    }
    if (known != nullptr) { // front says only what is new
        peer->seen = known->seen;
        peer->up = known->up;
        peer->since_us = known->since_us;
        peer->why = known->why;
    }
    unusable_.erase(row.name);
    peers_.insert_or_assign(row.name, *std::move(peer));
    cut(row.name, "the peer was changed by an operator");
    return {};
}

// Front trusts all roots at once, so that one that can be taken for another would keep the other's
// tiers out.
Status Peers::check_new(const Peer& peer) const {
    const trust::TierName& name = peer.card.name;
    if (const auto now = trust::realm_id_of(peer.card, world_.time.wall_us()); !now.ok()) {
        return now.error();
    }
    if (peer.realm_id == world_.me.realm_id &&
        (name == world_.me.name || name.is_above(world_.me.name) ||
         world_.me.name.is_above(name))) {
        return fail(Code::refused, name.text() + " is this tier, or above or below it: no peer");
    }
    const std::string same_root = "its realm's root has the same name as that of ";
    const char* const rename = "one of the two realms needs another name or another top";
    if (trust::same_root_name(peer.card.root_der, world_.me.ca_chain_der.back())) {
        return fail(Code::refused, same_root + "this realm, and another key", rename);
    }
    for (const auto& [other, one] : peers_) {
        if (other == peer.row.name) {
            continue;
        }
        if (one.card.name == name && one.realm_id == peer.realm_id) {
            return fail(Code::conflict, name.text() + " is a peer already, as '" + other + "'");
        }
        if (trust::same_root_name(peer.card.root_der, one.card.root_der)) {
            return fail(Code::refused, same_root + "the peer '" + other + "', and another key",
                        rename);
        }
    }
    return {};
}

Status Peers::check_asked(const PeerRow& row) const {
    if (!row.asks.empty() && world_.config.web.app_host.empty()) {
        return fail(Code::refused,
                    "apps of a peer are shown each under a host name of its own, and this tier has "
                    "none for apps",
                    "set app_host under [web] in hasp.toml");
    }
    for (const auto& [other, one] : peers_) {
        for (const std::string& app : row.asks) {
            if (other != row.name &&
                std::binary_search(one.row.asks.begin(), one.row.asks.end(), app)) {
                return fail(Code::conflict,
                            "'" + app + "' is asked for at the peer '" + other + "' already");
            }
        }
    }
    return {};
}

Status Peers::remove(const std::string& called) {
    const std::string name = without_mark(called);
    if (Status dropped = world_.store.drop_peer(name); !dropped.ok()) {
        return dropped;
    }
    if (peers_.erase(name) + unusable_.erase(name) == 0) {
        return fail(Code::not_found, "there is no peer '" + name + "'", "hasp peer list shows all");
    }
    told_.erase(name);
    cut(name, "the peer was removed by an operator");
    return {};
}

// First the credentials, so that it does not come back by those that were.
void Peers::cut(const std::string& name, const std::string& reason) {
    world_.log.info("peer.changed", reason, {{"peer", name}});
    world_.changed();
    world_.ports.send_front(
        dump({{"t", "link.cut"}, {"neighbour", "@" + name}, {"reason", reason}}), {}, {});
}

const Peers::Peer* Peers::find(const std::string& name) const {
    const auto at = peers_.find(without_mark(name));
    return at == peers_.end() ? nullptr : &at->second;
}

std::map<std::string, std::vector<std::string>> Peers::asked() const {
    std::map<std::string, std::vector<std::string>> out;
    for (const auto& [name, peer] : peers_) {
        out["@" + name] = peer.row.asks;
    }
    return out;
}

std::vector<std::string> Peers::numeric(const Peer& peer) const {
    return numeric_addresses(peer.card.addresses, world_.resolve);
}

Json Peers::credentials() const {
    Json out = Json::array();
    for (const auto& [name, peer] : peers_) {
        out.push_back({{"name", "@" + name},
                       {"tier", peer.card.name.text()},
                       {"realm_id", to_hex(peer.realm_id)},
                       {"root", trust::to_pem({peer.card.root_der})},
                       {"addresses", numeric(peer)}});
    }
    return out;
}

Json Peers::to_json(const Peer& peer) const {
    Json out{{"name", peer.row.name},
             {"tier", peer.card.name.text()},
             {"realm_id", to_hex(peer.realm_id)},
             {"state", !peer.seen ? "not asked yet"
                       : peer.up  ? "up"
                                  : "down"},
             {"since", peer.seen ? Json(rfc3339(peer.since_us)) : Json()},
             {"addresses", peer.card.addresses},
             {"asks", peer.row.asks},
             {"offers", peer.row.offers}};
    if (peer.seen && !peer.up) {
        out["reason"] = peer.why;
    }
    return out;
}

Json Peers::json() const {
    Json out = Json::array();
    for (const auto& [name, peer] : peers_) {
        out.push_back(to_json(peer));
    }
    for (const auto& [name, one] : unusable_) {
        out.push_back({{"name", name},
                       {"state", "unusable"},
                       {"reason", one.why},
                       {"asks", one.row.asks},
                       {"offers", one.row.offers}});
    }
    return out;
}

Json Peers::json(const std::string& name) const {
    const Peer* peer = find(name);
    return peer == nullptr ? Json() : to_json(*peer);
}

std::optional<std::int64_t> Peers::since_us(const std::string& name) const {
    const Peer* peer = find(name);
    return peer != nullptr && peer->seen ? std::optional(peer->since_us) : std::nullopt;
}

trust::AssertionParties Peers::from_us(const Peer& peer) const {
    return {world_.me.name, world_.me.realm_id, peer.card.name, peer.realm_id};
}
trust::AssertionParties Peers::to_us(const Peer& peer) const {
    return {peer.card.name, peer.realm_id, world_.me.name, world_.me.realm_id};
}

Json Peers::assertion(const Json& question) const {
    const Peer* peer = find(text_of(question, "peer"));
    const std::string app = text_of(question, "app");
    if (peer == nullptr || !std::binary_search(peer->row.asks.begin(), peer->row.asks.end(), app)) {
        return refusal(fail(Code::refused, "'" + app + "' is asked for at no such peer"));
    }
    const std::int64_t now_us = world_.time.wall_us();
    auto made = trust::sign_assertion(from_us(*peer), text_of(question, "user"), app, now_us,
                                      world_.me.envelope_key);
    if (!made.ok()) {
        return refusal(fail(Code::refused, made.error().message));
    }
    return {{"text", to_base64url(*made)}, {"until_us", now_us + trust::assertion_skew_us}};
}

Json Peers::identify(const Json& question) {
    const std::string name = text_of(question, "child");
    const Peer* peer = find(name);
    const auto refuse = [&](const std::string& why) {
        if (const std::int64_t now_us = world_.clock.boot_us();
            refusal_logged_us_ == 0 || now_us - refusal_logged_us_ >= refusal_log_step_us) {
            refusal_logged_us_ = now_us;
            world_.log.warn("peer.refused", why, {{"peer", name}});
        }
        return refusal(fail(Code::refused, why));
    };
    if (peer == nullptr) {
        return refuse("there is no such peer");
    }
    const auto bytes = from_base64url(text_of(question, "secret"));
    if (!bytes) {
        return refuse("its assertion is not base64url");
    }
    const auto said =
        trust::read_assertion(*bytes, peer->card.key, to_us(*peer), world_.time.wall_us());
    if (!said.ok()) {
        return refuse(said.error().message);
    }
    if (!std::binary_search(peer->row.offers.begin(), peer->row.offers.end(), said->app)) {
        return refuse("its users may not use '" + said->app + "' here");
    }
    return {{"peer",
             {{"user", peer_user(said->user, peer->row.name)},
              {"app", said->app},
              {"until_us", said->not_after_us}}}};
}

void Peers::said(const Json& head) {
    const auto at = peers_.find(without_mark(text_of(head, "name")));
    if (at == peers_.end()) {
        return;
    }
    Peer& peer = at->second;
    peer.seen = true;
    peer.up = true_of(head, "up");
    peer.since_us = int_of(head, "since_us");
    peer.why = text_of(head, "why").substr(0, peer_why_bytes_max);
}

} // namespace hasp::maint
