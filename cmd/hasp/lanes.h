// Which lanes of the usage ring a front gets. Each has one writer: two would overwrite each other's
// records, which no checksum shows. Pure.
#pragma once

#include "billing/usage_ring.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace hasp::cmd {

// The front that serves, the one that is to follow it, and those that finish what they have. Each
// has a lane of the usage ring.
inline constexpr std::size_t fronts_max = 8;
// The lanes behind those are for fronts with several loops, as many as each has beyond the first.
inline constexpr std::uint32_t lanes_all = billing::UsageRing::lanes_max;

// Lanes beyond fronts_max in a row: the first of them, and how many.
struct MoreLanes {
    std::uint32_t first = 0;
    std::uint32_t count = 0;
    bool operator==(const MoreLanes&) const = default;
};

struct FrontLanes {
    std::uint32_t lane = 0; // below fronts_max
    // nullopt: not known. A program from before fronts with several loops did not pass on what the
    // front was given by the one before that program.
    std::optional<MoreLanes> more = MoreLanes{};
    bool operator==(const FrontLanes&) const = default;
};

// The first lane that none of `used` has, and as many of those beyond in a row as there are in a
// ring of `ring_lanes`, up to `more`; none of those beyond while one of `used` may write any.
// Precondition: fewer than fronts_max are used.
FrontLanes choose_lanes(const std::vector<FrontLanes>& used, std::uint32_t ring_lanes,
                        std::uint32_t more);

} // namespace hasp::cmd
