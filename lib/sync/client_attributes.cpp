// Client: extended attributes of what comes, and of what stands where it came.
#include "client_staging.h"

#include "sync/attributes.h"

namespace hasp::sync {

Status Client::look_at_attributes(const FolderId& folder) {
    auto format = batch_format(folder);
    if (format) {
        reader_->look_at_attributes(*format >= batch_format_attributes);
    }
    return format ? Status{} : Status{format.error()};
}

// Of what stands at `op`'s path and may be changed.
std::string Client::agreed_attributes(const Staging& staging, const Operation& op) {
    const auto base = staging.base.find(op.path);
    return base == staging.base.end() || base->second.entry.kind != op.entry.kind
               ? std::string()
               : base->second.entry.attributes;
}

// Of a file that takes another's place. What changes from what was agreed on to what came, done to
// what stands here: where its file system has no room for all of them, or the home is not told of
// them, that is something else. Of too many, what was agreed on alone comes along.
Result<std::string> Client::attributes_to_set(const WorkingFolder& folder, const Staging& staging,
                                              const Operation& op) {
    const auto now = staging.mine.find(op.path);
    if (op.entry.kind == FileKind::symlink || now == staging.mine.end() ||
        now->second.kind != op.entry.kind) {
        return op.entry.attributes;
    }
    auto found = disk_.attributes(folder.path + "/" + op.path);
    if (!found) {
        // It will be found changed, or nobody can say what it has.
        return found.error().code != Code::try_later ? Result<std::string>(op.entry.attributes)
                                                     : found.error();
    }
    return found->all
               ? carry_over(agreed_attributes(staging, op), op.entry.attributes, found->attributes)
               : op.entry.attributes;
}

// Of what was made just now or stands there already.
Status Client::set_attributes(const std::string& path, const Staging& staging, const Operation& op,
                              bool stands) {
    const std::string agreed = stands ? agreed_attributes(staging, op) : "";
    return agreed == op.entry.attributes ? Status{}
                                         : disk_.set_attributes(path, agreed, op.entry.attributes);
}

// A power cut may have come before they were set, or undone it: what came with nothing else would
// look as if it had no room here, for good.
Status Client::set_again(const WorkingFolder& folder, const std::string& path, const Entry& came) {
    if (came.kind == FileKind::symlink || !reader_->looks_at_attributes()) {
        return {};
    }
    auto before = store_->base_row(folder.id, path);
    auto found = before ? disk_.attributes(folder.path + "/" + path)
                        : Result<FoundAttributes>(before.error());
    if (!before || !found || !found->all) {
        return before ? Status{} : Status(before.error());
    }
    const std::string agreed =
        *before && (*before)->entry.kind == came.kind ? (*before)->entry.attributes : "";
    const std::string meant = carry_over(agreed, came.attributes, found->attributes);
    if (meant == found->attributes) {
        return {};
    }
    Status set = disk_.set_attributes(folder.path + "/" + path, found->attributes, meant);
    return set || set.error().code == Code::failed ? set : Status{};
}

void Client::note_attributes(const WorkingFolder& folder, const std::string& path, BaseRow& row) {
    if (row.entry.kind == FileKind::symlink || !reader_->looks_at_attributes()) {
        return;
    }
    auto found = disk_.attributes(folder.path + "/" + path);
    if (found) { // else the next look sees what is the matter
        row.seen.attributes = came_as(row.entry.attributes, *found);
    }
}

} // namespace hasp::sync
