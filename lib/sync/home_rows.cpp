// Home: the rows of a folder in the order in which they come down, part by part.
#include "home_store.h"

#include <algorithm>
#include <iterator>

namespace hasp::sync {

namespace {
// A place: how far within a revision.
constexpr char at_removal = 'r'; // PATH: all removals from there on, backwards, were had
constexpr char at_put = 'p';     // PATH: all removals and the puts up to there
// PATH with a NUL for one of its slashes: the puts before it, and of the folders above it those up
// to there.
constexpr char at_folder = 'f';
constexpr std::uint64_t sorted_parts_max = 4;
} // namespace

bool comes_before(const Row& a, const Row& b) {
    if (a.revision != b.revision) {
        return a.revision < b.revision;
    }
    if (a.entry.has_value() != b.entry.has_value()) {
        return !a.entry;
    }
    return a.entry ? a.path < b.path : a.path > b.path;
}

Position behind(const Row& row) {
    return {row.revision, (row.entry ? at_put : at_removal) + row.path};
}

Position below(const std::string& above, const Row& row) {
    Position out{row.revision, at_folder + row.path};
    out.place[above.size() + 1] = '\0';
    return out;
}

std::string folder_above(const Position& position) {
    const std::size_t end = position.place.find('\0');
    return is_place(position, at_folder) && end != std::string::npos && end > 1
               ? position.place.substr(1, end - 1)
               : std::string();
}

Result<HomeStore::ReadRows> HomeStore::read_rows(const std::string& sql, const FolderId& folder,
                                                 std::uint64_t number, const std::string& path,
                                                 std::uint64_t max, std::uint64_t attribute_bytes) {
    ReadRows out;
    std::uint64_t bytes = 0;
    auto statement = db_.prepare(sql);
    Status bound = statement ? statement->bind_all(tenant_, folder.user, folder.app, number,
                                                   store::Blob{path}, max)
                             : Status(statement.error());
    while (bound) {
        auto row = statement->step();
        if (!row) {
            return row.error();
        }
        out.cut = *row && bytes >= attribute_bytes;
        if (!*row || out.cut) {
            return out;
        }
        out.rows.push_back(read_row(*statement));
        const std::optional<Entry>& entry = out.rows.back().entry;
        bytes += entry ? entry->attributes.size() : 0;
    }
    return bound.error();
}

// Of one revision. Its rows are found by the index of revisions, and sorted; where they are many
// times what is asked for, along the paths, which are sorted already (the plus sign keeps the other
// index out of it): then all parts of it together read the folder once.
Result<HomeStore::ReadRows> HomeStore::rows_within(const FolderId& folder, const Position& from,
                                                   std::uint64_t max, std::uint64_t attribute_bytes,
                                                   bool attributes) {
    const std::uint64_t sorted_max = max * sorted_parts_max;
    auto count = db_.first(
        "SELECT count(*) FROM (SELECT 1 FROM files_rows WHERE tenant = ?1 AND user = ?2 AND app = "
        "?3 AND revision = ?4 LIMIT ?5)",
        [](const store::Statement& s) { return static_cast<std::uint64_t>(s.integer(0)); }, tenant_,
        folder.user, folder.app, from.number, sorted_max);
    if (!count) {
        return count.error();
    }
    const std::string revision =
        count->value_or(0) < sorted_max ? "revision = ?4 AND " : "+revision = ?4 AND ";
    const auto read = [&](const char* which, const std::string& path, std::uint64_t most) {
        return read_rows(select_rows("files_rows", (revision + which).c_str(), attributes), folder,
                         from.number, path, most, attribute_bytes);
    };
    const bool begins = from.place.empty();
    std::string path = begins ? "" : from.place.substr(1);
    ReadRows out;
    if (begins || from.place[0] == at_removal) {
        auto gone = read(begins ? "kind = 0 AND path > ?5 ORDER BY path DESC LIMIT ?6"
                                : "kind = 0 AND path < ?5 ORDER BY path DESC LIMIT ?6",
                         path, max);
        if (!gone || gone->rows.size() >= max) {
            return gone;
        }
        out = *std::move(gone);
    }
    const bool at_it = is_place(from, at_folder);
    std::replace(path.begin(), path.end(), '\0', '/');
    auto there = read(at_it ? "kind <> 0 AND path >= ?5 ORDER BY path LIMIT ?6"
                            : "kind <> 0 AND path > ?5 ORDER BY path LIMIT ?6",
                      at_it || is_place(from, at_put) ? path : "", max - out.rows.size());
    if (!there) {
        return there;
    }
    std::move(there->rows.begin(), there->rows.end(), std::back_inserter(out.rows));
    out.cut = there->cut;
    return out;
}

Result<HomeStore::Part> HomeStore::rows_from(const FolderId& folder, const Position& asked,
                                             const AnswerBounds& most, bool attributes) {
    const std::string revisions = select_rows(
        "files_rows", "revision >= ?4 AND +path > ?5 ORDER BY revision LIMIT ?6", attributes);
    Position from = asked;
    if (!is_place(from, at_removal) && !is_place(from, at_put) && !is_place(from, at_folder)) {
        from.place.clear(); // the words of another hasp: that revision anew
    }
    Part out;
    std::uint64_t number = from.number;
    bool more_within = false; // the revision of the last row
    if (!from.place.empty()) {
        auto rest = rows_within(folder, from, most.rows + 1, most.attribute_bytes, attributes);
        if (!rest) {
            return rest.error();
        }
        out.rows = std::move(rest->rows);
        more_within = rest->cut;
        ++number;
    }
    if (out.rows.size() <= most.rows && !more_within) {
        const std::uint64_t room = most.rows - out.rows.size();
        auto read = read_rows(revisions, folder, number, "", room + 1, most.attribute_bytes);
        if (!read) {
            return read.error();
        }
        std::vector<Row>& whole = read->rows;
        if (whole.size() > room || read->cut) {
            // The last of these revisions is not complete.
            const std::uint64_t last = whole.back().revision;
            std::erase_if(whole, [last](const Row& row) { return row.revision == last; });
            out.next = {last, ""};
        }
        std::sort(whole.begin(), whole.end(), comes_before);
        std::move(whole.begin(), whole.end(), std::back_inserter(out.rows));
        if (out.rows.empty() && out.next.number != 0) {
            auto first =
                rows_within(folder, out.next, most.rows + 1, most.attribute_bytes, attributes);
            if (!first) {
                return first.error();
            }
            out.rows = std::move(first->rows);
            more_within = true;
        }
    }
    if (more_within && !out.rows.empty()) {
        out.next = behind(out.rows.back());
    }
    std::uint64_t bytes = 0;
    std::uint64_t attribute_bytes = 0;
    for (std::size_t i = 0; i + 1 < out.rows.size(); ++i) {
        bytes += out.rows[i].entry ? out.rows[i].entry->size : 0;
        attribute_bytes += out.rows[i].entry ? out.rows[i].entry->attributes.size() : 0;
        if (i + 1 >= most.rows || bytes >= most.content_bytes ||
            attribute_bytes >= most.attribute_bytes) {
            out.next = behind(out.rows[i]);
            out.rows.resize(i + 1);
        }
    }
    return out;
}

Result<HomeStore::Part> HomeStore::rows_with_attributes(const FolderId& folder,
                                                        const std::string& path,
                                                        const AnswerBounds& most) {
    static const std::string sql =
        select_rows("files_rows", "kind <> 0 AND revision >= ?4 AND path > ?5 AND attributes <> "
                                  "x'' ORDER BY path LIMIT ?6");
    auto read = read_rows(sql, folder, 0, path, most.rows, most.attribute_bytes);
    if (!read) {
        return read.error();
    }
    Part out;
    out.rows = std::move(read->rows);
    if (read->cut || (!out.rows.empty() && out.rows.size() >= most.rows)) {
        out.next = {1, attributes_behind + out.rows.back().path};
    }
    return out;
}

Result<bool> HomeStore::sent_by(const FolderId& folder, const std::string& path,
                                std::uint64_t revision, const std::string& who) {
    auto found = db_.first(
        "SELECT 1 FROM files_versions WHERE tenant = ?1 AND user = ?2 AND app = ?3 AND path = ?4 "
        "AND revision = ?5 AND who = ?6",
        [](const store::Statement&) { return true; }, tenant_, folder.user, folder.app,
        store::Blob{path}, revision, who);
    return found.ok() ? Result<bool>(found->has_value()) : found.error();
}

} // namespace hasp::sync
