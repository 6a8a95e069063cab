#include "server_conn.h"

#include "core.h"
#include "exchange.h"
#include "link_child.h"
#include "link_socket.h"

namespace hasp::passon {

ServerConn::ServerConn(Core& core, From from, bool tls)
    : core_(core), from_(from), tls_(tls),
      timer_(core.reactor().timers(), net::timer_call<&ServerConn::on_time>, this) {
    ++core_.counters.connections;
}

ServerConn::~ServerConn() {
    --core_.counters.connections;
}

Status ServerConn::accept(Fd socket, const net::Address& peer,
                          std::shared_ptr<const net::TlsContext> tls) {
    address_ = peer.host();
    proxied_ = from_ == From::user && core_.believes(peer);
    wire.conn = std::make_unique<net::Conn>(core_.reactor(), *this);
    timer_.arm(core_.settings.head_ms);
    return wire.conn->adopt(std::move(socket), peer, std::move(tls));
}

void ServerConn::take_stream(std::unique_ptr<net::Carrier> carrier, const net::Address& peer) {
    single_ = true;
    address_ = peer.host();
    proxied_ = core_.believes(peer);
    wire.conn = std::make_unique<net::Conn>(core_.reactor(), *this);
    wire.conn->adopt(std::move(carrier), peer);
    advance();
}

void ServerConn::take_beside(std::unique_ptr<net::Carrier> carrier, std::string peer,
                             const net::Address& address) {
    beside = true;
    single_ = true;
    peer_ = std::move(peer);
    address_ = address.host();
    proxied_ = from_ == From::user && core_.believes(address);
    wire.conn = std::make_unique<net::Conn>(core_.reactor(), *this);
    wire.conn->adopt(std::move(carrier), address);
    advance();
}

void ServerConn::take_reversed(std::unique_ptr<net::Conn> conn, std::string peer,
                               std::uint64_t link) {
    peer_ = std::move(peer);
    address_ = conn->peer().host();
    wire.conn = std::move(conn);
    wire.conn->set_owner(*this);
    link_ = link;
    parked_ = true;
    advance();
}

void ServerConn::on_open(net::Conn& conn) {
    // Without a certificate it is a box that wants to join: it has no name, and may do nothing
    // else.
    if (from_ == From::child && !conn.verified_chain().empty()) {
        Result<std::string> name =
            core_.credentials.name_child
                ? core_.credentials.name_child(conn.verified_chain())
                : Result<std::string>(fail(Code::refused, "no neighbours are known yet"));
        if (!name) {
            core_.parts.log.warn("link.refused", name.error().message, {{"address", address_}});
            close();
            return;
        }
        peer_ = std::move(*name);
        if (std::exchange(unverified, false)) {
            core_.strangers.leave(address_, stranger_place);
        }
        from_ = is_peer_name(peer_) ? From::peer : From::child;
        if (from_ == From::peer &&
            core_.conns_of_peer(peer_) > core_.settings.connections_a_peer_max) {
            ++core_.counters.refused_connections;
            core_.parts.log.warn("link.refused", "the peer has too many connections here",
                                 {{"peer", peer_}, {"address", address_}});
            close();
            return;
        }
    }
    if (from_ == From::user && conn.alpn() == "h2") {
        core_.begin_http2(*this);
        return;
    }
    timer_.arm(idle_ms());
    advance();
}

void ServerConn::on_ready(net::Conn&) {
    if (gone_) {
        return;
    }
    if (exchange_ != nullptr && !reading_head_) {
        exchange_->on_down_ready();
        return;
    }
    advance();
}

void ServerConn::on_fail(net::Conn& conn) {
    if (from_ == From::child) {
        core_.parts.log.warn("link.refused", conn.failure(), {{"address", address_}});
    }
    close();
}

// Who has no name has come to say something at once.
std::int64_t ServerConn::idle_ms() const {
    return unverified ? core_.settings.head_ms : core_.settings.keep_alive_ms;
}

void ServerConn::on_time() {
    if (exchange_ != nullptr && reading_head_) {
        reading_head_ = false;
        exchange_->refuse(408, "the head of the request did not arrive in time");
        return;
    }
    if (exchange_ == nullptr && wire.blocked()) {
        see_rest();
        return;
    }
    if (exchange_ == nullptr) {
        close();
    }
    // Else it was left armed when the head was complete: the exchange has limits of its own, and
    // finish() arms it again.
}

// The last answer has ended, and a part of it is not taken yet: the client goes on, or is cut, by a
// reset, so that it takes what it has for no whole answer.
void ServerConn::see_rest() {
    const std::uint64_t now = wire.conn->delivered();
    const bool neighbour = from_ != From::user && !is_silent(wire.conn->fd());
    if (neighbour || wire.conn->waits_for_others() ||
        now - rest_from_ >= core_.settings.slow_bytes_min) {
        rest_from_ = now;
        timer_.arm(core_.settings.body_idle_ms);
        return;
    }
    wire.conn->abort();
    close();
}

void ServerConn::advance() {
    if (advancing_) {
        return;
    }
    advancing_ = true;
    while (!gone_ && (exchange_ == nullptr || reading_head_)) {
        if (wire.blocked()) {
            if (!wire.flush()) {
                close();
                break;
            }
            if (wire.blocked()) {
                break; // the last answer is not taken yet: no further request until then
            }
            if (from_ != From::user) {
                wire.may_stand_still(false, core_.settings.link_silence_ms);
            }
            if (from_ != From::parent) {
                timer_.arm(idle_ms()); // its rest had another limit
            }
        }
        if (closing_) {
            close_politely();
            break;
        }
        if (!take_request()) {
            break;
        }
    }
    advancing_ = false;
}

// True: look again (a request was begun, or bytes came).
bool ServerConn::take_request() {
    if (!wire.in.empty() && wire.in.size() > seen_) {
        const bool begins = exchange_ == nullptr;
        if (begins) {
            exchange_ = core_.take_exchange(*this);
            reading_head_ = true;
            seen_ = 0;
            if (std::exchange(parked_, false) && core_.link_child) {
                set_link_options(wire.conn->fd(), core_.settings.link_silence_ms);
                core_.link_child->on_parked_used(link_);
            }
        }
        const net::ParseResult parsed = net::parse_request_head(wire.in.readable(), exchange_->head,
                                                                core_.head_limits(), seen_);
        if (parsed.state != net::ParseResult::State::need_more) {
            reading_head_ = false;
            seen_ = 0;
            if (from_ == From::parent) {
                timer_.cancel(); // parked again, it may be idle for ever
            }
            ++core_.counters.requests;
            ++requests_;
            if (requests_ == 2 && from_ == From::user && !single_ && !proxied_) {
                memo_ = std::make_unique<RequestMemo>();
            }
            if (parsed.bad()) {
                ++core_.counters.bad_requests;
                exchange_->refuse(parsed.status, parsed.reason);
            } else {
                exchange_->begin(parsed.consumed);
            }
            return true;
        }
        seen_ = wire.in.size();
        if (begins) { // most heads come whole, and need no limit of time
            timer_.arm(core_.settings.head_ms);
        }
    }
    switch (wire.fill()) {
    case Wire::Fill::got:
        return true;
    case Wire::Fill::again:
        if (exchange_ == nullptr && !timer_.armed() && from_ != From::parent) {
            timer_.arm(idle_ms());
        }
        return false;
    case Wire::Fill::full:
        reading_head_ = false;
        exchange_->refuse(431, "the head of the request is too large");
        return true;
    case Wire::Fill::end:
    case Wire::Fill::cut:
    case Wire::Fill::failed:
        break;
    }
    close();
    return false;
}

void ServerConn::forget_memo() {
    if (memo_) {
        memo_->forget();
    }
}

bool ServerConn::last_request() const {
    return retired_ || leaving_ || single_ || requests_ >= core_.settings.requests_a_connection_max;
}

void ServerConn::finish(bool keep) {
    Exchange* ended = std::exchange(exchange_, nullptr);
    reading_head_ = false;
    seen_ = 0;
    core_.give_exchange(ended);
    if (gone_) {
        return;
    }
    if (wire.blocked()) {
        rest_from_ = wire.conn->delivered();
    }
    if (from_ != From::user) {
        wire.may_stand_still(wire.blocked(), core_.settings.link_silence_ms);
    }
    // Who leaves has told it with this answer, or will with the next.
    if (!keep || retired_ || single_) {
        closing_ = true;
        timer_.arm(core_.settings.body_idle_ms);
    } else if (from_ != From::parent && wire.blocked()) {
        timer_.arm(core_.settings.body_idle_ms);
    } else if (from_ != From::parent) {
        timer_.arm(idle_ms());
    } else if (core_.link_child) {
        parked_ = true;
        set_waiting_link_options(wire.conn->fd(), core_.settings.link_silence_ms, parked_test_s);
        core_.link_child->on_parked_idle(link_);
        if (leaving_) {
            give_back();
        }
    }
    advance();
}

void ServerConn::close_politely() {
    if (gone_) {
        return;
    }
    wire.in.give_back();
    net::close_lingering(std::move(wire.conn));
    close();
}

void ServerConn::close() {
    if (gone_) {
        return;
    }
    gone_ = true;
    timer_.cancel();
    if (exchange_ != nullptr) {
        if (reading_head_) {
            core_.give_exchange(std::exchange(exchange_, nullptr));
        } else {
            exchange_->on_down_gone();
        }
    }
    if (wire.conn) {
        wire.conn->close();
    }
    wire.in.give_back();
    if (from_ == From::parent && core_.link_child) {
        core_.link_child->on_parked_closed(parked_, link_);
    }
    core_.remove_server_conn(*this);
}

void ServerConn::retire() {
    retired_ = true;
    if (exchange_ != nullptr) {
        return;
    }
    if (wire.blocked()) {
        closing_ = true; // the rest of the last answer is still to go
    } else {
        close();
    }
}

void ServerConn::leave() {
    if (gone_) {
        return;
    }
    leaving_ = true;
    if (from_ == From::parent && exchange_ == nullptr) {
        give_back();
    }
}

// Only the client may close: it may be sending a request. A parent drops an idle connection on
// which something comes; one that has just sent a request skips this, and gets its answer.
void ServerConn::give_back() {
    if (!wire.write("HTTP/1.1 100 Continue\r\n\r\n")) {
        close();
    }
}

std::unique_ptr<net::Conn> ServerConn::give_up() {
    std::unique_ptr<net::Conn> conn = std::move(wire.conn);
    wire.in.give_back();
    return conn;
}

} // namespace hasp::passon
