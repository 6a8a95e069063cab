#include "core.h"

#include "answer_cache.h"
#include "control_stream.h"
#include "exchange.h"
#include "http2_conn.h"
#include "link_child.h"
#include "link_socket.h"
#include "loop_group.h"
#include "net/fields.h"
#include "proxy_gate.h"
#include "request_fields.h"
#include "server_conn.h"
#include "static_files.h"

#include <algorithm>

namespace hasp::passon {
namespace {

constexpr std::int64_t say_again_ms = 60'000;

} // namespace

Core::Core(EngineParts given, Settings wanted)
    : parts(given), loops(given.loops.get()),
      loop(loops == nullptr ? LoopGroup::home : loops->join(given.reactor, *this)),
      settings(std::move(wanted)), identities(settings.identities_max, given.random.u64()),
      endpoints(*this), upstreams(*this), static_roots(std::make_unique<StaticRoots>()),
      children_due_ms(given.reactor.now_ms() + settings.children_due_ms),
      graveyard_task_(net::timer_call<&Core::empty_graveyard>, this),
      flush_timer_(given.reactor.timers(), net::timer_call<&Core::on_flush>, this) {
    flush_timer_.arm(settings.access_flush_ms);
}

Core::~Core() {
    alive.reset();
    if (loops != nullptr) {
        loops->leave(loop);
    }
    listeners.clear();
    upstreams.clear();
    if (link_child) {
        link_child->stop("the engine ends");
    }
    link_child.reset();
    controls_.clear();
    gates.clear();
    while (!http2_conns.empty()) {
        http2_conns.front()->close("the engine ends");
    }
    while (!conns.empty()) {
        conns.front()->close();
    }
    endpoints.each([](Endpoint& one) { one.close_idle(); });
    empty_graveyard();
    exchanges_.clear();
    empty_graveyard();
}

void Core::set_snapshot(std::shared_ptr<const registry::Snapshot> next) {
    snapshot = std::move(next);
    ++snapshot_number;
    mapped_names = {};
    for (std::size_t i = 0; snapshot && i < snapshot->stripped_count(); ++i) {
        if (const net::Name id = net::name_id(snapshot->stripped(i)); id != net::Name::other) {
            mapped_names.add(id);
        }
    }
    passing_names = passon::passing_names(mapped_names);
    if (snapshot) {
        upstreams.follow(*snapshot);
    }
}

net::HeadLimits Core::head_limits() const {
    net::HeadLimits limits;
    limits.target_max = settings.target_bytes_max;
    limits.head_max = std::min<std::size_t>(settings.head_bytes_max, 32 * 1024);
    limits.line_max = std::min(limits.line_max, limits.head_max);
    limits.headers_max = std::min(settings.headers_max, net::Headers::capacity);
    return limits;
}

std::uint64_t Core::random_u64() {
    if (random_at_ == random_.size()) {
        parts.random.fill(random_.data(), sizeof random_);
        random_at_ = 0;
    }
    return random_[random_at_++];
}

std::string_view Core::http_date() {
    const std::int64_t now_s = wall_us() / 1'000'000;
    if (now_s != date_s_) {
        date_s_ = now_s;
        const auto text_now = net::format_http_date(now_s);
        date_.assign(text_now.data(), text_now.size());
    }
    return date_;
}

void Core::count_now() {
    for (const auto& one : conns) {
        if (one->in_request()) {
            one->exchange()->count_link_bytes();
        }
    }
    counters.log_bytes_dropped = parts.access_log.dropped_bytes();
    counters.identities = identities.size();
    if (cache) {
        const cache::Store& store = cache->store();
        counters.cache.entries = store.entries();
        counters.cache.bytes = store.used_bytes();
        counters.cache.evicted = store.evicted();
    }
}

Exchange* Core::take_exchange(ServerConn& down) {
    if (free_exchanges_.empty()) {
        exchanges_.push_back(std::make_unique<Exchange>(*this));
        free_exchanges_.push_back(exchanges_.back().get());
    }
    Exchange* one = free_exchanges_.back();
    free_exchanges_.pop_back();
    one->attach(down);
    return one;
}

void Core::give_exchange(Exchange* exchange) {
    exchange->reset();
    free_exchanges_.push_back(exchange);
}

void Core::remember(WhoQuestion::Kind kind, std::string_view scope, std::string_view secret,
                    std::shared_ptr<const KnownIdentity> who) {
    const std::int64_t fresh_ms = who ? settings.identity_fresh_ms : settings.identity_unknown_ms;
    identities.put(kind, scope, secret, std::move(who), now_ms() + fresh_ms);
}

void Core::bury(std::unique_ptr<Mortal> one) {
    graveyard_.push_back(std::move(one));
    parts.reactor.post(graveyard_task_);
}

void Core::empty_graveyard() {
    // What is destroyed may bury more.
    while (!graveyard_.empty()) {
        const std::vector<std::unique_ptr<Mortal>> now = std::exchange(graveyard_, {});
    }
}

void Core::on_flush() {
    parts.access_log.flush();
    const std::uint64_t dropped = parts.access_log.dropped_bytes();
    if (dropped != dropped_said_ &&
        (dropped_said_ == 0 || now_ms() - dropped_said_ms_ >= say_again_ms)) {
        dropped_said_ = dropped;
        dropped_said_ms_ = now_ms();
        parts.log.warn("access_log.dropped",
                       "lines of the access log could not be written: is its disk full?",
                       {{"bytes_in_all", std::to_string(dropped)}});
    }
    endpoints.sweep(now_ms(), settings.upstream_idle_ms);
    if (away()) {
        report();
    }
    flush_timer_.arm(settings.access_flush_ms);
}

void Core::report() {
    count_now();
    loops->report(loop, {counters, metrics.routes(), upstreams.rows()});
}

void Core::end_era(const std::string& key) {
    if (loops != nullptr && !away()) {
        loops->end_era(key);
    }
}

std::size_t Core::all_connections() const {
    return loops == nullptr ? own_connections() : loops->connections();
}

void Core::connections_changed() {
    if (loops != nullptr) {
        const std::size_t now = own_connections();
        loops->change_connections(loop, now, std::exchange(told_connections_, now));
    }
}

void Core::add_server_conn(std::unique_ptr<ServerConn> conn) {
    ServerConn& one = *conn;
    conns.push_front(std::move(conn));
    one.place = conns.begin();
    connections_changed();
}

void Core::remove_server_conn(ServerConn& conn) {
    if (conn.counted) {
        uncount(conn.address());
    }
    if (conn.unverified) {
        strangers.leave(conn.address(), conn.stranger_place);
    }
    bury(std::move(*conn.place));
    conns.erase(conn.place);
    connections_changed();
}

std::size_t Core::conns_of_peer(const std::string& peer) const {
    return static_cast<std::size_t>(std::count_if(conns.begin(), conns.end(), [&](const auto& one) {
        return one->from() == From::peer && one->peer() == peer;
    }));
}

void Core::begin_http2(ServerConn& conn) {
    // The address stays counted, for the connection that goes on.
    conn.counted = false;
    http2_conns.push_front(std::make_unique<Http2Conn>(*this, conn.give_up(), conn.address()));
    Http2Conn& one = *http2_conns.front();
    one.place = http2_conns.begin();
    conn.close(); // counts: one for the other, and in between there were two
    if (leaving) {
        one.leave(); // its handshake began before
    }
    one.begin();
}

void Core::remove_http2(Http2Conn& conn) {
    uncount(conn.address());
    bury(std::move(*conn.place));
    http2_conns.erase(conn.place);
    connections_changed();
}

bool Core::count(const net::Address& peer) {
    const bool limited = !peer.is_loopback() && !peer.is_unix();
    const AddressLimits most =
        limited ? AddressLimits{settings.connections_an_address_max,
                                std::max<std::size_t>(
                                    1, std::min(4 * settings.connections_an_address_max,
                                                settings.connections_max / 2))}
                : AddressLimits{SIZE_MAX, SIZE_MAX};
    if (loops != nullptr) {
        const bool entered = loops->enter(peer.host(), most, users_max());
        told_connections_ += entered ? 1 : 0;
        return entered;
    }
    return all_connections() < users_max() && addresses.enter(peer.host(), most);
}

bool Core::count_any(std::size_t most) {
    if (loops == nullptr) {
        return all_connections() < most;
    }
    const bool entered = loops->enter(most);
    told_connections_ += entered ? 1 : 0;
    return entered;
}

bool Core::may_enter(ListenerKind kind, const net::Address& peer) {
    if (kind == ListenerKind::users) {
        return count(peer);
    }
    return (kind != ListenerKind::children || make_room_for_stranger(peer)) &&
           count_any(settings.connections_max);
}

void Core::uncount(const std::string& address) {
    if (loops != nullptr) {
        loops->leave_address(address);
    } else {
        addresses.leave(address);
    }
}

bool Core::make_room_for_stranger(const net::Address& peer) {
    const auto busy = [](const ServerConn& one) { return one.in_request(); };
    const std::size_t half = std::max<std::size_t>(1, settings.connections_max / 2);
    const std::size_t most = std::max<std::size_t>(
        1, std::min(settings.unverified_an_address_max, settings.connections_max / 4));
    const std::string host = peer.host();
    if (!peer.is_loopback() && !peer.is_unix() && strangers.of(host) >= most) {
        ++counters.refused_connections;
        strangers.first_of(host, busy)->close();
    }
    if (strangers.count() >= half || all_connections() >= settings.connections_max) {
        ServerConn* one = strangers.first_of_most(busy);
        if (one == nullptr) {
            return false;
        }
        ++counters.refused_connections;
        one->close();
    }
    return true;
}

ControlStream* Core::control(ControlId id) {
    const auto at = controls_.find(id);
    return at == controls_.end() ? nullptr : at->second.get();
}

void Core::add_control(std::unique_ptr<ControlStream> stream) {
    const ControlId id = stream->id();
    controls_.emplace(id, std::move(stream));
}

void Core::remove_control(ControlId id) {
    const auto at = controls_.find(id);
    if (at != controls_.end()) {
        bury(std::move(at->second));
        controls_.erase(at);
    }
}

bool Core::has_control_of(std::string_view peer) const {
    return std::any_of(controls_.begin(), controls_.end(),
                       [peer](const auto& one) { return one.second->peer() == peer; });
}

void Core::close_controls_of(std::string_view peer, const std::string& why, bool lost) {
    for (;;) {
        const auto at = std::find_if(controls_.begin(), controls_.end(), [peer](const auto& one) {
            return one.second->peer() == peer;
        });
        if (at == controls_.end()) {
            return;
        }
        at->second->close(why, lost ? ControlStream::End::lost : ControlStream::End::in_order);
    }
}

void Core::close_controls(const std::string& why) {
    while (!controls_.empty()) {
        controls_.begin()->second->close(why, ControlStream::End::in_order);
    }
}

Endpoint& Core::child_endpoint(std::string_view name) {
    std::string key("c:");
    key.append(name);
    Endpoint& found = endpoints.get(EndpointKind::child, key);
    if (found.busy == 0 && !found.down && !found.linked && !has_control_of(name) &&
        !found.idle_anywhere() && now_ms() >= std::max(children_due_ms, found.due_ms)) {
        found.mark_down("the place below has not connected");
    }
    return found;
}

bool Core::believes(const net::Address& peer) const {
    return settings.proxies_say != ProxySays::proxy_protocol && !settings.proxies.empty() &&
           settings.proxies.contains(peer);
}

void Core::remove_gate(ProxyGate& gate) {
    bury(std::move(*gate.place));
    gates.erase(gate.place);
    connections_changed();
}

void Core::accepted(const ListenerEntry& entry, Fd socket, const net::Address& peer) {
    if (entry.kind != ListenerKind::users) {
        admit(entry.kind, entry.tls, std::move(socket), peer);
        return;
    }
    if (loops == nullptr) {
        begin_user(std::move(socket), peer, entry.tls);
        return;
    }
    const std::size_t to = loops->choose_loop();
    if (to == loop) {
        begin_user(std::move(socket), peer, entry.tls);
        loops->arrived(loop);
        return;
    }
    loops->post(
        to, [tls = entry.tls, peer, taken = std::make_shared<Fd>(std::move(socket))](Core& core) {
            core.begin_user(std::move(*taken), peer, tls);
            core.loops->arrived(core.loop);
        });
}

void Core::begin_user(Fd socket, const net::Address& peer,
                      const std::shared_ptr<const net::TlsContext>& tls) {
    if (settings.proxies_say != ProxySays::proxy_protocol || !settings.proxies.contains(peer)) {
        admit(ListenerKind::users, tls, std::move(socket), peer);
        return;
    }
    if (draining || !count_any(users_max())) {
        ++counters.refused_connections;
        return;
    }
    gates.push_front(std::make_unique<ProxyGate>(*this, std::move(socket), peer, tls));
    ProxyGate& gate = *gates.front();
    gate.place = gates.begin();
    connections_changed();
    if (!gate.begin()) {
        remove_gate(gate);
    }
}

void Core::admit(ListenerKind kind, const std::shared_ptr<const net::TlsContext>& tls, Fd socket,
                 const net::Address& peer) {
    const bool users = kind == ListenerKind::users;
    const bool neighbours = kind == ListenerKind::children;
    // Who waited at a gate when all were told to leave was here before: it has its one answer.
    if ((draining && !leaving) || !may_enter(kind, peer)) {
        ++counters.refused_connections;
        return;
    }
    if (neighbours) {
        set_link_options(socket.get(), settings.link_silence_ms);
    }
    auto conn =
        std::make_unique<ServerConn>(*this, neighbours ? From::child : From::user, tls != nullptr);
    ServerConn& one = *conn;
    one.counted = users;
    if (neighbours) {
        one.unverified = true;
        one.stranger_place = strangers.enter(peer.host(), one);
    }
    one.metrics = kind == ListenerKind::metrics;
    add_server_conn(std::move(conn));
    if (leaving) {
        one.leave();
    }
    if (Status status = one.accept(std::move(socket), peer, tls); !status) {
        one.close();
    }
}

} // namespace hasp::passon
