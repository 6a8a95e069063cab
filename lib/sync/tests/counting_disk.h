// A disk that counts what it is asked, and what is read of it.
#pragma once

#include "sync/disk.h"

#include <memory>
#include <utility>

namespace hasp::sync {

class CountingDisk final : public Disk {
  public:
    explicit CountingDisk(std::unique_ptr<Disk> disk) : disk_(std::move(disk)) {}
    std::uint64_t calls = 0; // looks, not changes
    std::uint64_t read_bytes = 0;

    Result<FileStat> stat(const std::string& path) override {
        ++calls;
        return disk_->stat(path);
    }
    Result<std::string> identity(const std::string& path) override {
        ++calls;
        return disk_->identity(path);
    }
    Result<std::vector<DirEntry>> list(const std::string& path) override {
        auto out = disk_->list(path);
        calls += 1 + (out.ok() ? out->size() : 0);
        return out;
    }
    Result<std::unique_ptr<ReadFile>> open(const std::string& path) override {
        ++calls;
        auto file = disk_->open(path);
        return file.ok() ? Result<std::unique_ptr<ReadFile>>(
                               std::make_unique<File>(*this, *std::move(file)))
                         : std::move(file);
    }
    Result<std::unique_ptr<WriteFile>> create(const std::string& path, std::uint32_t mode,
                                              Owner owner) override {
        return disk_->create(path, mode, owner);
    }
    Result<std::unique_ptr<WriteFile>> append(const std::string& path,
                                              std::uint64_t size) override {
        return disk_->append(path, size);
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
    Status sync_file(const std::string& path) override { return disk_->sync_file(path); }
    Status sync_folder(const std::string& path) override { return disk_->sync_folder(path); }
    Status sync_all() override { return disk_->sync_all(); }
    Result<std::uint64_t> free_bytes() override { return disk_->free_bytes(); }

  private:
    class File final : public ReadFile {
      public:
        File(CountingDisk& disk, std::unique_ptr<ReadFile> file)
            : disk_(disk), file_(std::move(file)) {}
        Result<std::size_t> read(std::uint64_t offset, std::span<char> into) override {
            auto got = file_->read(offset, into);
            disk_.read_bytes += got.value_or(0);
            return got;
        }
        Result<FileStat> stat() override { return file_->stat(); }

      private:
        CountingDisk& disk_;
        std::unique_ptr<ReadFile> file_;
    };

    std::unique_ptr<Disk> disk_;
};

} // namespace hasp::sync
