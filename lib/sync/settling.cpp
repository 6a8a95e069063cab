#include "settling.h"

#include <algorithm>

namespace hasp::sync {

void Noticed::add(Noticed later) {
    everything = everything || later.everything;
    // A move counts as long as nothing else was noticed of its ends.
    std::erase_if(moves, [&](const Move& move) {
        return later.paths.contains(move.to) || later.paths.contains(move.from);
    });
    for (Move& move : later.moves) {
        if (!paths.contains(move.from) && !paths.contains(move.to)) {
            moves.push_back(std::move(move));
        }
    }
    paths.merge(later.paths);
    trees.merge(later.trees);
    if (everything || paths.size() + trees.size() > noticed_max) {
        *this = Noticed{true, {}, {}, {}};
    }
}

void Settling::note(const std::string& path, Change change, std::int64_t now_us) {
    put(path, change, now_us, "");
}

void Settling::moved(const std::string& from, const std::string& to, std::int64_t now_us) {
    const auto before = pending_.find(from);
    const bool untouched = before == pending_.end() && !pending_.contains(to);
    put(from, Change::named, now_us, "");
    put(to, Change::named, now_us, untouched ? from : "");
}

void Settling::put(const std::string& path, Change change, std::int64_t now_us,
                   const std::string& from) {
    if (lost_us_) {
        return;
    }
    auto [at, fresh] = pending_.try_emplace(path);
    Pending& pending = at->second;
    if (fresh) {
        pending.first_us = now_us;
    } else {
        due_.erase({pending.due_us, path});
    }
    const bool content = change == Change::written || change == Change::closed;
    pending.content = pending.content || content;
    pending.tree = pending.tree || change == Change::tree;
    pending.from = fresh && !content ? from : "";
    pending.due_us =
        std::min(pending.first_us + settled_latest_us,
                 now_us + (change == Change::written ? settled_open_us : settled_closed_us));
    due_.insert({pending.due_us, path});
    if (change != Change::written) {
        burst_first_us_ = burst_first_us_ == 0 ? now_us : burst_first_us_;
        burst_last_us_ = now_us;
    }
    if (pending_.size() > noticed_max) {
        lose_track(now_us);
    }
}

void Settling::lose_track(std::int64_t now_us) {
    pending_.clear();
    due_.clear();
    burst_first_us_ = 0;
    lost_us_ = lost_us_.value_or(now_us);
}

std::optional<std::int64_t> Settling::due_us() const {
    if (lost_us_) {
        return *lost_us_ + settled_closed_us;
    }
    if (due_.empty()) {
        return std::nullopt;
    }
    // While a burst goes on, what is part of it waits for the rest of it.
    std::int64_t due = due_.begin()->first;
    if (burst_first_us_ != 0) {
        due =
            std::max(due, std::min(burst_last_us_ + settled_closed_us, burst_first_us_ + burst_us));
    }
    return due;
}

Noticed Settling::take(std::int64_t now_us, Take which) {
    Noticed out;
    if (lost_us_) {
        if (which == Take::all || now_us >= *lost_us_ + settled_closed_us) {
            lost_us_.reset();
            out.everything = true;
        }
        return out;
    }
    while (!due_.empty() && (which == Take::all || due_.begin()->first <= now_us)) {
        const std::string path = due_.begin()->second;
        const auto at = pending_.find(path);
        const Pending& pending = at->second;
        (pending.tree ? out.trees : out.paths).insert(path);
        if (!pending.from.empty()) {
            out.moves.push_back({pending.from, path});
        }
        due_.erase(due_.begin());
        pending_.erase(at);
    }
    // Of a move both ends, or it is none.
    for (const Noticed::Move& move : out.moves) {
        if (const auto at = pending_.find(move.from); at != pending_.end()) {
            out.paths.insert(move.from);
        }
    }
    burst_first_us_ = 0;
    return out;
}

} // namespace hasp::sync
