// A file that goes with its last reader, unless it has another name by then.
#pragma once

#include "sync/disk.h"

#include <memory>
#include <string>
#include <utility>

namespace hasp::sync {

class TemporaryFile final : public ReadFile {
  public:
    TemporaryFile(Disk& disk, std::string path, std::unique_ptr<ReadFile> file)
        : disk_(disk), path_(std::move(path)), file_(std::move(file)) {}
    ~TemporaryFile() override {
        file_.reset();
        [[maybe_unused]] const Status gone = disk_.remove(path_);
    }
    Result<std::size_t> read(std::uint64_t offset, std::span<char> into) override {
        return file_->read(offset, into);
    }
    Result<FileStat> stat() override { return file_->stat(); }

  private:
    Disk& disk_;
    std::string path_;
    std::unique_ptr<ReadFile> file_;
};

} // namespace hasp::sync
