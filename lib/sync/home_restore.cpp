// Home: what is kept of files, and putting it back.
//
// A restore is a change like any other: new revisions, which go down to all who hold the folder.
// What stood there becomes a version, and nothing is removed: files that came later stay.
#include "home_store.h"
#include "store/transaction.h"
#include "sync/home.h"

#include <algorithm>

namespace hasp::sync {

namespace {

constexpr std::size_t paths_a_page = 1000;
constexpr std::uint32_t folder_mode = 0755;

// One app's folder of a restore that is under way, in its transaction.
class Restoring {
  public:
    Restoring(HomeStore& store, ContentStore& contents, const RestoreWish& wish, FolderId folder,
              Revision now, std::int64_t now_us, Restored& out)
        : store_(store), contents_(contents), wish_(wish), folder_(std::move(folder)), now_(now),
          next_(now.number + 1), now_us_(now_us), out_(out) {}

    Status run() {
        std::string behind;
        bool first = true;
        for (;;) {
            auto page = store_.paths(folder_, wish_.path, first ? nullptr : &behind, paths_a_page);
            if (!page) {
                return page.error();
            }
            for (const Row& row : *page) {
                if (Status one = path(row); !one) {
                    return one;
                }
            }
            if (page->size() < paths_a_page) {
                break;
            }
            behind = page->back().path;
            first = false;
        }
        if (changes_ == 0) {
            return {};
        }
        out_.changed.push_back({folder_.app, now_.epoch, next_});
        return store_.set_revision(folder_, {now_.epoch, next_});
    }

  private:
    Status path(const Row& row) {
        const bool only_removed = !wish_.at_us && !wish_.revision;
        if (only_removed && row.entry) {
            return {};
        }
        auto found = store_.version_for(folder_, row.path, wish_.at_us, wish_.revision);
        if (!found) {
            return found.error();
        }
        if (*found && (*found)->entry && !(*found)->attributes_known && row.entry &&
            row.entry->kind == (*found)->entry->kind) {
            (*found)->entry->attributes = row.entry->attributes; // nobody can say what it had
        }
        if (!*found || !(*found)->entry || (row.entry && same(*row.entry, *(*found)->entry))) {
            return {};
        }
        const Version& version = **found;
        RestoreItem item{folder_.app,         row.path, version.revision, version.at_us,
                         version.entry->size, ""};
        auto why = obstacle(row, *version.entry);
        if (!why) {
            return why.error();
        }
        item.left = *std::move(why);
        if (item.left.empty()) {
            if (Status put = this->put(row.path, *version.entry); !put) {
                return put;
            }
            ++out_.restored;
            out_.bytes += version.entry->size;
        } else {
            ++out_.left;
        }
        if (out_.items.size() < restore_items_max) {
            out_.items.push_back(std::move(item));
        }
        return {};
    }

    // Why it cannot be put there; folders above that are gone are put back.
    Result<std::string> obstacle(const Row& row, const Entry& entry) {
        if (row.entry &&
            (row.entry->kind == FileKind::folder) != (entry.kind == FileKind::folder)) {
            return std::string(row.entry->kind == FileKind::folder ? "a folder stands there now"
                                                                   : "a file stands there now");
        }
        if (entry.kind == FileKind::file) {
            auto there = contents_.has(folder_.user, entry.hash);
            if (!there) {
                return there.error();
            }
            if (!*there) {
                return std::string("its content is damaged or no longer kept");
            }
        }
        std::vector<std::string> missing;
        for (std::string up = parent_path(row.path); !up.empty(); up = parent_path(up)) {
            auto above = store_.row(folder_, up);
            if (!above) {
                return above.error();
            }
            if (*above && (*above)->entry) {
                if ((*above)->entry->kind != FileKind::folder) {
                    return "a file stands at " + up + " now";
                }
                break;
            }
            missing.push_back(up);
        }
        for (auto up = missing.rbegin(); up != missing.rend(); ++up) {
            if (Status put = this->put(*up, {FileKind::folder, folder_mode, 0, 0, "", "", 0});
                !put) {
                return put.error();
            }
        }
        return std::string();
    }

    Status put(const std::string& path, Entry entry) {
        entry.revision = next_;
        return store_.put(folder_, {path, entry, next_}, "restore/" + std::to_string(changes_++),
                          now_us_, wish_.who);
    }

    HomeStore& store_;
    ContentStore& contents_;
    const RestoreWish& wish_;
    FolderId folder_;
    Revision now_;
    std::uint64_t next_;
    std::int64_t now_us_;
    Restored& out_;
    std::uint64_t changes_ = 0;
};

} // namespace

Result<std::vector<Version>> Home::versions(const FolderId& folder, const std::string& path,
                                            bool removed_only, const VersionsAfter& after) {
    auto out = store_->versions(folder, path, removed_only, after.path, after.revision,
                                versions_listed_max);
    if (!out) {
        return out;
    }
    for (Version& one : *out) {
        if (one.entry && one.entry->kind == FileKind::file) {
            auto there = contents_.has(folder.user, one.entry->hash);
            if (!there) {
                return there.error();
            }
            one.readable = *there;
        }
    }
    return out;
}

Result<Restored> Home::restore(const RestoreWish& wish) {
    if (!wish.path.empty() && !valid_path(wish.path)) {
        return fail(Code::usage, "'" + wish.path + "' is not a path within a folder of files",
                    "give it as `hasp sync versions` shows it");
    }
    auto apps = store_->apps(wish.user);
    if (!apps) {
        return apps.error();
    }
    std::erase_if(*apps, [&](const auto& one) { return !wish.app.empty() && one != wish.app; });
    if (apps->empty()) {
        return fail(Code::not_found, "the home keeps no files of '" + wish.user + "'" +
                                         (wish.app.empty() ? "" : " in '" + wish.app + "'"));
    }
    auto transaction = store::Transaction::begin(store_->db());
    if (!transaction) {
        return transaction.error();
    }
    Restored out;
    bool known = wish.path.empty();
    for (const std::string& app : *apps) {
        const FolderId folder{wish.user, app};
        auto now = store_->revision(folder);
        if (!now) {
            return now.error();
        }
        if (!known) {
            auto row = store_->paths(folder, wish.path, nullptr, 1);
            if (!row) {
                return row.error();
            }
            known = !row->empty();
        }
        if (Status done =
                Restoring(*store_, contents_, wish, folder, *now, clock_.wall_us(), out).run();
            !done) {
            return done.error();
        }
    }
    if (!known) {
        return fail(Code::not_found, "nothing ever stood at '" + wish.path + "'",
                    "`hasp sync versions " + wish.user + " APP` lists what is kept");
    }
    if (wish.dry_run) {
        return out; // and the transaction is undone
    }
    if (Status committed = transaction->commit(); !committed) {
        return committed.error();
    }
    return out;
}

} // namespace hasp::sync
