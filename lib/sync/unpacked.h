// A file some ranges of which are read as what is packed in them. Pure but for the file, which
// outlives it; any thread. Private to lib/sync.
#pragma once

#include "sync/codec.h"

#include <cstdint>
#include <string>
#include <vector>

namespace hasp::sync {

struct UnpackedPart {
    std::uint64_t from = 0;   // in the file
    std::uint64_t length = 0; // there
    std::string plain;        // in its place; not empty
};

class UnpackedFile final : public ReadFile {
  public:
    // `parts` lie in order, apart from one another, within the file's `size` bytes.
    UnpackedFile(ReadFile& file, std::uint64_t size, std::vector<UnpackedPart> parts);
    Result<std::size_t> read(std::uint64_t offset, std::span<char> into) override;
    Result<FileStat> stat() override;
    std::uint64_t size() const { return size_; }

    // What begins at `offset`, which is below size(), up to where that is of another kind.
    struct Run {
        std::uint64_t length = 0;
        std::uint64_t from = 0;      // in the file, or in `part`
        std::size_t part = of_file_; // of parts()
        bool in_file() const { return part == of_file_; }
    };
    Run run_at(std::uint64_t offset) const;
    const std::vector<UnpackedPart>& parts() const { return parts_; }

  private:
    static constexpr std::size_t of_file_ = static_cast<std::size_t>(-1);
    ReadFile& file_;
    std::vector<UnpackedPart> parts_;
    std::vector<std::uint64_t> at_; // where each part begins here
    std::uint64_t size_ = 0;
};

} // namespace hasp::sync
