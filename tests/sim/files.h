// Users' files as an all-knowing observer sees them: what apps did in their users' folders, on the
// simulated disk and in no other way, and what must have become of it. It knows nothing of plans,
// bases and batches: only contents, each made once and never again, and where they stood.
//
//   needed     a content that is durable where it was written, or that its home has, and that no
//              app replaced or removed: it is never lost, whatever name it has
//   retired    a content that certainly went from a path: it does not come back there
//   anything   that stands anywhere was written by an app, whole, or was torn by a power cut while
//              its app had not synced it
//
// An app that does not sync what it did may lose it with the power: such deeds wait in `unsynced_`
// until it syncs, its home has them, or the power goes.
#pragma once

#include "disk.h"
#include "oracle.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace hasp::sim {

class World;

inline constexpr const char* files_app = "notes";

// path → SHA-256 of the file; of a folder: empty.
using Listing = std::map<std::string, std::string>;
using Standing = std::pair<std::string, std::string>; // (path, SHA-256)

class UserFiles {
  public:
    explicit UserFiles(World& world) : world_(world) {}

    // An app of this user does something in his folder at this tier.
    void act(Account& account, Machine& at);
    // The disk came back from a power cut, and nothing runs on it yet.
    void power_went(Machine& at);
    // After peace, when everybody has logged in everywhere.
    void check();

    std::uint64_t deeds() const { return deeds_; }

  private:
    struct Content {
        std::string origin; // for reports
        bool sure = false;
        bool replaced = false;
    };
    // What one app did between two looks; a power cut may undo it.
    struct Deed {
        Account* account;
        std::uint64_t number = 0;
        std::uint64_t disk_failures = 0; // before it
        std::vector<Standing> took;
        std::vector<Standing> gave;
    };
    // Everything was deleted at once: it waits for an operator.
    struct Held {
        Account* account;
        Machine* at;
        std::vector<Standing> gone;
    };
    struct Given {
        std::uint64_t deed = 0; // the last one's number
        std::set<std::string> at;
    };
    struct Folder {
        std::map<std::string, Content> contents; // by SHA-256
        std::set<Standing> retired;
        std::set<Standing> taken; // by any deed that was done
        std::map<Standing, Given> given;
        std::set<std::string> paths; // that apps gave
    };
    class Hand; // files_acts.cpp: one deed on one disk

    static std::string root(const Account& account);
    static Listing list(const Machine& at, const Account& account);
    std::optional<Listing> home_of(const Account& account) const;
    Folder& folder(const Account& account);
    void replaced(const Account& account, const std::string& hash);
    void done(Machine& at, Deed deed);
    void undecided(Machine& at, const Deed& deed);
    void certain(const Deed& deed);
    void sync(Machine& at);

    void clear(Account& account, Machine& at);
    bool quiet(const Account& account, Machine& at, const Listing& there);
    void release(const std::shared_ptr<Held>& held);
    bool waits(const Account& account, const Machine& at) const;

    void release_all();
    // No folder of his is there, and the tier knows of none.
    static bool has_no_copy(Machine& at, const Account& account);
    bool all_equal(std::string& why) const;
    void check_known(const Account& account, const Machine& at, const Listing& there);

    World& world_;
    std::map<std::string, Folder> folders_; // by user
    std::map<const Machine*, std::vector<Deed>> unsynced_;
    std::map<const Machine*, std::set<std::uint64_t>> tearable_; // inodes
    std::vector<std::shared_ptr<Held>> held_;
    std::uint64_t deeds_ = 0;
    std::uint64_t contents_ = 0;
};

} // namespace hasp::sim
