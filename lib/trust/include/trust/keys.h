// A tier's two keys: Ed25519 for envelopes and its children's certificates (RFC 8032), P-256 for
// TLS. Immutable after construction, cheap to copy (shared); any thread. Private keys are wiped
// when the last copy goes.
#pragma once

#include "base/random.h"
#include "base/result.h"

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace hasp::trust {

inline constexpr std::size_t ed25519_key_bytes = 32;
inline constexpr std::size_t ed25519_signature_bytes = 64;
inline constexpr std::size_t key_pem_bytes_max = 4096;

namespace detail {
struct KeyHandle; // an EVP_PKEY, in crypto.h of this library
}

// SHA-256 of a DER SubjectPublicKeyInfo: 32 raw bytes. That of the root's Ed25519 key is the
// realm's id.
std::string spki_fingerprint(std::string_view spki_der);

// An Ed25519 public key.
class PublicKey {
  public:
    // Refused unless exactly 32 bytes.
    static Result<PublicKey> from_raw(std::string_view raw);
    // Refused for other algorithms and for trailing bytes.
    static Result<PublicKey> from_spki(std::string_view der);

    const std::string& raw() const { return raw_; }
    std::string spki_der() const;
    std::string fingerprint() const { return spki_fingerprint(spki_der()); }
    bool verify(std::string_view message, std::string_view signature) const;
    friend bool operator==(const PublicKey& a, const PublicKey& b) { return a.raw_ == b.raw_; }

  private:
    std::string raw_;
};

// An Ed25519 private key.
class SigningKey {
  public:
    static SigningKey generate(Random& random);
    // The 32-byte private key of RFC 8032 §5.1.5. Refused for another length.
    static Result<SigningKey> from_seed(std::string_view seed);
    // PKCS #8 PEM without a passphrase, nothing else.
    static Result<SigningKey> from_pem(std::string_view pem);

    // A secret: wipe() it.
    std::string pem() const;
    PublicKey public_key() const;
    // 64 bytes over the message as it is; callers separate domains (seal() does).
    std::string sign(std::string_view message) const;

    const detail::KeyHandle& handle() const { return *key_; }

  private:
    std::shared_ptr<const detail::KeyHandle> key_;
};

// A P-256 private key, for TLS.
class TlsKey {
  public:
    static TlsKey generate(Random& random);
    // PKCS #8 PEM without a passphrase; other curves and algorithms are refused.
    static Result<TlsKey> from_pem(std::string_view pem);

    // A secret: wipe() it.
    std::string pem() const;
    std::string spki_der() const;
    std::string fingerprint() const { return spki_fingerprint(spki_der()); }

    const detail::KeyHandle& handle() const { return *key_; }

  private:
    std::shared_ptr<const detail::KeyHandle> key_;
};

// Files, mode 0600, written durably. Blocking. Loading refuses a file that group or others may read
// or write.
Status save_private(const std::string& path, std::string_view pem);
Result<SigningKey> load_signing_key(const std::string& path);
Result<TlsKey> load_tls_key(const std::string& path);

} // namespace hasp::trust
