// SHA-256 of what is read in pieces.
#pragma once

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
// 20 raw bytes: the trailer of a pack, which git's format prescribes.
std::string sha1_bytes_of_file(int fd);

} // namespace hasp::maint
