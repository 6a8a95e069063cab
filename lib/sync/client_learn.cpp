// Client: attributes of what was agreed on before this tier's hasp kept any. The home knows them,
// and would take what comes without them for their removal. It is asked for all that it has, once,
// and until it has said them nothing is said of any.
#include "client_staging.h"

#include "sync/attributes.h"

#include <algorithm>

namespace hasp::sync {

Result<unsigned> Client::batch_format(const FolderId& folder) {
    auto format = bases_->format(folder);
    if (!format || *format < batch_format_attributes) {
        return format;
    }
    auto row = store_->folder(folder);
    return !row                   ? Result<unsigned>(row.error())
           : row->attributes_told ? format
                                  : Result<unsigned>(batch_format_attributes - 1);
}

// What came in parts is had to its end before.
Position Client::asked_after(const FolderRow& row) {
    Attention& attention = this->attention(row.status.folder);
    const bool begins =
        !row.attributes_told && row.status.revision.epoch != 0 && row.after.number == 0;
    const Position asked = begins ? Position{1, std::string(1, attributes_behind)} : row.after;
    attention.asks_attributes = is_place(asked, attributes_behind);
    return asked;
}

// An app may be at work on what it is about, which does not matter: what stands there keeps its
// content, and the attributes that somebody has set there. Of a file that was moved since, they go
// to where the last look found it.
Status Client::learn_attributes(const WorkingFolder& folder, Staging& staging) {
    std::vector<std::pair<std::string, FileKind>> set; // beneath the disk's root
    const auto give = [&](const std::string& path, const Entry& told) {
        auto found = disk_.attributes(path);
        auto missing = read_attributes(told.attributes);
        auto here = found ? read_attributes(found->attributes) : found.error();
        if (!missing || !here || !found->all) {
            return;
        }
        std::erase_if(*missing, [&](const auto& one) { return here->contains(one.first); });
        if (!missing->empty() && disk_.set_attributes(path, "", write_attributes(*missing))) {
            set.emplace_back(path, told.kind);
        }
    };
    std::map<std::uint64_t, std::pair<const std::string, Seen>*> unsent; // by inode
    if (!staging.told.empty()) {
        for (auto& one : attention(folder.id).seen) {
            unsent.emplace(one.second.stat.inode, &one);
        }
    }
    for (const auto& [path, told] : staging.told) {
        auto row = store_->base_row(folder.id, path);
        if (!row) {
            return row.error();
        }
        if (!*row || (*row)->entry.kind != told.kind || !(*row)->entry.attributes.empty() ||
            staging.agreed.contains(path) || staging.gone.contains(path)) {
            continue;
        }
        BaseRow& known = staging.learnt.emplace(path, **std::move(row)).first->second;
        known.entry.attributes = told.attributes;
        known.seen.attributes = std::make_shared<const SeenAttributes>(
            SeenAttributes{told.attributes, "", false, true, false}); // nobody has looked
        const std::string here = folder.path + "/" + path;
        const auto stat = disk_.stat(here);
        const auto moved = unsent.find(known.seen.stat.inode);
        if (stat && stat->kind == told.kind) {
            give(here, told);
        } else if (!stat && told.kind == FileKind::file && moved != unsent.end() &&
                   moved->second->second.hash == known.entry.hash) {
            give(folder.path + "/" + moved->second->first, told);
            moved->second->second.attributes.reset();
        }
    }
    // What is noted as standing there must not be gone after a power cut: it would look removed.
    Status durable;
    if (set.size() > syncs_one_by_one) {
        durable = disk_.sync_all();
    } else {
        for (const auto& [path, kind] : set) {
            Status synced =
                kind == FileKind::folder ? disk_.sync_folder(path) : disk_.sync_file(path);
            const bool gone = !synced && (synced.error().code == Code::not_found ||
                                          synced.error().code == Code::refused);
            durable = synced || gone ? durable : synced;
        }
    }
    for (auto& [path, row] : staging.learnt) {
        auto found = disk_.attributes(folder.path + "/" + path);
        if (!found) {
            continue;
        }
        SeenAttributes seen = *came_as(row.entry.attributes, *found);
        seen.stale = seen.all && seen.here != found->attributes; // somebody has set others
        row.seen.attributes = std::make_shared<const SeenAttributes>(std::move(seen));
    }
    return durable;
}

// True: the answer was one to the question for attributes. A home that does not say them answers
// as it does otherwise.
bool Client::note_learnt(FolderRow& row, const Staging& staging) {
    Attention& attention = this->attention(row.status.folder);
    if (!std::exchange(attention.asks_attributes, false)) {
        return false;
    }
    const Position& next = staging.head.next;
    const bool goes_on = is_place(next, attributes_behind);
    attention.attributes_unsaid = !goes_on && !is_place(next, attributes_end);
    if (attention.attributes_unsaid) {
        return false;
    }
    row.after = goes_on ? next : Position{};
    row.attributes_told = !goes_on;
    return true;
}

void Client::remember_learnt(const FolderId& folder, const Staging& staging, bool all) {
    Attention& attention = this->attention(folder);
    for (const auto& [path, row] : staging.learnt) {
        const auto unsent = attention.seen.find(path);
        if (unsent != attention.seen.end()) {
            unsent->second.attributes = row.seen.attributes;
        }
    }
    if (!all || !is_place(staging.head.next, attributes_end)) {
        return;
    }
    // What was looked at without them is looked at again, for the batch after this.
    attention.rest = {};
    if (attention.untold_attributes) {
        note(folder, {true, {}, {}, {}});
    }
}

} // namespace hasp::sync
