// Authenticated encryption: AES-256-GCM (NIST SP 800-38D). Pure; one thread at a time.
//
// A nonce must never be used twice with the same key: that is the caller's to see to.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace hasp::trust {

inline constexpr std::size_t aead_key_bytes = 32;
inline constexpr std::size_t aead_nonce_bytes = 12;
inline constexpr std::size_t aead_tag_bytes = 16;

class Aead {
  public:
    // `key` has aead_key_bytes. It is overwritten when this goes.
    explicit Aead(std::string_view key);
    ~Aead();
    Aead(Aead&&) noexcept;
    Aead& operator=(Aead&&) noexcept;

    // Appends what `plain` becomes, aead_tag_bytes longer, to `out`, which neither of them is in.
    void seal(std::string_view nonce, std::string_view associated, std::string_view plain,
              std::string& out);
    // The reverse, in the place of what `out` had. False: not what was sealed under this key, this
    // nonce and these associated bytes; `out` is empty then.
    bool open(std::string_view nonce, std::string_view associated, std::string_view sealed,
              std::string& out);

  private:
    struct State;
    std::unique_ptr<State> state_;
};

} // namespace hasp::trust
