// A backup of a tier's state folder, taken while the tier runs or does not.
//
// The databases come first, as they were at one moment (store/moment.h); then what they name:
// contents of users' files up to the byte that the database counts, releases with their git
// objects, datasets of apps, and whatever else stands in the folder. What the databases name may be
// removed while it is copied: then it is begun again, with newer databases and with what was copied
// already, until nothing was. What is missing in two rounds, though newer databases still name it,
// is lost: it is named, and the rest is the backup.
//
// Left out: keys (key_file.h), what is made anew by itself (caches, sockets, logs, uploads), and
// working copies of users' files, whose truth is at their home and in contents/.
#pragma once

#include "backup/repository.h"
#include "base/clock.h"

#include <functional>
#include <string>
#include <vector>

namespace hasp::backup {

// Times that it is begun again.
inline constexpr int rounds_max = 20;
// A file that changes while it is read is read so often.
inline constexpr int reads_max = 5;

struct Wish {
    std::string state;     // absolute
    std::string temporary; // absolute: tmp/ of the repository
    std::string tier;
    std::string version;
    // The fingerprint of its keys, as they are now. Asked before and after each round: a key that
    // is made meanwhile begins it again.
    std::function<Result<std::string>()> keys;
    // Files and bytes looked at by now, and bytes written. Often.
    struct Progress {
        std::uint64_t files = 0;
        std::uint64_t bytes = 0;
        std::uint64_t written = 0;
    };
    std::function<void(const Progress&)> progress;
};

struct Taken {
    Head head;
    std::uint64_t files = 0;
    std::uint64_t bytes = 0;
    std::uint64_t written = 0; // bytes that the repository grew by
    int rounds = 0;
    struct Left {
        std::string path;
        std::string why;
    };
    // Files that are not in it, or not whole: they changed all the time or could not be read.
    // Contents that are shorter than the database says, or that the disk reads in part, are in it
    // as far as they go, with zeros for what cannot be read.
    std::vector<Left> left;
};

// The repository was told begin_writing(). Code::try_later: what is needed was removed in each
// round; not_found: the folder holds no tier; conflict: the repository has backups of another one.
Result<Taken> take(const Wish& wish, Repository& repository, const Clock& clock, Random& random);

} // namespace hasp::backup
