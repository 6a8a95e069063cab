// A long line between two network namespaces: line BITS_PER_S DELAY_MS QUEUE_BYTES. Run in the near
// namespace, it makes tun devices there (10.77.0.1) and in a new, far namespace (10.77.0.2), its
// own from then on: /proc/PID/ns/net. Whole IP packets pass: each direction sends at the rate,
// delays by DELAY_MS, and drops what finds QUEUE_BYTES waiting, so that TCP's and TLS's handshakes,
// slow start and losses are the kernel's own. Prints "ready"; each line of its input is answered
// with what has passed since the one before: packets with all headers, what was dropped, and the
// bytes of TCP's streams, each counted once however often it is sent. A line "BITS_PER_S DELAY_MS"
// makes it another line from then on. Ends with its input.
#include <arpa/inet.h>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <map>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <string>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

namespace {

constexpr int frame_bytes =
    20; // of Ethernet around a packet: preamble apart, what a line carries besides

[[noreturn]] void die(const char* what) {
    std::perror(what);
    std::exit(1);
}

std::int64_t now_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

void set_up(int any, const char* device, const char* address) {
    ifreq request{};
    std::strncpy(request.ifr_name, device, IFNAMSIZ - 1);
    if (address != nullptr) {
        sockaddr_in in{};
        in.sin_family = AF_INET;
        in.sin_addr.s_addr = ::inet_addr(address);
        std::memcpy(&request.ifr_addr, &in, sizeof in);
        if (::ioctl(any, SIOCSIFADDR, &request) != 0)
            die("SIOCSIFADDR");
        in.sin_addr.s_addr = ::inet_addr("255.255.255.0");
        std::memcpy(&request.ifr_netmask, &in, sizeof in);
        if (::ioctl(any, SIOCSIFNETMASK, &request) != 0)
            die("SIOCSIFNETMASK");
    }
    if (::ioctl(any, SIOCGIFFLAGS, &request) != 0)
        die("SIOCGIFFLAGS");
    request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
    if (::ioctl(any, SIOCSIFFLAGS, &request) != 0)
        die("SIOCSIFFLAGS");
}

// A tun device of the namespace that we are in; the loopback is brought up with it.
int open_end(const char* address) {
    const int tun = ::open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    if (tun < 0)
        die("/dev/net/tun");
    ifreq request{};
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    std::strncpy(request.ifr_name, "line0", IFNAMSIZ - 1);
    if (::ioctl(tun, TUNSETIFF, &request) != 0)
        die("TUNSETIFF");
    const int any = ::socket(AF_INET, SOCK_DGRAM, 0);
    set_up(any, "lo", nullptr);
    set_up(any, "line0", address);
    ::close(any);
    return tun;
}

struct Settings {
    double ns_per_byte;
    std::int64_t delay_ns;
    std::int64_t queue_ns; // the queue's limit, as the time that it takes to send
};

// How far each of TCP's streams has come, in one direction.
class Streams {
  public:
    // Bytes of a stream in this packet that no packet had before.
    std::int64_t fresh(const char* packet, std::size_t size) {
        iphdr ip{};
        tcphdr tcp{};
        if (size < sizeof ip)
            return 0;
        std::memcpy(&ip, packet, sizeof ip);
        const std::size_t head = ip.ihl * std::size_t{4};
        if (ip.version != 4 || ip.protocol != IPPROTO_TCP || size < head + sizeof tcp)
            return 0;
        std::memcpy(&tcp, packet + head, sizeof tcp);
        const std::size_t before = head + tcp.doff * std::size_t{4};
        const std::uint32_t bytes =
            size > before ? static_cast<std::uint32_t>(size - before) : std::uint32_t{0};
        const std::uint32_t begin = ntohl(tcp.seq);
        std::uint32_t& next = next_[(std::uint32_t{tcp.source} << 16) | tcp.dest];
        if (tcp.syn != 0)
            next = begin + 1;
        const auto more = static_cast<std::int32_t>(begin + bytes - next);
        if (more <= 0 || bytes == 0)
            return 0;
        next = begin + bytes;
        return std::int64_t{more} < bytes ? more : bytes;
    }

  private:
    std::map<std::uint32_t, std::uint32_t> next_; // by ports
};

Settings settings_of(double bits_per_s, double delay_ms, double queue_bytes) {
    const double ns_per_byte = 8e9 / bits_per_s;
    return {ns_per_byte, static_cast<std::int64_t>(delay_ms * 1e6),
            static_cast<std::int64_t>(queue_bytes * ns_per_byte)};
}

class Direction {
  public:
    Direction(int from, int to, const Settings& settings) : from_(from), to_(to), is_(settings) {}

    void take() {
        char packet[2048];
        for (;;) {
            const ssize_t got = ::read(from_, packet, sizeof packet);
            if (got <= 0)
                return;
            const std::int64_t now = now_ns();
            payload += streams_.fresh(packet, static_cast<std::size_t>(got));
            free_at_ = free_at_ < now ? now : free_at_;
            if (free_at_ - now > is_.queue_ns) {
                ++dropped;
                continue;
            }
            free_at_ +=
                static_cast<std::int64_t>(static_cast<double>(got + frame_bytes) * is_.ns_per_byte);
            waiting_.push_back(
                {free_at_ + is_.delay_ns, std::string(packet, static_cast<std::size_t>(got))});
            bytes += got;
        }
    }
    // Delivers what is due; when the next one is, or 0.
    std::int64_t give() {
        while (!waiting_.empty() && waiting_.front().due_ns <= now_ns()) {
            const std::string& packet = waiting_.front().bytes;
            if (::write(to_, packet.data(), packet.size()) < 0 && errno == EAGAIN)
                break; // the device's queue is full: again at the next turn
            waiting_.pop_front();
        }
        return waiting_.empty() ? 0 : waiting_.front().due_ns;
    }
    std::int64_t bytes = 0;
    std::int64_t payload = 0;
    std::int64_t dropped = 0;

  private:
    struct Packet {
        std::int64_t due_ns;
        std::string bytes;
    };
    int from_;
    int to_;
    const Settings& is_;
    Streams streams_;
    std::int64_t free_at_ = 0;
    std::deque<Packet> waiting_;
};

} // namespace

int main(int argc, char** argv) {
    if (argc != 4) {
        std::fprintf(stderr, "usage: line BITS_PER_S DELAY_MS QUEUE_BYTES\n");
        return 2;
    }
    const double queue_bytes = std::atof(argv[3]);
    Settings settings = settings_of(std::atof(argv[1]), std::atof(argv[2]), queue_bytes);
    const int near = open_end("10.77.0.1");
    if (::unshare(CLONE_NEWNET) != 0)
        die("unshare");
    const int far = open_end("10.77.0.2");
    Direction up(near, far, settings);
    Direction down(far, near, settings);
    const int timer = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    std::printf("ready\n");
    std::fflush(stdout);
    pollfd waits[] = {
        {near, POLLIN, 0}, {far, POLLIN, 0}, {timer, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
    for (;;) {
        ::poll(waits, 4, -1);
        std::uint64_t fired = 0;
        if (::read(timer, &fired, sizeof fired) < 0 && errno != EAGAIN)
            die("timerfd");
        if (waits[3].revents != 0) {
            char line[64]{};
            if (::read(STDIN_FILENO, line, sizeof line - 1) <= 0)
                return 0;
            double bits_per_s = 0;
            double delay_ms = 0;
            if (std::sscanf(line, "%lf %lf", &bits_per_s, &delay_ms) == 2)
                settings = settings_of(bits_per_s, delay_ms, queue_bytes);
            std::printf("{\"up\":%lld,\"down\":%lld,\"dropped\":%lld,\"payload\":%lld}\n",
                        static_cast<long long>(up.bytes), static_cast<long long>(down.bytes),
                        static_cast<long long>(up.dropped + down.dropped),
                        static_cast<long long>(up.payload + down.payload));
            std::fflush(stdout);
            up.bytes = down.bytes = up.dropped = down.dropped = up.payload = down.payload = 0;
        }
        up.take();
        down.take();
        const std::int64_t a = up.give();
        const std::int64_t b = down.give();
        const std::int64_t next = a == 0 ? b : b == 0 ? a : a < b ? a : b;
        itimerspec when{};
        if (next != 0) {
            when.it_value.tv_sec = next / 1'000'000'000;
            when.it_value.tv_nsec = next % 1'000'000'000;
        }
        ::timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, nullptr);
    }
}
