// What the tools of the benchmarks share. Benchmarks' own: no part of hasp uses it.
#pragma once

#include <arpa/inet.h>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string>
#include <string_view>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

[[noreturn]] inline void die(const char* what) {
    std::perror(what);
    std::exit(1);
}

inline sockaddr_in loopback(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

inline void make_quick(int fd) {
    const int one = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
}

inline int listen_on(int port) {
    const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
    const int one = 1;
    ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    const sockaddr_in address = loopback(port);
    if (::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(listener, 4096) != 0)
        die("listen");
    make_quick(listener);
    return listener;
}

// A socket, with TLS or without. As read(2) and send(2): -1 with EAGAIN when there is nothing now.
struct Wire {
    int fd = -1;
    SSL* ssl = nullptr;

    ssize_t result(int done) {
        if (done > 0)
            return done;
        const int error = SSL_get_error(ssl, done);
        ERR_clear_error();
        if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
            errno = EAGAIN;
            return -1;
        }
        if (error == SSL_ERROR_ZERO_RETURN)
            return 0;
        errno = EPROTO;
        return -1;
    }
    ssize_t read(char* into, std::size_t size) {
        return ssl == nullptr ? ::read(fd, into, size)
                              : result(SSL_read(ssl, into, static_cast<int>(size)));
    }
    ssize_t write(const char* from, std::size_t size) {
        return ssl == nullptr ? ::send(fd, from, size, MSG_NOSIGNAL)
                              : result(SSL_write(ssl, from, static_cast<int>(size)));
    }
    void close() {
        SSL_free(ssl);
        ssl = nullptr;
        ::close(fd);
    }
};

// The value of a header of this head, without the line's end; empty when there is none.
inline std::string_view header(std::string_view head, std::string_view name) {
    std::size_t at = head.find("\r\n");
    while (at != std::string_view::npos && at + 2 < head.size()) {
        const std::size_t begin = at + 2;
        const std::size_t end = head.find("\r\n", begin);
        const std::string_view line = head.substr(begin, end - begin);
        if (line.size() > name.size() && line[name.size()] == ':' &&
            ::strncasecmp(line.data(), name.data(), name.size()) == 0) {
            std::string_view value = line.substr(name.size() + 1);
            while (!value.empty() && value.front() == ' ')
                value.remove_prefix(1);
            return value;
        }
        at = end;
    }
    return {};
}

// Where a message is whole, told by its length or its last chunk, without keeping its body.
class Message {
  public:
    // Takes bytes of one message; true when it is whole with them. The head is kept until next().
    bool take(std::string_view bytes) {
        if (!in_body_) {
            head_.append(bytes);
            const std::size_t end = head_.find("\r\n\r\n");
            if (end == std::string::npos)
                return false;
            const std::string rest = head_.substr(end + 4);
            head_.resize(end + 2);
            in_body_ = true;
            const std::string_view length = header(head_, "content-length");
            left_ = length.empty() ? 0 : static_cast<std::size_t>(std::atoll(length.data()));
            chunked_ = !header(head_, "transfer-encoding").empty();
            return body(rest);
        }
        return body(bytes);
    }
    const std::string& head() const { return head_; }
    void next() { *this = Message(); }

  private:
    bool body(std::string_view bytes) {
        if (!chunked_) {
            left_ -= bytes.size() < left_ ? bytes.size() : left_;
            return left_ == 0;
        }
        // Chunk after chunk: payload is skipped, size lines are read.
        while (!bytes.empty()) {
            if (left_ > 0) {
                const std::size_t skip = bytes.size() < left_ ? bytes.size() : left_;
                left_ -= skip;
                bytes.remove_prefix(skip);
                continue;
            }
            const char c = bytes.front();
            bytes.remove_prefix(1);
            if (c != '\n') {
                line_ += c;
                continue;
            }
            const std::size_t size = std::strtoull(line_.c_str(), nullptr, 16);
            const bool empty = line_ == "\r";
            line_.clear();
            if (last_ && empty)
                return true;
            last_ = size == 0 && !empty;
            left_ = size == 0 ? 0 : size + 2;
        }
        return false;
    }
    std::string head_;
    std::string line_;
    std::size_t left_ = 0;
    bool in_body_ = false;
    bool chunked_ = false;
    bool last_ = false;
};
