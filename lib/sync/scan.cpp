#include "scan.h"

#include "sync/chunks.h"
#include "temporary_file.h"

#include <algorithm>
#include <array>
#include <set>

namespace hasp::sync {

namespace {

constexpr std::array<std::string_view, 3> companion_suffixes{"-wal", "-journal", "-shm"};
constexpr std::string_view database_magic("SQLite format 3\0", 16);
constexpr std::string_view wal_magic("\x37\x7f\x06"); // then 0x82 or 0x83
constexpr std::int64_t us_ns = 1000;

std::int64_t floor_us(std::int64_t ns) {
    return ns / us_ns - (ns % us_ns < 0 ? 1 : 0);
}

std::string joined(const std::string& folder, const std::string& name) {
    return folder.empty() ? name : folder + "/" + name;
}

} // namespace

bool still_the_same(const Seen& seen, const FileStat& now) {
    return seen.at_us != 0 && seen.stat.size == now.size && seen.stat.mtime_ns == now.mtime_ns &&
           seen.stat.ctime_ns == now.ctime_ns && seen.stat.inode == now.inode &&
           seen.at_us - now.ctime_ns / us_ns > stamp_grain_us;
}

Entry entry_of(const FileStat& stat) {
    Entry entry;
    entry.kind = stat.kind;
    entry.mode = stat.kind == FileKind::symlink ? 0 : stat.mode;
    entry.mtime_us = stat.kind == FileKind::file ? floor_us(stat.mtime_ns) : 0;
    return entry;
}

std::string Reader::beginning_of(ReadFile& file) {
    std::string start(database_magic.size(), '\0');
    start.resize(file.read(0, start).value_or(0));
    return start;
}

bool Reader::is_database(const std::string& path) {
    return is_database(path, beginning_at(path));
}

std::string Reader::beginning_at(const std::string& path) {
    auto file = disk_.open(path);
    return file ? beginning_of(**file) : std::string();
}

bool Reader::is_database(const std::string& path, const std::string& start) {
    return start.empty() ? beginning_at(path + "-wal").starts_with(wal_magic) // a young one
                         : start == database_magic;
}

Result<std::vector<std::string>> Reader::companions(const std::string& path) {
    return companions(path, beginning_at(path));
}

// Most files are told by their first bytes to have none.
Result<std::vector<std::string>> Reader::companions(const std::string& path,
                                                    const std::string& start) {
    std::vector<std::string> out;
    if (!start.empty() && start != database_magic) {
        return out;
    }
    for (const std::string_view suffix : companion_suffixes) {
        const std::string name = path + std::string(suffix);
        auto stat = disk_.stat(name);
        if (stat && stat->kind == FileKind::file) {
            out.push_back(name);
        } else if (!stat && stat.error().code != Code::not_found &&
                   stat.error().code != Code::refused) { // refused: the name would be too long
            return stat.error();
        }
    }
    if (!out.empty() && !is_database(path, start)) {
        out.clear();
    }
    return out;
}

// The stamps of a database are also those of the journal that holds a part of it.
Result<FileStat> Reader::stamp(const std::string& path, const FileStat& stat,
                               const std::string& start, bool& database) {
    FileStat out = stat;
    database = false;
    auto beside = companions(path, start);
    if (!beside) {
        return beside.error();
    }
    for (const std::string& name : *beside) {
        auto other = disk_.stat(name);
        if (other && other->size > 0 && !name.ends_with("-shm")) {
            database = true;
            out.mtime_ns = std::max(out.mtime_ns, other->mtime_ns);
            out.ctime_ns = std::max(out.ctime_ns, other->ctime_ns);
        }
    }
    return out;
}

Result<FileStat> Reader::stamp(const std::string& path, const FileStat& stat, bool& database) {
    database = false;
    return settle_ ? stamp(path, stat, beginning_at(path), database) : Result<FileStat>(stat);
}

Result<FileStat> Reader::stamp(const std::string& path, const FileStat& stat, ReadFile& file,
                               bool& database) {
    database = false;
    return settle_ ? stamp(path, stat, beginning_of(file), database) : Result<FileStat>(stat);
}

Result<Digest> Reader::name(ReadFile& file, const std::string& expected, const Sink& also) {
    auto stat = file.stat();
    if (!stat) {
        return stat.error();
    }
    IsExpected is_expected;
    if (expected.empty() && by_chunks_ && large_before_.any && large_before_.any(stat->size)) {
        is_expected = large_before_.is;
    } else if (!expected.empty() && named_by_chunks(expected) != by_chunks_) {
        is_expected = [&expected](const std::string& name) { return name == expected; };
    }
    return identify(file, by_chunks_, is_expected, also);
}

Result<Seen> Reader::look_at_content(const std::string& path, const std::string& expected) {
    for (int attempt = 0; attempt < reads_max; ++attempt) {
        auto file = disk_.open(path);
        if (!file) {
            return file.error();
        }
        const std::int64_t at_us = clock_.wall_us();
        auto before = (*file)->stat();
        bool database = false;
        if (before) {
            if (auto stamped = stamp(path, *before, **file, database); !stamped) {
                return stamped.error();
            }
        }
        if (database) {
            auto frozen = freeze_content(path, expected);
            return frozen ? Result<Seen>(std::move(frozen->seen)) : frozen.error();
        }
        auto content = before ? name(**file, expected) : Result<Digest>(before.error());
        auto after = content ? (*file)->stat() : Result<FileStat>(content.error());
        if (!after) {
            return after.error();
        }
        if (*before == *after && content->size == after->size && !content->hash.empty()) {
            return Seen{*after, at_us, content->hash, content->size};
        }
    }
    return fail(Code::try_later, path + " changes while it is read");
}

// What is to come is called as its mark says. At 0 us: it is here.
Result<Seen> Reader::look_at_absent(const std::string& path, const FileStat& stat,
                                    const Seen* known) {
    auto absent = disk_.absent(path);
    if (!absent || !*absent) {
        return absent ? Result<Seen>(Seen{}) : absent.error();
    }
    if ((*absent)->size != stat.size) { // cut by its name: what is left of it is not known yet
        return fail(Code::try_later, "the content of " + path + " is to come");
    }
    Seen out{stat, clock_.wall_us(), (*absent)->name, stat.size};
    out.stat.mtime_ns = (*absent)->mtime_ns.value_or(stat.mtime_ns);
    if (Status added = add_attributes(path, known, out); !added) {
        return added.error();
    }
    return out;
}

void Reader::let_go() {
    holds_ = false;
    agreed_ = {};
    drop_held();
}

void Reader::drop_held() {
    held_.clear();
    held_bytes_ = 0;
}

bool Reader::may_hold(const std::string& path, const FileStat& stat) {
    if (!holds_ || stat.size <= memory_file_bytes_max || held_.contains(path) ||
        held_.size() >= held_files_max ||
        (!held_.empty() && held_bytes_ + stat.size > held_bytes_max)) {
        return false;
    }
    auto room = disk_.free_bytes();
    return room && *room >= 2 * stat.size + held_reserve_bytes;
}

// What is held never stands in the way of what is not.
Result<Seen> Reader::look_or_let_go(const std::string& path, const Seen* known,
                                    const std::string& expected) {
    auto seen = look(path, known, expected);
    if (!seen && seen.error().code == Code::failed && !held_.empty()) {
        drop_held();
        seen = look(path, known, expected);
    }
    return seen;
}

// Where a copy cannot be made, or what is known says that it is no edit, it is only looked at.
Result<Seen> Reader::look_at_edit(const std::string& path, const FileStat& stat, const Seen& known,
                                  const FileStat& stamped) {
    const bool edited = known.stat.size != stamped.size || known.stat.mtime_ns != stamped.mtime_ns;
    if (!edited || !may_hold(path, stat)) {
        return look_or_let_go(path, &known, known.hash);
    }
    auto edit = freeze_edit(path, known);
    auto frozen = !edit   ? Result<Frozen>(edit.error())
                  : *edit ? Result<Frozen>(**std::move(edit))
                          : freeze_now(path, known.hash, &known);
    if (!frozen) {
        return frozen.error().code == Code::try_later ? Result<Seen>(frozen.error())
                                                      : look_or_let_go(path, &known, known.hash);
    }
    Seen seen = frozen->seen;
    held_bytes_ += stat.size;
    held_.emplace(path, *std::move(frozen));
    return seen;
}

std::optional<Frozen> Reader::take_held(const std::string& path) {
    const auto at = held_.find(path);
    if (at == held_.end()) {
        return std::nullopt;
    }
    std::optional<Frozen> held = std::move(at->second);
    held_.erase(at);
    bool database = false;
    auto stat = disk_.stat(path);
    auto now = stat ? stamp(path, *stat, database) : stat;
    // An edit of what is called by its chunks is, too, where its home knows no such names any more.
    const bool nameable = by_chunks_ || !named_by_chunks(held->digest.hash);
    if (!now || *now != held->seen.stat || !nameable) {
        held.reset();
    }
    return held;
}

Result<Frozen> Reader::freeze(const std::string& path, const std::string& expected,
                              const Seen* known) {
    if (auto held = take_held(path)) {
        return *std::move(held);
    }
    auto frozen = freeze_now(path, expected, known);
    if (!frozen && frozen.error().code == Code::failed && !held_.empty()) {
        drop_held();
        frozen = freeze_now(path, expected, known);
    }
    return frozen;
}

Result<Frozen> Reader::freeze_now(const std::string& path, const std::string& expected,
                                  const Seen* known) {
    auto frozen = freeze_content(path, expected);
    if (frozen) {
        if (Status added = add_attributes(path, known, frozen->seen); !added) {
            return added.error();
        }
    }
    return frozen;
}

Result<Frozen> Reader::freeze_content(const std::string& path, const std::string& expected) {
    for (int attempt = 0; attempt < reads_max; ++attempt) {
        auto file = disk_.open(path);
        if (!file) {
            return file.error();
        }
        auto before = (*file)->stat();
        if (!before) {
            return before.error();
        }
        bool database = false;
        auto stamped = stamp(path, *before, **file, database);
        if (!stamped) {
            return stamped.error();
        }
        if (database) {
            auto frozen = freeze_database(path, *stamped, expected);
            if (frozen || frozen.error().code != Code::try_later) {
                return frozen;
            }
            continue;
        }
        const std::int64_t at_us = clock_.wall_us();
        const std::string place = temporary_path();
        Scratch copy(disk_, place);
        auto content =
            name(**file, expected, [&copy](std::string_view bytes) { return copy.write(bytes); });
        auto after = content ? (*file)->stat() : Result<FileStat>(content.error());
        if (!after) {
            return after.error();
        }
        if (*before == *after && content->size == after->size && !content->hash.empty()) {
            auto still = copy.finish();
            if (!still) {
                return still.error();
            }
            return Frozen{*std::move(still), *content,
                          Seen{*after, at_us, content->hash, content->size},
                          content->size > memory_file_bytes_max ? place : ""};
        }
    }
    return fail(Code::try_later, path + " changes while it is read");
}

// The database first, then its journal: as long as the database itself did not change meanwhile,
// the two make a state that a crash could have left, and SQLite knows how to read that. The app's
// own files are never opened by SQLite, since it would write beside them.
Result<Frozen> Reader::freeze_database(const std::string& path, const FileStat& stat,
                                       const std::string& expected) {
    const std::string copy = temporary_path() + ".db";
    std::vector<std::string> made;
    const auto clean = [&] {
        for (const std::string& name : made) {
            if (name.empty()) {
                continue;
            }
            [[maybe_unused]] const Status gone = disk_.remove(name);
        }
    };
    const std::int64_t at_us = clock_.wall_us();
    const auto copy_file = [&](const std::string& from, const std::string& to) -> Status {
        auto in = disk_.open(from);
        if (!in) {
            return in.error().code == Code::not_found ? Status{} : Status(in.error());
        }
        auto out = disk_.create(to, 0600, {});
        if (!out) {
            return out.error();
        }
        made.push_back(to);
        auto done = digest(**in, [&out](std::string_view bytes) { return (*out)->write(bytes); });
        return done ? Status{} : Status(done.error());
    };
    auto before = disk_.stat(path);
    Status copied = before ? copy_file(path, copy) : Status(before.error());
    for (const std::string_view suffix : {"-wal", "-journal"}) {
        if (copied) {
            copied = copy_file(path + std::string(suffix), copy + std::string(suffix));
        }
    }
    auto after = copied ? disk_.stat(path) : Result<FileStat>(copied.error());
    if (!after || *before != *after) {
        clean();
        return after ? fail(Code::try_later, path + " changes while it is read") : after.error();
    }
    for (const std::string_view suffix : {"-shm", "-wal", "-journal"}) {
        made.push_back(copy + std::string(suffix)); // SQLite may have made them
    }
    Status settled = settle_(copy);
    auto file = settled ? disk_.open(copy) : Result<std::unique_ptr<ReadFile>>(settled.error());
    if (!file) {
        clean();
        return fail(Code::try_later, path + ": " + file.error().message);
    }
    auto content = name(**file, expected);
    made.front().clear(); // goes with its reader
    clean();
    auto still = std::make_unique<TemporaryFile>(disk_, copy, *std::move(file));
    if (!content) {
        return content.error();
    }
    return Frozen{std::move(still), *content, Seen{stat, at_us, content->hash, content->size},
                  copy};
}

Result<Entry> Reader::entry(const std::string& path, const Seen* known, Seen* seen,
                            const std::string& expected) {
    auto stat = disk_.stat(path);
    return stat ? entry_from({*stat, false}, path, known, seen, expected) : stat.error();
}

Result<Entry> Reader::entry_from(const Listed& listed, const std::string& path, const Seen* known,
                                 Seen* seen, const std::string& expected) {
    const FileStat* const stat = &listed.stat;
    Entry entry = entry_of(*stat);
    if (stat->kind == FileKind::symlink) {
        auto target = disk_.read_symlink(path);
        if (!target) {
            return target.error();
        }
        entry.target = *std::move(target);
    } else if (stat->kind == FileKind::file) {
        // Of what is read anyway, the stamps are those that it has then.
        bool database = false;
        auto stamped = known == nullptr || listed.alone ? Result<FileStat>(*stat)
                                                        : stamp(path, *stat, database);
        if (!stamped) {
            return stamped.error();
        }
        Seen now;
        if (known != nullptr && still_the_same(*known, *stamped)) {
            now = *known;
            const bool stale = now.attributes != nullptr && now.attributes->stale;
            const bool looked = now.attributes != nullptr && now.attributes->looked &&
                                !(stale && looks_at_attributes_);
            has_untold_attributes_ = has_untold_attributes_ || (stale && !looks_at_attributes_);
            if (Status added = looked ? Status{} : add_attributes(path, known, now); !added) {
                return added.error();
            }
        } else {
            auto looked = known != nullptr ? look_at_edit(path, *stat, *known, *stamped)
                                           : look_or_let_go(path, nullptr, expected);
            if (!looked && looked.error().code == Code::try_later) {
                auto absent = look_at_absent(path, *stat, known);
                looked = absent && absent->at_us == 0 ? std::move(looked) : std::move(absent);
            }
            if (!looked) {
                return looked.error();
            }
            now = *std::move(looked);
        }
        entry.hash = now.hash;
        entry.size = now.size;
        entry.mode = stat->mode;
        entry.mtime_us = floor_us(now.stat.mtime_ns);
        entry.attributes = attributes_of(now);
        if (seen != nullptr) {
            *seen = std::move(now);
        }
    } else if (stat->kind == FileKind::folder) {
        Seen now;
        if (Status added = add_attributes(path, known, now); !added) {
            return added.error();
        }
        entry.attributes = attributes_of(now);
        if (seen != nullptr) {
            *seen = std::move(now);
        }
    } else if (stat->kind == FileKind::other) {
        return fail(Code::refused, path + " is no file, folder or symbolic link");
    }
    return entry;
}

const Seen* Known::find(const std::string& path, const FileStat& now) const {
    if (const auto at = paths.find(path); at != paths.end()) {
        return &at->second;
    }
    const auto at = inodes.find(now.inode);
    return at != inodes.end() && still_the_same(*at->second, now) ? at->second : nullptr;
}

std::string Reader::database_of(const std::string& path) const {
    for (const std::string_view suffix : companion_suffixes) {
        if (settle_ && path.size() > suffix.size() && path.ends_with(suffix)) {
            return path.substr(0, path.size() - suffix.size());
        }
    }
    return "";
}

std::vector<std::string> Reader::companion_names(const std::string& path) {
    std::vector<std::string> out;
    for (const std::string_view suffix : companion_suffixes) {
        out.push_back(path + std::string(suffix));
    }
    return out;
}

Status Reader::part(const std::string& root, const std::string& path, bool below,
                    const Known& known, Scan& out) {
    const auto none = [](const Error& error) {
        return error.code == Code::not_found || error.code == Code::refused;
    };
    auto stat = disk_.stat(joined(root, path));
    if (!stat) {
        return none(stat.error()) ? Status{} : Status{stat.error()};
    }
    if (const std::string whole = database_of(path);
        !whole.empty() && stat->kind == FileKind::file) {
        auto main = disk_.stat(joined(root, whole));
        if (!main && !none(main.error())) {
            return main.error();
        }
        if (main && main->kind == FileKind::file && is_database(joined(root, whole))) {
            return {};
        }
    }
    if (Status added = add(root, path, {*stat, false}, known, out); !added) {
        return added;
    }
    return below && stat->kind == FileKind::folder ? walk(root, path, known, out) : Status{};
}

Result<Scan> Reader::scan(const std::string& root, const Known& known) {
    Scan out;
    auto stat = disk_.stat(root);
    if (!stat && stat.error().code == Code::not_found) {
        out.missing = true;
        return out;
    }
    Status walked = walk(root, "", known, out);
    if (!walked) {
        return walked.error();
    }
    return out;
}

Status Reader::walk(const std::string& root, const std::string& below, const Known& known,
                    Scan& out) {
    const std::string folder = below.empty() ? root : joined(root, below);
    auto list = disk_.list(folder);
    if (!list) {
        // A folder that went away while we looked is one that is not there.
        return list.error().code == Code::not_found && !below.empty() ? Status{}
                                                                      : Status(list.error());
    }
    std::set<std::string> parts;       // of databases
    std::set<std::string> accompanied; // names beside which there is what may be one
    for (const DirEntry& entry : *list) {
        for (const std::string_view suffix : companion_suffixes) {
            if (settle_ && entry.stat.kind == FileKind::file && entry.name.ends_with(suffix)) {
                const std::string main = entry.name.substr(0, entry.name.size() - suffix.size());
                accompanied.insert(main);
                const bool there =
                    std::any_of(list->begin(), list->end(), [&](const DirEntry& other) {
                        return other.name == main && other.stat.kind == FileKind::file;
                    });
                if (there && is_database(joined(folder, main))) {
                    parts.insert(entry.name);
                }
            }
        }
    }
    for (const DirEntry& entry : *list) {
        const std::string path = joined(below, entry.name);
        if (parts.contains(entry.name)) {
            continue;
        }
        const bool alone = !accompanied.contains(entry.name);
        if (Status done = add(root, path, {entry.stat, alone}, known, out); !done) {
            return done;
        }
        const auto added = out.tree.find(path);
        if (entry.stat.kind == FileKind::folder && added != out.tree.end() &&
            added->second.kind == FileKind::folder) {
            if (Status walked = walk(root, path, known, out); !walked) {
                return walked;
            }
        }
    }
    return {};
}

Status Reader::add(const std::string& root, const std::string& path, const Listed& listed,
                   const Known& known, Scan& out) {
    const FileStat& stat = listed.stat;
    if (stat.kind == FileKind::other || !valid_path(path)) {
        ++out.skipped;
        out.unnamed += stat.kind == FileKind::other ? 0 : 1;
        return {};
    }
    if (out.tree.size() >= entries_max) {
        return fail(Code::refused, root + " holds more than " + std::to_string(entries_max) +
                                       " files: that is more than can be kept");
    }
    const Seen* before = known.find(path, stat);
    Seen seen;
    // What was listed a while ago says enough of a file that is as it was.
    const bool as_it_was = before != nullptr && listed.alone && stat.kind == FileKind::file &&
                           still_the_same(*before, stat);
    auto now = as_it_was ? entry_from(listed, joined(root, path), before, &seen, "")
                         : entry(joined(root, path), before, &seen);
    if (now) {
        const bool file = now->kind == FileKind::file;
        out.tree[path] = *std::move(now);
        if (seen.attributes != nullptr && !seen.attributes->kept()) {
            ++out.attributes_left;
        }
        if (file || seen.attributes != nullptr) {
            out.seen[path] = std::move(seen);
        }
        return {};
    }
    switch (now.error().code) {
    case Code::not_found:
        return {};
    case Code::try_later:
        out.changing.insert(path);
        if (before != nullptr) { // as it was; the next round looks again
            Entry old = entry_of(before->stat);
            old.hash = before->hash;
            old.size = before->size;
            old.attributes = attributes_of(*before);
            out.tree[path] = std::move(old);
        }
        return {};
    default:
        return now.error();
    }
}

} // namespace hasp::sync
