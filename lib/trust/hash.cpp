#include "trust/hash.h"

#include "crypto.h"

#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

namespace hasp::trust {

std::string sha256(std::string_view bytes) {
    std::string out(sha256_bytes, '\0');
    SHA256(detail::data_of(bytes), bytes.size(), detail::data_of(out));
    return out;
}

std::string hmac_sha256(std::string_view key, std::string_view bytes) {
    std::string out(sha256_bytes, '\0');
    unsigned size = 0;
    detail::must(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
                      detail::data_of(bytes), bytes.size(), detail::data_of(out),
                      &size) != nullptr);
    return out;
}

struct Sha256::State {
    detail::Owned<EVP_MD_CTX, EVP_MD_CTX_free> ctx{EVP_MD_CTX_new()};
    void start() { detail::must(EVP_DigestInit_ex(ctx.get(), EVP_sha256(), nullptr) == 1); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
    state_->start();
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::string_view bytes) {
    detail::must(EVP_DigestUpdate(state_->ctx.get(), bytes.data(), bytes.size()) == 1);
}

std::string Sha256::finish() {
    std::string out(sha256_bytes, '\0');
    detail::must(EVP_DigestFinal_ex(state_->ctx.get(), detail::data_of(out), nullptr) == 1);
    state_->start();
    return out;
}

void wipe(std::string& secret) {
    OPENSSL_cleanse(secret.data(), secret.size());
    secret.clear();
}

} // namespace hasp::trust
