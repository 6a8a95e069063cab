// Contents that were agreed on and are files of their own, or parts of one.
#include "base/text.h"
#include "recipe.h"
#include "store/db.h"
#include "sync/bases.h"
#include "sync/difference.h"

#include <algorithm>

namespace hasp::sync {

namespace {

// The one source of all extents is the file, which needs no name.
const std::string the_file(hash_bytes, '\0');

bool as_written(const FileStat& a, const FileStat& b) {
    return a.kind == b.kind && a.size == b.size && a.mtime_ns == b.mtime_ns &&
           a.ctime_ns == b.ctime_ns && a.inode == b.inode;
}

Result<Recipe> recipe_of(std::uint64_t size, const std::string& extents) {
    return extents.empty() ? Result<Recipe>(Recipe{{the_file}, {{0, 0, size}}})
                           : decode_recipe(extents, size);
}

Status copy_to(Disk& disk, const std::string& path, ReadFile& content) {
    auto made = disk.create(path, 0600, {});
    auto stat = made ? content.stat() : Result<FileStat>(made.error());
    return stat ? read_range(content, 0, stat->size,
                             [&made](std::string_view bytes) { return (*made)->write(bytes); })
                : Status(stat.error());
}

} // namespace

// What cannot be read any more is compared anew, and dropped, when it is asked for again.
class KeptFile final : public ReadFile {
  public:
    KeptFile(std::unique_ptr<ReadFile> file, Bases& bases, std::string name)
        : file_(std::move(file)), bases_(bases), name_(std::move(name)) {}
    Result<std::size_t> read(std::uint64_t offset, std::span<char> into) override {
        auto got = file_->read(offset, into);
        if (!got) {
            bases_.proven_.erase(name_);
        }
        return got;
    }
    Result<FileStat> stat() override { return file_->stat(); }

  private:
    std::unique_ptr<ReadFile> file_;
    Bases& bases_;
    std::string name_;
};

Result<bool> Bases::in_use(const std::string& file) {
    if (std::any_of(pending_.begin(), pending_.end(),
                    [&file](const Pending& row) { return row.file == file; })) {
        return true;
    }
    auto found = db_.first(
        "SELECT 1 FROM sync_bases WHERE tenant = ?1 AND file = ?2 LIMIT 1",
        [](const store::Statement&) { return true; }, tenant_, file);
    return found ? Result<bool>(found->has_value()) : found.error();
}

// A content that comes back while edits of it stand in its old file gets another.
Result<std::string> Bases::new_file(const FolderId& id, const std::string& hash) {
    std::string name = id.user + "." + id.app + "." + to_hex(hash);
    for (auto used = in_use(name);; used = in_use(name)) {
        if (!used || !*used) {
            return used ? Result<std::string>(std::move(name)) : used.error();
        }
        name += "+";
    }
}

// A row of it is gone. What it took counts for those that still stand in it.
Status Bases::leave_file(const Row& row) {
    auto used = in_use(row.file);
    if (!used || !*used) {
        forget_file(used ? row.file : "");
        return used ? Status{} : Status(used.error());
    }
    const auto waiting =
        std::find_if(pending_.begin(), pending_.end(),
                     [&row](const Pending& other) { return other.file == row.file; });
    if (waiting != pending_.end()) {
        waiting->taken += row.taken;
        return {};
    }
    return store::done(db_.execute(
        "UPDATE sync_bases SET taken = taken + ?3 WHERE kept = (SELECT MAX(kept) FROM sync_bases "
        "WHERE tenant = ?1 AND file = ?2)",
        tenant_, row.file, row.taken));
}

// Unless something stands in it.
void Bases::forget_file(const std::string& file) {
    auto used = file.empty() ? Result<bool>(true) : in_use(file);
    if (used && !*used) {
        proven_.erase(file);
        [[maybe_unused]] const Status removed = disk_.remove(path_of(file));
    }
}

std::size_t Bases::names_proven() const {
    std::size_t names = 0;
    for (const auto& [file, proven] : proven_) {
        names += proven.hashes.size();
    }
    return names;
}

bool Bases::has_room(std::uint64_t more) {
    auto room = disk_.free_bytes();
    auto taken = bytes();
    return room && taken && more <= (*room + *taken) / base_share_of_disk;
}

Result<std::unique_ptr<ReadFile>> Bases::open_file(const std::string& hash, const Row& row) {
    auto recipe = recipe_of(row.size, row.extents);
    auto file =
        recipe ? disk_.open(path_of(row.file)) : Result<std::unique_ptr<ReadFile>>(recipe.error());
    auto stat = file ? (*file)->stat() : Result<FileStat>(file.error());
    if (!stat) {
        return stat.error();
    }
    std::vector<std::unique_ptr<ReadFile>> sources;
    sources.push_back(*std::move(file));
    auto content = assembled(*std::move(recipe), std::move(sources));
    Proven& proven = proven_[row.file];
    if (!as_written(proven.stat, *stat)) {
        proven = {*stat, {}};
    }
    if (!proven.hashes.contains(hash)) {
        auto found = identify(*content, named_by_chunks(hash));
        if (!found || found->hash != hash || found->size != row.size) {
            return found ? fail(Code::refused, "a content is not what it was") : found.error();
        }
        remember(*found);
        proven.hashes.insert(hash);
    }
    return std::unique_ptr<ReadFile>(new KeptFile(std::move(content), *this, row.file));
}

Result<bool> Bases::keep_file(const FolderId& id, const std::string& hash, ReadFile& content,
                              const Place& place) {
    auto size = content.stat();
    auto name = size && has_room(size->size) ? new_file(id, hash) : Result<std::string>("");
    if (!name || name->empty()) {
        return name ? Result<bool>(false) : name.error();
    }
    const std::string path = path_of(*name);
    Status put;
    if (place.taken && !place.file.empty()) {
        put = disk_.rename(place.file, path);
    } else {
        [[maybe_unused]] const Status old = disk_.remove(path);
        auto cloned = place.file.empty() ? Result<bool>(false) : disk_.clone(place.file, path);
        put = cloned && *cloned ? Status{} : copy_to(disk_, path, content);
    }
    auto stat = put ? disk_.stat(path) : Result<FileStat>(put.error());
    if (!stat || stat->size != size->size) {
        [[maybe_unused]] const Status gone = disk_.remove(path);
        return false;
    }
    proven_[*name] = {*stat, {hash}};
    pending_.push_back({id, hash, stat->size, stat->size, "", *std::move(name), ""});
    return true;
}

Result<std::optional<Bases::Row>> Bases::pending_or_row(const FolderId& id,
                                                        const std::string& hash) {
    for (const Pending& one : pending_) {
        if (one.id == id && one.hash == hash) {
            return std::optional<Row>({one.size, one.taken, one.file, one.extents});
        }
    }
    return row(id, hash);
}

Result<bool> Bases::keep_edit(const FolderId& id, const std::string& hash, const Edit& edit) {
    auto basis = pending_or_row(id, edit.basis);
    auto kept = basis ? pending_or_row(id, hash) : basis;
    if (!kept) {
        return kept.error();
    }
    if (!*basis || (*basis)->file.empty() || hash == edit.basis || *kept || edit.size == 0 ||
        edit.size > bytes_max_ || disk_is_full()) {
        return *kept && hash == edit.basis;
    }
    const std::string& name = (*basis)->file;
    auto recipe = recipe_of((*basis)->size, (*basis)->extents);
    auto stat = disk_.stat(path_of(name));
    auto fresh = edit.fresh->stat();
    const auto proven = proven_.find(name);
    if (!recipe || !stat || !fresh || proven == proven_.end() ||
        !as_written(proven->second.stat, *stat) || !has_room(fresh->size) ||
        stat->size + fresh->size > edit.size + edit.size / 2) {
        return false;
    }
    const RecipeIndex before(*std::move(recipe));
    RecipeWriter now;
    for (const Extent& piece : *edit.pieces) {
        if (piece.source != 0) {
            now.add(the_file, stat->size + piece.from, piece.length);
        } else {
            before.part(piece.from, piece.length, now);
        }
    }
    std::string extents = now.fits() ? encode_recipe(now.recipe()) : "";
    auto file = extents.empty() || extents.size() > recipe_bytes_max
                    ? Result<std::unique_ptr<WriteFile>>(fail(Code::refused, ""))
                    : disk_.append(path_of(name), stat->size);
    if (!file) {
        return false;
    }
    Status put = read_range(*edit.fresh, 0, fresh->size,
                            [&file](std::string_view bytes) { return (*file)->write(bytes); });
    file->reset();
    auto after = disk_.stat(path_of(name));
    if (!put || !after || after->size != stat->size + fresh->size) {
        return false; // what is behind the end of what it was is nothing
    }
    // It was as this process wrote it before, and so it is now.
    proven->second.stat = *after;
    proven->second.hashes.insert(hash);
    pending_.push_back({id, hash, edit.size, fresh->size, "", name, std::move(extents)});
    return true;
}

void Bases::remember(const Digest& named) {
    if (named.chunks == nullptr) {
        return;
    }
    std::erase_if(chunks_, [&named](const Digest& one) { return one.hash == named.hash; });
    chunks_.push_back(named);
    std::size_t bytes = 0;
    auto first = chunks_.end();
    while (first != chunks_.begin() &&
           bytes + (first - 1)->chunks->memory() <= base_chunks_bytes_max) {
        bytes += (--first)->chunks->memory();
    }
    chunks_.erase(chunks_.begin(), first);
}

Result<std::shared_ptr<const ChunkList>> Bases::chunks_of(const std::string& hash,
                                                          ReadFile& content) {
    for (const Digest& one : chunks_) {
        if (one.hash == hash) {
            return one.chunks;
        }
    }
    auto read = identify(content, named_by_chunks(hash));
    if (!read) {
        return read.error();
    }
    if (read->hash != hash) {
        return fail(Code::refused, "a content is not what it was");
    }
    remember(*read);
    return read->chunks;
}

} // namespace hasp::sync
