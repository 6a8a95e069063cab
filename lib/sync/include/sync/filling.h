// The content of a file that stood without it, as it comes: written into its place, compared with
// what it is called, and kept beside it for the next difference. One thread at a time; blocking.
#pragma once

#include "sync/chunks.h"
#include "sync/disk.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace hasp::sync {

class Filling {
  public:
    // `copy`: where a copy is made beneath the disk's root, if the disk has room for one. What of
    // it is not taken() goes with this.
    Filling(std::unique_ptr<AbsentFile> into, Disk& disk, std::string copy);
    ~Filling();
    Filling(const Filling&) = delete;
    Filling& operator=(const Filling&) = delete;

    const Absent& absent() const { return into_->absent(); }
    std::uint64_t inode() const { return into_->inode(); }
    Result<bool> still() { return into_->still(); }
    bool unlinked() { return into_->unlinked(); }
    // What it has; the next bytes follow it.
    std::uint64_t have() const { return have_; }
    // Before anything is taken: what an earlier process wrote of it is had, as far as it can be
    // read, at most so many bytes more with each call. False: that was all. finish() says whether
    // it was right.
    bool take_up(std::uint64_t most);
    // refused: more than it was to have, or after one that failed.
    Status take(std::string_view bytes);
    // All of it is there. refused: it is not what was to come, and the file stays as absent as it
    // was; begin() starts anew.
    Status finish();
    void begin();
    // Of what finish() found right.
    const Digest& digest() const { return digest_; }
    const FileStat& stat() const { return stat_; }
    // Empty: there was no room. Whoever asks owns it.
    std::string take_copy() { return std::exchange(copied_, ""); }

  private:
    void drop_copy();
    void keep(std::string_view bytes);

    std::unique_ptr<AbsentFile> into_;
    Disk& disk_;
    std::string copy_;
    std::unique_ptr<WriteFile> copy_file_;
    std::string copied_; // the copy is whole
    Naming naming_;
    std::uint64_t have_ = 0;
    bool lost_ = false; // what came could not be written
    Digest digest_;
    FileStat stat_;
};

} // namespace hasp::sync
