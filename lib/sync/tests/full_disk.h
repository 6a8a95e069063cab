// A disk that has room for so many bytes more, and then none, of which a file may become
// unreadable or have a bad sector, or a folder give only the beginning of its list, and that knows
// what was synced.
#pragma once

#include "forwarding_disk.h"

#include <functional>
#include <map>
#include <optional>
#include <set>

namespace hasp::sync {

class FullDisk final : public ForwardingDisk {
  public:
    using ForwardingDisk::ForwardingDisk;
    std::int64_t room = -1;            // -1: without end
    bool room_returns = false;         // with a file that is removed
    std::optional<std::uint64_t> free; // what it says of its room; nothing: what is true
    std::set<std::string> synced;      // files and folders, by name
    std::string unreadable;            // this file, when it was opened
    int unreadable_after = 0;          // so often
    std::string bad;                   // of this file, bytes from here to there cannot be read
    std::uint64_t bad_from = 0;
    std::uint64_t bad_to = 0;
    std::uint64_t listed = 0;              // folders that were looked into
    std::optional<std::string> unlistable; // this folder's list breaks off
    // Inodes of which nothing is on the disk but their names: what a power cut leaves of them are
    // files of 0 bytes.
    std::set<std::uint64_t> unsynced;

    bool without_attributes = false; // as a file system that has none
    std::string too_many_attributes; // of this file
    // These cannot be read.
    std::map<std::string, Code> unreadable_attributes = {};

    int removals_left = -1;               // and then none; -1: without end
    std::function<void()> before_removal; // of a file
    bool may_remove() { return removals_left < 0 || (removals_left > 0 && removals_left-- > 0); }

    std::function<void(const std::string&)> before_stat;

    Result<FileStat> stat(const std::string& path) override {
        if (before_stat) {
            before_stat(path);
        }
        return disk_->stat(path);
    }
    Result<FoundAttributes> attributes(const std::string& path) override {
        if (const auto at = unreadable_attributes.find(path); at != unreadable_attributes.end()) {
            return fail(at->second, "cannot read the attributes of " + path);
        }
        return path == too_many_attributes ? FoundAttributes{"", false, true}
               : without_attributes        ? Disk::attributes(path)
                                           : disk_->attributes(path);
    }
    Status set_attributes(const std::string& path, const std::string& before,
                          const std::string& after) override {
        return without_attributes ? Status{} : disk_->set_attributes(path, before, after);
    }
    Result<std::vector<DirEntry>> list(const std::string& path) override {
        ++listed;
        return path == unlistable ? fail(Code::failed, "cannot list: input/output error")
                                  : disk_->list(path);
    }
    Result<std::unique_ptr<ReadFile>> open(const std::string& path) override {
        if (path == unreadable && unreadable_after-- == 0) {
            return std::unique_ptr<ReadFile>(std::make_unique<Unreadable>());
        }
        auto file = disk_->open(path);
        return file.ok() && path == bad ? Result<std::unique_ptr<ReadFile>>(
                                              std::make_unique<Bad>(*this, *std::move(file)))
                                        : std::move(file);
    }
    Result<std::unique_ptr<WriteFile>> create(const std::string& path, std::uint32_t mode,
                                              Owner owner) override {
        return wrapped(path, disk_->create(path, mode, owner));
    }
    Result<std::unique_ptr<WriteFile>> append(const std::string& path,
                                              std::uint64_t size) override {
        return wrapped(path, disk_->append(path, size));
    }
    Status remove_folder(const std::string& path) override {
        return may_remove() ? disk_->remove_folder(path) : fail(Code::failed, "input/output error");
    }
    Status remove(const std::string& path) override {
        if (before_removal) {
            before_removal();
        }
        if (!may_remove()) {
            return fail(Code::failed, "input/output error");
        }
        auto stat = disk_->stat(path);
        Status gone = disk_->remove(path);
        if (gone && room_returns && stat) {
            room += static_cast<std::int64_t>(stat->size);
        }
        return gone;
    }
    Status sync_file(const std::string& path) override {
        synced.insert(path);
        unsynced.erase(inode(path));
        return disk_->sync_file(path);
    }
    Status sync_folder(const std::string& path) override {
        synced.insert(path);
        return disk_->sync_folder(path);
    }
    Status sync_all() override {
        unsynced.clear();
        return disk_->sync_all();
    }
    Result<std::uint64_t> free_bytes() override {
        return free ? Result<std::uint64_t>(*free) : disk_->free_bytes();
    }

  private:
    class Unreadable final : public ReadFile {
      public:
        Result<std::size_t> read(std::uint64_t, std::span<char>) override {
            return fail(Code::failed, "cannot read: input/output error");
        }
        Result<FileStat> stat() override { return FileStat{}; }
    };
    class Bad final : public ReadFile {
      public:
        Bad(FullDisk& disk, std::unique_ptr<ReadFile> file) : disk_(disk), file_(std::move(file)) {}
        Result<std::size_t> read(std::uint64_t offset, std::span<char> into) override {
            return offset < disk_.bad_to && offset + into.size() > disk_.bad_from
                       ? fail(Code::failed, "cannot read: input/output error")
                       : file_->read(offset, into);
        }
        Result<FileStat> stat() override { return file_->stat(); }

      private:
        FullDisk& disk_;
        std::unique_ptr<ReadFile> file_;
    };
    class File final : public WriteFile {
      public:
        File(FullDisk& disk, std::unique_ptr<WriteFile> file, std::uint64_t inode)
            : disk_(disk), file_(std::move(file)), inode_(inode) {}
        Status write(std::string_view bytes) override {
            disk_.unsynced.insert(inode_);
            if (disk_.room >= 0) {
                if (static_cast<std::int64_t>(bytes.size()) > disk_.room) {
                    disk_.room = 0;
                    return fail(Code::failed, "cannot write: the disk is full");
                }
                disk_.room -= static_cast<std::int64_t>(bytes.size());
            }
            return file_->write(bytes);
        }
        Status sync() override {
            disk_.unsynced.erase(inode_);
            return file_->sync();
        }

      private:
        FullDisk& disk_;
        std::unique_ptr<WriteFile> file_;
        std::uint64_t inode_;
    };
    std::uint64_t inode(const std::string& path) {
        auto stat = disk_->stat(path);
        return stat.ok() ? stat->inode : 0;
    }
    Result<std::unique_ptr<WriteFile>> wrapped(const std::string& path,
                                               Result<std::unique_ptr<WriteFile>> file) {
        return file.ok() ? Result<std::unique_ptr<WriteFile>>(
                               std::make_unique<File>(*this, *std::move(file), inode(path)))
                         : std::move(file);
    }
};

} // namespace hasp::sync
