#include "tls_link.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

namespace hasp::net {
namespace {

constexpr std::size_t record_max = 16'384;       // RFC 8446 §5.1
constexpr std::size_t record_overhead_max = 512; // header, tag, padding, and handshake messages
static_assert(Buffer::capacity >= 2 * (record_max + record_overhead_max));

void forget_old_errors() {
    if (ERR_peek_error() != 0) {
        ERR_clear_error();
    }
}

} // namespace

BioMethodPtr make_bio_method() {
    BioMethodPtr method{BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "hasp socket")};
    if (method != nullptr) {
        BIO_meth_set_read(method.get(), TlsLink::bio_read);
        BIO_meth_set_write(method.get(), TlsLink::bio_write);
        BIO_meth_set_ctrl(method.get(), TlsLink::bio_control);
    }
    return method;
}

TlsLink::TlsLink(Conn& conn, std::shared_ptr<const TlsContext> context)
    : conn_(conn), context_(std::move(context)) {}

Status TlsLink::prepare(const std::string& verify_name) {
    const TlsState& state = context_->state();
    ssl_.reset(SSL_new(state.ctx.get()));
    BIO* bio = ssl_ ? BIO_new(state.bio_method.get()) : nullptr;
    if (bio == nullptr) {
        return fail(Code::failed, "no memory for a TLS connection");
    }
    BIO_set_data(bio, this);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl_.get(), bio, bio);
    SSL_set_app_data(ssl_.get(), this);
    if (state.server) {
        SSL_set_accept_state(ssl_.get());
        return {};
    }
    SSL_set_connect_state(ssl_.get());
    if (verify_name.empty()) {
        return {};
    }
    X509_VERIFY_PARAM* rules = SSL_get0_param(ssl_.get());
    if (X509_VERIFY_PARAM_set1_ip_asc(rules, verify_name.c_str()) == 1) {
        return {};
    }
    ERR_clear_error();
    X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (X509_VERIFY_PARAM_set1_host(rules, verify_name.c_str(), verify_name.size()) != 1 ||
        SSL_ctrl(ssl_.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                 const_cast<char*>(verify_name.c_str())) != 1) {
        return fail(Code::usage, "\"" + verify_name + "\" is no name to verify");
    }
    return {};
}

TlsLink::Progress TlsLink::handshake() {
    forget_old_errors();
    const int result = SSL_do_handshake(ssl_.get());
    const int why = result == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl_.get(), result);
    if (result == 1) {
        flush();
        return Progress::done;
    }
    flush(); // an alert may be on its way
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? Progress::waiting
                                                                     : Progress::failed;
}

std::string TlsLink::handshake_error() {
    if (!refusal_.empty()) {
        return refusal_;
    }
    if (socket_error_ != 0) {
        return std::string("TLS handshake: ") + std::strerror(socket_error_);
    }
    const long verdict = SSL_get_verify_result(ssl_.get());
    std::string reason = take_tls_error();
    if (verdict != X509_V_OK) {
        return std::string("the peer's certificate: ") + X509_verify_cert_error_string(verdict);
    }
    if (end_seen_ || reason.empty()) {
        reason = "the peer hung up";
    }
    return "TLS handshake: " + reason;
}

void TlsLink::socket_readable() {
    drained_ = false;
}

int TlsLink::bio_read(BIO* bio, char* into, int size) {
    auto& self = *static_cast<TlsLink*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    if (size <= 0 || self.end_seen_) {
        return 0;
    }
    if (!self.drained_) {
        const auto room = static_cast<std::size_t>(size);
        ssize_t got = 0;
        do {
            got = recv(self.conn_.fd_.get(), into, room, MSG_DONTWAIT);
        } while (got < 0 && errno == EINTR);
        if (got > 0) {
            self.conn_.wire_in_ += static_cast<std::uint64_t>(got);
            self.drained_ = static_cast<std::size_t>(got) < room && !self.conn_.peer_closed_;
            return static_cast<int>(got);
        }
        if (got == 0) {
            self.end_seen_ = true;
            return 0;
        }
        if (errno != EAGAIN) {
            self.socket_error_ = errno;
            return -1;
        }
        self.drained_ = true;
    }
    BIO_set_retry_read(bio);
    return -1;
}

int TlsLink::bio_write(BIO* bio, const char* from, int size) {
    auto& self = *static_cast<TlsLink*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    if (size <= 0) {
        return 0;
    }
    const auto whole = static_cast<std::size_t>(size);
    std::size_t taken = 0;
    if (self.out_.empty() && !self.corked_) {
        ssize_t sent = 0;
        do {
            sent = send(self.conn_.fd_.get(), from, whole, MSG_DONTWAIT | MSG_NOSIGNAL);
        } while (sent < 0 && errno == EINTR);
        if (sent < 0 && errno != EAGAIN) {
            self.socket_error_ = errno;
            return -1;
        }
        taken = sent > 0 ? static_cast<std::size_t>(sent) : 0;
        self.conn_.wire_out_ += taken;
        if (taken == whole) {
            return size;
        }
        self.conn_.writable_ = false;
    }
    taken += self.keep(from + taken, whole - taken);
    if (taken == 0) {
        BIO_set_retry_write(bio);
        return -1;
    }
    return static_cast<int>(taken);
}

std::size_t TlsLink::keep(const char* from, std::size_t size) {
    if (!out_) {
        out_ = conn_.reactor_->buffers().lend();
    }
    if (out_.space().size() < size) {
        out_.compact();
    }
    const std::size_t fits = std::min(size, out_.space().size());
    std::memcpy(out_.space().data(), from, fits);
    out_.commit(fits);
    return fits;
}

long TlsLink::bio_control(BIO* bio, int command, long, void*) {
    if (command == BIO_CTRL_EOF) {
        return static_cast<TlsLink*>(BIO_get_data(bio))->end_seen_ ? 1 : 0;
    }
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

bool TlsLink::flush() {
    while (!out_.empty()) {
        const std::string_view rest = out_.readable();
        const ssize_t sent =
            send(conn_.fd_.get(), rest.data(), rest.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EINTR) {
                continue;
            }
            if (errno != EAGAIN) {
                socket_error_ = errno;
                out_.consume(out_.size()); // it will never be taken
                break;
            }
            conn_.writable_ = false;
            return false;
        }
        conn_.wire_out_ += static_cast<std::uint64_t>(sent);
        out_.consume(static_cast<std::size_t>(sent));
    }
    out_.give_back();
    if (read_wants_flush_) {
        read_wants_flush_ = false;
        conn_.readable_ = true;
    }
    return true;
}

IoResult TlsLink::read(std::span<char> into) {
    forget_old_errors();
    std::size_t total = 0;
    while (total < into.size()) {
        const auto room = static_cast<int>(std::min<std::size_t>(into.size() - total, 1U << 30U));
        const int got = SSL_read(ssl_.get(), into.data() + total, room);
        if (got <= 0) {
            const IoResult why = read_failed(got);
            if (total == 0) {
                return why;
            }
            // What was read comes first; the end or failure is met again by the next read.
            conn_.readable_ = why.state != Io::again;
            return {Io::ok, total};
        }
        total += static_cast<std::size_t>(got);
        if (drained_ && SSL_has_pending(ssl_.get()) == 0) {
            conn_.readable_ = false;
            return {Io::ok, total};
        }
    }
    conn_.readable_ = true;
    return {Io::ok, total};
}

bool TlsLink::quiet() {
    forget_old_errors();
    char first = 0;
    const int got = SSL_peek(ssl_.get(), &first, 1);
    if (got > 0) {
        return false;
    }
    return read_failed(got).state == Io::again;
}

IoResult TlsLink::read_failed(int result) {
    switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
        conn_.readable_ = false;
        return {Io::again, 0};
    case SSL_ERROR_WANT_WRITE:
        conn_.readable_ = false;
        read_wants_flush_ = true;
        conn_.writable_ = false;
        return {Io::again, 0};
    case SSL_ERROR_ZERO_RETURN:
        return {Io::end, 0};
    default:
        break;
    }
    if (end_seen_) { // maybe with an error too: the alert that OpenSSL sends found nobody
        ERR_clear_error();
        return {Io::cut, 0};
    }
    const std::string why = socket_error_ != 0 ? std::strerror(socket_error_) : take_tls_error();
    conn_.failure_ = "TLS: " + (why.empty() ? std::string("protocol error") : why);
    return {Io::failed, 0};
}

IoResult TlsLink::write(std::span<const iovec> pieces) {
    if (!out_.empty() && !flush()) {
        return {Io::again, 0};
    }
    if (socket_error_ != 0) {
        conn_.failure_ = std::strerror(socket_error_);
        return {Io::failed, 0};
    }
    std::size_t left = 0;
    for (const iovec& piece : pieces) {
        left += piece.iov_len;
    }
    forget_old_errors();
    char together[record_max];
    std::size_t done = 0;
    std::size_t index = 0;  // piece
    std::size_t offset = 0; // in it
    while (left != 0) {
        while (offset == pieces[index].iov_len) {
            ++index;
            offset = 0;
        }
        // One record: out of one piece when that fills it or is the last, else gathered.
        const char* from = static_cast<const char*>(pieces[index].iov_base) + offset;
        std::size_t size = std::min(pieces[index].iov_len - offset, record_max);
        if (size < record_max && size < left) {
            size = 0;
            for (std::size_t i = index, skip = offset; i < pieces.size() && size < record_max;
                 ++i, skip = 0) {
                const std::size_t part = std::min(pieces[i].iov_len - skip, record_max - size);
                if (part != 0) {
                    std::memcpy(together + size,
                                static_cast<const char*>(pieces[i].iov_base) + skip, part);
                }
                size += part;
            }
            from = together;
        }
        corked_ = left > size; // several records go out in one send
        const int taken = SSL_write(ssl_.get(), from, static_cast<int>(size));
        corked_ = false;
        if (taken <= 0) {
            const int why = SSL_get_error(ssl_.get(), taken);
            flush();
            if (done != 0 || why == SSL_ERROR_WANT_WRITE || why == SSL_ERROR_WANT_READ) {
                return {done != 0 ? Io::ok : Io::again, done};
            }
            const std::string text =
                socket_error_ != 0 ? std::strerror(socket_error_) : take_tls_error();
            conn_.failure_ = "TLS: " + text;
            return {Io::failed, 0};
        }
        std::size_t step = static_cast<std::size_t>(taken);
        done += step;
        left -= step;
        while (step != 0) {
            const std::size_t part = std::min(step, pieces[index].iov_len - offset);
            step -= part;
            offset += part;
            if (offset == pieces[index].iov_len && left + step != 0) {
                ++index;
                offset = 0;
            }
        }
        const bool room = out_.size() + record_max + record_overhead_max <= Buffer::capacity;
        if ((left == 0 || !room) && !flush()) {
            break;
        }
    }
    return {Io::ok, done};
}

} // namespace hasp::net
