// The least that a proxy costs: relay PORT TARGET_PORT. Every connection gets one of its own to the
// target; bytes are copied, nothing is looked at. Edge-triggered epoll, one thread.
#include "net.h"

#include <unordered_map>

namespace {

struct Side {
    int other = -1;
    std::string left; // for this side, not yet written
};

std::unordered_map<int, Side> sides;

void end(int fd) {
    const int other = sides[fd].other;
    sides.erase(fd);
    sides.erase(other);
    ::close(fd);
    ::close(other);
}

bool flush(int fd, Side& side) {
    while (!side.left.empty()) {
        const ssize_t put = ::send(fd, side.left.data(), side.left.size(), MSG_NOSIGNAL);
        if (put < 0)
            return errno == EAGAIN;
        side.left.erase(0, static_cast<std::size_t>(put));
    }
    return true;
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        std::fprintf(stderr, "usage: relay PORT TARGET_PORT\n");
        return 2;
    }
    const int listener = listen_on(std::atoi(argv[1]));
    const sockaddr_in target = loopback(std::atoi(argv[2]));
    const int epoll = ::epoll_create1(0);
    const auto watch = [&](int fd, unsigned events) {
        epoll_event event{};
        event.events = events;
        event.data.fd = fd;
        ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    };
    watch(listener, EPOLLIN);
    std::puts("ready");
    std::fflush(stdout);
    epoll_event events[256];
    static char buffer[64 * 1024];
    for (;;) {
        const int count = ::epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < count; ++i) {
            const int fd = events[i].data.fd;
            if (fd == listener) {
                int near;
                while ((near = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK)) >= 0) {
                    const int far = ::socket(AF_INET, SOCK_STREAM, 0);
                    if (::connect(far, reinterpret_cast<const sockaddr*>(&target), sizeof target) !=
                        0)
                        die("connect");
                    make_quick(near);
                    make_quick(far);
                    sides[near].other = far;
                    sides[far].other = near;
                    watch(near, EPOLLIN | EPOLLOUT | EPOLLET);
                    watch(far, EPOLLIN | EPOLLOUT | EPOLLET);
                }
                continue;
            }
            const auto at = sides.find(fd);
            if (at == sides.end())
                continue;
            bool good = flush(fd, at->second);
            const int other = at->second.other;
            Side& sink = sides[other];
            while (good) {
                const ssize_t got = ::read(fd, buffer, sizeof buffer);
                if (got <= 0) {
                    good = got < 0 && errno == EAGAIN;
                    break;
                }
                std::size_t put = 0;
                if (sink.left.empty()) {
                    const ssize_t sent =
                        ::send(other, buffer, static_cast<std::size_t>(got), MSG_NOSIGNAL);
                    put = sent > 0 ? static_cast<std::size_t>(sent) : 0;
                }
                sink.left.append(buffer + put, static_cast<std::size_t>(got) - put);
                if (static_cast<std::size_t>(got) < sizeof buffer)
                    break;
            }
            if (!good)
                end(fd);
        }
    }
}
