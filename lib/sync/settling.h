// What was noticed in one folder and is not yet taken: pure, time is an argument.
#pragma once

#include "sync/watch.h"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

namespace hasp::sync {

class Settling {
  public:
    enum class Change : unsigned char {
        written, // and still open
        closed,  // written, or its metadata
        named,   // a name came or went; a content is what it was
        tree,    // a folder came or went, with all beneath it
    };
    void note(const std::string& path, Change change, std::int64_t now_us);
    // A file; both ends count as named.
    void moved(const std::string& from, const std::string& to, std::int64_t now_us);
    void lose_track(std::int64_t now_us);

    // When there is something to take; nothing: nothing was noticed.
    std::optional<std::int64_t> due_us() const;
    Noticed take(std::int64_t now_us, Take which);

  private:
    struct Pending {
        std::int64_t first_us = 0;
        std::int64_t due_us = 0;
        bool content = false;
        bool tree = false;
        std::string from; // of a file that was moved here
    };
    void put(const std::string& path, Change change, std::int64_t now_us, const std::string& from);

    std::map<std::string, Pending> pending_;
    std::set<std::pair<std::int64_t, std::string>> due_;
    std::optional<std::int64_t> lost_us_;
    std::int64_t burst_first_us_ = 0; // 0: there is none
    std::int64_t burst_last_us_ = 0;
};

} // namespace hasp::sync
