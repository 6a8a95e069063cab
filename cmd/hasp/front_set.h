// The fronts that the keeper speaks with: the one that serves, and those before it, which finish
// what was begun there. The keeper's logic sees them as one. Pure; one thread.
//
// Front's numbers rise with each one that is started. A question's id has its front's number in the
// upper half, so an answer finds its way.
#pragma once

#include "ipc/frame.h"

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace hasp::cmd {

using FrontNumber = std::uint32_t;

inline constexpr int question_bits = 32;
// Of the first question of that front.
inline std::uint64_t first_question(FrontNumber front) {
    return (static_cast<std::uint64_t>(front) << question_bits) + 1;
}

class FrontSet {
  public:
    // Frames to hand to the keeper's logic, in order.
    using Frames = std::vector<ipc::Frame>;

    // A front has a (new) channel. One that is there already had a broken one: see gone().
    void connected(FrontNumber front);
    // Its streams are over, and what it was asked to retire it holds no more. Frames that say so.
    Frames gone(FrontNumber front);
    bool has(FrontNumber front) const { return fronts_.contains(front); }
    bool empty() const { return fronts_.empty(); }

    // What `front` says: states count from the front that has said last that it leads (where none
    // has, from the newest), which tells them all then; and all must have answered before the logic
    // hears that something was retired.
    Frames from(FrontNumber front, ipc::Frame&& frame);
    // To whom a frame of the logic's goes.
    std::vector<FrontNumber> to(std::string_view head);

  private:
    FrontNumber counts() const { return leader_ != 0 ? leader_ : *fronts_.rbegin(); }

    std::set<FrontNumber> fronts_;
    FrontNumber leader_ = 0;                     // 0: not known
    std::map<std::uint64_t, FrontNumber> links_; // control streams
    struct Retiring {
        std::set<FrontNumber> waits_for;
    };
    std::map<std::int64_t, Retiring> retiring_; // by the logic's number of it
};

} // namespace hasp::cmd
