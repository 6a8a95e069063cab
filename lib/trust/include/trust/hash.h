// SHA-256 and HMAC-SHA-256 (FIPS 180-4, RFC 2104). Pure; any thread. Digests are 32 raw bytes in a
// std::string.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace hasp::trust {

inline constexpr std::size_t sha256_bytes = 32;

std::string sha256(std::string_view bytes);
std::string hmac_sha256(std::string_view key, std::string_view bytes);

// SHA-256 of a stream. One thread at a time.
class Sha256 {
  public:
    Sha256();
    ~Sha256();
    Sha256(Sha256&&) noexcept;
    Sha256& operator=(Sha256&&) noexcept;

    void update(std::string_view bytes);
    // The digest of everything since construction or the last finish(); the object starts anew.
    std::string finish();

  private:
    struct State;
    std::unique_ptr<State> state_;
};

// Overwrites the content so that the optimiser cannot drop it, then empties the text. For secrets.
void wipe(std::string& secret);

} // namespace hasp::trust
