// The backend of the benchmarks: backend PORT BODY_BYTES [CERTIFICATE KEY CLIENT_CA]. Answers every
// request, once it is whole, with six headers and so many bytes ("size=N" in the target asks for
// another number), on one thread. With a certificate it speaks TLS and wants one of its clients.
#include "net.h"

#include <memory>
#include <unordered_map>

namespace {

struct Client {
    Wire wire;
    Message request;
    std::string head;          // of the answer, not yet written
    std::size_t body_left = 0; // of the answer
    bool handshaken = false;
};

const std::string block(256 * 1024, 'x');

std::size_t size_wanted(std::string_view head, std::size_t usual) {
    const std::string_view line = head.substr(0, head.find("\r\n"));
    const std::size_t at = line.find("size=");
    return at == std::string_view::npos
               ? usual
               : static_cast<std::size_t>(std::atoll(line.data() + at + 5));
}

// False: the connection is broken.
bool write_some(Client& client) {
    while (!client.head.empty() || client.body_left > 0) {
        const bool with_head = !client.head.empty();
        if (with_head && client.body_left > 0 && client.body_left <= 16 * 1024) {
            client.head.append(block, 0, client.body_left); // one write for a small answer
            client.body_left = 0;
        }
        const ssize_t put =
            with_head ? client.wire.write(client.head.data(), client.head.size())
                      : client.wire.write(block.data(), std::min(client.body_left, block.size()));
        if (put <= 0)
            return errno == EAGAIN;
        if (with_head)
            client.head.erase(0, static_cast<std::size_t>(put));
        else
            client.body_left -= static_cast<std::size_t>(put);
    }
    return true;
}

// False: the connection is over.
bool read_some(Client& client, std::size_t usual) {
    static char buffer[256 * 1024];
    for (;;) {
        const ssize_t got = client.wire.read(buffer, sizeof buffer);
        if (got <= 0)
            return got < 0 && (errno == EAGAIN || errno == EINTR);
        if (!client.request.take({buffer, static_cast<std::size_t>(got)}))
            continue;
        client.body_left = size_wanted(client.request.head(), usual);
        client.head =
            "HTTP/1.1 200 OK\r\nServer: backend\r\nDate: Mon, 07 Sep 2026 08:00:00 GMT\r\n"
            "Content-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\n"
            "ETag: \"5f1a-17c\"\r\nContent-Length: " +
            std::to_string(client.body_left) + "\r\n\r\n";
        client.request.next();
        if (!write_some(client))
            return false;
    }
}

SSL_CTX* tls_context(char** files) {
    SSL_CTX* context = SSL_CTX_new(TLS_server_method());
    if (SSL_CTX_use_certificate_chain_file(context, files[0]) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, files[1], SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_load_verify_locations(context, files[2], nullptr) != 1) {
        ERR_print_errors_fp(stderr);
        std::exit(1);
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    const unsigned char name[] = "bench";
    SSL_CTX_set_session_id_context(context, name, sizeof name);
    return context;
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 3 && argc != 6) {
        std::fprintf(stderr, "usage: backend PORT BODY_BYTES [CERTIFICATE KEY CLIENT_CA]\n");
        return 2;
    }
    const std::size_t usual = static_cast<std::size_t>(std::atoll(argv[2]));
    SSL_CTX* tls = argc == 6 ? tls_context(argv + 3) : nullptr;
    const int listener = listen_on(std::atoi(argv[1]));
    const int epoll = ::epoll_create1(0);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = listener;
    ::epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    std::unordered_map<int, std::unique_ptr<Client>> clients;
    std::puts("ready");
    std::fflush(stdout);
    epoll_event events[256];
    for (;;) {
        const int count = ::epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < count; ++i) {
            const int fd = events[i].data.fd;
            if (fd == listener) {
                int peer;
                while ((peer = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK)) >= 0) {
                    make_quick(peer);
                    auto client = std::make_unique<Client>();
                    client->wire.fd = peer;
                    if (tls != nullptr) {
                        client->wire.ssl = SSL_new(tls);
                        SSL_set_fd(client->wire.ssl, peer);
                        SSL_set_accept_state(client->wire.ssl);
                    }
                    clients[peer] = std::move(client);
                    event.events = EPOLLIN | EPOLLOUT | EPOLLET;
                    event.data.fd = peer;
                    ::epoll_ctl(epoll, EPOLL_CTL_ADD, peer, &event);
                }
                continue;
            }
            Client& client = *clients.at(fd);
            if (!write_some(client) || !read_some(client, usual)) {
                client.wire.close();
                clients.erase(fd);
            }
        }
    }
}
