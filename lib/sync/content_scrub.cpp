// The content store: reading what is kept, and what is said of contents that are not as they were.
#include "store/db.h"
#include "store/transaction.h"
#include "sync/content_store.h"
#include "sync/tree.h"
#include "trust/hash.h"

#include <array>

namespace hasp::sync {

namespace {

using store::done;

constexpr std::size_t probe_bytes = 64;
constexpr int probes_max = 3;

} // namespace

// `bytes` of it from `offset` on; of all of it the hash, too. Marked or not.
Result<ContentStore::Look> ContentStore::look(const One& one, std::uint64_t offset,
                                              std::uint64_t bytes) {
    if (one.place.file == 0) {
        return Look::damaged;
    }
    auto key = key_of(one.name.user, false);
    if (!key) {
        return key.error();
    }
    trust::wipe(*key); // it was only asked whether it opens
    auto content = open_place(one.name.user, one.name.hash, one.place);
    Status read = content ? Status{} : Status(content.error());
    if (read && offset == 0 && bytes >= one.place.size) {
        auto named = is_as_named(**content, one.name.hash);
        read = !named   ? Status(named.error())
               : *named ? Status{}
                        : fail(Code::refused, "it is another content");
    } else {
        std::string buffer(static_cast<std::size_t>(step_bytes_max / 64), '\0');
        for (std::uint64_t end = offset + bytes; read && offset < end;) {
            auto got = (*content)->read(offset, buffer);
            if (!got || *got == 0) {
                read = got ? Status{} : Status(got.error());
                break;
            }
            offset += *got;
        }
    }
    return read                                 ? Look::whole
           : read.error().code == Code::refused ? Look::damaged
                                                : Look::unreadable;
}

// Whether the disk gives anything at all: of other files first, else of the same one.
Result<bool> ContentStore::others_read(const Place& but) {
    std::vector<Place> some;
    for (const char* sql : {"SELECT file, at, bytes, size, damaged, parts FROM contents WHERE "
                            "tenant = ?1 AND file > ?2 AND "
                            "?3 >= 0 AND damaged = 0 ORDER BY file LIMIT ?4",
                            "SELECT file, at, bytes, size, damaged, parts FROM contents WHERE "
                            "tenant = ?1 AND file < ?2 AND "
                            "file > 0 AND ?3 >= 0 AND damaged = 0 ORDER BY file DESC LIMIT ?4",
                            "SELECT file, at, bytes, size, damaged, parts FROM contents WHERE "
                            "tenant = ?1 AND file = ?2 AND "
                            "at <> ?3 AND damaged = 0 ORDER BY at LIMIT ?4"}) {
        if (Status read = db_.each(
                sql, [&some](const store::Statement& s) { some.push_back(read_place(s)); }, tenant_,
                but.file, but.at, probes_max);
            !read) {
            return read.error();
        }
    }
    for (const Place& one : some) {
        std::array<char, probe_bytes> buffer{};
        auto file = disk_.open(path_of(one.file));
        auto got = file ? (*file)->read(one.at, buffer) : Result<std::size_t>(file.error());
        if (got && *got > 0) {
            return true;
        }
    }
    return false;
}

Result<bool> ContentStore::look_at(const std::string& user, const std::string& hash) {
    auto found = place(user, hash);
    if (!found || !*found) {
        return found ? Result<bool>(false) : found.error();
    }
    if ((*found)->damaged) {
        return true;
    }
    auto seen = look({{user, hash}, **found}, 0, file_bytes_max);
    if (!seen) {
        return seen.error();
    }
    auto others = *seen == Look::unreadable ? others_read(**found) : Result<bool>(true);
    if (!others) {
        return others.error();
    }
    if (*seen == Look::whole || !*others) {
        return false;
    }
    Status marked = mark_damaged(user, hash);
    // And which part of it is.
    auto sources = (*found)->parts != 0
                       ? sources_of({user, hash})
                       : Result<std::vector<std::string>>(std::vector<std::string>());
    marked = marked && !sources ? Status(sources.error()) : marked;
    for (std::size_t i = 0; marked && i < sources->size(); ++i) {
        if (auto part = look_at(user, (*sources)[i]); !part) {
            marked = part.error();
        }
    }
    return marked ? Result<bool>(true) : marked.error();
}

// In the order of their names. Marked: those alone that have a place.
Result<std::vector<ContentStore::One>> ContentStore::contents_behind(const Damaged& name,
                                                                     bool marked) {
    std::vector<One> some;
    std::uint64_t sum = 0;
    Status status = db_.each(
        marked
            ? "SELECT file, at, bytes, size, damaged, parts, user, hash FROM contents INDEXED BY "
              "contents_damaged WHERE tenant = ?1 AND damaged = 1 AND file <> 0 AND (user, "
              "hash) > (?2, ?3) ORDER BY user, hash LIMIT ?4"
            : "SELECT file, at, bytes, size, damaged, parts, user, hash FROM contents WHERE tenant "
              "= "
              "?1 AND (user, hash) > (?2, ?3) ORDER BY user, hash LIMIT ?4",
        [&](const store::Statement& s) {
            if (sum < step_bytes_max) {
                some.push_back({{s.text(6), s.blob(7)}, read_place(s)});
                sum += some.back().place.size;
            }
        },
        tenant_, name.user, store::Blob{name.hash}, step_rows_max);
    return status ? Result<std::vector<One>>(std::move(some)) : status.error();
}

Result<ContentStore::Scrub> ContentStore::scrub() {
    auto found = db_.first(
        "SELECT scrub_began_us, scrub_ended_us FROM content_state WHERE tenant = ?1",
        [](const store::Statement& s) {
            return Scrub{s.integer(0), s.integer(1)};
        },
        tenant_);
    return found ? Result<Scrub>(found->value_or(Scrub{})) : found.error();
}

// A large content takes more than one step; each of its frames says whether it is whole.
Result<bool> ContentStore::scrub_some(std::int64_t now_us) {
    struct At {
        Damaged name;
        std::uint64_t offset = 0;
        std::int64_t began_us = 0;
    };
    auto at = db_.first(
        "SELECT scrub_user, scrub_hash, scrub_offset, scrub_began_us FROM content_state WHERE "
        "tenant = ?1",
        [](const store::Statement& s) {
            return At{
                {s.text(0), s.blob(1)}, static_cast<std::uint64_t>(s.integer(2)), s.integer(3)};
        },
        tenant_);
    if (!at || !*at) {
        return at ? Result<bool>(false) : at.error();
    }
    if ((*at)->began_us == 0) {
        recheck_ = Recheck{};
    }
    auto some = contents_behind((*at)->name, false);
    if (!some) {
        return some.error();
    }
    std::vector<Damaged> found;
    std::optional<Error> problem;
    At next = **at;
    for (const One& one : *some) {
        // What it is made of is read by itself, and speaks for it.
        const bool composed = one.place.parts != 0;
        const bool at_once = composed || one.place.size <= step_bytes_max;
        if (!at_once && &one != &some->front()) {
            break; // in a step of its own
        }
        if (!one.place.damaged) { // recheck_some reads those
            auto seen = look(one, at_once ? 0 : next.offset, composed ? 0 : step_bytes_max);
            if (!seen) {
                problem = seen.error(); // the user's key: all others are read
            } else if (*seen == Look::whole) {
                if (!at_once && next.offset + step_bytes_max < one.place.size) {
                    next.offset += step_bytes_max;
                    break;
                }
            } else {
                auto others =
                    *seen == Look::unreadable ? others_read(one.place) : Result<bool>(true);
                if (!others || !*others) {
                    // Nothing can be read now: the disk is asked again later.
                    return !others ? others.error()
                                   : fail(Code::failed,
                                          "none of the kept contents of users' files "
                                          "can be read",
                                          "check the disk that STATE/contents is on");
                }
                found.push_back(one.name);
            }
        }
        next.name = one.name;
        next.offset = 0;
    }
    auto transaction = store::Transaction::begin(db_);
    if (!transaction) {
        return transaction.error();
    }
    for (const Damaged& one : found) {
        if (Status marked = mark_damaged(one.user, one.hash); !marked) {
            return marked.error();
        }
    }
    const bool more = !some->empty();
    Status status =
        more ? done(db_.execute(
                   "UPDATE content_state SET scrub_user = ?2, scrub_hash = ?3, scrub_offset = ?4, "
                   "scrub_began_us = CASE scrub_began_us WHEN 0 THEN ?5 ELSE scrub_began_us END "
                   "WHERE tenant = ?1",
                   tenant_, next.name.user, store::Blob{next.name.hash}, next.offset, now_us))
             : done(db_.execute("UPDATE content_state SET scrub_user = '', scrub_hash = x'', "
                                "scrub_offset = 0, scrub_began_us = 0, scrub_ended_us = ?2 WHERE "
                                "tenant = ?1",
                                tenant_, now_us));
    status = status ? transaction->commit() : status;
    if (status && problem) {
        return *problem;
    }
    return status ? Result<bool>(more) : status.error();
}

// What is still not as it was stays marked, whatever the reason.
Result<bool> ContentStore::recheck_some(const Healed& healed) {
    if (!recheck_) {
        return false;
    }
    auto some = contents_behind(recheck_->name, true);
    if (!some) {
        return some.error();
    }
    std::vector<Damaged> whole;
    Recheck next = *recheck_;
    for (const One& one : *some) {
        const bool at_once = one.place.size <= step_bytes_max;
        if (!at_once && &one != &some->front()) {
            break;
        }
        auto seen = look(one, at_once ? 0 : next.offset, step_bytes_max);
        if (seen && *seen == Look::whole) {
            if (!at_once && next.offset + step_bytes_max < one.place.size) {
                next.offset += step_bytes_max;
                break;
            }
            whole.push_back(one.name);
        }
        next = {one.name, 0};
    }
    if (Status given = whole.empty() ? Status{} : unmark(whole, healed); !given) {
        return given.error();
    }
    recheck_ = some->empty() ? std::nullopt : std::optional<Recheck>(next);
    return !some->empty();
}

Status ContentStore::unmark(const std::vector<Damaged>& whole, const Healed& healed) {
    auto transaction = store::Transaction::begin(db_);
    Status status = transaction ? Status{} : Status(transaction.error());
    for (const Damaged& one : whole) {
        status = status ? done(db_.execute("UPDATE contents SET damaged = 0 WHERE tenant = ?1 AND "
                                           "user = ?2 AND hash = ?3",
                                           tenant_, one.user, store::Blob{one.hash}))
                        : status;
    }
    status = status ? healed(whole) : status;
    return status ? transaction->commit() : status;
}

} // namespace hasp::sync
