#include "trust/aead.h"

#include "crypto.h"

namespace hasp::trust {

namespace {
constexpr int sealing = 1;
constexpr int opening = 0;
constexpr int unchanged = -1;

int length(std::string_view bytes) {
    return static_cast<int>(bytes.size());
}
} // namespace

struct Aead::State {
    detail::Owned<EVP_CIPHER_CTX, EVP_CIPHER_CTX_free> context{EVP_CIPHER_CTX_new()}; // has the key

    void begin(std::string_view nonce, std::string_view associated, int direction) {
        int done = 0;
        detail::must(nonce.size() == aead_nonce_bytes);
        detail::must(EVP_CipherInit_ex(context.get(), nullptr, nullptr, nullptr,
                                       detail::data_of(nonce), direction) == 1);
        detail::must(associated.empty() ||
                     EVP_CipherUpdate(context.get(), nullptr, &done, detail::data_of(associated),
                                      length(associated)) == 1);
    }
    void update(std::string_view in, unsigned char* out) {
        int done = 0;
        detail::must(in.empty() || EVP_CipherUpdate(context.get(), out, &done, detail::data_of(in),
                                                    length(in)) == 1);
    }
};

Aead::Aead(std::string_view key) : state_(std::make_unique<State>()) {
    detail::must(key.size() == aead_key_bytes);
    detail::must(EVP_CipherInit_ex(state_->context.get(), EVP_aes_256_gcm(), nullptr,
                                   detail::data_of(key), nullptr, unchanged) == 1);
}
Aead::~Aead() = default;
Aead::Aead(Aead&&) noexcept = default;
Aead& Aead::operator=(Aead&&) noexcept = default;

void Aead::seal(std::string_view nonce, std::string_view associated, std::string_view plain,
                std::string& out) {
    state_->begin(nonce, associated, sealing);
    const std::size_t at = out.size();
    out.resize(at + plain.size() + aead_tag_bytes);
    unsigned char* to = detail::data_of(out) + at;
    state_->update(plain, to);
    int rest = 0;
    detail::must(EVP_CipherFinal_ex(state_->context.get(), to + plain.size(), &rest) == 1);
    detail::must(EVP_CIPHER_CTX_ctrl(state_->context.get(), EVP_CTRL_AEAD_GET_TAG,
                                     static_cast<int>(aead_tag_bytes), to + plain.size()) == 1);
}

bool Aead::open(std::string_view nonce, std::string_view associated, std::string_view sealed,
                std::string& out) {
    out.clear();
    if (sealed.size() < aead_tag_bytes) {
        return false;
    }
    const std::string_view body = sealed.substr(0, sealed.size() - aead_tag_bytes);
    std::string tag(sealed.substr(body.size()));
    state_->begin(nonce, associated, opening);
    out.resize(body.size() + 1); // OpenSSL wants a place for nothing, too
    state_->update(body, detail::data_of(out));
    detail::must(EVP_CIPHER_CTX_ctrl(state_->context.get(), EVP_CTRL_AEAD_SET_TAG,
                                     static_cast<int>(aead_tag_bytes), tag.data()) == 1);
    int rest = 0;
    const bool whole =
        EVP_CipherFinal_ex(state_->context.get(), detail::data_of(out) + body.size(), &rest) == 1;
    out.resize(whole ? body.size() : 0);
    return whole;
}

} // namespace hasp::trust
