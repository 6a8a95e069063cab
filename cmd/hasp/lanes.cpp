#include "lanes.h"

#include <algorithm>
#include <array>

namespace hasp::cmd {

FrontLanes choose_lanes(const std::vector<FrontLanes>& used, std::uint32_t ring_lanes,
                        std::uint32_t more) {
    std::array<bool, lanes_all> taken{};
    for (const FrontLanes& one : used) {
        taken.at(one.lane) = true;
        if (!one.more) {
            std::fill(taken.begin() + fronts_max, taken.end(), true);
            continue;
        }
        for (std::uint32_t i = 0; i < one.more->count; ++i) {
            taken.at(one.more->first + i) = true;
        }
    }
    FrontLanes out;
    out.lane = static_cast<std::uint32_t>(
        std::find(taken.begin(), taken.begin() + fronts_max, false) - taken.begin());
    MoreLanes longest;
    std::uint32_t row = 0;
    for (std::uint32_t at = fronts_max;
         at < std::min(ring_lanes, lanes_all) && longest.count < more; ++at) {
        row = taken.at(at) ? 0 : row + 1;
        if (row > longest.count) {
            longest = {at + 1 - row, row};
        }
    }
    out.more = longest;
    return out;
}

} // namespace hasp::cmd
