// The TLS half of a Conn: OpenSSL over a BIO that knows when the socket is drained or full.
#pragma once

#include "net/conn.h"
#include "tls_state.h"

#include <string>

namespace hasp::net {

// Owned by its Conn. Ciphertext that the socket did not take waits here in a lent buffer, so that
// bytes that write() took are never asked for again.
class TlsLink {
  public:
    TlsLink(Conn& conn, std::shared_ptr<const TlsContext> context);
    Status prepare(const std::string& verify_name);

    enum class Progress : unsigned char { done, waiting, failed };
    Progress handshake();
    // Why the handshake failed, a sentence.
    std::string handshake_error();

    IoResult read(std::span<char> into);
    bool quiet();
    IoResult write(std::span<const iovec> pieces);
    void end_writing() { SSL_shutdown(ssl_.get()); }
    // Hands waiting ciphertext to the socket; true when none is left.
    bool flush();
    bool flushed() const { return out_.empty(); }
    void socket_readable();

    SSL* ssl() const { return ssl_.get(); }
    void set_refusal(std::string text) { refusal_ = std::move(text); }

  private:
    friend BioMethodPtr make_bio_method();
    static int bio_read(BIO* bio, char* into, int size);
    static int bio_write(BIO* bio, const char* from, int size);
    static long bio_control(BIO* bio, int command, long number, void* pointer);
    IoResult read_failed(int result);
    std::size_t keep(const char* from, std::size_t size);

    Conn& conn_;
    std::shared_ptr<const TlsContext> context_;
    SslPtr ssl_;
    Buffer out_;
    std::string refusal_;
    int socket_error_ = 0;
    bool drained_ = false;
    bool end_seen_ = false;         // the transport's end
    bool corked_ = false;           // more records follow in this write
    bool read_wants_flush_ = false; // reading has to answer the peer first (key update)
};

} // namespace hasp::net
