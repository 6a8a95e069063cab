// Connections and what is known of a place, between the loops of one front.
#include "core.h"
#include "endpoint.h"
#include "exchange.h"
#include "loop_group.h"

namespace hasp::passon {

void Endpoint::tell_idle() {
    shelf_->set_idle(core_.loop, idle_.size(), kind_ == EndpointKind::child);
}

// Who waits for anything but a child's connection gets it from this loop, or dials.
void Endpoint::waiting_changed() {
    if (shelf_ != nullptr && kind_ == EndpointKind::child) {
        shelf_->set_waiting(core_.loop, waiting_.empty() ? 0 : waiting_.front().since_ms);
    }
}

bool Endpoint::idle_anywhere() const {
    return !idle_.empty() || (shelf_ != nullptr && shelf_->idle_elsewhere(core_.loop).has_value());
}

std::uint64_t Endpoint::shared_era() const {
    return shelf_->era.load();
}

bool Endpoint::borrow(Exchange& exchange) {
    if (shelf_ == nullptr || borrowing_.size() >= core_.settings.waiting_an_endpoint_max) {
        return false;
    }
    const auto other = shelf_->idle_elsewhere(core_.loop);
    if (!other) {
        return false;
    }
    borrowing_.push_back(&exchange);
    core_.call_for(*this, *other);
    return true;
}

void Endpoint::call_for_one() {
    if (shelf_ != nullptr) {
        if (const auto other = shelf_->idle_elsewhere(core_.loop)) {
            core_.call_for(*this, *other);
        }
    }
}

void Core::call_for(const Endpoint& endpoint, std::size_t at) {
    loops->post(at, [key = endpoint.key(), from = loop](Core& core) {
        if (Endpoint* one = core.endpoints.find(key); one != nullptr) {
            one->give(from);
        } else {
            core.hand_over(from, key, nullptr, 0, nullptr);
        }
    });
}

void Core::hand_over(std::size_t to, const std::string& key, std::unique_ptr<net::Conn> conn,
                     std::uint64_t era, std::shared_ptr<Shelf> shelf) {
    loops->post(to,
                [key, era, shelf = std::move(shelf),
                 box = std::make_shared<std::unique_ptr<net::Conn>>(std::move(conn))](Core& core) {
                    if (Endpoint* one = core.endpoints.find(key); one != nullptr) {
                        one->arrive(std::move(*box), era);
                    }
                });
}

void Endpoint::give(std::size_t to) {
    std::unique_ptr<UpstreamConn> idle = take_idle();
    std::unique_ptr<net::Conn> conn;
    std::uint64_t from_era = 0;
    if (idle != nullptr && idle->wire.conn->flushed() && !idle->wire.blocked()) {
        from_era = idle->era;
        conn = std::move(idle->wire.conn);
        conn->detach();
    }
    core_.hand_over(to, key_, std::move(conn), from_era, shelf_);
    if (idle != nullptr) {
        core_.bury(std::move(idle));
    }
}

void Endpoint::arrive(std::unique_ptr<net::Conn> conn, std::uint64_t from_era) {
    if (conn != nullptr && from_era == era()) {
        auto made = std::make_unique<UpstreamConn>(core_, *this);
        made->era = from_era;
        made->reused = true;
        if (made->adopt_moved(std::move(conn))) {
            put_idle(std::move(made));
        } else {
            core_.bury(std::move(made));
        }
    }
    if (!borrowing_.empty()) {
        Exchange* first = borrowing_.front();
        borrowing_.erase(borrowing_.begin());
        first->on_turn();
    }
}

void Endpoint::tell_loops() {
    const bool shared = kind_ == EndpointKind::parent || kind_ == EndpointKind::peer ||
                        (kind_ == EndpointKind::child && !core_.away()); // it has the streams
    if (core_.loops == nullptr || !shared) {
        return;
    }
    const bool has_link =
        kind_ == EndpointKind::child && core_.has_control_of(key_.substr(2)); // behind "c:"
    Standing now{down,     down_since_us, retry_at_ms, marked_down_ms_, backoff_ms,
                 down_why, due_ms,        has_link,    knocked};
    core_.loops->post_others(core_.loop, [kind = kind_, key = key_, now](Core& core) {
        core.endpoints.get(kind, key).follow(now);
    });
}

// The clocks are the machine's, so times hold at every loop.
void Endpoint::follow(const Standing& standing) {
    const bool goes_down = standing.down && !down;
    const bool news = standing.down != down || !told_;
    down = standing.down;
    down_since_us = standing.down_since_us;
    retry_at_ms = standing.retry_at_ms;
    marked_down_ms_ = standing.marked_down_ms;
    backoff_ms = standing.backoff_ms;
    down_why = standing.why;
    if (core_.away()) { // the home's link knocks, and it knows
        knocked = standing.knocked;
    }
    if (news) {
        tell_keeper();
    }
    if (kind_ == EndpointKind::child && core_.away()) {
        due_ms = standing.due_ms;
        linked = standing.linked;
    }
    if (goes_down && (kind_ == EndpointKind::parent || kind_ == EndpointKind::peer)) {
        close_idle();
        turn_free(); // who waits there is told so
    }
}

} // namespace hasp::passon
