// What changes in working copies is noticed while it happens, so that nobody has to look at all of
// them. A watch says where to look and never what is there: what it names may be unchanged, but
// what changed is named, or `everything` is said.
//
// Not noticed by any kernel's events, and left to the scans that come by the clock: writes through
// a mapping of memory, writes by a name that a file has outside of the folder, changes made by
// other machines on a network's file system.
// Any thread; but add() and take(), which may list a folder and so wait for the disk, nothing
// blocks.
#pragma once

#include "base/clock.h"
#include "base/result.h"

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace hasp::sync {

// Of one folder, paths beneath it. Bounded by noticed_max: beyond, all of it is `everything`.
struct Noticed {
    // Its content was not touched since it had the other name: for a file whose size and times say
    // so too, that is a proof.
    struct Move {
        std::string from;
        std::string to;
    };
    bool everything = false;
    std::set<std::string> paths; // what stands at the path itself
    std::set<std::string> trees; // that, and all beneath it
    std::vector<Move> moves;     // of files; both ends are among `paths`

    bool empty() const { return !everything && paths.empty() && trees.empty(); }
    // What was noticed later is added.
    void add(Noticed later);
};

inline constexpr std::size_t noticed_max = 50'000;

// Which of what was noticed: `settled` leaves out what is still being written.
enum class Take : unsigned char { settled, all };

class Watch {
  public:
    virtual ~Watch() = default;

    // From its return on, changes in the folder (a path beneath the disk's root) are noticed. True:
    // they were not before, so everything must be looked at once. It is cheap for a folder that is
    // watched, and notices that another one stands in its place. Errors: not_found; failed (the
    // folder is not watched, and why).
    virtual Result<bool> add(const std::string& folder) = 0;
    virtual void remove(const std::string& folder) = 0;
    // False when a folder that was added is watched no more, in part or whole.
    virtual bool watches(const std::string& folder) const = 0;

    // Becomes readable when ready() has something new to say; -1: ask at each turn.
    virtual int fd() const = 0;
    // Folders of which something settled is to be taken.
    virtual std::vector<std::string> ready() = 0;
    // With Take::all what happened before the call is in it.
    virtual Noticed take(const std::string& folder, Take which) = 0;

    // How it watches, for people: "fanotify".
    virtual std::string name() const = 0;
};

// From a change to its being settled.
inline constexpr std::int64_t settled_closed_us = 10'000; // after the file was closed, or renamed
inline constexpr std::int64_t settled_open_us = 300'000;  // after the last write to an open file
inline constexpr std::int64_t settled_latest_us = 2'000'000; // however often it changes
// Of a folder: as long as more comes, but not longer than this.
inline constexpr std::int64_t burst_us = 60'000;

enum class WatchBy : unsigned char { best, fanotify, inotify };
// Watches beneath the folder `root` of this machine: by fanotify where the kernel allows it, else
// by inotify, whose number of folders is limited (fs.inotify.max_user_watches). One thread of its
// own. Code::failed when the kernel allows neither. `clock` must outlive it.
Result<std::unique_ptr<Watch>> open_watch(const std::string& root, const Clock& clock,
                                          WatchBy by = WatchBy::best);

} // namespace hasp::sync
