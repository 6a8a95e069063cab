// What a difference makes of a basis, as it is put together: what is new of it, and where in the
// basis the rest is. Where contents are called by their chunks, the basis is read around what is
// new and nowhere else. Memory: recipe_extents_max pieces and the lists of chunks; what is new
// beyond a scratch's memory, and all of a content that is in more pieces, is in temporary files.
// Private to lib/sync.
#pragma once

#include "recipe.h"
#include "sync/chunks.h"
#include "sync/difference.h"
#include "sync/disk.h"
#include "sync/scratch.h"
#include "trust/hash.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hasp::sync {

class Composing final : public Assembly {
  public:
    // `path`: of its temporary files, which nobody else's begin with. `basis` outlives it.
    // What is copied of less than `copy_least` bytes is taken for new.
    Composing(Disk& disk, std::string path, ReadFile& basis, std::uint64_t copy_least);
    // Before anything else: it is called by its chunks where it is large; those of the basis, if
    // they are known.
    void name_by_chunks(std::shared_ptr<const ChunkList> of_basis);

    Status fresh(std::string_view bytes) override;
    Status copied(std::uint64_t from, std::uint64_t length) override;
    // Once, at the end; what is below is for afterwards.
    Status finish();
    // An error was that of writing, and says nothing of the basis and the difference.
    bool could_not_write() const { return could_not_write_; }

    const std::string& hash() const { return name_.hash; }
    const std::shared_ptr<const ChunkList>& chunks() const { return name_.chunks; }
    std::uint64_t size() const { return size_; }
    // In pieces: of the basis (source 0) and of what is new (source 1). False: it is in too many.
    bool in_pieces() const { return !whole_; }
    const std::vector<Extent>& pieces() const { return pieces_; }
    const std::string& fresh_hash() const { return fresh_hash_; }
    std::uint64_t fresh_size() const { return fresh_size_; }
    ReadFile& fresh_content() { return *fresh_content_; }
    // All of it. Once; it must not outlive this.
    std::unique_ptr<ReadFile> content();

  private:
    Status end_run();
    Status put_fresh(std::string_view bytes);
    Status put(std::size_t source, std::uint64_t from, std::uint64_t length);
    Status written(Status status);
    Status give_up_pieces();
    Status name();

    Disk& disk_;
    std::string path_;
    ReadFile& basis_;
    std::uint64_t copy_least_;
    Scratch fresh_;
    std::optional<Scratch> whole_;
    std::vector<Extent> pieces_;
    trust::Sha256 sum_;
    trust::Sha256 fresh_sum_;
    std::uint64_t size_ = 0;
    std::uint64_t fresh_size_ = 0;
    std::uint64_t run_from_ = 0; // of the basis: what was copied last, not yet a piece
    std::uint64_t run_length_ = 0;
    bool by_chunks_ = false;
    std::shared_ptr<const ChunkList> of_basis_;
    Digest name_;
    std::string fresh_hash_;
    std::unique_ptr<ReadFile> fresh_content_;
    std::unique_ptr<ReadFile> whole_content_;
    bool could_not_write_ = false;
};

} // namespace hasp::sync
