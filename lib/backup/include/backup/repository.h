// A folder with backups of one tier. What it holds, byte by byte: PROTOCOL.md.
//
//   hasp-backup            what this folder is
//   backups/ID             the list of one backup (manifest.h), one zstd frame
//   objects/ab/abcd…       a chunk of up to 1 MiB, one zstd frame, named by the SHA-256 of what it
//   opens to damaged/               chunks that a check has set aside tmp/                   of
//   whoever writes now lock                   flock: one who writes
//
// A backup counts from the rename of its list on, which comes after everything that the list names
// is durable. What a crash left besides is used by the next backup if it is what it should be, else
// written anew, and goes with the next prune. A list and a chunk are never changed.
// One thread; blocking. Memory: 32 bytes a chunk, and one list's line. Errors: refused (no
// repository, another format, damaged), not_found (no such backup), failed (the disk).
#pragma once

#include "backup/manifest.h"
#include "base/fd.h"
#include "base/random.h"
#include "sync/disk.h"

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace hasp::backup {

inline constexpr const char* temporary_folder = "tmp";

// flock of DIR/lock. Code::conflict at once when somebody else has it.
enum class Share : unsigned char { read, write };
Result<Fd> lock_repository(const std::string& folder, Share share);

class Repository {
  public:
    enum class Open : unsigned char { existing, make };
    // `make`: an empty folder becomes one.
    static Result<std::unique_ptr<Repository>> open(sync::Disk& disk, Open how);

    struct Listed {
        std::string id;
        Head head;
        std::uint64_t files = 0;
        std::uint64_t bytes = 0; // as they are put back
        std::string problem;     // of its list; the rest is nothing then
    };
    // Oldest first. Reads every list.
    Result<std::vector<Listed>> list();
    // The newest whose list is whole; nothing: there is none.
    Result<std::optional<std::string>> newest();

    using OnItem = std::function<Status(Item&)>;
    // All of a list, in its order. An error comes behind what was whole before it.
    Result<Head> read(const std::string& id, const OnItem& on_item);
    // Compared with its name.
    Result<std::string> chunk(const ChunkName& name);

    // -- one who writes, under the lock ----------------------------------------------------------
    // Empties tmp/, and looks at what there is. Once, before the others.
    Status begin_writing();
    bool knows(const ChunkName& name) const;
    struct Put {
        ChunkName name{};
        std::uint64_t written = 0; // bytes; 0: it was there
    };
    Result<Put> put(std::string_view chunk);
    // The list of a backup. Another one before commit() takes its place.
    Status begin(const Head& head);
    Status add(const Item& item);
    Status commit();

    struct Damage {
        std::string id;
        std::string path; // empty: the list itself
        std::string why;
    };
    struct Checked {
        std::uint64_t backups = 0;
        std::uint64_t chunks = 0;
        std::uint64_t bytes = 0;     // read
        std::uint64_t damaged = 0;   // chunks and lists
        std::vector<Damage> damages; // damages_max at most
        bool set_aside = false;      // the next backup writes them anew, where it still can
    };
    static constexpr std::size_t damages_max = 1000;
    // Reads everything. `set_aside`: damaged chunks go to damaged/ (under the lock for writing).
    using OnProgress = std::function<void(std::uint64_t done, std::uint64_t of)>;
    Result<Checked> check(bool set_aside, const OnProgress& progress);

    struct Pruned {
        std::vector<std::string> removed;
        std::uint64_t chunks = 0;
        std::uint64_t bytes = 0;
    };
    // Removes these backups, and chunks that no other needs. refused: the list of one that stays is
    // damaged, so that nobody knows what it needs; nothing is removed then.
    Result<Pruned> prune(const std::vector<std::string>& ids);

  private:
    explicit Repository(sync::Disk& disk) : disk_(disk) {}
    Result<std::vector<std::string>> ids();
    Result<std::vector<ChunkName>> names_in(const std::vector<std::string>& ids, bool strict);
    Status sweep();
    static std::string path_of(const ChunkName& name);

    struct Listing;
    sync::Disk& disk_;
    std::vector<ChunkName> known_;  // sorted: in a list, and there
    std::set<ChunkName> written_;   // since then
    std::set<std::string> folders_; // of objects/, that are there
    std::shared_ptr<Listing> listing_;
};

} // namespace hasp::backup
