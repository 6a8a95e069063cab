// A disk that has room for so many bytes more, and then none, of which a file may become
// unreadable, and that knows what was synced.
#pragma once

#include "sync/disk.h"

#include <set>

namespace hasp::sync {

class FullDisk final : public Disk {
  public:
    explicit FullDisk(std::unique_ptr<Disk> disk) : disk_(std::move(disk)) {}
    std::int64_t room = -1;       // -1: without end
    std::set<std::string> synced; // files and folders, by name
    std::string unreadable;       // this file, when it was opened
    int unreadable_after = 0;     // so often
    std::uint64_t listed = 0;     // folders that were looked into

    Result<FileStat> stat(const std::string& path) override { return disk_->stat(path); }
    Result<std::string> identity(const std::string& path) override { return disk_->identity(path); }
    Result<std::vector<DirEntry>> list(const std::string& path) override {
        ++listed;
        return disk_->list(path);
    }
    Result<std::unique_ptr<ReadFile>> open(const std::string& path) override {
        if (path == unreadable && unreadable_after-- == 0) {
            return std::unique_ptr<ReadFile>(std::make_unique<Unreadable>());
        }
        return disk_->open(path);
    }
    Result<std::unique_ptr<WriteFile>> create(const std::string& path, std::uint32_t mode,
                                              Owner owner) override {
        return wrapped(disk_->create(path, mode, owner));
    }
    Result<std::unique_ptr<WriteFile>> append(const std::string& path,
                                              std::uint64_t size) override {
        return wrapped(disk_->append(path, size));
    }
    Status set_meta(const std::string& path, std::uint32_t mode, std::int64_t mtime_us) override {
        return disk_->set_meta(path, mode, mtime_us);
    }
    Status rename(const std::string& from, const std::string& to) override {
        return disk_->rename(from, to);
    }
    Status remove(const std::string& path) override { return disk_->remove(path); }
    Status remove_folder(const std::string& path) override { return disk_->remove_folder(path); }
    Status make_folder(const std::string& path, std::uint32_t mode, Owner owner) override {
        return disk_->make_folder(path, mode, owner);
    }
    Status make_symlink(const std::string& path, const std::string& target, Owner owner) override {
        return disk_->make_symlink(path, target, owner);
    }
    Result<std::string> read_symlink(const std::string& path) override {
        return disk_->read_symlink(path);
    }
    Status sync_file(const std::string& path) override {
        synced.insert(path);
        return disk_->sync_file(path);
    }
    Status sync_folder(const std::string& path) override {
        synced.insert(path);
        return disk_->sync_folder(path);
    }
    Status sync_all() override { return disk_->sync_all(); }
    Result<std::uint64_t> free_bytes() override { return disk_->free_bytes(); }

  private:
    class Unreadable final : public ReadFile {
      public:
        Result<std::size_t> read(std::uint64_t, std::span<char>) override {
            return fail(Code::failed, "cannot read: input/output error");
        }
        Result<FileStat> stat() override { return FileStat{}; }
    };
    class File final : public WriteFile {
      public:
        File(FullDisk& disk, std::unique_ptr<WriteFile> file)
            : disk_(disk), file_(std::move(file)) {}
        Status write(std::string_view bytes) override {
            if (disk_.room >= 0) {
                if (static_cast<std::int64_t>(bytes.size()) > disk_.room) {
                    disk_.room = 0;
                    return fail(Code::failed, "cannot write: the disk is full");
                }
                disk_.room -= static_cast<std::int64_t>(bytes.size());
            }
            return file_->write(bytes);
        }
        Status sync() override { return file_->sync(); }

      private:
        FullDisk& disk_;
        std::unique_ptr<WriteFile> file_;
    };
    Result<std::unique_ptr<WriteFile>> wrapped(Result<std::unique_ptr<WriteFile>> file) {
        return file.ok() ? Result<std::unique_ptr<WriteFile>>(
                               std::make_unique<File>(*this, *std::move(file)))
                         : std::move(file);
    }

    std::unique_ptr<Disk> disk_;
};

} // namespace hasp::sync
