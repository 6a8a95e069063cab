#include "backup/take.h"

#include "base/files.h"
#include "base/text.h"
#include "store/db.h"
#include "store/moment.h"
#include "store/settle.h"
#include "sync/content_store.h"
#include "taking.h"
#include "trust/hash.h"

#include <algorithm>
#include <array>
#include <set>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace hasp::backup {

namespace {

constexpr std::array databases_in_order{"keeper.db", "ledger.db", "files.db"};
constexpr std::string_view database_mark{"SQLite format 3\0", 16};

// Directly in the state folder, and not copied from there.
bool left_out(const std::string& path) {
    static const std::set<std::string, std::less<>> names{
        "lock",     "admin.sock", "supervisor.sock", "run",       "cache", "log",
        "packs",    "pushes",     "spool",           "sync",      "keys",  "contents.key",
        "contents", "data/users", "backup.json",     "lost+found"};
    const auto database = [&](std::string_view name) {
        return path == name || path == std::string(name) + "-wal" ||
               path == std::string(name) + "-shm" || path == std::string(name) + "-journal";
    };
    return names.contains(path) || database("sync.db") || database("keeper.db") ||
           database("ledger.db") || database("files.db");
}

// Names of what is half made.
bool half_made(const std::string& path) {
    const std::string name = path.substr(path.rfind('/') + 1);
    return name.starts_with(unfinished_prefix) ||
           (path.starts_with("releases/") && name.starts_with(".stage-"));
}

std::optional<std::string> without(const std::string& path, std::string_view ending) {
    return path.ends_with(ending) ? std::optional(path.substr(0, path.size() - ending.size()))
                                  : std::nullopt;
}

Seen seen_of(const sync::FileStat& stat) {
    return {stat.mtime_ns, stat.ctime_ns, stat.inode};
}

bool is_database(sync::ReadFile& file) {
    std::array<char, database_mark.size()> head{};
    auto got = file.read(0, head);
    return got.ok() && std::string_view(head.data(), *got) == database_mark;
}

} // namespace

Item Taking::item_of(const std::string& path, const sync::FileStat& stat, ItemKind kind) const {
    Item item;
    item.kind = kind;
    item.path = path;
    item.mode = stat.mode;
    item.seen = seen_of(stat);
    struct stat s {};
    if (::lstat((wish_.state + "/" + path).c_str(), &s) == 0) {
        item.uid = s.st_uid;
        item.gid = s.st_gid;
    }
    return item;
}

void Taking::said() {
    if (wish_.progress) {
        wish_.progress({taken_.files, taken_.bytes, taken_.written});
    }
}

void Taking::leave(const std::string& path, const std::string& why) {
    taken_.left.push_back({path, why});
}

Status Taking::add(Item item) {
    taken_.files += item.kind == ItemKind::file ? 1 : 0;
    taken_.bytes += item.size;
    said();
    return repository_.add(item);
}

Status Taking::remember() {
    auto id = repository_.newest();
    if (!id || !*id) {
        return id ? Status{} : Status(id.error());
    }
    auto head = repository_.read(**id, [this](Item& item) {
        if (item.kind == ItemKind::file) {
            std::string path = item.path;
            before_.insert_or_assign(std::move(path), std::move(item));
        }
        return Status{};
    });
    if (head && head->tier != wish_.tier) {
        return fail(Code::conflict,
                    "the folder holds backups of " + head->tier + ", and this is " + wish_.tier,
                    "give each tier a folder of its own");
    }
    return head ? Status{} : Status(head.error());
}

Status Taking::chunks(sync::ReadFile& from, Item& item, std::size_t have, bool* torn) {
    std::string buffer(item.chunk_bytes, '\0');
    item.chunks.resize(have);
    for (std::uint64_t at = std::uint64_t{have} * item.chunk_bytes; at < item.size;) {
        const std::size_t wanted = std::min<std::uint64_t>(item.chunk_bytes, item.size - at);
        auto got = from.read(at, std::span<char>(buffer.data(), wanted));
        if (!got && torn != nullptr) {
            std::fill_n(buffer.begin(), wanted, '\0');
            *torn = true;
            got = wanted;
        }
        if (!got) {
            return got.error();
        }
        if (*got < wanted) {
            return fail(Code::try_later, item.path + " became shorter while it was read");
        }
        auto put = repository_.put(std::string_view(buffer).substr(0, wanted));
        if (!put) {
            return fail(Code::partial, put.error().message, put.error().hint);
        }
        item.chunks.push_back(put->name);
        taken_.written += put->written;
        at += wanted;
        said();
    }
    return {};
}

// Whether the file still holds the last of item.chunks, which are of its first `size` bytes at
// most. One that was set back and written on from there has other bytes from some point to the end.
bool Taking::ends_as_known(sync::ReadFile& from, const Item& item, std::uint64_t size) {
    if (item.chunks.empty()) {
        return true;
    }
    const std::uint64_t at = std::uint64_t{item.chunk_bytes} * (item.chunks.size() - 1);
    std::string bytes(std::min<std::uint64_t>(item.chunk_bytes, size - at), '\0');
    auto got = from.read(at, bytes);
    const std::string hash = trust::sha256(bytes);
    return got.ok() && *got == bytes.size() &&
           std::equal(hash.begin(), hash.end(), item.chunks.back().begin(),
                      item.chunks.back().end());
}

// Errors of the repository end the backup, those of the state leave a file out of it.
namespace {
bool of_repository(const Error& error) {
    return error.code == Code::partial;
}
} // namespace

Status Taking::databases() {
    std::vector<std::string> names;
    std::vector<std::string> paths;
    for (const char* name : databases_in_order) {
        if (state_.stat(name).ok()) {
            names.emplace_back(name);
            paths.push_back(wish_.state + "/" + name);
        }
    }
    auto moment = store::Moment::take(paths);
    if (!moment) {
        return moment.error();
    }
    auto temporary = sync::open_disk(wish_.temporary);
    if (!temporary) {
        return temporary.error();
    }
    for (std::size_t i = 0; i < names.size(); ++i) {
        [[maybe_unused]] const Status old = (*temporary)->remove(names[i]);
        if (Status copied = moment->copy(i, wish_.temporary + "/" + names[i]); !copied) {
            return copied;
        }
    }
    for (const std::string& name : names) {
        auto stat = state_.stat(name);
        auto file = (*temporary)->open(name);
        auto copy = file ? (*file)->stat() : Result<sync::FileStat>(file.error());
        if (!copy || !stat) {
            return copy ? stat.error() : copy.error();
        }
        Item item = item_of(name, *stat, ItemKind::file);
        item.seen = {stat->mtime_ns, 0, 0}; // the copy is another file each time
        item.size = copy->size;
        item.chunk_bytes = database_chunk_bytes(item.size);
        Status done = chunks(**file, item, 0);
        done = done ? add(std::move(item)) : done;
        if (!done) {
            return done;
        }
    }
    return {};
}

Status Taking::contents() {
    const std::string copy = wish_.temporary + "/files.db";
    if (::access(copy.c_str(), F_OK) != 0) {
        return {};
    }
    auto extents = sync::content_extents(copy);
    if (!extents) {
        return extents.error();
    }
    std::set<std::string> folders;
    for (const sync::ContentExtent& one : *extents) {
        for (std::size_t at = one.path.find('/'); at != std::string::npos;
             at = one.path.find('/', at + 1)) {
            folders.insert(one.path.substr(0, at));
        }
    }
    // All of them first: that they were removed is known before the rest is read.
    const auto there = [this](const std::string& path) -> Result<sync::FileStat> {
        auto stat = state_.stat(path);
        if (!stat && stat.error().code == Code::not_found) {
            missing_.insert(path);
            if (missing_before_.contains(path)) {
                leave(path, "it is missing, and the database names it");
            } else {
                removed_ = true;
            }
        }
        return stat;
    };
    std::vector<std::pair<std::string, sync::FileStat>> found;
    for (const std::string& path : folders) {
        if (auto stat = there(path); stat) {
            found.emplace_back(path, *stat);
        }
    }
    for (const sync::ContentExtent& one : *extents) {
        [[maybe_unused]] const auto stat = there(one.path);
    }
    if (removed_) {
        return {};
    }
    for (const auto& [path, stat] : found) {
        if (Status added = add(item_of(path, stat, ItemKind::folder)); !added) {
            return added;
        }
    }
    for (const sync::ContentExtent& one : *extents) {
        auto file = state_.open(one.path);
        auto stat = file ? (*file)->stat() : Result<sync::FileStat>(file.error());
        if (!stat) {
            if (stat.error().code != Code::not_found) {
                leave(one.path, stat.error().message);
                continue;
            }
            if (missing_.contains(one.path)) {
                continue; // and named
            }
            removed_ = true;
            return {};
        }
        Item item = item_of(one.path, *stat, ItemKind::file);
        item.seen = {0, 0, stat->inode};
        item.size = std::min(one.bytes, stat->size);
        item.chunk_bytes = chunk_bytes_max;
        if (stat->size < one.bytes) {
            leave(one.path, "it is shorter than the database says");
        }
        // They only grow: what was read of it is what it has, unless all was set back in between.
        std::size_t have = 0;
        if (const auto known = before_.find(one.path);
            known != before_.end() && known->second.seen == item.seen &&
            known->second.size <= item.size && known->second.chunk_bytes == item.chunk_bytes) {
            const bool all = known->second.size == item.size;
            have = all ? known->second.chunks.size() : known->second.size / item.chunk_bytes;
            item.chunks.assign(known->second.chunks.begin(),
                               known->second.chunks.begin() + static_cast<std::ptrdiff_t>(have));
            const bool known_all =
                std::all_of(item.chunks.begin(), item.chunks.end(),
                            [this](const ChunkName& name) { return repository_.knows(name); });
            have = known_all && ends_as_known(**file, item, known->second.size) ? have : 0;
        }
        bool torn = false;
        Status done = chunks(**file, item, have, &torn);
        if (torn) {
            leave(one.path, "parts of it cannot be read: zeros stand in the backup for them");
            item.seen = {}; // all of it is read again next time
        }
        if (!done && !of_repository(done.error())) {
            leave(one.path, done.error().message);
            continue;
        }
        done = done ? add(std::move(item)) : done;
        if (!done) {
            return done;
        }
    }
    return {};
}

Status Taking::folder(const std::string& path) {
    auto entries = state_.list(path);
    if (!entries) {
        if (entries.error().code == Code::not_found) {
            removed_ = removed_ || path.starts_with("releases");
            return {};
        }
        leave(path, entries.error().message);
        return {};
    }
    std::set<std::string, std::less<>> names;
    for (const sync::DirEntry& one : *entries) {
        names.insert(one.name);
    }
    for (const sync::DirEntry& one : *entries) {
        const std::string at = path.empty() ? one.name : path + "/" + one.name;
        if (left_out(at) || half_made(at)) {
            continue;
        }
        // What belongs to a database goes with it.
        bool beside = false;
        for (const char* ending : {"-wal", "-shm", "-journal"}) {
            const auto base = without(one.name, ending);
            if (base && names.contains(*base)) {
                auto file = state_.open(path.empty() ? *base : path + "/" + *base);
                beside = beside || (file.ok() && is_database(**file));
            }
        }
        if (beside) {
            continue;
        }
        if (Status done = entry(at, one.stat); !done) {
            return done;
        }
        if (removed_) {
            return {};
        }
    }
    return {};
}

Status Taking::entry(const std::string& path, const sync::FileStat& stat) {
    switch (stat.kind) {
    case sync::FileKind::folder: {
        Status done = add(item_of(path, stat, ItemKind::folder));
        return done ? folder(path) : done;
    }
    case sync::FileKind::symlink: {
        Item item = item_of(path, stat, ItemKind::symlink);
        auto target = state_.read_symlink(path);
        if (!target) {
            removed_ = removed_ || path.starts_with("releases/");
            return {};
        }
        item.target = *std::move(target);
        return add(std::move(item));
    }
    case sync::FileKind::file:
        return file(path, stat);
    case sync::FileKind::other:
        return {}; // sockets and pipes are nothing to keep
    }
    return {};
}

Status Taking::file(const std::string& path, const sync::FileStat& stat) {
    Item item = item_of(path, stat, ItemKind::file);
    const bool apps = path.starts_with("data/");
    if (const auto known = before_.find(path);
        known != before_.end() && known->second.seen == item.seen &&
        known->second.size == stat.size &&
        std::all_of(known->second.chunks.begin(), known->second.chunks.end(),
                    [this](const ChunkName& name) { return repository_.knows(name); }) &&
        known->second.chunk_bytes == chunk_bytes_max) {
        item.size = known->second.size;
        item.chunk_bytes = known->second.chunk_bytes;
        item.chunks = known->second.chunks;
        return add(std::move(item));
    }
    for (int tries = 0; tries < reads_max; ++tries) {
        auto open = state_.open(path);
        auto before = open ? (*open)->stat() : Result<sync::FileStat>(open.error());
        if (!before) {
            if (before.error().code == Code::not_found) {
                removed_ = removed_ || !apps; // apps delete what they like
                return {};
            }
            leave(path, before.error().message);
            return {};
        }
        if (apps && is_database(**open)) {
            return database_of_app(std::move(item));
        }
        item.size = before->size;
        item.seen = seen_of(*before);
        item.mode = before->mode;
        item.chunk_bytes = chunk_bytes_max;
        Status done = chunks(**open, item, 0);
        if (!done && of_repository(done.error())) {
            return done;
        }
        if (!done && done.error().code != Code::try_later) {
            leave(path, done.error().message);
            return {};
        }
        auto after = (*open)->stat();
        if (done && after && *after == *before) {
            return add(std::move(item));
        }
    }
    leave(path, "it changed each time that it was read");
    return {};
}

// Copies it and its journals, until nothing changed meanwhile.
Result<bool> Taking::copy_with_journal(const std::string& path, const std::string& to) {
    const std::array<std::string, 3> endings{"", "-wal", "-journal"};
    const auto stats = [&] {
        std::vector<std::optional<sync::FileStat>> out;
        for (const std::string& ending : endings) {
            auto stat = state_.stat(path + ending);
            out.push_back(stat.ok() ? std::optional(*stat) : std::nullopt);
        }
        return out;
    };
    const auto before = stats();
    for (const std::string& ending : endings) {
        const std::string into = to + ending;
        ::unlink(into.c_str());
        auto file = state_.open(path + ending);
        if (!file) {
            if (file.error().code == Code::not_found) {
                continue;
            }
            return file.error();
        }
        auto disk = sync::open_disk(wish_.temporary);
        auto copy = disk ? (*disk)->create(into.substr(into.rfind('/') + 1), 0600, {})
                         : Result<std::unique_ptr<sync::WriteFile>>(disk.error());
        if (!copy) {
            return fail(Code::partial, copy.error().message, copy.error().hint);
        }
        Status written;
        auto read = sync::digest(**file, [&](std::string_view bytes) {
            written = (*copy)->write(bytes);
            return written;
        });
        if (!read) {
            return written ? read.error()
                           : fail(Code::partial, written.error().message, written.error().hint);
        }
    }
    return stats() == before;
}

Status Taking::database_of_app(Item item) {
    const std::string name = "database" + std::to_string(copies_++);
    const std::string copy = wish_.temporary + "/" + name;
    Status done = fail(Code::try_later, "it changed each time that it was read");
    for (int tries = 0; tries < reads_max && !done; ++tries) {
        auto still = copy_with_journal(item.path, copy);
        if (!still && of_repository(still.error())) {
            return still.error();
        }
        if (!still) {
            done = still.error();
        } else if (*still) {
            done = store::settle_copy(copy);
        }
    }
    if (done) {
        auto disk = sync::open_disk(wish_.temporary);
        auto file =
            disk ? (*disk)->open(name) : Result<std::unique_ptr<sync::ReadFile>>(disk.error());
        auto stat = file ? (*file)->stat() : Result<sync::FileStat>(file.error());
        if (!stat) {
            return stat.error();
        }
        item.size = stat->size;
        item.seen = {item.seen.mtime_ns, 0, 0}; // its journal may say more than it shows
        item.chunk_bytes = database_chunk_bytes(item.size);
        done = chunks(**file, item, 0);
    }
    for (const char* ending : {"", "-wal", "-journal", "-shm"}) {
        ::unlink((copy + ending).c_str());
    }
    if (!done) {
        if (of_repository(done.error())) {
            return done;
        }
        leave(item.path, done.error().message);
        return {};
    }
    return add(std::move(item));
}

std::vector<std::string> Taking::removable() {
    std::vector<std::string> out;
    auto apps = state_.list("releases");
    for (const sync::DirEntry& app : apps ? *apps : std::vector<sync::DirEntry>{}) {
        auto ids = state_.list("releases/" + app.name);
        for (const sync::DirEntry& one : ids ? *ids : std::vector<sync::DirEntry>{}) {
            out.push_back(app.name + "/" + one.name);
        }
        // Objects are packed anew now and then.
        auto packs = state_.list("releases/" + app.name + "/objects.git/objects/pack");
        for (const sync::DirEntry& one : packs ? *packs : std::vector<sync::DirEntry>{}) {
            out.push_back(app.name + "/objects.git/objects/pack/" + one.name);
        }
    }
    // Contents that are being taken over from an earlier version's place go from here.
    auto blobs = state_.list("blobs");
    for (const sync::DirEntry& folder : blobs ? *blobs : std::vector<sync::DirEntry>{}) {
        out.push_back("blobs/" + folder.name);
        auto names = state_.list("blobs/" + folder.name);
        for (const sync::DirEntry& one : names ? *names : std::vector<sync::DirEntry>{}) {
            out.push_back("blobs/" + folder.name + "/" + one.name);
        }
    }
    std::sort(out.begin(), out.end());
    return out;
}

Result<bool> Taking::round(const Head& head) {
    const std::uint64_t written = taken_.written;
    taken_ = {};
    taken_.written = written;
    removed_ = false;
    missing_before_ = std::exchange(missing_, {});
    Status done = repository_.begin(head);
    const std::vector<std::string> before = removable();
    done = done ? databases() : done;
    taken_.head = head;
    done = done ? contents() : done;
    done = done && !removed_ ? folder("") : done;
    if (!done) {
        return done.error();
    }
    const std::vector<std::string> after = removable();
    return !removed_ && std::includes(after.begin(), after.end(), before.begin(), before.end());
}

Result<Taken> take(const Wish& wish, Repository& repository, const Clock& clock, Random& random) {
    auto state = sync::open_disk(wish.state);
    if (!state) {
        return state.error();
    }
    if (!(*state)->stat("keeper.db").ok()) {
        return fail(Code::not_found, wish.state + " holds no tier",
                    "say where it is with --state or HASP_STATE");
    }
    Taking taking(wish, repository, **state);
    if (Status remembered = taking.remember(); !remembered) {
        return remembered.error();
    }
    for (int round = 1; round <= rounds_max; ++round) {
        const std::int64_t now_us = clock.wall_us();
        auto keys = wish.keys();
        if (!keys) {
            return keys.error();
        }
        const Head head{make_backup_id(now_us, random.bytes(4)), now_us, wish.tier, wish.version,
                        *keys};
        auto whole = taking.round(head);
        if (!whole) {
            const Error& why = whole.error();
            return fail(why.code == Code::partial ? Code::failed : why.code, why.message, why.hint);
        }
        auto keys_then = wish.keys();
        if (!keys_then) {
            return keys_then.error();
        }
        if (*whole && *keys_then == head.keys) {
            taking.taken().rounds = round;
            if (Status kept = repository.commit(); !kept) {
                return kept.error();
            }
            return std::move(taking.taken());
        }
    }
    return fail(Code::try_later,
                "files were removed from " + wish.state + " in each of " +
                    std::to_string(rounds_max) + " tries to copy them",
                "try again; what was copied is not copied again");
}

} // namespace hasp::backup
