#include "proxy_gate.h"

#include "core.h"
#include "net/proxy_header.h"

#include <array>
#include <cerrno>
#include <sys/socket.h>

namespace hasp::passon {

ProxyGate::ProxyGate(Core& core, Fd socket, const net::Address& proxy,
                     std::shared_ptr<const net::TlsContext> tls)
    : core_(core), socket_(std::move(socket)), proxy_(proxy), tls_(std::move(tls)),
      timer_(core.reactor().timers(), net::timer_call<&ProxyGate::on_time>, this) {}

ProxyGate::~ProxyGate() {
    if (added_) {
        core_.reactor().remove(socket_.get(), *this);
    }
}

Status ProxyGate::begin() {
    timer_.arm(core_.settings.head_ms);
    Status status = core_.reactor().add(socket_.get(), *this);
    added_ = status.ok();
    return status;
}

void ProxyGate::on_edges(net::Edges) {
    look();
}

void ProxyGate::on_time() {
    end("the PROXY header did not arrive in time");
}

void ProxyGate::look() {
    std::array<char, net::proxy_header_bytes_max> bytes;
    ssize_t got = 0;
    do {
        got = ::recv(socket_.get(), bytes.data(), bytes.size(), MSG_PEEK);
    } while (got < 0 && errno == EINTR);
    if (got < 0 && errno == EAGAIN) {
        return;
    }
    if (got <= 0) {
        end(nullptr); // a proxy that looks whether somebody listens
        return;
    }
    const net::ProxyHeader header =
        net::parse_proxy_header({bytes.data(), static_cast<std::size_t>(got)});
    switch (header.state) {
    case net::ProxyHeader::State::need_more:
        return;
    case net::ProxyHeader::State::bad:
        end(header.reason);
        return;
    case net::ProxyHeader::State::done:
        break;
    }
    // It is all there, so one call takes it.
    if (::recv(socket_.get(), bytes.data(), header.size, 0) != static_cast<ssize_t>(header.size)) {
        end("the connection broke behind its PROXY header");
        return;
    }
    core_.reactor().remove(socket_.get(), *this);
    added_ = false;
    timer_.cancel();
    core_.remove_gate(*this); // before, so that it does not count twice; it ends later
    core_.admit(ListenerKind::users, tls_, std::move(socket_), header.client.value_or(proxy_));
}

void ProxyGate::end(const char* why) {
    if (why != nullptr) {
        ++core_.counters.bad_requests;
        core_.parts.log.warn("proxy.refused", why, {{"address", proxy_.host()}});
    }
    core_.remove_gate(*this);
}

} // namespace hasp::passon
