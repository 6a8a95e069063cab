// Contents named by their SHA-256, compressed, immutable: BLOBS/ab/cdef… beneath a disk's root. A
// content is kept once, whoever has it; who may ask for it is decided above. One thread at a time;
// blocking.
#pragma once

#include "sync/codec.h"
#include "sync/tree.h"

#include <memory>
#include <string>
#include <vector>

namespace hasp::sync {

class Blobs {
  public:
    // `folder` and `temporary` are folders beneath the root, made when missing; what a crash left
    // in `temporary` is removed by whoever owns it.
    Blobs(Disk& disk, std::string folder, std::string temporary)
        : disk_(disk), folder_(std::move(folder)), temporary_(std::move(temporary)) {}
    Status open();

    Result<bool> has(const std::string& hash);

    // Writes what comes; nothing has a name before keep_all(). The digest must be `hash`, else
    // refused.
    Status stage(const std::string& hash, const Pull& content);
    bool staged(const std::string& hash) const;
    // Makes everything that is staged durable, with one sync for all of it, and names it.
    Status keep_all();
    void drop_staged();

    // The plain content. not_found; refused when the disk gives back something else.
    Result<std::unique_ptr<ReadFile>> read(const std::string& hash);

  private:
    struct Staged {
        std::string hash;
        std::string path;
    };
    std::string path_of(const std::string& hash) const;
    Result<std::unique_ptr<ReadFile>> plain(const std::string& path, const std::string& hash);

    Disk& disk_;
    std::string folder_;
    std::string temporary_;
    std::vector<Staged> staged_;
    std::uint64_t next_ = 0;
};

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
