// The look of hasp doctor --as-client: name, connections, TLS and one GET, each with its limit.
#include "base/clock.h"
#include "base/fd.h"
#include "base/text.h"
#include "client_check.h"

#include <arpa/inet.h>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <memory>
#include <mutex>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <thread>

namespace hasp::cmd {

namespace {

constexpr std::size_t names_shown_max = 4; // of a certificate

template <typename T, void (*Free)(T*)>
struct Freeing {
    void operator()(T* one) const { Free(one); }
};
using SslContext = std::unique_ptr<SSL_CTX, Freeing<SSL_CTX, SSL_CTX_free>>;
using SslConn = std::unique_ptr<SSL, Freeing<SSL, SSL_free>>;

// A span of time, on the boot clock.
class Watch {
  public:
    explicit Watch(int limit_ms) : start_us_(clock_.boot_us()), limit_ms_(limit_ms) {}
    std::int64_t took_ms() const { return (clock_.boot_us() - start_us_) / 1'000; }
    int left_ms() const {
        return static_cast<int>(std::max<std::int64_t>(0, limit_ms_ - took_ms()));
    }
    std::string too_late() const { return "not within " + std::to_string(limit_ms_) + " ms"; }

  private:
    SystemClock clock_;
    std::int64_t start_us_;
    int limit_ms_;
};

// False: the time is over, or the socket is broken.
bool wait_for(int fd, short events, const Watch& watch) {
    pollfd one{fd, events, 0};
    int n = 0;
    do {
        n = ::poll(&one, 1, watch.left_ms());
    } while (n < 0 && errno == EINTR);
    return n == 1;
}

// Shared with the resolver's thread, which may outlive the question.
struct Lookup {
    std::mutex lock;
    std::condition_variable over;
    bool done = false;
    int code = 0;
    std::vector<std::string> addresses;
};

void resolve(const std::string& host, Lookup& into) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* first = nullptr;
    const int code = ::getaddrinfo(host.c_str(), nullptr, &hints, &first);
    std::vector<std::string> found;
    for (const addrinfo* one = code == 0 ? first : nullptr; one != nullptr; one = one->ai_next) {
        char text[NI_MAXHOST] = {};
        if (found.size() < client_addresses_max &&
            ::getnameinfo(one->ai_addr, one->ai_addrlen, text, sizeof text, nullptr, 0,
                          NI_NUMERICHOST) == 0) {
            found.emplace_back(text);
        }
    }
    if (code == 0) {
        ::freeaddrinfo(first);
    }
    const std::lock_guard held(into.lock);
    into.code = code;
    into.addresses = std::move(found);
    into.done = true;
    into.over.notify_all();
}

NameSeen look_up(const ClientTarget& target, int limit_ms) {
    NameSeen out;
    if (target.is_ip) {
        out.addresses = {target.host};
        return out;
    }
    const Watch watch(limit_ms);
    const auto shared = std::make_shared<Lookup>();
    std::thread asking([shared, host = target.host] { resolve(host, *shared); });
    std::unique_lock held(shared->lock);
    shared->over.wait_for(held, std::chrono::milliseconds(limit_ms), [&] { return shared->done; });
    const bool done = shared->done;
    held.unlock();
    done ? asking.join() : asking.detach();
    out.took_ms = watch.took_ms();
    if (!done) {
        out.failure = "the resolver does not answer, " + watch.too_late();
        return out;
    }
    out.addresses = shared->addresses;
    const bool local = target.host == "localhost" || target.host.ends_with(".localhost");
    if (out.addresses.empty() && local) {
        out.addresses = {"127.0.0.1"}; // as browsers do (RFC 6761 §6.3)
    } else if (out.addresses.empty()) {
        out.failure = shared->code == 0 ? "it has no address" : ::gai_strerror(shared->code);
    }
    return out;
}

Fd connect_to(ConnectSeen& seen, std::uint16_t port, int limit_ms) {
    const Watch watch(limit_ms);
    sockaddr_storage where{};
    socklen_t size = 0;
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&where);
    auto* v4 = reinterpret_cast<sockaddr_in*>(&where);
    if (::inet_pton(AF_INET, seen.address.c_str(), &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        size = sizeof *v4;
    } else if (::inet_pton(AF_INET6, seen.address.c_str(), &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        size = sizeof *v6;
    } else {
        seen.failure = "it needs an interface"; // a link-local address
        return {};
    }
    Fd socket(::socket(where.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    int error = 0;
    if (!socket) {
        error = errno;
    } else if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&where), size) != 0) {
        error = errno;
        if (error == EINPROGRESS) {
            socklen_t error_size = sizeof error;
            if (!wait_for(socket.get(), POLLOUT, watch)) {
                error = ETIMEDOUT;
            } else {
                ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &error_size);
            }
        }
    }
    seen.took_ms = watch.took_ms();
    if (error != 0) {
        seen.failure = error == ETIMEDOUT ? watch.too_late() : std::strerror(error);
        return {};
    }
    return socket;
}

std::string ssl_words() {
    const unsigned long code = ERR_get_error();
    const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
    return reason == nullptr ? "the connection was closed" : reason;
}

// The connection's bytes, with TLS or without.
class Wire {
  public:
    Wire(int fd, SSL* ssl) : fd_(fd), ssl_(ssl) {}

    // Empty: done.
    std::string handshake(const Watch& watch) {
        for (;;) {
            ERR_clear_error();
            const int n = SSL_connect(ssl_);
            if (n == 1) {
                return {};
            }
            if (const std::string failure = after(n, watch); !failure.empty()) {
                return failure;
            }
        }
    }

    std::string write(std::string_view text, const Watch& watch) {
        while (!text.empty()) {
            ERR_clear_error();
            const int n =
                ssl_ != nullptr
                    ? SSL_write(ssl_, text.data(), static_cast<int>(text.size()))
                    : static_cast<int>(::send(fd_, text.data(), text.size(), MSG_NOSIGNAL));
            if (n > 0) {
                text.remove_prefix(static_cast<std::size_t>(n));
            } else if (const std::string failure = after(n, watch, POLLOUT); !failure.empty()) {
                return failure;
            }
        }
        return {};
    }

    // Until the answer is whole, the other side closes, the limit or the end of the time. What came
    // is kept.
    std::string read_all(std::string& into, const Watch& watch) {
        char buffer[16'384];
        while (into.size() < client_answer_max) {
            ERR_clear_error();
            const int n = ssl_ != nullptr ? SSL_read(ssl_, buffer, sizeof buffer)
                                          : static_cast<int>(::recv(fd_, buffer, sizeof buffer, 0));
            if (n > 0) {
                into.append(buffer, static_cast<std::size_t>(n));
                if (client_answer_is_whole(into)) {
                    return {};
                }
            } else if (ssl_ == nullptr && n == 0) {
                return {};
            } else if (const std::string failure = after(n, watch); !failure.empty()) {
                return failure;
            }
        }
        return {};
    }

  private:
    // What to do after a call that did not go through: empty: again.
    std::string after(int result, const Watch& watch, short plain = POLLIN) {
        short events = plain;
        if (ssl_ != nullptr) {
            const int why = SSL_get_error(ssl_, result);
            if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) {
                return ssl_words();
            }
            events = why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT;
        } else if (errno == EINTR) {
            return {};
        } else if (errno != EAGAIN) {
            return std::strerror(errno);
        }
        return wait_for(fd_, events, watch) ? "" : watch.too_late();
    }

    int fd_;
    SSL* ssl_;
};

std::int64_t time_us(const ASN1_TIME* time) {
    std::tm parts{};
    return ASN1_TIME_to_tm(time, &parts) == 1 ? std::int64_t{::timegm(&parts)} * second_us : 0;
}

std::string names_of(X509* certificate) {
    auto* names = static_cast<GENERAL_NAMES*>(
        X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
    std::string out;
    const int count = names == nullptr ? 0 : sk_GENERAL_NAME_num(names);
    std::size_t listed = 0;
    for (int i = 0; i < count; ++i) {
        const GENERAL_NAME* one = sk_GENERAL_NAME_value(names, i);
        if (one->type != GEN_DNS) {
            continue;
        }
        if (++listed > names_shown_max) {
            out += ", …";
            break;
        }
        const ASN1_STRING* text = one->d.dNSName;
        out += (out.empty() ? "" : ", ") +
               std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                           static_cast<std::size_t>(ASN1_STRING_length(text)));
    }
    GENERAL_NAMES_free(names);
    return out.empty() ? "no host name" : out;
}

// Trust and name are looked at after the handshake, so that everything that is wrong is said.
TlsSeen look_at_tls(SSL* ssl, const ClientTarget& target) {
    TlsSeen out;
    out.version = SSL_get_version(ssl);
    X509* leaf = SSL_get0_peer_certificate(ssl);
    if (leaf == nullptr) {
        out.failure = "it shows no certificate";
        return out;
    }
    const long verdict = SSL_get_verify_result(ssl);
    out.distrust = verdict == X509_V_OK ? "" : X509_verify_cert_error_string(verdict);
    out.name_matches = target.is_ip ? X509_check_ip_asc(leaf, target.host.c_str(), 0) == 1
                                    : X509_check_host(leaf, target.host.data(), target.host.size(),
                                                      0, nullptr) == 1;
    out.names = names_of(leaf);
    out.not_after_us = time_us(X509_get0_notAfter(leaf));
    // What was verified: a server may send certificates that are of no use here.
    const STACK_OF(X509)* chain = verdict == X509_V_OK ? SSL_get0_verified_chain(ssl) : nullptr;
    for (int i = 1; chain != nullptr && i < sk_X509_num(chain); ++i) {
        out.not_after_us =
            std::min(out.not_after_us, time_us(X509_get0_notAfter(sk_X509_value(chain, i))));
    }
    return out;
}

Result<SslContext> context_for(const ClientProbe& how) {
    SslContext context(SSL_CTX_new(TLS_client_method()));
    if (!context) {
        return fail(Code::failed, "cannot start OpenSSL: " + ssl_words());
    }
    const bool loaded = how.ca.empty()
                            ? SSL_CTX_set_default_verify_paths(context.get()) == 1
                            : SSL_CTX_load_verify_file(context.get(), how.ca.c_str()) == 1;
    if (!loaded) {
        return fail(Code::usage, "cannot read certificates from " + how.ca,
                    "--ca names a file with certificates as PEM");
    }
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
    return context;
}

void ask(ClientSeen& seen, Wire wire, int limit_ms) {
    const Watch watch(limit_ms);
    const SystemClock clock;
    const std::int64_t before_us = clock.wall_us();
    const std::string url = seen.target.url();
    const std::size_t host = url.find("://") + 3;
    const std::string request =
        "GET /hasp/login HTTP/1.1\r\nHost: " + url.substr(host, url.size() - host - 1) +
        "\r\nAccept: text/html\r\nUser-Agent: hasp-doctor\r\n"
        "Connection: close\r\n\r\n";
    std::string answer;
    std::string failure = wire.write(request, watch);
    if (failure.empty()) {
        failure = wire.read_all(answer, watch);
    }
    seen.http = read_client_answer(answer);
    if (answer.empty() && !failure.empty()) {
        seen.http->failure = failure;
    }
    seen.http->took_ms = watch.took_ms();
    seen.http->asked_us = before_us + (clock.wall_us() - before_us) / 2;
}

// Every address is tried; the first that connects is kept.
Fd connect_all(ClientSeen& seen, int limit_ms) {
    Fd first;
    for (const std::string& address : seen.name.addresses) {
        seen.connects.push_back({address, "", 0});
        Fd socket = connect_to(seen.connects.back(), seen.target.port, limit_ms);
        if (!first && socket) {
            first = std::move(socket);
        }
    }
    return first;
}

} // namespace

Result<ClientSeen> probe_client(const ClientTarget& target, const ClientProbe& how) {
    auto context = context_for(how);
    if (!context.ok()) {
        return context.error();
    }
    ClientSeen seen{target, look_up(target, how.step_ms), {}, {}, {}};
    Fd socket = connect_all(seen, how.step_ms);
    if (!socket && target.guessed) {
        ClientSeen plain{target, seen.name, {}, {}, {}};
        plain.target.tls = false;
        plain.target.port = 80;
        if (Fd other = connect_all(plain, how.step_ms)) {
            seen = std::move(plain);
            socket = std::move(other);
        }
    }
    if (!socket) {
        return seen;
    }
    SslConn ssl;
    if (seen.target.tls) {
        ssl.reset(SSL_new(context->get()));
        SSL_set_fd(ssl.get(), socket.get());
        if (!target.is_ip) {
            // The macro SSL_set_tlsext_host_name() casts as C does.
            SSL_ctrl(ssl.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                     const_cast<char*>(target.host.c_str()));
        }
        const std::string failure = Wire(socket.get(), ssl.get()).handshake(Watch(how.step_ms));
        seen.tls =
            failure.empty() ? look_at_tls(ssl.get(), target) : TlsSeen{failure, {}, {}, {}, {}, {}};
        if (!failure.empty()) {
            return seen;
        }
    }
    ask(seen, Wire(socket.get(), ssl.get()), how.step_ms);
    return seen;
}

} // namespace hasp::cmd
