// Whatever a client sends: no request is made of it that the strict parser would take for two, no
// memory grows beyond the limits, and what is answered goes out or is reset.
#include "net/http2.h"
#include "base/random.h"
#include "net/conn.h"
#include "net/head.h"

#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

using namespace hasp;
using namespace hasp::net;

namespace {

void must_hold(bool holds) {
    if (!holds) {
        std::abort();
    }
}

struct Owner final : ConnOwner {
    Owner(Reactor& reactor, std::unique_ptr<Carrier> carrier) : conn(reactor, *this) {
        conn.adopt(std::move(carrier), Address{});
    }
    void on_open(Conn&) override {}
    void on_fail(Conn&) override {}
    void on_ready(Conn&) override { go(); }
    void go() {
        std::array<char, 4096> room;
        while (conn.readable()) {
            const IoResult got = conn.read(room);
            if (got.state != Io::ok) {
                break;
            }
            if (text.size() < 64 * 1024) {
                text.append(room.data(), got.bytes);
            }
        }
        RequestHead head;
        const ParseResult parsed = parse_request_head(text, head, HeadLimits{});
        if (parsed.state == ParseResult::State::need_more || answered) {
            must_hold(text.size() <= 64 * 1024 + 4096);
            return;
        }
        answered = true;
        conn.write(parsed.bad() ? "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
                                : "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes");
    }
    Conn conn;
    std::string text;
    bool answered = false;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const SystemClock clock;
    static const std::unique_ptr<Reactor> reactor = std::move(Reactor::create(clock)).value();
    SeededRandom random(1);
    Http2Limits limits;
    limits.streams_max = 10;
    Http2Server server(
        limits, random, [](void*) {}, nullptr);
    std::vector<std::unique_ptr<Owner>> owners;
    // The first byte says in pieces of which size the rest arrives; the preface is given.
    const std::size_t step = size == 0 ? 1 : 1U + data[0];
    std::string bytes = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    if (size > 1) {
        bytes.append(reinterpret_cast<const char*>(data) + 1, size - 1);
    }
    std::string out;
    bool good = true;
    std::int64_t now_ms = 1;
    for (std::size_t at = 0; good && at < bytes.size(); at += step) {
        good = server.receive(std::string_view(bytes).substr(at, step), now_ms++);
        while (auto carrier = server.next_request()) {
            owners.push_back(std::make_unique<Owner>(*reactor, std::move(carrier)));
            owners.back()->go();
        }
        server.deliver();
        out.clear();
        server.produce(out, 1 << 20);
        must_hold(server.streams() <= 10 + 1);
        if (owners.size() > 4) {
            owners.erase(owners.begin()); // some are given up early
        }
    }
    server.close();
    for (const auto& one : owners) {
        must_hold(one->conn.broken() || !one->conn.open() || one->answered);
    }
    return 0;
}
