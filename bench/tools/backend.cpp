// The backend of the benchmarks: backend PORT BODY_BYTES. Answers every request without a body at
// once with six headers and so many bytes, on one thread. It reads no more of a request than where
// it ends.
#include "net.h"

#include <string>
#include <unordered_map>

int main(int argc, char** argv) {
    if (argc != 3) {
        std::fprintf(stderr, "usage: backend PORT BODY_BYTES\n");
        return 2;
    }
    const std::string body(static_cast<std::size_t>(std::atol(argv[2])), 'x');
    const std::string answer = "HTTP/1.1 200 OK\r\nServer: backend\r\nDate: Mon, 07 Sep 2026 "
                               "08:00:00 GMT\r\nContent-Type: "
                               "text/html; charset=utf-8\r\nCache-Control: no-store\r\nETag: "
                               "\"5f1a-17c\"\r\nContent-Length: " +
                               std::to_string(body.size()) + "\r\n\r\n" + body;
    const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
    const int one = 1;
    ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    const sockaddr_in address = loopback(std::atoi(argv[1]));
    if (::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(listener, 1024) != 0)
        die("backend");
    make_quick(listener);
    const int epoll = ::epoll_create1(0);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = listener;
    ::epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    std::unordered_map<int, std::string> heads; // what has come of a head that is not whole
    std::unordered_map<int, std::string> left;  // what could not be written yet
    std::puts("ready");
    std::fflush(stdout);
    epoll_event events[256];
    char buffer[65536];
    for (;;) {
        const int count = ::epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < count; ++i) {
            const int fd = events[i].data.fd;
            if (fd == listener) {
                int peer;
                while ((peer = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK)) >= 0) {
                    make_quick(peer);
                    event.events = EPOLLIN | EPOLLOUT | EPOLLET;
                    event.data.fd = peer;
                    ::epoll_ctl(epoll, EPOLL_CTL_ADD, peer, &event);
                }
                continue;
            }
            std::string& out = left[fd];
            std::string& head = heads[fd];
            bool gone = false;
            for (;;) {
                const ssize_t got = ::read(fd, buffer, sizeof buffer);
                if (got <= 0) {
                    gone = got == 0 || (errno != EAGAIN && errno != EINTR);
                    break;
                }
                head.append(buffer, static_cast<std::size_t>(got));
                std::size_t end;
                while ((end = head.find("\r\n\r\n")) != std::string::npos) {
                    head.erase(0, end + 4);
                    out += answer;
                }
                if (static_cast<std::size_t>(got) < sizeof buffer)
                    break;
            }
            if (!out.empty() && !gone) {
                const ssize_t put = ::send(fd, out.data(), out.size(), MSG_NOSIGNAL);
                if (put > 0)
                    out.erase(0, static_cast<std::size_t>(put));
                else if (errno != EAGAIN)
                    gone = true;
            }
            if (gone) {
                heads.erase(fd);
                left.erase(fd);
                ::close(fd);
            }
        }
    }
}
