// When the next piece of something bulky may be asked for over the link to the parent, and how
// large it may be. Pure: time is an argument (boot clock, microseconds), nothing waits here. One
// thread.
//
// Whoever moves much asks for one piece after another, so that this side alone decides how much is
// under way. As much is let be under way, in each direction, as the link carries in a round trip,
// and a little more that waits in front of it: more adds nothing but waiting for everybody else.
// What waits is seen by how much longer a piece takes than the quickest of the last minutes (as in
// LEDBAT, RFC 6817). So whatever else needs the link makes bulk give way by itself, down to one
// small piece at a time, with which it always ends. While people's files move, releases do with a
// piece a second.
#pragma once

#include "traffic.h"

#include <array>
#include <cstddef>
#include <cstdint>

namespace hasp::maint {

inline constexpr std::size_t piece_bytes_min = std::size_t{8} << 10;
inline constexpr std::size_t piece_bytes_max = std::size_t{256} << 10;
inline constexpr std::size_t under_way_bytes_max = std::size_t{1} << 20; // in one direction
// How long a request may stand behind bulk in the link's queue: while users are quiet, and while
// they are not.
inline constexpr std::int64_t queue_us_max = 100'000;
inline constexpr std::int64_t queue_busy_us_max = 40'000;
// The quickest of so many pieces says how much waits now: one alone may have been held up by
// something else, a processor for example.
inline constexpr std::size_t pieces_heard = 4;
// For so long after their last byte users count as busy.
inline constexpr std::int64_t users_busy_us = 2'000'000;
// Files count as moving for so long after their last piece: the next one may be coming. Meanwhile a
// piece of a release comes as seldom.
inline constexpr std::int64_t files_first_us = 200'000;
inline constexpr std::int64_t releases_behind_us = 1'000'000;
// The quickest piece is looked for in so many spans of time; at each beginning one small piece goes
// alone, to see how quick the link is when nothing of ours waits.
inline constexpr std::size_t quickest_spans = 10;
inline constexpr std::int64_t quickest_span_us = 60'000'000;
inline constexpr std::int64_t ask_again_us = 200'000;
// A piece that was given up after so long was too large for the link as it has become: the next one
// is the smallest.
inline constexpr std::int64_t lost_slowly_us = 5'000'000;

enum class LinkWay : unsigned char { down, up };

class LinkPace {
  public:
    struct Limits {
        bool yields = true;             // false: bulk takes what the link gives
        std::int64_t files_bytes_s = 0; // 0: no cap, as the next
        std::int64_t releases_bytes_s = 0;
    };
    // Under way from begin() to end().
    struct Piece {
        Purpose purpose = Purpose::packs;
        LinkWay way = LinkWay::down;
        std::size_t bytes = 0;
        std::int64_t began_us = 0;
    };

    explicit LinkPace(Limits limits) : limits_(limits) {}

    // Users' bytes on the link so far; more than before: they use it now.
    void users_moved(std::uint64_t bytes_so_far, std::int64_t now_us);

    // How large the next piece is to be.
    std::size_t piece_bytes(Purpose purpose, LinkWay way) const;
    // 0: it may be asked for at once. Else after so long, or when what is under way has
    // ended. `purpose` is packs or files.
    std::int64_t may_send_after_us(Purpose purpose, LinkWay way, std::int64_t now_us);

    Piece begin(Purpose purpose, LinkWay way, std::size_t bytes, std::int64_t now_us);
    // `tells`: how long it took says how the link is; not so when it was lost, or when the other
    // side had work to do for it.
    void end(const Piece& piece, bool tells, std::int64_t now_us);
    // More came than was asked for: counts toward the cap.
    void moved_more(Purpose purpose, std::size_t bytes);

    std::uint64_t under_way(Purpose purpose) const;

  private:
    struct Direction {
        std::int64_t window = 4 * static_cast<std::int64_t>(piece_bytes_min);
        std::int64_t under_way = 0;
        bool starts = true; // doubles each round trip, until something waits
        std::array<std::int64_t, quickest_spans> quickest_us{}; // 0: not seen
        std::size_t span = 0;
        std::array<std::int64_t, pieces_heard> last_us{}; // how long the last took; 0: none
        std::size_t next = 0;
        std::int64_t span_began_us = 0;
        std::int64_t looks_since_us = 0; // 0: it does not look how quick the link is
        std::int64_t window_before = 0;
    };
    struct Bucket {
        std::int64_t tokens_us = 0; // time's worth: below zero, it is to wait
        std::int64_t filled_us = 0;
    };
    static std::size_t slot(Purpose purpose) { return purpose == Purpose::files ? 0 : 1; }
    std::int64_t rate_of(Purpose purpose) const;
    std::int64_t capped_us(Purpose purpose, std::int64_t now_us);
    bool users_busy(std::int64_t now_us) const;
    void learn(Direction& direction, const Piece& piece, std::int64_t now_us);
    void next_span(Direction& direction, std::int64_t now_us);

    Limits limits_;
    std::array<Direction, 2> directions_{};
    std::array<Bucket, 2> buckets_{};
    std::array<std::uint64_t, 2> under_way_{};
    std::uint64_t users_bytes_ = 0;
    std::int64_t users_us_ = -users_busy_us;
    std::int64_t files_us_ = -files_first_us;        // the last piece of files began or ended
    std::int64_t releases_us_ = -releases_behind_us; // the last piece of a release began
};

} // namespace hasp::maint
