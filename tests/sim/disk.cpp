#include "disk.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>

namespace hasp::sim {

std::string folder_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}

// False: the operation is not done, for the reason in `error`.
bool Disk::begin(bool changing, int& error) {
    error = EIO;
    if (dead_) {
        return false;
    }
    ++operations_;
    if (changing) {
        ++changes_;
        if (die_at_ != 0 && changes_ >= die_at_) {
            die_at_ = 0;
            dead_ = true;
            return false;
        }
    }
    if (fail_at_ != 0 && operations_ >= fail_at_) {
        fail_at_ = 0;
        ++stats_.failures;
        return false;
    }
    error = 0;
    return true;
}

void Disk::apply(Names& names, const NameOp& op) {
    switch (op.kind) {
    case NameChange::link:
        names[op.path] = op.file;
        break;
    case NameChange::unlink:
        names.erase(op.path);
        break;
    case NameChange::rename: {
        const auto at = names.find(op.path);
        if (at == names.end()) {
            break;
        }
        names[op.to] = at->second;
        names.erase(op.path);
        // What is in a folder moves with it.
        const std::string beneath = op.path + "/";
        for (auto in = names.lower_bound(beneath);
             in != names.end() && in->first.starts_with(beneath);) {
            names[op.to + in->first.substr(op.path.size())] = in->second;
            in = names.erase(in);
        }
        break;
    }
    }
}

void Disk::record(NameChange kind, const std::string& path, const std::string& to,
                  const File& file) {
    NameOp op{kind, path, to, file, nullptr};
    if (kind != NameChange::unlink) {
        op.folder = find(folder_of(kind == NameChange::link ? path : to));
    }
    apply(names_, op);
    journal_.push_back(std::move(op));
    if (changed_ && (path.starts_with(told_folder_) || to.starts_with(told_folder_))) {
        file->told = true;
        changed_(path, to);
    }
}

void Disk::on_change(std::string folder, Changed changed) {
    told_folder_ = std::move(folder);
    changed_ = std::move(changed);
    for (const auto& [path, file] : names_) {
        file->told = file->told || path.starts_with(told_folder_);
    }
}

void Disk::tell(const Inode& file) {
    if (changed_ && file.told) {
        changed_(path_of(&file), {});
    }
}

File Disk::find(const std::string& path) const {
    const auto at = names_.find(path);
    return at == names_.end() ? nullptr : at->second;
}

std::string Disk::path_of(const Inode* file) const {
    for (const auto& [path, held] : names_) {
        if (held.get() == file) {
            return path;
        }
    }
    return "";
}

void Disk::plant_folder(const std::string& path) {
    auto folder = std::make_shared<Inode>();
    folder->number = next_number_++;
    folder->kind = Inode::Kind::folder;
    folder->mode = 0700;
    names_[path] = folder;
    durable_names_[path] = folder;
}

void Disk::touch(Inode& file) {
    file.mtime_ns = file.ctime_ns = now_ns_ ? now_ns_() : 0;
}

int Disk::make(const std::string& path, Inode::Kind kind, unsigned mode, File& out) {
    const File parent = find(folder_of(path));
    if (!is_folder(parent)) {
        return parent == nullptr ? ENOENT : ENOTDIR;
    }
    out = std::make_shared<Inode>();
    out->number = next_number_++;
    out->kind = kind;
    out->mode = mode;
    touch(*out);
    out->durable_mtime_ns = out->mtime_ns;
    out->durable_ctime_ns = out->ctime_ns;
    record(NameChange::link, path, {}, out);
    return 0;
}

int Disk::open(const std::string& path, bool create, bool exclusive, File& out, unsigned mode) {
    out = find(path);
    int error = 0;
    if (!begin(create && out == nullptr, error)) {
        out = nullptr;
        return error;
    }
    if (out != nullptr) {
        return create && exclusive ? EEXIST : 0;
    }
    return create ? make(path, Inode::Kind::file, mode, out) : ENOENT;
}

int Disk::make_folder(const std::string& path, unsigned mode) {
    int error = 0;
    File made;
    if (!begin(true, error)) {
        return error;
    }
    return find(path) != nullptr ? EEXIST : make(path, Inode::Kind::folder, mode, made);
}

int Disk::make_symlink(const std::string& path, const std::string& target) {
    int error = 0;
    File made;
    if (!begin(true, error)) {
        return error;
    }
    error = find(path) != nullptr ? EEXIST : make(path, Inode::Kind::symlink, 0777, made);
    if (error == 0) {
        made->seen = made->durable = target;
    }
    return error;
}

int Disk::set_meta(const std::string& path, unsigned mode, std::int64_t mtime_ns) {
    int error = 0;
    if (!begin(true, error)) {
        return error;
    }
    const File file = find(path);
    if (file == nullptr) {
        return ENOENT;
    }
    if (file->kind != Inode::Kind::symlink) {
        file->mode = mode;
    }
    file->mtime_ns = mtime_ns;
    file->ctime_ns = now_ns_ ? now_ns_() : 0;
    tell(*file);
    return 0;
}

int Disk::sync_all() {
    int error = 0;
    ++stats_.syncs;
    if (!begin(true, error)) {
        return error;
    }
    for (const auto& [path, file] : names_) {
        if (!lie_ || !lie_(path)) {
            settle(*file);
        }
    }
    durable_names_ = names_;
    journal_.clear();
    return 0;
}

int Disk::rename(const std::string& from, const std::string& to) {
    int error = 0;
    if (!begin(true, error)) {
        return error;
    }
    const File moved = find(from);
    const File parent = find(folder_of(to));
    if (moved == nullptr || parent == nullptr) {
        return ENOENT;
    }
    const File replaced = find(to);
    if (replaced != nullptr && is_folder(replaced) != is_folder(moved)) {
        return is_folder(replaced) ? EISDIR : ENOTDIR;
    }
    if (is_folder(replaced) && !list(to).empty()) {
        return ENOTEMPTY;
    }
    if (from != to) {
        record(NameChange::rename, from, to, moved);
    }
    return 0;
}

int Disk::unlink(const std::string& path) {
    int error = 0;
    if (!begin(true, error)) {
        return error;
    }
    const File gone = find(path);
    if (gone == nullptr) {
        return ENOENT;
    }
    if (is_folder(gone) && !list(path).empty()) {
        return ENOTEMPTY;
    }
    record(NameChange::unlink, path, {}, gone);
    return 0;
}

std::vector<std::string> Disk::list(const std::string& folder) const {
    std::vector<std::string> out;
    const std::string beneath = folder == "/" ? "/" : folder + "/";
    for (auto at = names_.lower_bound(beneath);
         at != names_.end() && at->first.starts_with(beneath); ++at) {
        std::string name = at->first.substr(beneath.size());
        if (name.find('/') == std::string::npos && !name.empty()) {
            out.push_back(std::move(name));
        }
    }
    return out;
}

int Disk::read(const File& file, std::uint64_t at, char* out, std::size_t size, std::size_t& got) {
    got = 0;
    int error = 0;
    if (!begin(false, error)) {
        return error;
    }
    if (at < file->seen.size()) {
        got = std::min<std::size_t>(size, file->seen.size() - at);
        std::memcpy(out, file->seen.data() + at, got);
    }
    return 0;
}

std::uint64_t Disk::used() const {
    std::uint64_t sum = 0;
    std::set<const Inode*> counted;
    for (const auto& [path, file] : names_) {
        if (counted.insert(file.get()).second) {
            sum += file->seen.size();
        }
    }
    return sum;
}

void Disk::apply(std::string& content, const Inode::Change& change) {
    if (change.size_only) {
        content.resize(change.at, '\0');
        return;
    }
    const std::size_t end = change.at + change.bytes.size();
    if (content.size() < end) {
        content.resize(end, '\0');
    }
    std::memcpy(content.data() + change.at, change.bytes.data(), change.bytes.size());
}

int Disk::write(const File& file, std::uint64_t at, std::string_view bytes) {
    int error = 0;
    if (!begin(true, error)) {
        return error;
    }
    ++stats_.writes;
    if (capacity_ != 0 && at + bytes.size() > file->seen.size() &&
        used() + at + bytes.size() - file->seen.size() > capacity_) {
        ++stats_.failures;
        return ENOSPC;
    }
    file->unsynced.push_back({at, std::string(bytes), false});
    apply(file->seen, file->unsynced.back());
    touch(*file);
    tell(*file);
    return 0;
}

int Disk::truncate(const File& file, std::uint64_t size) {
    int error = 0;
    if (!begin(true, error)) {
        return error;
    }
    file->unsynced.push_back({size, {}, true});
    apply(file->seen, file->unsynced.back());
    touch(*file);
    tell(*file);
    return 0;
}

int Disk::sync(const File& file) {
    int error = 0;
    ++stats_.syncs;
    if (!begin(true, error)) {
        // The kernel says so once and then takes the pages for written: they are clean, and lost at
        // a crash in whatever part did not reach the disk.
        if (!dead_) {
            survive(*file);
        }
        return error;
    }
    if (lie_ && lie_(path_of(file.get()))) {
        return 0;
    }
    settle(*file);
    return 0;
}

void Disk::settle(Inode& file) {
    for (const Inode::Change& change : file.unsynced) {
        apply(file.durable, change);
    }
    file.unsynced.clear();
    file.durable_mtime_ns = file.mtime_ns;
    file.durable_ctime_ns = file.ctime_ns;
}

int Disk::sync_folder(const std::string& path) {
    int error = 0;
    ++stats_.folder_syncs;
    if (!begin(true, error)) {
        return error;
    }
    if (lie_ && lie_(path)) {
        return 0;
    }
    std::size_t end = 0;
    for (std::size_t i = 0; i < journal_.size(); ++i) {
        const NameOp& op = journal_[i];
        if (folder_of(op.path) == path || (!op.to.empty() && folder_of(op.to) == path)) {
            end = i + 1;
        }
    }
    for (std::size_t i = 0; i < end; ++i) {
        apply(durable_names_, journal_[i]);
    }
    journal_.erase(journal_.begin(), journal_.begin() + static_cast<std::ptrdiff_t>(end));
    return 0;
}

// Moves a part of what was not synced into `durable`, and forgets the rest of the history.
void Disk::survive(Inode& file) {
    enum class How : unsigned char { nothing, all, prefix, sectors };
    const How how = static_cast<How>(random_.below(4));
    if (file.unsynced.empty() || how == How::all) {
        settle(file);
        return;
    }
    // The times are written no later than the bytes.
    const auto keep = [&file](const Inode::Change& change) {
        apply(file.durable, change);
        file.durable_mtime_ns = file.mtime_ns;
        file.durable_ctime_ns = file.ctime_ns;
    };
    const std::size_t whole =
        how == How::prefix ? random_.below(file.unsynced.size() + 1) : file.unsynced.size();
    for (std::size_t i = 0; i < file.unsynced.size(); ++i) {
        const Inode::Change& change = file.unsynced[i];
        if (how == How::nothing || (how == How::prefix && i > whole)) {
            break;
        }
        if (how == How::prefix && i < whole) {
            keep(change);
            continue;
        }
        if (change.size_only) {
            if (chance(50)) {
                keep(change);
            }
            continue;
        }
        // Sector by sector.
        for (std::uint64_t at = change.at; at < change.at + change.bytes.size();) {
            const std::uint64_t next = std::min<std::uint64_t>(
                (at / sector_bytes + 1) * sector_bytes, change.at + change.bytes.size());
            if (chance(50)) {
                keep({at, change.bytes.substr(at - change.at, next - at), false});
            }
            at = next;
        }
    }
    file.unsynced.clear();
}

// A name is in a folder and not in a path: where the renaming of a folder was lost, what was made
// in a new one of its old name is not in the old one, and takes no name away there.
bool Disk::may_survive(const NameOp& op) const {
    const auto stands = [this](const std::string& path, const File& file) {
        const auto at = durable_names_.find(path);
        return at != durable_names_.end() && at->second == file;
    };
    if (op.kind != NameChange::unlink &&
        !stands(folder_of(op.kind == NameChange::link ? op.path : op.to), op.folder)) {
        return false;
    }
    return op.kind == NameChange::link || stands(op.path, op.file);
}

void Disk::crash() {
    const bool journalled = chance(50);
    std::set<std::string> stopped;
    for (const NameOp& op : journal_) {
        const std::string a = journalled ? "/" : folder_of(op.path);
        const std::string b = journalled || op.to.empty() ? a : folder_of(op.to);
        if (stopped.contains(a) || stopped.contains(b) || chance(20)) {
            stopped.insert(a);
            stopped.insert(b);
            continue;
        }
        if (may_survive(op)) {
            apply(durable_names_, op);
        }
    }
    journal_.clear();
    std::set<Inode*> seen;
    for (const auto& [path, file] : durable_names_) {
        if (seen.insert(file.get()).second) {
            survive(*file);
            file->seen = file->durable;
            file->mtime_ns = file->durable_mtime_ns;
            file->ctime_ns = file->durable_ctime_ns;
        }
    }
    names_ = durable_names_;
    kill();
}

void Disk::kill() {
    dead_ = false;
    die_at_ = 0;
    fail_at_ = 0;
    ++lives_;
}

std::unique_ptr<Disk> Disk::clone(std::uint64_t seed) const {
    auto copy = std::make_unique<Disk>(seed);
    std::map<const Inode*, File> copies;
    for (const auto& [path, file] : names_) {
        File& twin = copies[file.get()];
        if (twin == nullptr) {
            twin = std::make_shared<Inode>(*file);
            twin->durable = twin->seen;
            twin->unsynced.clear();
        }
        copy->names_[path] = twin;
    }
    copy->durable_names_ = copy->names_;
    copy->next_number_ = next_number_;
    return copy;
}

std::uint64_t Disk::digest() const {
    std::uint64_t hash = 1469598103934665603ULL; // FNV-1a
    const auto mix = [&hash](std::string_view bytes) {
        for (const char c : bytes) {
            hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
        }
    };
    for (const auto& [path, file] : names_) {
        mix(path);
        mix(file->seen);
    }
    return hash;
}

} // namespace hasp::sim
