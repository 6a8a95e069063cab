#include "direct_pending.h"

#include "base/text.h"

#include <utility>

namespace hasp::maint {

namespace {

std::string pair_key(const std::string& sid, const std::string& other) {
    return sid + " " + other;
}

} // namespace

void DirectPending::drop_old() {
    while (!by_age_.empty()) {
        const auto oldest = waiting_.find(by_age_.front());
        if (oldest != waiting_.end()) {
            if (clock_.boot_us() - oldest->second.since_us < direct_pending_us) {
                break;
            }
            const std::string url = oldest->second.journey.url;
            const std::string sid = oldest->first.substr(0, oldest->first.find(' '));
            const bool late = oldest->second.late;
            waiting_.erase(oldest);
            if (!late) {
                pause(sid, url);
            }
        }
        by_age_.pop_front();
    }
    if (by_age_.size() > 2 * direct_pending_max) {
        std::erase_if(by_age_, [this](const std::string& key) { return !waiting_.contains(key); });
    }
}

std::string DirectPending::set_out(const std::string& sid, Journey journey) {
    drop_old();
    const std::string prefix = pair_key(sid, "");
    std::size_t own = 0;
    for (auto at = waiting_.lower_bound(prefix);
         at != waiting_.end() && at->first.starts_with(prefix); ++at) {
        ++own;
    }
    if (own >= direct_pending_max_each || waiting_.size() >= direct_pending_max) {
        return {};
    }
    std::string state = to_hex(random_.bytes(16));
    const std::string key = pair_key(sid, state);
    waiting_.emplace(key, Waiting{std::move(journey), clock_.boot_us()});
    by_age_.push_back(key);
    return state;
}

void DirectPending::forget(const std::string& sid, const std::string& state) {
    waiting_.erase(pair_key(sid, state));
}

std::optional<DirectPending::Journey> DirectPending::come_back(const std::string& sid,
                                                               const std::string& state) {
    const auto at = waiting_.find(pair_key(sid, state));
    if (at == waiting_.end()) {
        return std::nullopt;
    }
    Waiting found = std::move(at->second);
    waiting_.erase(at);
    if (clock_.boot_us() - found.since_us >= direct_pending_us) {
        return std::nullopt;
    }
    return std::move(found.journey);
}

void DirectPending::remember(Known& into, const std::string& key, std::int64_t until_us) const {
    if (into.size() >= direct_known_max && !into.contains(key)) {
        std::erase_if(into, [this](const auto& one) { return one.second <= clock_.boot_us(); });
        if (into.size() >= direct_known_max) {
            into.erase(into.begin()); // sids are random, so nobody chooses whose
        }
    }
    into[key] = until_us;
}

void DirectPending::pause(const std::string& sid, const std::string& url) {
    reached_.erase(pair_key(sid, url));
    remember(paused_, pair_key(sid, url), clock_.boot_us() + direct_pause_us);
}

void DirectPending::rest(const std::string& sid, const std::string& url) {
    remember(paused_, pair_key(sid, url), clock_.boot_us() + direct_rest_us);
}

bool DirectPending::goes(const std::string& sid, const std::string& app, const std::string& url) {
    const std::int64_t now_us = clock_.boot_us();
    const auto is_over = [now_us](const Gone& one) {
        return now_us - one.since_us >= direct_entries_us;
    };
    if (gone_.size() >= direct_known_max) {
        std::erase_if(gone_, [&](const auto& one) { return is_over(one.second); });
        if (gone_.size() >= direct_known_max) {
            gone_.erase(gone_.begin());
        }
    }
    Gone& gone = gone_.try_emplace(pair_key(sid, app), Gone{now_us, 0}).first->second;
    if (is_over(gone)) {
        gone = {now_us, 0};
    }
    if (++gone.times <= direct_entries_max) {
        return true;
    }
    pause(sid, url);
    return false;
}

bool DirectPending::paused(const std::string& sid, const std::string& url) {
    drop_old();
    const std::string prefix = pair_key(sid, "");
    for (auto at = waiting_.lower_bound(prefix);
         at != waiting_.end() && at->first.starts_with(prefix); ++at) {
        if (!at->second.late && at->second.journey.url == url &&
            clock_.boot_us() - at->second.since_us >= direct_return_us) {
            at->second.late = true;
            pause(sid, url);
        }
    }
    const auto until = paused_.find(pair_key(sid, url));
    return until != paused_.end() && until->second > clock_.boot_us();
}

void DirectPending::reaches(const std::string& sid, const std::string& url) {
    paused_.erase(pair_key(sid, url));
    remember(reached_, pair_key(sid, url), clock_.boot_us() + direct_reach_us);
}

bool DirectPending::does_reach(const std::string& sid, const std::string& url) const {
    const auto until = reached_.find(pair_key(sid, url));
    return until != reached_.end() && until->second > clock_.boot_us();
}

} // namespace hasp::maint
