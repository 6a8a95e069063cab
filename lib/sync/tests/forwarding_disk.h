// A disk that does what another one does: those of the tests say only what they do otherwise.
#pragma once

#include "sync/disk.h"

#include <memory>
#include <utility>

namespace hasp::sync {

class ForwardingDisk : public Disk {
  public:
    explicit ForwardingDisk(std::unique_ptr<Disk> disk) : disk_(std::move(disk)) {}

    Result<FileStat> stat(const std::string& path) override { return disk_->stat(path); }
    Result<std::string> identity(const std::string& path) override { return disk_->identity(path); }
    Result<std::vector<DirEntry>> list(const std::string& path) override {
        return disk_->list(path);
    }
    Result<std::unique_ptr<ReadFile>> open(const std::string& path) override {
        return disk_->open(path);
    }
    Result<std::unique_ptr<WriteFile>> create(const std::string& path, std::uint32_t mode,
                                              Owner owner) override {
        return disk_->create(path, mode, owner);
    }
    Result<std::unique_ptr<WriteFile>> append(const std::string& path,
                                              std::uint64_t size) override {
        return disk_->append(path, size);
    }
    Status make_absent(const std::string& path, std::uint32_t mode, Owner owner,
                       const Absent& absent) override {
        return disk_->make_absent(path, mode, owner, absent);
    }
    Result<std::optional<Absent>> absent(const std::string& path) override {
        return disk_->absent(path);
    }
    Result<std::unique_ptr<AbsentFile>> open_absent(const std::string& path) override {
        return disk_->open_absent(path);
    }
    Status set_meta(const std::string& path, std::uint32_t mode, std::int64_t mtime_us) override {
        return disk_->set_meta(path, mode, mtime_us);
    }
    Result<FoundAttributes> attributes(const std::string& path) override {
        return disk_->attributes(path);
    }
    Status set_attributes(const std::string& path, const std::string& before,
                          const std::string& after) override {
        return disk_->set_attributes(path, before, after);
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
    Status sync_file(const std::string& path) override { return disk_->sync_file(path); }
    Status sync_folder(const std::string& path) override { return disk_->sync_folder(path); }
    Status sync_all() override { return disk_->sync_all(); }
    Result<std::uint64_t> free_bytes() override { return disk_->free_bytes(); }

  protected:
    std::unique_ptr<Disk> disk_;
};

} // namespace hasp::sync
