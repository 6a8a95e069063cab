// Home: contents that one side calls by their chunks and the other by their bytes alone (chunks.h).
// What is kept has the name that it came under; whoever calls it otherwise is understood.
#include "home_parts.h"
#include "home_store.h"
#include "quarantine_store.h"
#include "sync/chunks.h"
#include "sync/home.h"

namespace hasp::sync {

namespace {

bool may_be(const Record& record, const std::optional<Row>& row) {
    return row && row->entry && row->entry->kind == FileKind::file &&
           row->entry->size == record.entry.size &&
           named_by_chunks(row->entry->hash) != named_by_chunks(record.entry.hash);
}

} // namespace

// Of a put of a file: its content and its basis are called as they are kept here. What stands or
// stood at the path is read for that, once; where it cannot be, what came is another content.
Status Home::as_kept(const FolderId& folder, Record& record) {
    if (record.entry.size < chunked_bytes_least && !named_by_chunks(record.basis)) {
        return {};
    }
    const std::string& user = folder.user;
    const auto kept = [&](std::string& name) -> Status {
        auto have = name.empty() ? Result<bool>(true) : contents_.has(user, name);
        auto other = have && !*have ? contents_.known_name(user, name) : Result<std::string>("");
        auto there = other && !other->empty() ? contents_.has(user, *other) : Result<bool>(false);
        if (!have || !other || !there) {
            return !have ? Status(have.error()) : !other ? other.error() : there.error();
        }
        if (*there) {
            name = *std::move(other);
        }
        return {};
    };
    auto now = store_->row(folder, record.path);
    auto then = now ? store_->version_at(folder, record.path, record.entry.revision) : now;
    if (!then) {
        return then.error();
    }
    for (const auto* row : {&*now, &*then}) {
        if (!may_be(record, *row)) {
            continue;
        }
        auto other = contents_.other_name(user, (*row)->entry->hash);
        if (other && *other == record.entry.hash) {
            record.entry.hash = (*row)->entry->hash;
        }
    }
    // What a scanner found something in does not become another content by another name.
    auto held = quarantine_->names_of_size(user, record.entry.size);
    if (!held) {
        return held.error();
    }
    for (const std::string& name : *held) {
        if (named_by_chunks(name) == named_by_chunks(record.entry.hash)) {
            continue;
        }
        auto other = contents_.other_name(user, name);
        if (other && *other == record.entry.hash) {
            record.entry.hash = name;
            break;
        }
    }
    Status named = kept(record.entry.hash);
    return named ? kept(record.basis) : named;
}

// Of a record that goes to whoever knows no names by chunks. An error: the content cannot be read.
Status Home::as_asked(const Question& question, Record& told) {
    if (question.format >= batch_format_chunked) {
        return {};
    }
    for (std::string* name : {&told.entry.hash, &told.basis}) {
        if (!named_by_chunks(*name)) {
            continue;
        }
        auto flat = contents_.other_name(question.folder.user, *name);
        if (!flat) {
            return flat.error();
        }
        *name = *std::move(flat);
    }
    return {};
}

} // namespace hasp::sync
