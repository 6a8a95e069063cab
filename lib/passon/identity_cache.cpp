#include "identity_cache.h"

#include "registry/snapshot.h"

#include <bit>
#include <cstring>
#include <iterator>

namespace hasp::passon {

std::string header_encode(std::string_view text, bool comma_too) {
    constexpr char digits[] = "0123456789ABCDEF";
    std::string out;
    out.reserve(text.size());
    for (const char c : text) {
        const auto u = static_cast<unsigned char>(c);
        if (u >= 0x20 && u < 0x7f && c != '%' && !(comma_too && c == ',')) {
            out += c;
        } else {
            out += '%';
            out += digits[u >> 4U];
            out += digits[u & 15U];
        }
    }
    return out;
}

std::array<std::uint8_t, 16> id_bytes(std::string_view hex) {
    std::array<std::uint8_t, 16> out{};
    if (hex.size() != 2 * out.size()) {
        return out;
    }
    for (std::size_t i = 0; i < hex.size(); ++i) {
        const char c = hex[i];
        const bool digit = c >= '0' && c <= '9';
        if (!digit && (c < 'a' || c > 'f')) {
            return {};
        }
        const auto value = static_cast<std::uint8_t>(digit ? c - '0' : c - 'a' + 10);
        out[i / 2] = static_cast<std::uint8_t>(i % 2 == 0 ? value << 4U : out[i / 2] | value);
    }
    return out;
}

std::shared_ptr<const KnownIdentity> render(std::shared_ptr<const Identity> identity) {
    if (identity == nullptr) {
        return nullptr;
    }
    auto known = std::make_shared<KnownIdentity>();
    known->name = header_encode(identity->name);
    known->email = header_encode(identity->email);
    for (const std::string& group : identity->groups) {
        known->groups += known->groups.empty() ? "" : ",";
        known->groups += header_encode(group, true);
    }
    known->sid_bytes = id_bytes(identity->sid);
    known->identity = std::move(identity);
    return known;
}

std::size_t IdentityCache::Hash::operator()(std::string_view text) const {
    // The seed is secret and mixed in at every step, so that collisions cannot be prepared outside.
    std::uint64_t h = seed ^ (text.size() * 0x9e3779b97f4a7c15U);
    while (text.size() >= 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, text.data(), 8);
        h = std::rotl((h ^ word) * 0xff51afd7ed558ccdU, 29) + seed;
        text.remove_prefix(8);
    }
    std::uint64_t word = 0;
    if (!text.empty()) {
        std::memcpy(&word, text.data(), text.size());
    }
    h = (h ^ word) * 0xc4ceb9fe1a85ec53U;
    return h ^ (h >> 32);
}

std::string_view IdentityCache::key_of(WhoQuestion::Kind kind, std::string_view scope,
                                       std::string_view secret) {
    scratch_.clear();
    scratch_ += static_cast<char>('0' + static_cast<int>(kind));
    scratch_.append(scope);
    scratch_ += '\0';
    scratch_.append(secret);
    return scratch_;
}

bool IdentityCache::is_of(const Entry& entry, WhoQuestion::Kind kind, std::string_view scope,
                          std::string_view secret) {
    const std::string_view key = entry.key;
    return key.size() == scope.size() + secret.size() + 2 &&
           key.front() == static_cast<char>('0' + static_cast<int>(kind)) &&
           key.substr(1, scope.size()) == scope && key[scope.size() + 1] == '\0' &&
           key.substr(scope.size() + 2) == secret;
}

void IdentityCache::erase(std::list<Entry>::iterator at) {
    ++erased_;
    map_.erase(std::string_view(at->key));
    order_.erase(at);
}

IdentityCache::Found IdentityCache::find(WhoQuestion::Kind kind, std::string_view scope,
                                         std::string_view secret, std::int64_t now_ms,
                                         std::int64_t trusted_us, std::int64_t stale_ms,
                                         Place* place) {
    std::list<Entry>::iterator where;
    if (place != nullptr && place->erased_ == erased_ && is_of(*place->at_, kind, scope, secret)) {
        where = place->at_;
    } else {
        const auto at = map_.find(key_of(kind, scope, secret));
        if (at == map_.end()) {
            return {};
        }
        where = at->second;
    }
    Entry& entry = *where;
    const bool fresh = now_ms < entry.fresh_until_ms;
    const bool over = entry.who == nullptr ? !fresh
                                           : trusted_us >= entry.who->identity->until_us ||
                                                 now_ms >= entry.fresh_until_ms + stale_ms;
    if (over) {
        erase(where);
        return {};
    }
    if (place != nullptr) {
        place->at_ = where;
        place->erased_ = erased_;
    }
    if (where != order_.begin()) {
        order_.splice(order_.begin(), order_, where);
    }
    Found found{fresh ? State::fresh : State::stale, false, entry.who};
    if (!fresh && now_ms >= entry.asked_until_ms) {
        found.ask = true;
        entry.asked_until_ms = now_ms + ask_again_ms;
    }
    return found;
}

void IdentityCache::put(WhoQuestion::Kind kind, std::string_view scope, std::string_view secret,
                        std::shared_ptr<const KnownIdentity> who, std::int64_t fresh_until_ms) {
    const std::string_view key = key_of(kind, scope, secret);
    if (const auto at = map_.find(key); at != map_.end()) {
        at->second->who = std::move(who);
        at->second->fresh_until_ms = fresh_until_ms;
        at->second->asked_until_ms = 0;
        return;
    }
    while (!order_.empty() && map_.size() >= entries_max_) {
        erase(std::prev(order_.end()));
    }
    order_.push_front({std::string(key),
                       kind == WhoQuestion::Kind::link || kind == WhoQuestion::Kind::peer
                           ? std::string(scope)
                           : std::string(),
                       std::move(who), fresh_until_ms, 0});
    map_.emplace(order_.front().key, order_.begin());
}

void IdentityCache::drop(const IdentityFilter& filter) {
    for (auto at = order_.begin(); at != order_.end();) {
        const Identity* who = at->who == nullptr ? nullptr : at->who->identity.get();
        const bool match = (filter.sid.empty() || (who != nullptr && who->sid == filter.sid)) &&
                           (filter.user.empty() || (who != nullptr && who->user == filter.user)) &&
                           (filter.child.empty() || at->child == filter.child);
        if (match) {
            erase(at++);
        } else {
            ++at;
        }
    }
}

} // namespace hasp::passon
