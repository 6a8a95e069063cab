#include "trust/keys.h"

#include "base/fd.h"
#include "base/files.h"
#include "crypto.h"
#include "trust/hash.h"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <sys/stat.h>

namespace hasp::trust {

namespace {
using detail::data_of;
using detail::KeyHandle;
using detail::must;
using detail::Owned;
using detail::Pkey;

constexpr std::size_t p256_scalar_bytes = 32;

std::shared_ptr<const KeyHandle> share(Pkey key) {
    return std::make_shared<const KeyHandle>(KeyHandle{std::move(key)});
}

std::string private_pem(const EVP_PKEY* key) {
    // From the secure heap, so that freeing it wipes it.
    const detail::Bio bio(BIO_new(BIO_s_secmem()));
    must(bio &&
         PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) == 1);
    return detail::bio_text(bio.get());
}

// OpenSSL would otherwise ask for a passphrase at the terminal.
int no_passphrase(char*, int, int, void*) {
    return -1;
}

Result<Pkey> read_private_pem(std::string_view pem) {
    constexpr std::string_view begin = "-----BEGIN PRIVATE KEY-----";
    if (pem.size() > key_pem_bytes_max) {
        return fail(Code::refused, "the private key is larger than " +
                                       std::to_string(key_pem_bytes_max) + " bytes");
    }
    if (!pem.starts_with(begin)) {
        return fail(Code::refused, "the private key is not PKCS #8 PEM without a passphrase");
    }
    const detail::Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    must(bio != nullptr);
    Pkey key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr));
    if (!key) {
        return fail(Code::refused, "the private key cannot be read: " + detail::openssl_reason());
    }
    return key;
}

// A point of the curve for a scalar; null unless 1 <= scalar < order.
Pkey p256_from_scalar(const std::string& scalar) {
    const Owned<EC_GROUP, EC_GROUP_free> group(EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1));
    const Owned<BIGNUM, BN_clear_free> d(BN_secure_new());
    must(group && d &&
         BN_bin2bn(data_of(scalar), static_cast<int>(scalar.size()), d.get()) != nullptr);
    if (BN_is_zero(d.get()) || BN_cmp(d.get(), EC_GROUP_get0_order(group.get())) >= 0) {
        return nullptr;
    }
    const Owned<EC_POINT, EC_POINT_free> point(EC_POINT_new(group.get()));
    must(point && EC_POINT_mul(group.get(), point.get(), d.get(), nullptr, nullptr, nullptr) == 1);
    std::array<unsigned char, 65> encoded{};
    must(EC_POINT_point2oct(group.get(), point.get(), POINT_CONVERSION_UNCOMPRESSED, encoded.data(),
                            encoded.size(), nullptr) == encoded.size());
    const Owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free> build(OSSL_PARAM_BLD_new());
    must(build &&
         OSSL_PARAM_BLD_push_utf8_string(build.get(), OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1",
                                         0) == 1 &&
         OSSL_PARAM_BLD_push_octet_string(build.get(), OSSL_PKEY_PARAM_PUB_KEY, encoded.data(),
                                          encoded.size()) == 1 &&
         OSSL_PARAM_BLD_push_BN(build.get(), OSSL_PKEY_PARAM_PRIV_KEY, d.get()) == 1);
    const Owned<OSSL_PARAM, OSSL_PARAM_free> params(OSSL_PARAM_BLD_to_param(build.get()));
    const Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free> ctx(
        EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
    EVP_PKEY* key = nullptr;
    must(params && ctx && EVP_PKEY_fromdata_init(ctx.get()) == 1 &&
         EVP_PKEY_fromdata(ctx.get(), &key, EVP_PKEY_KEYPAIR, params.get()) == 1);
    return Pkey(key);
}

// One descriptor for the check and the reading, so that nobody swaps the file in between.
Result<std::string> read_private_file(const std::string& path) {
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd) {
        return errno_error(errno, "cannot read the key " + path);
    }
    struct stat info {};
    if (::fstat(fd.get(), &info) != 0) {
        return errno_error(errno, "cannot read the key " + path);
    }
    if (!S_ISREG(info.st_mode) || (info.st_mode & 077) != 0) {
        return fail(Code::refused,
                    "the key " + path + " is not a file that its owner alone may read",
                    "check who had access, then: chmod 600 " + path);
    }
    return read_file("/proc/self/fd/" + std::to_string(fd.get()), key_pem_bytes_max);
}

template <typename Key>
Result<Key> load(const std::string& path) {
    Result<std::string> pem = read_private_file(path);
    if (!pem) {
        return pem.error();
    }
    Result<Key> key = Key::from_pem(*pem);
    wipe(*pem);
    if (!key) {
        return fail(key.error().code, path + ": " + key.error().message, key.error().hint);
    }
    return key;
}
} // namespace

std::string spki_fingerprint(std::string_view spki_der) {
    return sha256(spki_der);
}

Result<PublicKey> PublicKey::from_raw(std::string_view raw) {
    if (raw.size() != ed25519_key_bytes) {
        return fail(Code::refused,
                    "an Ed25519 public key has 32 bytes, this has " + std::to_string(raw.size()));
    }
    PublicKey key;
    key.raw_ = raw;
    return key;
}

Result<PublicKey> PublicKey::from_spki(std::string_view der) {
    const Pkey key = detail::public_from_spki(der);
    std::string raw(ed25519_key_bytes, '\0');
    std::size_t size = raw.size();
    if (!key || EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_ED25519 ||
        EVP_PKEY_get_raw_public_key(key.get(), data_of(raw), &size) != 1) {
        return fail(Code::refused, "this is not an Ed25519 public key");
    }
    return from_raw(raw);
}

std::string PublicKey::spki_der() const {
    const Pkey key(
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, data_of(raw_), raw_.size()));
    must(key != nullptr);
    return detail::spki_of(key.get());
}

bool PublicKey::verify(std::string_view message, std::string_view signature) const {
    if (raw_.size() != ed25519_key_bytes || signature.size() != ed25519_signature_bytes) {
        return false;
    }
    const Pkey key(
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, data_of(raw_), raw_.size()));
    const Owned<EVP_MD_CTX, EVP_MD_CTX_free> ctx(EVP_MD_CTX_new());
    const bool good = key && ctx &&
                      EVP_DigestVerifyInit(ctx.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
                      EVP_DigestVerify(ctx.get(), data_of(signature), signature.size(),
                                       data_of(message), message.size()) == 1;
    ERR_clear_error();
    return good;
}

SigningKey SigningKey::generate(Random& random) {
    std::string seed = random.bytes(ed25519_key_bytes);
    Result<SigningKey> key = from_seed(seed);
    wipe(seed);
    return std::move(key).value();
}

Result<SigningKey> SigningKey::from_seed(std::string_view seed) {
    if (seed.size() != ed25519_key_bytes) {
        return fail(Code::refused,
                    "an Ed25519 private key has 32 bytes, this has " + std::to_string(seed.size()));
    }
    SigningKey key;
    Pkey pkey(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, data_of(seed), seed.size()));
    must(pkey != nullptr);
    key.key_ = share(std::move(pkey));
    return key;
}

Result<SigningKey> SigningKey::from_pem(std::string_view pem) {
    Result<Pkey> pkey = read_private_pem(pem);
    if (!pkey) {
        return pkey.error();
    }
    if (EVP_PKEY_get_base_id(pkey->get()) != EVP_PKEY_ED25519) {
        return fail(Code::refused, "this private key is not an Ed25519 key");
    }
    SigningKey key;
    key.key_ = share(std::move(*pkey));
    return key;
}

std::string SigningKey::pem() const {
    return private_pem(key_->pkey.get());
}

PublicKey SigningKey::public_key() const {
    std::string raw(ed25519_key_bytes, '\0');
    std::size_t size = raw.size();
    must(EVP_PKEY_get_raw_public_key(key_->pkey.get(), data_of(raw), &size) == 1);
    return PublicKey::from_raw(raw).value();
}

std::string SigningKey::sign(std::string_view message) const {
    const Owned<EVP_MD_CTX, EVP_MD_CTX_free> ctx(EVP_MD_CTX_new());
    std::string signature(ed25519_signature_bytes, '\0');
    std::size_t size = signature.size();
    must(ctx && EVP_DigestSignInit(ctx.get(), nullptr, nullptr, nullptr, key_->pkey.get()) == 1 &&
         EVP_DigestSign(ctx.get(), data_of(signature), &size, data_of(message), message.size()) ==
             1 &&
         size == ed25519_signature_bytes);
    return signature;
}

TlsKey TlsKey::generate(Random& random) {
    for (;;) { // a draw is outside the group's order once in 2^32
        std::string scalar = random.bytes(p256_scalar_bytes);
        Pkey pkey = p256_from_scalar(scalar);
        wipe(scalar);
        if (pkey) {
            TlsKey key;
            key.key_ = share(std::move(pkey));
            return key;
        }
    }
}

Result<TlsKey> TlsKey::from_pem(std::string_view pem) {
    Result<Pkey> pkey = read_private_pem(pem);
    if (!pkey) {
        return pkey.error();
    }
    if (!detail::is_p256(pkey->get())) {
        return fail(Code::refused, "this private key is not a P-256 key");
    }
    TlsKey key;
    key.key_ = share(std::move(*pkey));
    return key;
}

std::string TlsKey::pem() const {
    return private_pem(key_->pkey.get());
}
std::string TlsKey::spki_der() const {
    return detail::spki_of(key_->pkey.get());
}

Status save_private(const std::string& path, std::string_view pem) {
    return write_file_durably(path, pem, 0600);
}
Result<SigningKey> load_signing_key(const std::string& path) {
    return load<SigningKey>(path);
}
Result<TlsKey> load_tls_key(const std::string& path) {
    return load<TlsKey>(path);
}

} // namespace hasp::trust
