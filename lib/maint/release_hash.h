// SHA-256 of what is read in pieces.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace hasp::maint {

class Sha256 {
  public:
    Sha256();
    ~Sha256();
    Sha256(const Sha256&) = delete;
    Sha256& operator=(const Sha256&) = delete;
    void add(std::string_view bytes);
    std::string hex(); // 64 digits; once

  private:
    struct Context;
    std::unique_ptr<Context> context_;
};

std::string sha256_hex(std::string_view bytes);

struct HashedFile {
    std::uint64_t bytes = 0;
    std::string sha256; // 64 digits; empty when the file is longer than the limit
};
// From the descriptor's position to the end, but not beyond the first piece that exceeds
// `bytes_max`: `bytes` is then above it. `what` names the file in an error. Blocking.
Result<HashedFile> hash_file(int fd, std::uint64_t bytes_max, const std::string& what);
// 20 raw bytes: the trailer of a pack, which git's format prescribes.
std::string sha1_bytes_of_file(int fd);

} // namespace hasp::maint
