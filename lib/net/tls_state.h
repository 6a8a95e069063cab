// OpenSSL behind TlsContext. Private to lib/net.
#pragma once

#include "net/tls.h"

#include <memory>
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <string>

namespace hasp::net {

template <auto Free>
struct Freer {
    template <typename T>
    void operator()(T* p) const {
        Free(p);
    }
};
using SslCtxPtr = std::unique_ptr<SSL_CTX, Freer<SSL_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, Freer<SSL_free>>;
using BioMethodPtr = std::unique_ptr<BIO_METHOD, Freer<BIO_meth_free>>;

struct TlsState {
    SslCtxPtr ctx;
    BioMethodPtr bio_method;
    VerifyPeer verify;
    std::string alpn_wire; // length-prefixed names
    bool server = false;
};

// The oldest error of this thread's OpenSSL queue as text; empties the queue.
std::string take_tls_error();
// DER of a certificate; empty when there is none.
std::string certificate_der(const X509* certificate);
BioMethodPtr make_bio_method();

} // namespace hasp::net
