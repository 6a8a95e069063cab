// A connection to an address of an upstream app.
#include "exchange.h"

#include "core.h"
#include "upstream_group.h"

namespace hasp::passon {

bool Exchange::to_upstream() const {
    return verdict_ == registry::Verdict::here && app_.kind() == registry::Kind::upstream;
}

void Exchange::acquire_address(bool fresh_only) {
    UpstreamGroup* const group = find_group();
    Peer* const peer = group == nullptr ? nullptr : group->pick(avoid_);
    if (peer == nullptr) {
        const std::string why = group == nullptr ? "it is not here any more" : group->why();
        why_ = "unreachable: " + why;
        release_up(false);
        notice(Notice::unreachable, why);
        return;
    }
    use_address(*peer, fresh_only);
}

void Exchange::use_address(Peer& peer, bool fresh_only) {
    Endpoint& at = peer.at;
    if (at.secure) {
        // Taken anew each time: trust may have been exchanged since.
        at.tls = core_.upstream_tls;
        if (at.tls == nullptr) {
            notice(Notice::bad_answer,
                   "no authority is set up that could vouch for the app's address");
            return;
        }
    }
    if (!fresh_only) {
        if (std::unique_ptr<UpstreamConn> conn = at.take_idle()) {
            ++core_.counters.upstream_reused;
            use(std::move(conn));
            return;
        }
        if (!at.down && borrow_at(at)) {
            return;
        }
    }
    if (!at.down && !fresh_only && !at.may_connect() && at.wait(*this)) {
        wait_for_turn(at);
        return;
    }
    auto conn = std::make_unique<UpstreamConn>(core_, at);
    conn->exchange = this;
    at_ = At::connecting;
    if (Status status = conn->connect(at.addresses.front(), at.tls, at.verify_name); !status) {
        core_.bury(std::move(conn));
        if (status.error().code == Code::try_later) {
            notice(Notice::busy); // it is this machine that lacks something
            return;
        }
        peer.connect_failed(status.error().message);
        acquire_address(false);
        return;
    }
    up_ = std::move(conn);
    due(Due::connect);
}

// Connecting failed: the address is down, and the next takes over at once. Each that fails is out,
// so this ends.
void Exchange::address_failed(const std::string& why) {
    if (Peer* peer = up_->endpoint.peer; peer != nullptr) {
        peer->connect_failed(why);
        release_up(false);
        acquire_address(false);
        return;
    }
    // The app has other addresses since.
    if (tries_++ == 0) {
        release_up(false);
        acquire_address(false);
        return;
    }
    unreachable(why);
}

// The request was sent and no answer came. A kept connection may end at any time, which says
// nothing.
void Exchange::blame_address(const char* why, bool reused) {
    if (up_ && up_->endpoint.peer != nullptr && !reused) {
        up_->endpoint.peer->request_failed(why);
    }
}

// Another address could take the request that failed here.
bool Exchange::has_other_address() const {
    if (!up_ || up_->endpoint.peer == nullptr || !to_upstream()) {
        return false;
    }
    const UpstreamGroup* const group = core_.upstreams.find(app_name_);
    return group != nullptr && group->has_other(up_->endpoint);
}

} // namespace hasp::passon
