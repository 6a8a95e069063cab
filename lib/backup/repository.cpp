#include "backup/repository.h"

#include "base/text.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sys/file.h>

namespace hasp::backup {

namespace {

constexpr const char* mark_file = "hasp-backup";
constexpr std::string_view mark = "hasp backup 1\n";
constexpr const char* lists_folder = "backups";
constexpr const char* objects_folder = "objects";
constexpr const char* damaged_folder = "damaged";
constexpr const char* list_being_written = "tmp/list";
constexpr const char* chunk_being_written = "tmp/chunk";
constexpr std::uint32_t folder_mode = 0700;
constexpr std::uint32_t file_mode = 0600;

std::string hex(const ChunkName& name) {
    return to_hex({name.data(), name.size()});
}

Status make_folder(sync::Disk& disk, const std::string& path) {
    Status made = disk.make_folder(path, folder_mode, {});
    return !made && made.error().code == Code::conflict ? Status{} : made;
}

ChunkName name_of(std::string_view bytes) {
    const std::string digest = trust::sha256(bytes);
    ChunkName name{};
    std::copy(digest.begin(), digest.end(), name.begin());
    return name;
}

} // namespace

// The list that is being written.
struct Repository::Listing {
    explicit Listing(std::unique_ptr<sync::WriteFile> into)
        : file(std::move(into)),
          zstd([this](std::string_view bytes) { return file->write(bytes); }),
          writer([this](std::string_view bytes) { return zstd.write(bytes); }) {}
    std::string id;
    std::unique_ptr<sync::WriteFile> file;
    sync::Compressor zstd;
    ManifestWriter writer;
};

Result<Fd> lock_repository(const std::string& folder, Share share) {
    const std::string path = folder + "/lock";
    Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, file_mode));
    if (!fd && share == Share::read) { // a medium that is not to be written to
        fd = Fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    }
    if (!fd) {
        return errno_error(errno, "cannot open " + path);
    }
    if (::flock(fd.get(), (share == Share::write ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0) {
        return errno == EWOULDBLOCK
                   ? fail(Code::conflict, "another hasp works on the backups in " + folder,
                          "wait until it is done")
                   : errno_error(errno, "cannot lock " + path);
    }
    return fd;
}

Result<std::unique_ptr<Repository>> Repository::open(sync::Disk& disk, Open how) {
    std::unique_ptr<Repository> out(new Repository(disk));
    auto file = disk.open(mark_file);
    if (!file && file.error().code == Code::not_found) {
        auto there = disk.list("");
        if (!there) {
            return there.error();
        }
        // A crash may have come between the folders and the mark.
        const bool fresh = std::all_of(there->begin(), there->end(), [](const auto& entry) {
            return entry.name == "lock" || entry.name == lists_folder ||
                   entry.name == objects_folder || entry.name == temporary_folder ||
                   entry.name == "lost+found" || entry.name == std::string(mark_file) + ".new";
        });
        if (how == Open::existing || !fresh) {
            return fail(fresh ? Code::not_found : Code::refused,
                        fresh ? "there are no backups in this folder"
                              : "this folder holds something else than backups of hasp",
                        fresh ? "hasp backup DIR makes the first one" : "give an empty folder");
        }
        for (const char* folder : {lists_folder, objects_folder, temporary_folder}) {
            if (Status made = make_folder(disk, folder); !made) {
                return made.error();
            }
        }
        const std::string fresh_mark = std::string(mark_file) + ".new";
        [[maybe_unused]] const Status old = disk.remove(fresh_mark);
        auto made = disk.create(fresh_mark, file_mode, {});
        Status done = made ? (*made)->write(mark) : Status(made.error());
        done = done ? (*made)->sync() : done;
        done = done ? disk.rename(fresh_mark, mark_file) : done;
        done = done ? disk.sync_folder("") : done;
        return done ? Result<std::unique_ptr<Repository>>(std::move(out)) : done.error();
    }
    if (!file) {
        return file.error();
    }
    std::string text(mark.size() + 1, '\0');
    auto got = (*file)->read(0, text);
    if (!got) {
        return got.error();
    }
    if (text.substr(0, *got) != mark) {
        return fail(Code::refused,
                    "the backups in this folder are in a format that this hasp does "
                    "not know",
                    "use a hasp that is as new as the one that made them");
    }
    return out;
}

std::string Repository::path_of(const ChunkName& name) {
    const std::string text = hex(name);
    return std::string(objects_folder) + "/" + text.substr(0, 2) + "/" + text;
}

Result<std::vector<std::string>> Repository::ids() {
    auto entries = disk_.list(lists_folder);
    if (!entries) {
        return entries.error();
    }
    std::vector<std::string> out;
    for (const sync::DirEntry& entry : *entries) {
        if (valid_backup_id(entry.name)) {
            out.push_back(entry.name);
        }
    }
    return out;
}

Result<Head> Repository::read(const std::string& id, const OnItem& on_item) {
    if (!valid_backup_id(id)) {
        return fail(Code::not_found, "there is no backup '" + id + "'",
                    "hasp backup list DIR shows those that are");
    }
    auto file = disk_.open(std::string(lists_folder) + "/" + id);
    if (!file) {
        return file.error().code == Code::not_found
                   ? fail(Code::not_found, "there is no backup '" + id + "'",
                          "hasp backup list DIR shows those that are")
                   : file.error();
    }
    sync::Decompressor zstd(sync::pull_from(**file));
    ManifestReader reader([&zstd](std::span<char> into) { return zstd.read(into); });
    auto head = reader.head();
    if (!head) {
        return head.error();
    }
    if (head->id != id) {
        return fail(Code::refused, "the list of the backup " + id + " is one of another backup");
    }
    for (;;) {
        auto item = reader.next();
        if (!item) {
            return item.error();
        }
        if (!*item) {
            return head;
        }
        if (Status done = on_item(**item); !done) {
            return done.error();
        }
    }
}

Result<std::vector<Repository::Listed>> Repository::list() {
    auto all = ids();
    if (!all) {
        return all.error();
    }
    std::vector<Listed> out;
    for (const std::string& id : *all) {
        Listed one;
        auto head = read(id, [&one](const Item& item) {
            one.files += item.kind == ItemKind::file ? 1 : 0;
            one.bytes += item.size;
            return Status{};
        });
        if (head) {
            one.head = *std::move(head);
        } else {
            one = Listed{};
            one.problem = head.error().message;
        }
        one.id = id;
        out.push_back(std::move(one));
    }
    return out;
}

Result<std::optional<std::string>> Repository::newest() {
    auto all = ids();
    if (!all) {
        return all.error();
    }
    for (auto id = all->rbegin(); id != all->rend(); ++id) {
        if (read(*id, [](const Item&) { return Status{}; }).ok()) {
            return std::optional(*id);
        }
    }
    return std::optional<std::string>();
}

Result<std::string> Repository::chunk(const ChunkName& name) {
    auto file = disk_.open(path_of(name));
    if (!file) {
        return file.error().code == Code::not_found
                   ? fail(Code::refused, "the part " + hex(name) + " is missing")
                   : file.error();
    }
    sync::Decompressor zstd(sync::pull_from(**file));
    std::string out(std::size_t{chunk_bytes_max} + 1, '\0');
    std::size_t have = 0;
    while (have < out.size()) {
        auto got = zstd.read(std::span<char>(out.data() + have, out.size() - have));
        if (!got) {
            return fail(got.error().code,
                        "the part " + hex(name) + " is damaged: " + got.error().message);
        }
        if (*got == 0) {
            break;
        }
        have += *got;
    }
    out.resize(have);
    return name_of(out) == name
               ? Result<std::string>(std::move(out))
               : fail(Code::refused, "the part " + hex(name) + " is not what was written");
}

Result<std::vector<ChunkName>> Repository::names_in(const std::vector<std::string>& ids,
                                                    bool strict) {
    std::vector<ChunkName> names;
    for (const std::string& id : ids) {
        auto head = read(id, [&names](const Item& item) {
            names.insert(names.end(), item.chunks.begin(), item.chunks.end());
            if (names.size() >= names.capacity() / 8 * 7 && names.size() > 1'000'000) {
                std::sort(names.begin(), names.end()); // what backups share is kept once
                names.erase(std::unique(names.begin(), names.end()), names.end());
            }
            return Status{};
        });
        if (!head && strict) {
            return fail(head.error().code, "backup " + id + ": " + head.error().message,
                        "remove it from the folder " + std::string(lists_folder) +
                            "/, if no hasp can read it");
        }
    }
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return names;
}

Status Repository::sweep() {
    auto left = disk_.list(temporary_folder);
    if (!left && left.error().code == Code::not_found) {
        return make_folder(disk_, temporary_folder);
    }
    for (const sync::DirEntry& entry : left ? *left : std::vector<sync::DirEntry>{}) {
        if (Status gone = disk_.remove(std::string(temporary_folder) + "/" + entry.name); !gone) {
            return gone;
        }
    }
    return left ? Status{} : Status(left.error());
}

Status Repository::begin_writing() {
    if (Status swept = sweep(); !swept) {
        return swept;
    }
    auto all = ids();
    auto listed = all ? names_in(*all, false) : Result<std::vector<ChunkName>>(all.error());
    if (!listed) {
        return listed.error();
    }
    auto folders = disk_.list(objects_folder);
    if (!folders) {
        return folders.error();
    }
    std::vector<ChunkName> there;
    for (const sync::DirEntry& folder : *folders) {
        auto files = disk_.list(std::string(objects_folder) + "/" + folder.name);
        if (!files) {
            return files.error();
        }
        folders_.insert(folder.name);
        for (const sync::DirEntry& file : *files) {
            const auto raw = from_hex(file.name);
            if (raw && raw->size() == trust::sha256_bytes) {
                ChunkName name{};
                std::copy(raw->begin(), raw->end(), name.begin());
                there.push_back(name);
            }
        }
    }
    std::sort(there.begin(), there.end());
    known_.clear();
    std::set_intersection(listed->begin(), listed->end(), there.begin(), there.end(),
                          std::back_inserter(known_));
    return {};
}

bool Repository::knows(const ChunkName& name) const {
    return std::binary_search(known_.begin(), known_.end(), name) || written_.contains(name);
}

Result<Repository::Put> Repository::put(std::string_view bytes) {
    if (bytes.size() > chunk_bytes_max) {
        return fail(Code::usage, "a part of a backup is too large");
    }
    Put out;
    out.name = name_of(bytes);
    if (knows(out.name)) {
        return out;
    }
    const std::string path = path_of(out.name);
    // What a crash left may have a name, and not its bytes.
    if (auto left = disk_.stat(path); left.ok()) {
        if (auto same = chunk(out.name); same.ok()) {
            written_.insert(out.name);
            return out;
        }
    }
    const std::string folder = hex(out.name).substr(0, 2);
    if (!folders_.contains(folder)) {
        if (Status made = make_folder(disk_, std::string(objects_folder) + "/" + folder); !made) {
            return made.error();
        }
        folders_.insert(folder);
    }
    std::string packed;
    sync::Compressor zstd([&packed](std::string_view more) {
        packed.append(more);
        return Status{};
    });
    Status done = zstd.write(bytes);
    done = done ? zstd.finish() : done;
    [[maybe_unused]] const Status old = disk_.remove(chunk_being_written);
    auto file = done ? disk_.create(chunk_being_written, file_mode, {})
                     : Result<std::unique_ptr<sync::WriteFile>>(done.error());
    done = file ? (*file)->write(packed) : Status(file.error());
    if (file) {
        file->reset();
    }
    done = done ? disk_.rename(chunk_being_written, path) : done;
    if (!done) {
        return done.error();
    }
    out.written = packed.size();
    written_.insert(out.name);
    return out;
}

Status Repository::begin(const Head& head) {
    listing_.reset();
    [[maybe_unused]] const Status old = disk_.remove(list_being_written);
    auto file = disk_.create(list_being_written, file_mode, {});
    if (!file) {
        return file.error();
    }
    listing_ = std::make_shared<Listing>(*std::move(file));
    listing_->id = head.id;
    return listing_->writer.head(head);
}

Status Repository::add(const Item& item) {
    return listing_->writer.add(item);
}

Status Repository::commit() {
    const std::shared_ptr<Listing> listing = std::exchange(listing_, nullptr);
    Status done = listing->writer.end();
    done = done ? listing->zstd.finish() : done;
    done = done ? listing->file->sync() : done;
    done = done ? disk_.sync_all() : done;
    done = done ? disk_.rename(list_being_written, std::string(lists_folder) + "/" + listing->id)
                : done;
    return done ? disk_.sync_folder(lists_folder) : done;
}

} // namespace hasp::backup
