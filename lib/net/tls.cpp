#include "net/tls.h"

#include "tls_link.h"
#include "tls_state.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

namespace hasp::net {
namespace {

using BioPtr = std::unique_ptr<BIO, Freer<BIO_free>>;
using X509Ptr = std::unique_ptr<X509, Freer<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;

constexpr std::size_t pem_max = 1'048'576;

Error tls_fail(const std::string& what) {
    const std::string why = take_tls_error();
    return fail(Code::usage, why.empty() ? what : what + ": " + why);
}

BioPtr memory(std::string_view text) {
    return BioPtr{text.size() > pem_max
                      ? nullptr
                      : BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))};
}

// Keys with a passphrase are refused: nobody is there to type it.
int no_passphrase(char*, int, int, void*) {
    return -1;
}

Status use_identity(SSL_CTX* ctx, const std::string& chain_pem, const std::string& key_pem) {
    const BioPtr chain = memory(chain_pem);
    const X509Ptr own{chain ? PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr) : nullptr};
    if (!own || SSL_CTX_use_certificate(ctx, own.get()) != 1) {
        return tls_fail("the certificate is not readable PEM");
    }
    while (X509* above = PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr)) {
        if (SSL_CTX_add0_chain_cert(ctx, above) != 1) {
            X509_free(above);
            return tls_fail("the certificate chain cannot be used");
        }
    }
    ERR_clear_error(); // the end of the PEM text counts as an error
    const BioPtr key_text = memory(key_pem);
    const KeyPtr key{key_text
                         ? PEM_read_bio_PrivateKey(key_text.get(), nullptr, no_passphrase, nullptr)
                         : nullptr};
    if (!key) {
        return tls_fail("the private key is not readable PEM without a passphrase");
    }
    if (SSL_CTX_use_PrivateKey(ctx, key.get()) != 1 || SSL_CTX_check_private_key(ctx) != 1) {
        return tls_fail("the private key does not belong to the certificate");
    }
    return {};
}

Status trust(SSL_CTX* ctx, const std::string& ca_pem, bool name_to_clients) {
    const BioPtr text = memory(ca_pem);
    std::size_t count = 0;
    while (text) {
        const X509Ptr ca{PEM_read_bio_X509(text.get(), nullptr, nullptr, nullptr)};
        if (!ca) {
            break;
        }
        if (X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca.get()) != 1 ||
            (name_to_clients && SSL_CTX_add_client_CA(ctx, ca.get()) != 1)) {
            return tls_fail("an authority's certificate cannot be used");
        }
        ++count;
    }
    if (count == 0) {
        return tls_fail("no authority's certificate in the PEM text");
    }
    ERR_clear_error();
    return {};
}

Status set_alpn(TlsState& state, const std::vector<std::string>& names) {
    for (const std::string& name : names) {
        if (name.empty() || name.size() > 255) {
            return fail(Code::usage, "an ALPN name has 1 to 255 bytes");
        }
        state.alpn_wire.push_back(static_cast<char>(name.size()));
        state.alpn_wire += name;
    }
    return {};
}

const unsigned char* bytes_of(const std::string& text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}

int choose_alpn(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                unsigned in_size, void* arg) {
    const auto& wire = static_cast<const TlsState*>(arg)->alpn_wire;
    unsigned char* chosen = nullptr;
    const int result = SSL_select_next_proto(&chosen, out_size, bytes_of(wire),
                                             static_cast<unsigned>(wire.size()), in, in_size);
    *out = chosen;
    return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

// The chain by OpenSSL's rules, then the caller's word, both before the handshake ends.
int verify_chain(X509_STORE_CTX* store, void* arg) {
    if (X509_verify_cert(store) != 1) {
        return 0;
    }
    const auto& state = *static_cast<const TlsState*>(arg);
    if (!state.verify) {
        return 1;
    }
    std::vector<std::string> chain;
    const STACK_OF(X509)* certificates = X509_STORE_CTX_get0_chain(store);
    for (int i = 0; i < sk_X509_num(certificates); ++i) {
        chain.push_back(certificate_der(sk_X509_value(certificates, i)));
    }
    const Status status = state.verify(PeerChain{chain});
    if (status.ok()) {
        return 1;
    }
    const auto* ssl = static_cast<const SSL*>(
        X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
    static_cast<TlsLink*>(SSL_get_app_data(ssl))->set_refusal(status.error().message);
    X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
}

Result<std::unique_ptr<TlsState>> make_state(bool server, bool between_tiers) {
    auto state = std::make_unique<TlsState>();
    state->server = server;
    state->ctx.reset(SSL_CTX_new(server ? TLS_server_method() : TLS_client_method()));
    state->bio_method = make_bio_method();
    SSL_CTX* ctx = state->ctx.get();
    if (ctx == nullptr || state->bio_method == nullptr ||
        SSL_CTX_set_min_proto_version(ctx, between_tiers ? TLS1_3_VERSION : TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1) {
        return tls_fail("OpenSSL refuses the settings");
    }
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_options(ctx,
                        SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_default_read_buffer_len(ctx, Buffer::capacity);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    return state;
}

void no_tickets(SSL_CTX* ctx) {
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(ctx, 0);
}

} // namespace

TlsContext::TlsContext(std::unique_ptr<TlsState> state) : state_(std::move(state)) {}
TlsContext::~TlsContext() = default;
bool TlsContext::is_server() const {
    return state_->server;
}

Result<std::shared_ptr<const TlsContext>> TlsContext::server(const ServerTls& settings) {
    auto made = make_state(true, settings.between_tiers);
    if (!made) {
        return made.error();
    }
    TlsState& state = **made;
    SSL_CTX* ctx = state.ctx.get();
    if (Status s = use_identity(ctx, settings.chain_pem, settings.key_pem); !s) {
        return s.error();
    }
    if (Status s = set_alpn(state, settings.alpn); !s) {
        return s.error();
    }
    if (!state.alpn_wire.empty()) {
        SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, &state);
    }
    state.verify = settings.verify;
    if (settings.peer == PeerCertificate::not_asked) {
        SSL_CTX_set_num_tickets(ctx, 1);
    } else {
        if (Status s = trust(ctx, settings.client_ca_pem, true); !s) {
            return s.error();
        }
        const bool required = settings.peer == PeerCertificate::required;
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                           nullptr);
        SSL_CTX_set_cert_verify_callback(ctx, verify_chain, &state);
        no_tickets(ctx);
    }
    if (settings.between_tiers) {
        no_tickets(ctx);
    }
    return std::shared_ptr<const TlsContext>(new TlsContext(std::move(made).value()));
}

Result<std::shared_ptr<const TlsContext>> TlsContext::client(const ClientTls& settings) {
    auto made = make_state(false, settings.between_tiers);
    if (!made) {
        return made.error();
    }
    TlsState& state = **made;
    SSL_CTX* ctx = state.ctx.get();
    if (!settings.chain_pem.empty()) {
        if (Status s = use_identity(ctx, settings.chain_pem, settings.key_pem); !s) {
            return s.error();
        }
    }
    if (settings.system_ca && SSL_CTX_set_default_verify_paths(ctx) != 1) {
        return tls_fail("the system's authorities cannot be read");
    }
    if (!settings.ca_pem.empty() || !settings.system_ca) {
        if (Status s = trust(ctx, settings.ca_pem, false); !s) {
            return s.error();
        }
    }
    if (Status s = set_alpn(state, settings.alpn); !s) {
        return s.error();
    }
    if (!state.alpn_wire.empty() &&
        SSL_CTX_set_alpn_protos(ctx, bytes_of(state.alpn_wire),
                                static_cast<unsigned>(state.alpn_wire.size())) != 0) {
        return tls_fail("the ALPN names cannot be used");
    }
    state.verify = settings.verify;
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_cert_verify_callback(ctx, verify_chain, &state);
    no_tickets(ctx); // the session cache is off: a ticket would not be used
    return std::shared_ptr<const TlsContext>(new TlsContext(std::move(made).value()));
}

Result<std::string> public_key_hash_of(std::string_view certificate_der) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(certificate_der.data());
    const auto* at = bytes;
    const X509Ptr certificate{d2i_X509(nullptr, &at, static_cast<long>(certificate_der.size()))};
    if (!certificate || at != bytes + certificate_der.size()) {
        return tls_fail("not a DER certificate");
    }
    unsigned char* der = nullptr;
    const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate.get()), &der);
    if (size <= 0) {
        return tls_fail("a certificate without a public key");
    }
    std::string hash(32, '\0');
    const int done =
        EVP_Digest(der, static_cast<std::size_t>(size),
                   reinterpret_cast<unsigned char*>(hash.data()), nullptr, EVP_sha256(), nullptr);
    OPENSSL_free(der);
    return done == 1 ? Result<std::string>(std::move(hash)) : tls_fail("SHA-256 failed");
}

std::string take_tls_error() {
    const unsigned long code = ERR_get_error();
    ERR_clear_error();
    const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
    return reason == nullptr ? std::string{} : std::string(reason);
}

std::string certificate_der(const X509* certificate) {
    if (certificate == nullptr) {
        return {};
    }
    unsigned char* der = nullptr;
    const int size = i2d_X509(certificate, &der);
    if (size <= 0) {
        return {};
    }
    std::string out(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
    OPENSSL_free(der);
    return out;
}

} // namespace hasp::net
