#include "release_hash.h"

#include "base/text.h"

#include <cerrno>
#include <cstdlib>
#include <openssl/evp.h>
#include <unistd.h>

namespace hasp::maint {

namespace {

// Only a broken OpenSSL or no memory gets here; neither leaves anything to trust.
void must(bool good) {
    if (!good) {
        std::abort();
    }
}

} // namespace

struct Sha256::Context {
    EVP_MD_CTX* md = EVP_MD_CTX_new();
    Context() { must(md != nullptr && EVP_DigestInit_ex(md, EVP_sha256(), nullptr) == 1); }
    ~Context() { EVP_MD_CTX_free(md); }
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {}
Sha256::~Sha256() = default;

void Sha256::add(std::string_view bytes) {
    must(EVP_DigestUpdate(context_->md, bytes.data(), bytes.size()) == 1);
}

std::string Sha256::hex() {
    unsigned char out[32];
    must(EVP_DigestFinal_ex(context_->md, out, nullptr) == 1);
    return to_hex({reinterpret_cast<const char*>(out), sizeof out});
}

std::string sha256_hex(std::string_view bytes) {
    Sha256 hash;
    hash.add(bytes);
    return hash.hex();
}

Result<HashedFile> hash_file(int fd, std::uint64_t bytes_max, const std::string& what) {
    Sha256 hash;
    HashedFile out;
    char buffer[65536];
    for (;;) {
        const ssize_t n = ::read(fd, buffer, sizeof buffer);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return errno_error(errno, "cannot read " + what);
        }
        out.bytes += static_cast<std::uint64_t>(n);
        if (out.bytes > bytes_max) {
            return out;
        }
        if (n == 0) {
            out.sha256 = hash.hex();
            return out;
        }
        hash.add({buffer, static_cast<std::size_t>(n)});
    }
}

std::string sha1_bytes_of_file(int fd) {
    EVP_MD_CTX* md = EVP_MD_CTX_new();
    must(md != nullptr && EVP_DigestInit_ex(md, EVP_sha1(), nullptr) == 1);
    char buffer[65536];
    off_t at = 0;
    for (ssize_t n = 0; (n = ::pread(fd, buffer, sizeof buffer, at)) > 0; at += n) {
        must(EVP_DigestUpdate(md, buffer, static_cast<std::size_t>(n)) == 1);
    }
    unsigned char out[20];
    must(EVP_DigestFinal_ex(md, out, nullptr) == 1);
    EVP_MD_CTX_free(md);
    return {reinterpret_cast<const char*>(out), sizeof out};
}

} // namespace hasp::maint
