// A disk that counts what it is asked, and what is read of it.
#pragma once

#include "forwarding_disk.h"

namespace hasp::sync {

class CountingDisk final : public ForwardingDisk {
  public:
    using ForwardingDisk::ForwardingDisk;
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
};

} // namespace hasp::sync
