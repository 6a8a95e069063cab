#include "sync_disk.h"

#include <algorithm>
#include <cerrno>

namespace hasp::sim {

namespace {

constexpr std::uint64_t free_bytes_always = std::uint64_t{1} << 30;

Error disk_error(int error, const std::string& path) {
    const std::string what = "the simulated disk: " + path + ": " + std::to_string(error);
    switch (error) {
    case ENOENT:
        return fail(Code::not_found, what);
    case EEXIST:
    case ENOTEMPTY:
        return fail(Code::conflict, what);
    case EISDIR:
    case ENOTDIR:
    case EINVAL:
        return fail(Code::refused, what);
    default:
        return fail(Code::failed, what);
    }
}

Status status_of(int error, const std::string& path) {
    return error == 0 ? Status{} : Status{disk_error(error, path)};
}

sync::FileStat stat_of(const Inode& file) {
    using Kind = Inode::Kind;
    return {file.kind == Kind::file     ? sync::FileKind::file
            : file.kind == Kind::folder ? sync::FileKind::folder
                                        : sync::FileKind::symlink,
            file.mode,
            file.kind == Kind::file ? file.seen.size() : 0,
            file.mtime_ns,
            file.ctime_ns,
            file.number};
}

class Reading final : public sync::ReadFile {
  public:
    Reading(Disk& disk, File file) : disk_(disk), file_(std::move(file)), life_(disk.lives()) {}
    Result<std::size_t> read(std::uint64_t offset, std::span<char> into) override {
        std::size_t got = 0;
        const int error =
            disk_.lives() != life_ ? EIO : disk_.read(file_, offset, into.data(), into.size(), got);
        return error == 0 ? Result<std::size_t>(got) : disk_error(error, "read");
    }
    Result<sync::FileStat> stat() override { return stat_of(*file_); }

  private:
    Disk& disk_;
    File file_;
    std::uint64_t life_;
};

class Writing final : public sync::WriteFile {
  public:
    Writing(Disk& disk, File file) : disk_(disk), file_(std::move(file)), life_(disk.lives()) {}
    Status write(std::string_view bytes) override {
        return status_of(
            disk_.lives() != life_ ? EIO : disk_.write(file_, file_->seen.size(), bytes), "write");
    }
    Status sync() override {
        return status_of(disk_.lives() != life_ ? EIO : disk_.sync(file_), "sync");
    }

  private:
    Disk& disk_;
    File file_;
    std::uint64_t life_;
};

class SyncDisk final : public sync::Disk {
  public:
    explicit SyncDisk(sim::Disk& disk) : disk_(disk) {}

    Result<sync::FileStat> stat(const std::string& path) override {
        auto found = find(path);
        return found.ok() ? Result<sync::FileStat>(stat_of(**found)) : found.error();
    }
    Result<std::string> identity(const std::string& path) override {
        auto found = find(path);
        return found.ok() ? Result<std::string>(std::to_string((*found)->number)) : found.error();
    }
    Result<std::vector<sync::DirEntry>> list(const std::string& path) override {
        auto found = find(path);
        if (!found.ok()) {
            return found.error();
        }
        if (!is_folder(*found)) {
            return disk_error(ENOTDIR, path);
        }
        std::vector<sync::DirEntry> out;
        for (std::string& name : disk_.list(full(path))) {
            const File file = disk_.find(full(path.empty() ? name : path + "/" + name));
            out.push_back({std::move(name), stat_of(*file)});
        }
        return out;
    }
    Result<std::unique_ptr<sync::ReadFile>> open(const std::string& path) override {
        auto found = find(path);
        if (!found.ok()) {
            return found.error();
        }
        if ((*found)->kind != Inode::Kind::file) {
            return disk_error(EINVAL, path);
        }
        return std::unique_ptr<sync::ReadFile>(std::make_unique<Reading>(disk_, *found));
    }
    Result<std::unique_ptr<sync::WriteFile>> create(const std::string& path, std::uint32_t mode,
                                                    sync::Owner) override {
        if (Status good = reachable(path); !good.ok()) {
            return good.error();
        }
        File file;
        if (const int error = disk_.open(full(path), true, true, file, mode); error != 0) {
            return disk_error(error, path);
        }
        return std::unique_ptr<sync::WriteFile>(std::make_unique<Writing>(disk_, file));
    }
    Result<std::unique_ptr<sync::WriteFile>> append(const std::string& path,
                                                    std::uint64_t size) override {
        auto found = find(path);
        if (!found.ok()) {
            return found.error();
        }
        if ((*found)->kind != Inode::Kind::file || (*found)->seen.size() < size) {
            return disk_error(EINVAL, path);
        }
        if ((*found)->seen.size() != size) { // cutting nothing would still set the file's time
            if (const int error = disk_.truncate(*found, size); error != 0) {
                return disk_error(error, path);
            }
        }
        return std::unique_ptr<sync::WriteFile>(std::make_unique<Writing>(disk_, *found));
    }
    Status set_meta(const std::string& path, std::uint32_t mode, std::int64_t mtime_us) override {
        auto found = find_named(path);
        return found.ok() ? status_of(disk_.set_meta(full(path), mode, mtime_us * 1000), path)
                          : Status{found.error()};
    }
    Status rename(const std::string& from, const std::string& to) override {
        auto found = find_named(from);
        Status good = found.ok() ? reachable(to) : Status{found.error()};
        if (good.ok() && is_folder(disk_.find(full(to)))) {
            return fail(Code::conflict, "the simulated disk: a folder stands at " + to);
        }
        return good.ok() ? status_of(disk_.rename(full(from), full(to)), from) : good;
    }
    Status remove(const std::string& path) override {
        auto found = find_named(path);
        if (found.ok() && is_folder(*found)) {
            return disk_error(EISDIR, path);
        }
        return found.ok() ? status_of(disk_.unlink(full(path)), path) : Status{found.error()};
    }
    Status remove_folder(const std::string& path) override {
        auto found = find_named(path);
        if (found.ok() && !is_folder(*found)) {
            return disk_error(ENOTDIR, path);
        }
        return found.ok() ? status_of(disk_.unlink(full(path)), path) : Status{found.error()};
    }
    Status make_folder(const std::string& path, std::uint32_t mode, sync::Owner) override {
        const Status good = reachable(path);
        return good.ok() ? status_of(disk_.make_folder(full(path), mode), path) : good;
    }
    Status make_symlink(const std::string& path, const std::string& target, sync::Owner) override {
        const Status good = reachable(path);
        return good.ok() ? status_of(disk_.make_symlink(full(path), target), path) : good;
    }
    Result<std::string> read_symlink(const std::string& path) override {
        auto found = find(path);
        if (!found.ok()) {
            return found.error();
        }
        return (*found)->kind == Inode::Kind::symlink ? Result<std::string>((*found)->seen)
                                                      : disk_error(EINVAL, path);
    }
    Status sync_file(const std::string& path) override {
        auto found = find(path);
        if (found.ok() && (*found)->kind != Inode::Kind::file) {
            return disk_error(EINVAL, path);
        }
        return found.ok() ? status_of(disk_.sync(*found), path) : Status{found.error()};
    }
    Status sync_folder(const std::string& path) override {
        auto found = find(path);
        return found.ok() ? status_of(disk_.sync_folder(full(path)), path) : Status{found.error()};
    }
    Status sync_all() override { return status_of(disk_.sync_all(), "sync"); }
    Result<std::uint64_t> free_bytes() override { return free_bytes_always; }

  private:
    static std::string full(const std::string& path) { return "/" + path; }
    // Every folder on the way is one, and no link.
    Status reachable(const std::string& path) const {
        if (disk_.dead()) {
            return disk_error(EIO, path);
        }
        if (!sync::valid_path(path)) {
            return disk_error(EINVAL, path);
        }
        for (std::size_t at = path.find('/'); at != std::string::npos;
             at = path.find('/', at + 1)) {
            const File folder = disk_.find(full(path.substr(0, at)));
            if (folder == nullptr) {
                return disk_error(ENOENT, path);
            }
            if (!is_folder(folder)) {
                return disk_error(ENOTDIR, path);
            }
        }
        return {};
    }
    // Not the root, which nothing moves or removes.
    Result<File> find_named(const std::string& path) const {
        return path.empty() ? Result<File>(disk_error(EINVAL, "no path")) : find(path);
    }
    Result<File> find(const std::string& path) const {
        if (!path.empty()) {
            if (Status good = reachable(path); !good.ok()) {
                return good.error();
            }
        } else if (disk_.dead()) {
            return disk_error(EIO, path);
        }
        File file = disk_.find(path.empty() ? "/" : full(path));
        return file == nullptr ? Result<File>(disk_error(ENOENT, path)) : Result<File>(file);
    }

    sim::Disk& disk_;
};

class Copies final : public sync::WorkingCopies {
  public:
    Copies(sim::Disk& disk, std::string state) : disk_(disk), state_(std::move(state)) {}
    Result<sync::WorkingCopy> ensure(sync::Scope scope, const std::string& user,
                                     const std::string& app) override {
        if (scope == sync::Scope::none) {
            return sync::WorkingCopy{};
        }
        bool made = false;
        for (const std::string& folder : folders(scope, user, app)) {
            const int error = disk_.make_folder(folder);
            made = error == 0;
            if (made) {
                if (const int synced = disk_.sync_folder(folder_of(folder)); synced != 0) {
                    return disk_error(synced, folder);
                }
            } else if (error != EEXIST) {
                return disk_error(error, folder);
            }
        }
        return sync::WorkingCopy{state_ + folders(scope, user, app).back(), 0, 0, made};
    }
    Result<sync::WorkingCopy> find(sync::Scope scope, const std::string& user,
                                   const std::string& app) const override {
        if (scope == sync::Scope::none) {
            return sync::WorkingCopy{};
        }
        const std::string folder = folders(scope, user, app).back();
        return is_folder(disk_.find(folder))
                   ? Result<sync::WorkingCopy>(sync::WorkingCopy{state_ + folder, 0, 0, false})
                   : disk_error(ENOENT, folder);
    }

  private:
    static std::vector<std::string> folders(sync::Scope scope, const std::string& user,
                                            const std::string& app) {
        if (scope == sync::Scope::app) {
            return {"/data", "/data/apps", "/data/apps/" + app};
        }
        return {"/data", "/data/users", "/data/users/" + user, "/data/users/" + user + "/" + app};
    }
    sim::Disk& disk_;
    std::string state_;
};

} // namespace

std::unique_ptr<sync::Disk> make_sync_disk(Disk& disk) {
    return std::make_unique<SyncDisk>(disk);
}

std::unique_ptr<sync::WorkingCopies> make_working_copies(Disk& disk, std::string state) {
    return std::make_unique<Copies>(disk, std::move(state));
}

} // namespace hasp::sim
