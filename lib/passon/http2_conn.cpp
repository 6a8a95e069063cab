#include "http2_conn.h"

#include "core.h"
#include "server_conn.h"

#include <algorithm>

namespace hasp::passon {
namespace {

// One write of the connection: a few TLS records, so that many streams' frames travel together.
constexpr std::size_t write_bytes = 32 * 1024;
// Turns of one reading, or writing: other connections have their turn between.
constexpr int turns_max = 16;

net::Http2Limits limits_of(const Settings& settings) {
    net::Http2Limits limits;
    limits.streams_max = settings.http2_streams_max;
    limits.head_max = settings.head_bytes_max;
    return limits;
}

} // namespace

Http2Conn::Http2Conn(Core& core, std::unique_ptr<net::Conn> conn, std::string address)
    : core_(core), conn_(std::move(conn)), address_(std::move(address)),
      task_(net::timer_call<&Http2Conn::on_task>, this),
      server_(
          limits_of(core.settings), core.parts.random,
          [](void* self) {
              auto* one = static_cast<Http2Conn*>(self);
              one->core_.reactor().post(one->task_);
          },
          this),
      timer_(core.reactor().timers(), net::timer_call<&Http2Conn::on_time>, this),
      head_timer_(core.reactor().timers(), net::timer_call<&Http2Conn::on_head_time>, this) {
    conn_->set_owner(*this);
    ++core_.counters.connections;
}

Http2Conn::~Http2Conn() {
    --core_.counters.connections;
}

void Http2Conn::begin() {
    active_ms_ = core_.now_ms();
    timer_.arm(look_ms());
    read();
}

std::int64_t Http2Conn::look_ms() const {
    return std::min(core_.settings.body_idle_ms, core_.settings.keep_alive_ms);
}

void Http2Conn::on_ready(net::Conn&) {
    if (gone_) {
        return;
    }
    if (conn_->broken()) {
        close("the client went away");
        return;
    }
    read();
}

void Http2Conn::on_fail(net::Conn&) {
    close("the connection failed");
}

// What is said before what is read: after a GOAWAY nothing is taken that it denies.
void Http2Conn::on_task() {
    if (!gone_) {
        server_.deliver();
    }
    if (!gone_) {
        write();
    }
    if (!gone_) {
        read();
    }
}

void Http2Conn::read() {
    for (int round = 0; !ending_ && conn_->readable(); ++round) {
        if (round == turns_max) {
            core_.reactor().post(task_);
            break;
        }
        net::Buffer in = core_.reactor().buffers().lend();
        const net::IoResult got = conn_->read(in.space());
        if (got.state == net::Io::again) {
            break;
        }
        if (got.state != net::Io::ok) {
            close("the client went away");
            return;
        }
        in.commit(got.bytes);
        if (!server_.receive(in.readable(), core_.now_ms())) {
            ++core_.counters.bad_requests;
            ending_ = true;
        }
    }
    if (server_.head_since_ms() != 0 && !head_timer_.armed()) {
        head_timer_.arm(core_.settings.head_ms);
    }
    take_requests();
    if (!gone_) {
        server_.deliver();
    }
    if (!gone_) {
        write();
    }
}

void Http2Conn::take_requests() {
    while (!gone_) {
        std::unique_ptr<net::Carrier> carrier = server_.next_request();
        if (!carrier) {
            return;
        }
        // A stream is a connection by the same limits: else one address could take all there are.
        active_ms_ = core_.now_ms();
        if (retired_ || !core_.count(conn_->peer())) {
            ++core_.counters.refused_connections;
            carrier->leave(false);
            continue;
        }
        auto conn = std::make_unique<ServerConn>(core_, From::user, true);
        ServerConn& one = *conn;
        one.counted = true;
        core_.add_server_conn(std::move(conn));
        one.take_stream(std::move(carrier), conn_->peer());
    }
}

bool Http2Conn::flush() {
    while (out_at_ < out_.size() && conn_->writable()) {
        const net::IoResult put = conn_->write(std::string_view(out_).substr(out_at_));
        if (put.state == net::Io::again) {
            break;
        }
        if (put.state != net::Io::ok) {
            return false;
        }
        out_at_ += put.bytes;
    }
    if (out_at_ == out_.size()) {
        out_.clear();
        out_at_ = 0;
    }
    return true;
}

void Http2Conn::write() {
    for (int round = 0;; ++round) {
        if (!flush()) {
            close("the client went away");
            return;
        }
        if (!out_.empty()) {
            return; // on_ready() goes on
        }
        if (round == turns_max) {
            core_.reactor().post(task_);
            return;
        }
        server_.produce(out_, write_bytes);
        // Streams have room again, or have ended.
        server_.deliver();
        if (gone_) {
            return;
        }
        if (out_.empty()) {
            break;
        }
    }
    out_ = {}; // idle it holds no memory
    if (ending_ || server_.finished() || (retired_ && server_.streams() == 0)) {
        const std::string why = server_.why();
        if (conn_->open()) {
            // What the client has on its way meets no reset: it is to read the last frame.
            net::close_lingering(std::move(conn_));
        }
        close(why.empty() ? "the connection has ended" : why);
    }
}

void Http2Conn::on_time() {
    timer_.arm(look_ms());
    server_.reset_stuck(core_.settings.slow_bytes_min);
    // A client that takes nothing of what is ready for it is not waited for.
    const std::uint64_t delivered = conn_->delivered();
    if (waited_at_look_ && !out_.empty() &&
        delivered - delivered_looked_ < core_.settings.slow_bytes_min) {
        close("the client takes too long to read");
        return;
    }
    waited_at_look_ = !out_.empty();
    delivered_looked_ = delivered;
    if (server_.streams() > 0 || !out_.empty()) {
        active_ms_ = core_.now_ms();
    } else if (core_.now_ms() - active_ms_ >= core_.settings.keep_alive_ms) {
        if (ending_) { // it does not even take the GOAWAY
            close("the client takes too long to read");
            return;
        }
        server_.go_away();
        ending_ = true;
    }
    write();
}

void Http2Conn::on_head_time() {
    const std::int64_t since_ms = server_.head_since_ms();
    if (since_ms == 0) {
        return;
    }
    const std::int64_t left_ms = since_ms + core_.settings.head_ms - core_.now_ms();
    if (left_ms > 0) {
        head_timer_.arm(left_ms);
        return;
    }
    close("the head of a request did not arrive in time");
}

void Http2Conn::retire() {
    retired_ = true;
    server_.go_away();
    core_.reactor().post(task_);
}

void Http2Conn::leave() {
    server_.ask_to_go();
    core_.reactor().post(task_);
}

void Http2Conn::close(const std::string& why) {
    if (gone_) {
        return;
    }
    gone_ = true;
    (void)why;
    timer_.cancel();
    head_timer_.cancel();
    task_.cancel();
    server_.close();
    if (conn_) {
        conn_->close();
    }
    out_ = {};
    core_.remove_http2(*this);
}

} // namespace hasp::passon
