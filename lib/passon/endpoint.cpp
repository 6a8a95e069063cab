#include "endpoint.h"

#include "core.h"
#include "exchange.h"
#include "link_socket.h"
#include "loop_group.h"

#include <algorithm>

namespace hasp::passon {

UpstreamConn::UpstreamConn(Core& core, Endpoint& owner)
    : endpoint(owner), generation(owner.generation()), era(owner.era()), core_(core) {
    ++endpoint.busy;
}

UpstreamConn::~UpstreamConn() {
    endpoint.connecting -= connecting_ ? 1 : 0;
    --endpoint.busy;
    endpoint.gone(generation);
}

Status UpstreamConn::connect(const net::Address& address,
                             std::shared_ptr<const net::TlsContext> tls, const std::string& name) {
    wire.conn = std::make_unique<net::Conn>(core_.reactor(), *this);
    ++core_.counters.upstream_opened;
    Status begun = wire.conn->connect(address, std::move(tls), name);
    if (begun) {
        connecting_ = true;
        ++endpoint.connecting;
    }
    return begun;
}

bool UpstreamConn::is_to_neighbour() const {
    const EndpointKind kind = endpoint.kind();
    return kind == EndpointKind::parent || kind == EndpointKind::child ||
           kind == EndpointKind::peer;
}

void UpstreamConn::settled() {
    if (connecting_) {
        connecting_ = false;
        --endpoint.connecting;
        endpoint.turn_free();
    }
}

Status UpstreamConn::adopt(Fd socket) {
    wire.conn = std::make_unique<net::Conn>(core_.reactor(), *this);
    ++core_.counters.upstream_opened;
    return wire.conn->adopt(std::move(socket), net::Address{});
}

void UpstreamConn::adopt(std::unique_ptr<net::Conn> conn) {
    wire.conn = std::move(conn);
    wire.conn->set_owner(*this);
}

Status UpstreamConn::adopt_moved(std::unique_ptr<net::Conn> conn) {
    wire.conn = std::move(conn);
    return wire.conn->attach(core_.reactor(), *this);
}

void UpstreamConn::on_open(net::Conn&) {
    settled();
    if (exchange != nullptr) {
        exchange->on_up_open();
    }
}

void UpstreamConn::on_ready(net::Conn&) {
    if (exchange != nullptr) {
        exchange->on_up_ready();
        return;
    }
    // Idle: nothing is due, so whatever comes is the end, or an answer that nobody asked for.
    if (wire.conn->readable() && wire.fill() != Wire::Fill::again) {
        endpoint.drop_idle(*this);
    }
}

void UpstreamConn::on_fail(net::Conn& conn) {
    settled();
    if (exchange != nullptr) {
        exchange->on_up_fail(conn.failure());
    } else {
        endpoint.drop_idle(*this);
    }
}

Endpoint::Endpoint(Core& core, EndpointKind kind, std::string key)
    : core_(core), kind_(kind), key_(std::move(key)),
      shelf_(core.loops == nullptr ? nullptr : core.loops->shelf(key_)),
      turns_([](void* self) { static_cast<Endpoint*>(self)->give_turns(); }, this) {}

Endpoint::~Endpoint() {
    idle_.clear();
    waiting_.clear();
    idle_changed();
    waiting_changed();
}

std::unique_ptr<UpstreamConn> Endpoint::take_idle() {
    while (!idle_.empty()) {
        std::unique_ptr<UpstreamConn> conn = std::move(idle_.back());
        idle_.pop_back();
        idle_changed();
        if (kind_ == EndpointKind::child) {
            --core_.counters.parked;
        }
        // Readable may only mean that nobody has looked yet: nothing there is what an idle
        // connection should have.
        if (conn->era == era() && conn->wire.conn->open() &&
            (!conn->wire.conn->readable() || conn->wire.fill() == Wire::Fill::again)) {
            if (kind_ == EndpointKind::child) {
                set_link_options(conn->wire.conn->fd(), core_.settings.link_silence_ms);
            }
            return conn;
        }
        core_.bury(std::move(conn));
    }
    return nullptr;
}

void Endpoint::put_idle(std::unique_ptr<UpstreamConn> conn) {
    conn->exchange = nullptr;
    conn->wire.in.give_back();
    conn->idle_since_ms = core_.now_ms();
    const std::size_t limit = kind_ == EndpointKind::child ? 4 * core_.settings.parked_max
                                                           : core_.settings.idle_an_endpoint_max;
    const bool unwanted = core_.draining && kind_ != EndpointKind::child;
    if (idle_.size() >= limit || unwanted || conn->generation != generation_ ||
        conn->era != era()) {
        core_.bury(std::move(conn));
        return;
    }
    idle_.push_back(std::move(conn));
    idle_changed();
    if (kind_ == EndpointKind::child) {
        set_waiting_link_options(idle_.back()->wire.conn->fd(), core_.settings.link_silence_ms, 0);
        ++core_.counters.parked;
        const auto longest = shelf_ == nullptr ? core_.loop : shelf_->longest_waiting(core_.loop);
        if (longest && *longest != core_.loop) {
            give(*longest); // also where somebody waits here: it comes back if it is too late there
        } else if (Exchange* waiting = next_waiting(); waiting != nullptr) {
            waiting->on_turn();
        }
    } else {
        turn_free();
    }
}

bool Endpoint::may_connect() const {
    return connecting < core_.settings.connecting_an_endpoint_max;
}

void Endpoint::turn_free() {
    // Who waits for a process waits for its start, and hears of it from start().
    if (!waiting_.empty() && kind_ != EndpointKind::process) {
        core_.reactor().post(turns_);
    }
}

void Endpoint::give_turns() {
    // Each looks once: when nobody answers there it is told so, and does not wait again.
    for (std::size_t left = waiting_.size(); left > 0 && (down || !idle_.empty() || may_connect());
         --left) {
        if (Exchange* one = next_waiting(); one != nullptr) {
            one->on_turn();
        }
    }
}

void Endpoint::drop_idle(UpstreamConn& conn) {
    const auto at = std::find_if(idle_.begin(), idle_.end(),
                                 [&conn](const auto& one) { return one.get() == &conn; });
    if (at != idle_.end()) {
        conn.wire.conn->close();
        core_.bury(std::move(*at));
        idle_.erase(at);
        idle_changed();
        if (kind_ == EndpointKind::child) {
            --core_.counters.parked;
        }
    }
}

void Endpoint::close_idle() {
    while (!idle_.empty()) {
        drop_idle(*idle_.back());
    }
}

void Endpoint::reach(std::vector<net::Address> now, std::shared_ptr<const net::TlsContext> by,
                     std::string name) {
    const auto listed = [&now](const net::Address& one) {
        return std::find(now.begin(), now.end(), one) != now.end();
    };
    const bool same =
        tls == by && verify_name == name && std::all_of(addresses.begin(), addresses.end(), listed);
    const net::Address used = preferred < addresses.size() ? addresses[preferred] : net::Address{};
    addresses = std::move(now);
    prefer(used);
    tls = std::move(by);
    verify_name = std::move(name);
    if (!same) {
        renew();
    }
}

void Endpoint::prefer(const net::Address& address) {
    const auto at = std::find(addresses.begin(), addresses.end(), address);
    preferred = at == addresses.end() ? 0 : static_cast<std::size_t>(at - addresses.begin());
}

void Endpoint::answers_at(const net::Address& address) {
    answered_at = address;
    prefer(address);
}

void Endpoint::renew() {
    ++generation_;
    core_.end_era(key_);
    close_idle();
}

void Endpoint::retire(std::function<void()> done) {
    ++generation_;
    retired_.push_back({generation_, busy, std::move(done)});
    close_idle();
    gone(generation_);
}

void Endpoint::gone(std::uint64_t generation) {
    std::vector<std::function<void()>> ended;
    std::erase_if(retired_, [&](Retired& one) {
        if (generation < one.below && one.left > 0) {
            --one.left;
        }
        if (one.left == 0) {
            ended.push_back(std::move(one.done));
        }
        return one.left == 0;
    });
    for (const auto& done : ended) {
        done();
    }
}

void Endpoint::close_older_than(std::int64_t idle_since_ms) {
    // Some reversed connections wait for ever, or nothing could be sent to the child. Closing those
    // beyond is ours to do: closed by the child, one could take a request with it.
    const std::size_t kept = kind_ == EndpointKind::child ? core_.settings.parked_min : 0;
    while (idle_.size() > kept && idle_.front()->idle_since_ms < idle_since_ms) {
        drop_idle(*idle_.front());
    }
}

bool Endpoint::wait(Exchange& exchange) {
    if (waiting_.size() >= core_.settings.waiting_an_endpoint_max) {
        return false;
    }
    waiting_.push_back({&exchange, std::max<std::int64_t>(1, core_.now_ms())});
    waiting_changed();
    return true;
}

void Endpoint::forget(Exchange& exchange) {
    std::erase_if(waiting_, [&exchange](const Waiter& one) { return one.exchange == &exchange; });
    std::erase(borrowing_, &exchange);
    waiting_changed();
}

Exchange* Endpoint::next_waiting() {
    if (waiting_.empty()) {
        return nullptr;
    }
    Exchange* first = waiting_.front().exchange;
    waiting_.erase(waiting_.begin());
    waiting_changed();
    return first;
}

void Endpoint::start(const std::string& app, const std::string& user, std::string request_id) {
    if (starting_) {
        return;
    }
    starting_ = true;
    core_.parts.keeper.ask_start(
        {app, user, std::move(request_id)},
        [alive = std::weak_ptr<bool>(core_.alive), core = &core_, key = key_](StartAnswer answer) {
            if (alive.expired()) {
                return;
            }
            Endpoint* self = core->endpoints.find(key);
            if (self == nullptr) {
                return;
            }
            self->starting_ = false;
            // Each is taken off first: what one does may end another, or make it wait anew.
            for (std::size_t left = self->waiting_.size(); left > 0; --left) {
                Exchange* one = self->next_waiting();
                if (one == nullptr) {
                    break;
                }
                one->on_started(answer);
            }
        });
}

void Endpoint::mark_down(std::string why) {
    const std::int64_t now_ms = core_.now_ms();
    // Of several connects that failed together only one says something new: no probe begins before
    // half of the wait is over.
    if (down && now_ms < marked_down_ms_ + backoff_ms / 2) {
        return;
    }
    marked_down_ms_ = now_ms;
    const bool news = !down;
    if (news) {
        down_since_us = core_.wall_us();
    }
    backoff_ms = backoff_ms == 0 ? 500 : std::min(backoff_ms * 2, core_.settings.probe_ms_max);
    down = true;
    down_why = std::move(why);
    retry_at_ms = now_ms + half_by_chance(backoff_ms, core_.random_u64());
    if (news || !told_) {
        tell_keeper();
    }
    tell_loops();
}

void Endpoint::mark_up() {
    const bool news = down;
    down = knocked = false;
    backoff_ms = 0;
    down_why.clear();
    const bool first = !told_;
    if (news || first) {
        tell_keeper();
    }
    if (news || (first && kind_ == EndpointKind::peer)) {
        tell_loops();
    }
}

void Endpoint::forget_state() {
    down = knocked = told_ = false;
    backoff_ms = 0;
    down_why.clear();
}

// Of a peer nobody else would know: there is no control stream to it. The home says it for all
// loops: what two of them say would come in any order.
void Endpoint::tell_keeper() {
    told_ = true;
    if (kind_ == EndpointKind::peer && !core_.away()) {
        core_.parts.keeper.peer_changed({key_.substr(peer_key.size()), !down,
                                         down ? down_since_us : core_.wall_us(), down_why});
    }
}

std::int64_t half_by_chance(std::int64_t ms, std::uint64_t chance) {
    const auto half = static_cast<std::uint64_t>(ms / 2);
    return ms - static_cast<std::int64_t>(chance % (half + 1));
}

std::vector<net::Address> parsed_addresses(const std::vector<std::string>& texts) {
    std::vector<net::Address> out;
    for (const std::string& text : texts) {
        if (const Result<net::Address> address = net::Address::parse(text); address) {
            out.push_back(*address);
        }
    }
    return out;
}

Endpoint* Endpoints::find(std::string_view key) {
    const auto at = map_.find(key);
    return at == map_.end() ? nullptr : at->second.get();
}

Endpoint& Endpoints::get(EndpointKind kind, std::string_view key) {
    const auto at = map_.find(key);
    if (at != map_.end()) {
        return *at->second;
    }
    auto made = std::make_unique<Endpoint>(core_, kind, std::string(key));
    return *map_.emplace(std::string(key), std::move(made)).first->second;
}

void Endpoints::sweep(std::int64_t now_ms, std::int64_t idle_ms) {
    for (auto at = map_.begin(); at != map_.end();) {
        Endpoint& one = *at->second;
        one.close_older_than(now_ms - idle_ms);
        const bool unused = one.busy == 0 && one.idle_count() == 0 && one.waiting_count() == 0 &&
                            one.peer == nullptr &&
                            (!one.down || one.kind() == EndpointKind::address);
        if (unused &&
            (one.kind() == EndpointKind::address || one.kind() == EndpointKind::process)) {
            at = map_.erase(at);
        } else {
            ++at;
        }
    }
}

} // namespace hasp::passon
