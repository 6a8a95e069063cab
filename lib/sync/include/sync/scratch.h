// Content of unknown size on its way, and folders of hasp's own. One thread at a time; blocking.
#pragma once

#include "sync/codec.h"
#include "sync/disk.h"

#include <memory>
#include <string>

namespace hasp::sync {

// A file that is removed when its last reader goes; small contents stay in memory.
inline constexpr std::uint64_t memory_file_bytes_max = 1 << 20;

// Takes content of unknown size: in memory, then in a temporary file.
class Scratch {
  public:
    Scratch(Disk& disk, std::string path, std::uint32_t mode = 0600, Owner owner = {})
        : disk_(disk), path_(std::move(path)), mode_(mode), owner_(owner) {}
    ~Scratch();
    Status write(std::string_view bytes);
    // Once, at the end. The file goes with the reader.
    Result<std::unique_ptr<ReadFile>> finish();
    std::uint64_t size() const { return size_; }

  private:
    Disk& disk_;
    std::string path_;
    std::uint32_t mode_;
    Owner owner_;
    std::string memory_;
    std::unique_ptr<WriteFile> file_;
    std::uint64_t size_ = 0;
    bool mine_ = false; // the file is there and nobody else's yet
};

// mkdir -p, private to hasp.
Status make_folders(Disk& disk, const std::string& path);

} // namespace hasp::sync
