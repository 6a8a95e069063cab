#include "passon/engine.h"

#include "answer_cache.h"
#include "control_stream.h"
#include "core.h"
#include "exchange.h"
#include "http2_conn.h"
#include "link_child.h"
#include "link_socket.h"
#include "loop_group.h"
#include "server_conn.h"
#include "static_files.h"

#include <algorithm>

namespace hasp::passon {

struct Engine::State {
    State(EngineParts parts, Settings settings) : core(parts, std::move(settings)) {}
    Core core;
    EngineCounters whole; // of a front with several loops

    // Connections may end while they are walked: their objects stay until the end of the round, so
    // a list of pointers is safe.
    std::vector<ServerConn*> conns() {
        std::vector<ServerConn*> all;
        all.reserve(core.conns.size());
        for (const auto& one : core.conns) {
            all.push_back(one.get());
        }
        return all;
    }
};

Engine::Engine(EngineParts parts, Settings settings)
    : state_(std::make_unique<State>(parts, std::move(settings))) {}
Engine::~Engine() = default;

void Engine::set_snapshot(std::shared_ptr<const registry::Snapshot> snapshot) {
    Core& core = state_->core;
    core.set_snapshot(std::move(snapshot));
    for (ServerConn* conn : state_->conns()) {
        conn->forget_memo();
        Exchange* one = conn->exchange();
        if (one != nullptr && one->is_tunnel() && !one->still_allowed(*core.snapshot)) {
            one->cut("the user may no longer use this app");
        }
    }
}

void Engine::set_settings(Settings settings) {
    state_->core.settings = std::move(settings);
    state_->core.identities.set_limit(state_->core.settings.identities_max);
    for (ServerConn* conn : state_->conns()) {
        conn->forget_memo();
    }
}

Status Engine::set_cache(Fd file, std::uint64_t bytes) {
    Core& core = state_->core;
    cache::StoreLimits limits;
    limits.bytes = bytes;
    limits.object_max = std::min<std::uint64_t>(core.settings.cache_object_bytes_max, bytes / 4);
    // In memory an entry costs a twentieth of a block.
    limits.entries_max =
        std::min<std::uint64_t>(limits.entries_max, bytes / cache::block_bytes / 2);
    auto store = cache::Store::open(std::move(file), limits, core.random_u64());
    if (!store) {
        return store.error();
    }
    const std::int64_t confirm_s = core.listeners.empty() ? 0 : core.wall_us() / 1'000'000;
    const std::shared_ptr<cache::Store> shared = std::move(*store);
    const auto take = [shared, confirm_s](Core& one) {
        one.cache = std::make_unique<AnswerCache>(one, shared);
        one.cache->confirm_from(confirm_s);
    };
    if (core.loops != nullptr) {
        shared->share();
        core.loops->post_others(core.loop, take);
    }
    take(core);
    return {};
}

void Engine::confirm_answers() {
    Core& core = state_->core;
    if (core.cache) {
        // What was stored in this second may be from before.
        core.cache->confirm_from(core.wall_us() / 1'000'000 + 1);
    }
}

bool Engine::leave_cache() {
    Core& core = state_->core;
    if (!core.cache) {
        return true;
    }
    core.cache->leave();
    bool used = false;
    for (ServerConn* conn : state_->conns()) {
        if (Exchange* one = conn->exchange(); one != nullptr && !one->leave_cache()) {
            used = true;
        }
    }
    if (!used) {
        core.cache.reset();
    }
    return !used;
}

void Engine::drop_identities(const IdentityFilter& filter) {
    state_->core.identities.drop(filter);
    for (ServerConn* conn : state_->conns()) {
        conn->forget_memo();
        Exchange* one = conn->exchange();
        if (one != nullptr && one->is_tunnel() && one->matches(filter)) {
            one->cut("the session has ended");
        }
    }
}

void Engine::retire(const std::string& path, bool cut_tunnels, std::function<void()> done) {
    state_->core.end_era("p:" + path);
    Endpoint* at = state_->core.endpoints.find("p:" + path);
    if (at == nullptr) {
        done();
        return;
    }
    for (ServerConn* conn : state_->conns()) {
        if (Exchange* one = conn->exchange(); one != nullptr) {
            one->replaced(*at, cut_tunnels);
        }
    }
    at->retire([alive = std::weak_ptr<bool>(state_->core.alive), done = std::move(done)] {
        if (!alive.expired()) {
            done();
        }
    });
}

Status Engine::add_listener(Fd listening, ListenerKind kind,
                            std::shared_ptr<const net::TlsContext> tls) {
    if (kind == ListenerKind::children && tls == nullptr) {
        return fail(Code::usage, "children can only be listened for with TLS");
    }
    auto entry = std::make_unique<Core::ListenerEntry>();
    Core::ListenerEntry* raw = entry.get();
    Core* core = &state_->core;
    raw->kind = kind;
    raw->tls = std::move(tls);
    raw->listener = std::make_unique<net::Listener>(
        core->reactor(), std::move(listening), [core, raw](Fd socket, const net::Address& peer) {
            core->accepted(*raw, std::move(socket), peer);
        });
    if (Status status = raw->listener->start(); !status) {
        return status;
    }
    core->listeners.push_back(std::move(entry));
    return {};
}

void Engine::set_listener_tls(ListenerKind kind, std::shared_ptr<const net::TlsContext> tls) {
    for (const auto& entry : state_->core.listeners) {
        if (entry->kind == kind && entry->tls != nullptr) {
            entry->tls = tls;
        }
    }
}

void Engine::set_upstream_tls(std::shared_ptr<const net::TlsContext> tls) {
    state_->core.upstream_tls = std::move(tls);
}

void Engine::set_link(LinkCredentials credentials, LinkPart part) {
    Core& core = state_->core;
    const bool ends = credentials.client == nullptr && core.link_child != nullptr;
    const std::string before = core.credentials.parent_tier;
    core.credentials = std::move(credentials);
    if (!core.link_child && core.credentials.client) {
        core.link_child = std::make_unique<LinkChild>(core);
    }
    if (core.link_child && !ends && (core.leaving || part == LinkPart::pool)) {
        core.link_child->use_credentials(); // another one has the link
    } else if (core.link_child) {
        core.link_child->start(part == LinkPart::control);
    }
    if (ends) {
        if (core.link_child->parent().empty()) {
            core.link_child->met(before); // of a loop that only had others' connections
        }
        const std::string parent = core.link_child->parent();
        close_link(parent);
    }
}

void Engine::set_peers(std::vector<PeerLink> peers) {
    Core& core = state_->core;
    std::map<std::string, PeerLink, std::less<>> next;
    for (PeerLink& one : peers) {
        std::string name = one.name;
        next.emplace(std::move(name), std::move(one));
    }
    const std::map<std::string, PeerLink, std::less<>> before = std::exchange(core.peers, next);
    for (const auto& [name, one] : before) {
        if (core.peers.contains(name)) {
            continue;
        }
        if (Endpoint* pool = core.endpoints.find(std::string(peer_key) + name)) {
            pool->reach({}, nullptr, {});
            pool->forget_state();
        }
        close_link(name);
    }
    for (const auto& [name, one] : core.peers) {
        Endpoint& pool = core.endpoints.get(EndpointKind::peer, std::string(peer_key) + name);
        pool.reach(parsed_addresses(one.addresses), one.client, {});
    }
}

void Engine::close_link(std::string_view peer_view) {
    Core& core = state_->core;
    const std::string peer(peer_view);
    if (peer.empty()) {
        return; // of users' connections nobody has a name
    }
    const bool parent = core.link_child &&
                        (core.link_child->parent() == peer || core.credentials.parent_tier == peer);
    for (const std::string& key : {"c:" + peer, std::string(peer_key) + peer}) {
        core.end_era(key);
    }
    if (parent) {
        core.end_era(std::string(parent_key));
    }
    // First, so that those who lose their connection are told since when the link is down.
    core.close_controls_of(peer, "the link was closed", true);
    for (ServerConn* conn : state_->conns()) {
        if (conn->peer() == peer) {
            conn->close();
            continue;
        }
        Exchange* one = conn->exchange();
        if (one != nullptr && (one->up_peer() == peer || (parent && one->is_to_parent()))) {
            one->lose_up("the link was closed");
        }
    }
    for (const std::string& key : {"c:" + peer, std::string(peer_key) + peer}) {
        if (Endpoint* pool = core.endpoints.find(key)) {
            pool->close_idle();
        }
    }
    if (is_peer_name(peer)) {
        core.identities.drop({"", "", peer});
        core.peer_words.clear();
    }
    if (parent) {
        if (Endpoint* pool = core.endpoints.find(parent_key)) {
            pool->close_idle();
        }
    }
}

Status Engine::control_send(ControlId id, std::string_view bytes) {
    ControlStream* stream = state_->core.control(id);
    return stream == nullptr ? Status(fail(Code::unreachable, "the control stream is closed"))
                             : stream->send(bytes);
}
void Engine::control_hold(ControlId id) {
    if (ControlStream* stream = state_->core.control(id)) {
        stream->hold();
    }
}
void Engine::control_release(ControlId id) {
    if (ControlStream* stream = state_->core.control(id)) {
        stream->release();
    }
}
void Engine::control_close(ControlId id) {
    if (ControlStream* stream = state_->core.control(id)) {
        stream->close("closed by the keeper", ControlStream::End::in_order);
    }
}

void Engine::drain() {
    Core& core = state_->core;
    core.draining = true;
    core.leaving = false;
    core.listeners.clear();
    for (ServerConn* conn : state_->conns()) {
        conn->retire();
    }
    for (const auto& one : core.http2_conns) {
        one->retire();
    }
}

void Engine::leave() {
    Core& core = state_->core;
    core.draining = true;
    core.leaving = true;
    core.listeners.clear();
    if (core.link_child) {
        core.link_child->leave();
    }
    core.close_controls("this process is replaced by another");
    for (ServerConn* conn : state_->conns()) {
        conn->leave();
    }
    for (const auto& one : core.http2_conns) {
        one->leave();
    }
    // Not the reversed ones of children: requests that come over connections that are left need
    // them.
    core.endpoints.each([](Endpoint& one) {
        if (one.kind() != EndpointKind::child) {
            one.close_idle();
        }
    });
}

bool Engine::left() const {
    const Core& core = state_->core;
    return core.conns.empty() && core.http2_conns.empty() && core.gates.empty() &&
           !(core.link_child && core.link_child->opening());
}

bool Engine::idle() const {
    const EngineCounters& now = state_->core.counters;
    const auto& http2 = state_->core.http2_conns;
    const auto& conns = state_->core.conns;
    return now.exchanges <= now.tunnels &&
           std::none_of(conns.begin(), conns.end(),
                        [](const auto& one) { return one->wire.conn && one->wire.blocked(); }) &&
           std::none_of(http2.begin(), http2.end(), [](const auto& one) { return one->owes(); });
}

const EngineCounters& Engine::counters() const {
    const Core& core = state_->core;
    state_->core.count_now();
    if (core.loops == nullptr) {
        return core.counters;
    }
    state_->whole = core.counters;
    core.loops->others(core.loop,
                       [this](const LoopReport& one) { add(state_->whole, one.counters); });
    return state_->whole;
}

} // namespace hasp::passon
