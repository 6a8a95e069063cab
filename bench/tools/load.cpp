// The load generator of the benchmarks: load PORT CONNECTIONS COUNT RATE REQUEST_FILE. Sends COUNT
// copies of the request, RATE a second over all connections (0: each connection as fast as its
// answers come), and prints one JSON line. Latency is timed from the intended send: a late
// generator or a slow server cannot hide its queue.
#include "net.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace {

struct Connection {
    int fd = -1;
    std::string got;
    std::int64_t intended_ns = 0;
    bool busy = false;
};

std::int64_t now_ns() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

int connect_to(int port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    const sockaddr_in address = loopback(port);
    if (fd < 0 || ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        die("connect");
    make_quick(fd);
    return fd;
}

// Whole answers only: a length must be given or chunks end with the last one. 0: not whole yet; -1:
// not a 200.
int whole_answer(const std::string& got) {
    const std::size_t end = got.find("\r\n\r\n");
    if (end == std::string::npos)
        return 0;
    const std::string_view head(got.data(), end + 2);
    if (head.substr(0, 12) != "HTTP/1.1 200")
        return -1;
    const std::string_view length = header(head, "content-length");
    if (!length.empty())
        return got.size() >= end + 4 + static_cast<std::size_t>(std::atol(length.data())) ? 1 : 0;
    return got.compare(got.size() - 5, 5, "0\r\n\r\n") == 0 ? 1 : 0;
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 6) {
        std::fprintf(stderr, "usage: load PORT CONNECTIONS COUNT RATE REQUEST_FILE\n");
        return 2;
    }
    const int port = std::atoi(argv[1]);
    const std::size_t connections = static_cast<std::size_t>(std::atol(argv[2]));
    const std::int64_t count = std::atol(argv[3]);
    const double gap_ns = std::atof(argv[4]) > 0 ? 1e9 / std::atof(argv[4]) : 0;
    std::ifstream file(argv[5], std::ios::binary);
    const std::string request{std::istreambuf_iterator<char>(file), {}};

    const int epoll = ::epoll_create1(0);
    std::vector<Connection> all(connections);
    std::vector<std::size_t> idle;
    for (std::size_t i = 0; i < connections; ++i) {
        all[i].fd = connect_to(port);
        epoll_event event{};
        event.events = EPOLLIN | EPOLLET;
        event.data.u64 = i;
        ::epoll_ctl(epoll, EPOLL_CTL_ADD, all[i].fd, &event);
        idle.push_back(i);
    }
    std::vector<std::uint32_t> latency_us;
    latency_us.reserve(static_cast<std::size_t>(count));
    std::int64_t sent = 0, done = 0, errors = 0;
    const std::int64_t begin = now_ns();
    std::int64_t waited_ns = 0;
    epoll_event events[256];
    char buffer[262144];
    while (done + errors < count) {
        std::int64_t now = now_ns();
        int wait_ms = -1;
        while (!idle.empty() && sent < count) {
            const std::int64_t intended =
                gap_ns > 0 ? begin + static_cast<std::int64_t>(static_cast<double>(sent) * gap_ns)
                           : now;
            if (intended > now) {
                // Finer than a millisecond is polled for; the generator has a core of its own.
                wait_ms = static_cast<int>((intended - now) / 1'000'000);
                break;
            }
            Connection& connection = all[idle.back()];
            idle.pop_back();
            connection.busy = true;
            connection.intended_ns = intended;
            if (::send(connection.fd, request.data(), request.size(), MSG_NOSIGNAL) !=
                static_cast<ssize_t>(request.size()))
                die("send");
            ++sent;
        }
        const std::int64_t before = now_ns();
        const int ready = ::epoll_wait(epoll, events, 256, wait_ms);
        now = now_ns();
        waited_ns += now - before;
        for (int i = 0; i < ready; ++i) {
            Connection& connection = all[events[i].data.u64];
            for (;;) {
                const ssize_t got = ::read(connection.fd, buffer, sizeof buffer);
                if (got == 0 || (got < 0 && errno != EAGAIN)) {
                    std::fprintf(stderr, "load: the server closed a connection\n");
                    return 1;
                }
                if (got < 0)
                    break;
                connection.got.append(buffer, static_cast<std::size_t>(got));
                if (static_cast<std::size_t>(got) < sizeof buffer)
                    break;
            }
            const int whole = connection.busy ? whole_answer(connection.got) : 0;
            if (whole == 0)
                continue;
            if (whole < 0 && errors == 0)
                std::fprintf(stderr, "load: %.300s\n", connection.got.c_str());
            whole > 0 ? ++done : ++errors;
            latency_us.push_back(static_cast<std::uint32_t>((now - connection.intended_ns) / 1000));
            connection.got.clear();
            connection.busy = false;
            idle.push_back(events[i].data.u64);
        }
    }
    const double seconds = static_cast<double>(now_ns() - begin) / 1e9;
    std::sort(latency_us.begin(), latency_us.end());
    const auto at = [&](double part) {
        return latency_us[static_cast<std::size_t>(static_cast<double>(latency_us.size() - 1) *
                                                   part)];
    };
    std::printf("{\"requests\":%lld,\"errors\":%lld,\"seconds\":%.6f,\"rps\":%.1f,\"p50_us\":%u,"
                "\"p99_us\":%u,"
                "\"idle_pct\":%.1f}\n",
                static_cast<long long>(done), static_cast<long long>(errors), seconds,
                static_cast<double>(done) / seconds, at(0.50), at(0.99),
                100.0 * static_cast<double>(waited_ns) / 1e9 / seconds);
    return errors == 0 ? 0 : 1;
}
