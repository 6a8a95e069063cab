#include "net/conn.h"

#include <array>

namespace hasp::net {
namespace {

// RFC 9112 §9.6: close in stages. Owned by the reactor.
class Linger final : public Kept, private ConnOwner {
  public:
    explicit Linger(std::unique_ptr<Conn> conn)
        : conn_(std::move(conn)),
          limit_(conn_->reactor().timers(), timer_call<&Linger::over>, this) {
        conn_->set_owner(*this);
        conn_->shutdown_write();
        limit_.arm(linger_ms);
    }
    // False: it is over already.
    bool drain() {
        std::array<char, 16'384> waste;
        while (conn_->readable()) {
            const IoResult got = conn_->read(waste);
            if (got.state == Io::again) {
                return true;
            }
            drained_ += got.bytes;
            if (got.state != Io::ok || drained_ > linger_bytes_max) {
                return false;
            }
        }
        return true;
    }

  private:
    void over() { conn_->reactor().release(*this); }
    void on_open(Conn&) override {}
    void on_fail(Conn&) override { over(); }
    void on_ready(Conn&) override {
        if (!drain()) {
            over();
        }
    }

    std::unique_ptr<Conn> conn_;
    Timer limit_;
    std::size_t drained_ = 0;
};

} // namespace

void close_lingering(std::unique_ptr<Conn> conn) {
    if (!conn->open()) {
        return;
    }
    Reactor& reactor = conn->reactor();
    auto linger = std::make_unique<Linger>(std::move(conn));
    if (linger->drain()) {
        reactor.keep(std::move(linger));
    }
}

} // namespace hasp::net
