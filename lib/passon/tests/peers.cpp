// The small HTTP peers of the harness: client, backend, gate.
#include "harness.h"

#include "base/text.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace hasp::passon::testing {
namespace {

bool readable(int fd) {
    pollfd one{fd, POLLIN, 0};
    return ::poll(&one, 1, wait_ms) == 1;
}

// Appends what comes; false at the end, an error or when nothing comes.
bool more(int fd, std::string& buffer) {
    if (!readable(fd)) {
        return false;
    }
    char bytes[65536];
    const ssize_t got = ::recv(fd, bytes, sizeof bytes, 0);
    if (got <= 0) {
        return false;
    }
    buffer.append(bytes, static_cast<std::size_t>(got));
    return true;
}

std::string value_of(const std::string& head, const std::string& lower_name) {
    std::size_t at = head.find("\r\n");
    while (at != std::string::npos && at + 2 < head.size()) {
        at += 2;
        const std::size_t end = head.find("\r\n", at);
        const std::string line = head.substr(at, end - at);
        const std::size_t colon = line.find(':');
        if (colon != std::string::npos && to_lower(line.substr(0, colon)) == lower_name) {
            return std::string(trim(std::string_view(line).substr(colon + 1)));
        }
        at = end;
    }
    return {};
}

bool take_chunked(int fd, std::string& buffer, std::string& body) {
    for (;;) {
        std::size_t line = 0;
        while ((line = buffer.find("\r\n")) == std::string::npos) {
            if (!more(fd, buffer)) {
                return false;
            }
        }
        const std::size_t size = std::stoul(buffer.substr(0, line), nullptr, 16);
        while (buffer.size() < line + 2 + size + 2) {
            if (!more(fd, buffer)) {
                return false;
            }
        }
        body += buffer.substr(line + 2, size);
        buffer.erase(0, line + 2 + size + 2);
        if (size == 0) {
            return true;
        }
    }
}

bool take_body(int fd, std::string& buffer, const std::string& head, std::string& body) {
    if (to_lower(value_of(head, "transfer-encoding")) == "chunked") {
        return take_chunked(fd, buffer, body);
    }
    const std::size_t size =
        static_cast<std::size_t>(parse_u64(value_of(head, "content-length")).value_or(0));
    while (buffer.size() < size) {
        if (!more(fd, buffer)) {
            return false;
        }
    }
    body = buffer.substr(0, size);
    buffer.erase(0, size);
    return true;
}

bool send_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
}

} // namespace

std::string Answer::header(const std::string& lower_name) const {
    return value_of(head, lower_name);
}

Client::Client(int port) : fd_(connect_loopback(port)) {
    EXPECT_TRUE(fd_);
}
void Client::send(std::string_view bytes) {
    send_all(fd_.get(), bytes);
}
bool Client::try_send(std::string_view bytes) {
    return send_all(fd_.get(), bytes);
}
void Client::end_writing() {
    ::shutdown(fd_.get(), SHUT_WR);
}

Answer Client::read(bool to_head) {
    Answer out;
    for (;;) {
        std::size_t end = 0;
        while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
            if (!more(fd_.get(), buffer_)) {
                out.closed = true;
                return out;
            }
        }
        out.head = buffer_.substr(0, end + 2);
        buffer_.erase(0, end + 4);
        out.status = std::stoi(out.head.substr(9, 3));
        if (out.status >= 200 || out.status == 101) {
            break;
        }
        if (out.status != 100) {
            out.interim.push_back(out.head);
        }
    }
    if (to_head || out.status == 304 || out.status == 204 || out.status == 101) {
        return out;
    }
    if (out.header("transfer-encoding").empty() && out.header("content-length").empty()) {
        while (more(fd_.get(), buffer_)) {
        }
        out.body = std::exchange(buffer_, {});
        return out;
    }
    out.closed = !take_body(fd_.get(), buffer_, out.head, out.body);
    return out;
}

std::string Client::read_bytes(std::size_t count) {
    while (buffer_.size() < count && more(fd_.get(), buffer_)) {
    }
    const std::string out = buffer_.substr(0, count);
    buffer_.erase(0, count);
    return out;
}

bool Client::closed() {
    while (readable(fd_.get())) {
        char bytes[4096];
        if (::recv(fd_.get(), bytes, sizeof bytes, 0) <= 0) {
            return true;
        }
    }
    return false;
}

Answer Client::get(const std::string& path, const std::string& lines, const std::string& host) {
    send("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n" + lines + "\r\n");
    return read();
}

bool Backend::Peer::head(std::string& text) {
    std::size_t end = 0;
    while ((end = buffer.find("\r\n\r\n")) == std::string::npos) {
        if (!more(fd, buffer)) {
            return false;
        }
    }
    text = buffer.substr(0, end + 2);
    buffer.erase(0, end + 4);
    return true;
}
bool Backend::Peer::request(std::string& text, std::string& body) {
    body.clear();
    return head(text) && take_body(fd, buffer, text, body);
}
void Backend::Peer::send(std::string_view bytes) {
    send_all(fd, bytes);
}

Backend::Backend(std::function<void(Peer&)> serve) : serve_(std::move(serve)) {
    port_ = listen_loopback(listener_);
    thread_ = std::thread([this] {
        for (;;) {
            (void)readable(listener_.get());
            const int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
            const std::lock_guard lock(mutex_);
            if (stopping_) {
                if (fd >= 0) {
                    ::close(fd);
                }
                return;
            }
            if (fd < 0) {
                continue;
            }
            ++connections;
            open_.push_back(fd);
            threads_.emplace_back([this, fd] {
                Peer peer{fd, {}};
                serve_(peer);
                ::shutdown(fd, SHUT_RDWR);
                const std::lock_guard inner(mutex_);
                std::erase(open_, fd);
                ::close(fd);
            });
        }
    });
}

Backend::~Backend() {
    std::vector<std::thread> threads;
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        for (const int fd : open_) {
            ::shutdown(fd, SHUT_RDWR);
        }
        threads.swap(threads_);
    }
    (void)connect_loopback(port_);
    thread_.join();
    for (std::thread& one : threads) {
        one.join();
    }
}

std::function<void(Backend::Peer&)> echo_head() {
    return [](Backend::Peer& peer) {
        std::string head;
        std::string body;
        while (peer.request(head, body)) {
            peer.send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " +
                      std::to_string(head.size()) + "\r\n\r\n" +
                      (head.starts_with("HEAD ") ? "" : head));
        }
    };
}
std::function<void(Backend::Peer&)> echo_body() {
    return [](Backend::Peer& peer) {
        std::string head;
        std::string body;
        while (peer.request(head, body)) {
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) +
                      "\r\n\r\n" + body);
        }
    };
}

Gate::Gate(int to_port) : to_(to_port) {
    port_ = listen_loopback(listener_);
    thread_ = std::thread([this] {
        for (;;) {
            if (!readable(listener_.get())) {
                continue;
            }
            const int in = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
            const std::lock_guard lock(mutex_);
            if (stopping_) {
                if (in >= 0) {
                    ::close(in);
                }
                return;
            }
            if (in < 0) {
                continue;
            }
            if (!is_open_) {
                ::close(in);
                continue;
            }
            const int out = connect_loopback(to_).release();
            fds_.push_back(in);
            fds_.push_back(out);
            const auto pump = [](int from, int to) {
                std::string buffer;
                while (more(from, buffer)) {
                    if (!send_all(to, buffer)) {
                        break;
                    }
                    buffer.clear();
                }
                ::shutdown(from, SHUT_RDWR);
                ::shutdown(to, SHUT_RDWR);
            };
            pumps_.emplace_back(pump, in, out);
            pumps_.emplace_back(pump, out, in);
        }
    });
}

void Gate::cut() {
    is_open_ = false;
    const std::lock_guard lock(mutex_);
    for (const int fd : fds_) {
        ::shutdown(fd, SHUT_RDWR);
    }
}

Gate::~Gate() {
    cut();
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    (void)connect_loopback(port_);
    thread_.join();
    for (std::thread& one : pumps_) {
        one.join();
    }
    for (const int fd : fds_) {
        ::close(fd);
    }
}

} // namespace hasp::passon::testing
