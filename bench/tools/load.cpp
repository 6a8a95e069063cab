// The load generator of the benchmarks: load PORT CONNECTIONS COUNT RATE REQUEST_FILE [CA]. Sends
// COUNT copies of the request, RATE a second over all connections (0: each connection as fast as
// its answers come), and prints one JSON line. Latency is timed from the intended send: a late
// generator or a slow server cannot hide its queue. With CA it speaks TLS 1.3 to "localhost". A
// connection whose answer said that it was the last is opened anew.
#include "net.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <vector>

namespace {

struct Connection {
    Wire wire;
    Message answer;
    std::int64_t intended_ns = 0;
    std::size_t unsent = 0; // of the request, from its end
    bool busy = false;
};

std::int64_t now_ns() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

Wire connect_to(int port, SSL_CTX* tls) {
    Wire wire;
    wire.fd = ::socket(AF_INET, SOCK_STREAM, 0);
    const sockaddr_in address = loopback(port);
    if (wire.fd < 0 ||
        ::connect(wire.fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        die("connect");
    if (tls != nullptr) {
        wire.ssl = SSL_new(tls);
        SSL_set_fd(wire.ssl, wire.fd);
        SSL_set_tlsext_host_name(wire.ssl, "localhost");
        SSL_set1_host(wire.ssl, "localhost");
        if (SSL_connect(wire.ssl) != 1) {
            ERR_print_errors_fp(stderr);
            std::exit(1);
        }
    }
    make_quick(wire.fd);
    return wire;
}

SSL_CTX* tls_context(const char* ca) {
    SSL_CTX* context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (SSL_CTX_load_verify_locations(context, ca, nullptr) != 1) {
        ERR_print_errors_fp(stderr);
        std::exit(1);
    }
    return context;
}

void send_rest(Connection& one, const std::string& request) {
    while (one.unsent > 0) {
        const ssize_t put =
            one.wire.write(request.data() + (request.size() - one.unsent), one.unsent);
        if (put <= 0) {
            if (errno != EAGAIN)
                die("send");
            return;
        }
        one.unsent -= static_cast<std::size_t>(put);
    }
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 6 && argc != 7) {
        std::fprintf(stderr, "usage: load PORT CONNECTIONS COUNT RATE REQUEST_FILE [CA]\n");
        return 2;
    }
    const int port = std::atoi(argv[1]);
    const std::size_t connections = static_cast<std::size_t>(std::atol(argv[2]));
    const std::int64_t count = std::atol(argv[3]);
    const double gap_ns = std::atof(argv[4]) > 0 ? 1e9 / std::atof(argv[4]) : 0;
    std::ifstream file(argv[5], std::ios::binary);
    const std::string request{std::istreambuf_iterator<char>(file), {}};

    SSL_CTX* tls = argc == 7 ? tls_context(argv[6]) : nullptr;
    const int epoll = ::epoll_create1(0);
    std::vector<Connection> all(connections);
    std::vector<std::size_t> idle;
    const auto open_anew = [&](std::size_t i) {
        all[i].wire = connect_to(port, tls);
        epoll_event event{};
        event.events = EPOLLIN | EPOLLOUT | EPOLLET;
        event.data.u64 = i;
        ::epoll_ctl(epoll, EPOLL_CTL_ADD, all[i].wire.fd, &event);
    };
    for (std::size_t i = 0; i < connections; ++i) {
        open_anew(i);
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
            connection.unsent = request.size();
            send_rest(connection, request);
            ++sent;
        }
        const std::int64_t before = now_ns();
        const int ready = ::epoll_wait(epoll, events, 256, wait_ms);
        now = now_ns();
        waited_ns += now - before;
        for (int i = 0; i < ready; ++i) {
            Connection& connection = all[events[i].data.u64];
            send_rest(connection, request);
            bool whole = false;
            for (;;) {
                const ssize_t got = connection.wire.read(buffer, sizeof buffer);
                if (got == 0 || (got < 0 && errno != EAGAIN)) {
                    std::fprintf(stderr, "load: the server closed a connection\n");
                    return 1;
                }
                if (got < 0)
                    break;
                whole = connection.answer.take({buffer, static_cast<std::size_t>(got)});
                if (connection.wire.ssl == nullptr && static_cast<std::size_t>(got) < sizeof buffer)
                    break;
            }
            if (!whole || !connection.busy)
                continue;
            const std::string& head = connection.answer.head();
            const bool good = head.compare(0, 12, "HTTP/1.1 200") == 0;
            if (!good && errors == 0)
                std::fprintf(stderr, "load: %.300s\n", head.c_str());
            good ? ++done : ++errors;
            latency_us.push_back(static_cast<std::uint32_t>((now - connection.intended_ns) / 1000));
            if (::strcasestr(head.c_str(), "\r\nconnection: close\r\n") != nullptr) {
                connection.wire.close();
                open_anew(events[i].data.u64);
            }
            connection.answer.next();
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
