#include "link_pace.h"

#include <algorithm>
#include <limits>

namespace hasp::maint {

namespace {
constexpr std::int64_t second_in_us = 1'000'000;
// More is not saved up: a cap holds for every second.
constexpr std::int64_t saved_us_max = second_in_us / 4;
constexpr auto window_min = static_cast<std::int64_t>(piece_bytes_min);
constexpr auto window_max = static_cast<std::int64_t>(under_way_bytes_max);
// A window is so many pieces: one may be read or written while the others travel.
constexpr std::int64_t pieces_of_window = 4;
// Of a capped rate, one piece is at most a quarter of a second.
constexpr std::int64_t pieces_a_second = 4;

// Of those that are there; one is.
template <std::size_t N>
std::int64_t least_of(const std::array<std::int64_t, N>& times) {
    std::int64_t least = std::numeric_limits<std::int64_t>::max();
    for (const std::int64_t one : times) {
        least = one == 0 ? least : std::min(least, one);
    }
    return least;
}
} // namespace

void LinkPace::users_moved(std::uint64_t bytes_so_far, std::int64_t now_us) {
    if (bytes_so_far > users_bytes_) {
        users_us_ = now_us;
    }
    users_bytes_ = bytes_so_far;
}

bool LinkPace::users_busy(std::int64_t now_us) const {
    return now_us - users_us_ < users_busy_us;
}

std::int64_t LinkPace::rate_of(Purpose purpose) const {
    return purpose == Purpose::files ? limits_.files_bytes_s : limits_.releases_bytes_s;
}

std::size_t LinkPace::piece_bytes(Purpose purpose, LinkWay way) const {
    std::int64_t bytes = static_cast<std::int64_t>(piece_bytes_max);
    if (limits_.yields) {
        const std::int64_t window = directions_[static_cast<std::size_t>(way)].window;
        bytes = std::min(bytes, window / pieces_of_window);
    }
    if (const std::int64_t rate = rate_of(purpose); rate > 0) {
        bytes = std::min(bytes, rate / pieces_a_second);
    }
    return static_cast<std::size_t>(std::max(bytes, window_min));
}

std::int64_t LinkPace::capped_us(Purpose purpose, std::int64_t now_us) {
    if (rate_of(purpose) == 0) {
        return 0;
    }
    Bucket& bucket = buckets_[slot(purpose)];
    // A clock that went back gives nothing and takes nothing.
    const std::int64_t passed = std::max<std::int64_t>(0, now_us - bucket.filled_us);
    bucket.filled_us = now_us;
    bucket.tokens_us = std::min(bucket.tokens_us + passed, saved_us_max);
    return bucket.tokens_us > 0 ? 0 : 1 - bucket.tokens_us;
}

std::int64_t LinkPace::may_send_after_us(Purpose purpose, LinkWay way, std::int64_t now_us) {
    if (const std::int64_t wait = capped_us(purpose, now_us); wait > 0) {
        return wait;
    }
    const Direction& direction = directions_[static_cast<std::size_t>(way)];
    if (!limits_.yields) {
        const bool first = purpose == Purpose::files || under_way(purpose) == 0;
        return first ? 0 : ask_again_us;
    }
    if (purpose == Purpose::packs &&
        (under_way(Purpose::files) > 0 || now_us - files_us_ < files_first_us)) {
        const bool due = under_way(purpose) == 0 && now_us - releases_us_ >= releases_behind_us;
        return due ? 0 : ask_again_us;
    }
    if (direction.under_way == 0) {
        return 0; // the least that it comes down to
    }
    const bool room = direction.under_way + static_cast<std::int64_t>(piece_bytes(purpose, way)) <=
                      direction.window;
    return room && direction.looks_since_us == 0 ? 0 : ask_again_us;
}

LinkPace::Piece LinkPace::begin(Purpose purpose, LinkWay way, std::size_t bytes,
                                std::int64_t now_us) {
    directions_[static_cast<std::size_t>(way)].under_way += static_cast<std::int64_t>(bytes);
    under_way_[slot(purpose)] += bytes;
    if (purpose == Purpose::files) {
        files_us_ = now_us;
    } else {
        releases_us_ = now_us;
    }
    moved_more(purpose, bytes);
    return {purpose, way, bytes, now_us};
}

void LinkPace::moved_more(Purpose purpose, std::size_t bytes) {
    if (const std::int64_t rate = rate_of(purpose); rate > 0) {
        buckets_[slot(purpose)].tokens_us -= static_cast<std::int64_t>(bytes) * second_in_us / rate;
    }
}

void LinkPace::end(const Piece& piece, bool tells, std::int64_t now_us) {
    Direction& direction = directions_[static_cast<std::size_t>(piece.way)];
    direction.under_way -= static_cast<std::int64_t>(piece.bytes);
    under_way_[slot(piece.purpose)] -= piece.bytes;
    if (piece.purpose == Purpose::files) {
        files_us_ = now_us;
    }
    if (tells && now_us >= piece.began_us) {
        learn(direction, piece, now_us);
    } else if (!tells) {
        direction.looks_since_us = 0;
        direction.window = std::max(direction.window, direction.window_before);
        direction.window_before = 0;
        if (now_us - piece.began_us >= lost_slowly_us) {
            direction.window = window_min;
            direction.starts = true;
        }
    }
}

// Of the window, what is not needed to see the quickest piece is given back when one was seen.
void LinkPace::next_span(Direction& direction, std::int64_t now_us) {
    if (direction.span_began_us != 0 && now_us - direction.span_began_us < quickest_span_us) {
        return;
    }
    const bool first = direction.span_began_us == 0;
    direction.span_began_us = now_us;
    if (first) {
        return;
    }
    direction.span = (direction.span + 1) % quickest_spans;
    direction.quickest_us[direction.span] = 0;
    direction.window_before = direction.window;
    direction.window = window_min;
    direction.looks_since_us = now_us;
}

void LinkPace::learn(Direction& direction, const Piece& piece, std::int64_t now_us) {
    const std::int64_t took_us = std::max<std::int64_t>(1, now_us - piece.began_us);
    next_span(direction, now_us);
    std::int64_t& seen = direction.quickest_us[direction.span];
    seen = seen == 0 ? took_us : std::min(seen, took_us);
    if (direction.looks_since_us != 0) {
        if (piece.began_us > direction.looks_since_us) {
            direction.looks_since_us = 0;
            direction.window = direction.window_before;
            direction.window_before = 0;
        }
        return;
    }
    direction.last_us[direction.next] = took_us;
    direction.next = (direction.next + 1) % pieces_heard;
    const std::int64_t most_us = users_busy(now_us) ? queue_busy_us_max : queue_us_max;
    const std::int64_t waited_us = least_of(direction.last_us) - least_of(direction.quickest_us);
    const auto bytes = static_cast<std::int64_t>(piece.bytes);
    // Only a window that was full says that more would be of use.
    const bool full = 2 * (direction.under_way + bytes) >= direction.window;
    if (waited_us <= most_us) {
        if (direction.starts && 2 * waited_us <= most_us) {
            direction.window += full ? bytes : 0;
        } else if (full) {
            direction.starts = false;
            // At most one piece more each round trip, less the nearer it is.
            direction.window += bytes * (most_us - waited_us) / most_us / pieces_of_window;
        }
    } else {
        direction.starts = false;
        // At most half of it each round trip.
        const std::int64_t over_us = std::min(waited_us - most_us, most_us);
        direction.window -= bytes * over_us / most_us / 2;
    }
    direction.window = std::clamp(direction.window, window_min, window_max);
}

std::uint64_t LinkPace::under_way(Purpose purpose) const {
    return under_way_[slot(purpose)];
}

} // namespace hasp::maint
