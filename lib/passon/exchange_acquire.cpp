// A connection to whoever serves the request: kept, dialled, connected, or parked by a child.
#include "exchange.h"

#include "base/text.h"
#include "core.h"
#include "link_child.h"
#include "link_socket.h"
#include "upstream_group.h"

namespace hasp::passon {
namespace {
// A process that dies is seen by its clients before its spawner sees it.
constexpr int restarts_max = 5;
} // namespace

Endpoint* Exchange::endpoint() {
    using registry::Verdict;
    std::string& key = core_.text;
    if (verdict_ == Verdict::parent) {
        return core_.endpoints.find(parent_key);
    }
    if (verdict_ == Verdict::child) {
        return &core_.child_endpoint(app_.child());
    }
    if (verdict_ == Verdict::peer) {
        key.assign(peer_key).append(app_.child());
        return core_.endpoints.find(key);
    }
    if (app_.kind() == registry::Kind::process) {
        key.assign("p:").append(app_.dial_path()).append("/").append(app_.name());
        if (app_.instance() == registry::Instance::user) {
            if (!who_) {
                return nullptr; // open to all, but one process a user: nobody to start it for
            }
            key.append("/").append(who_->identity->user);
        }
        key.append(".sock");
        return &core_.endpoints.get(EndpointKind::process, key);
    }
    return up_ ? &up_->endpoint : waiting_at_;
}

void Exchange::acquire(bool fresh_only) {
    if (to_upstream()) {
        acquire_address(fresh_only);
        return;
    }
    Endpoint* at = endpoint();
    if (at == nullptr) {
        if (verdict_ == registry::Verdict::parent) {
            unreachable("this place has no link to the one above yet");
        } else if (verdict_ == registry::Verdict::peer) {
            unreachable("the center that holds it is not known any more");
        } else {
            notice(Notice::log_in);
        }
        return;
    }
    if (!fresh_only || at->kind() == EndpointKind::child) {
        if (std::unique_ptr<UpstreamConn> conn = at->take_idle()) {
            ++core_.counters.upstream_reused;
            use(std::move(conn));
            return;
        }
        if (borrow_at(*at)) {
            return;
        }
    }
    tries_ = 0;
    switch (at->kind()) {
    case EndpointKind::process:
        dial();
        return;
    case EndpointKind::child:
        if (at->down) {
            unreachable(at->down_why);
            return;
        }
        if (!at->wait(*this)) {
            notice(Notice::busy);
            return;
        }
        wait_for_turn(*at);
        at->call_for_one(); // it may have come back meanwhile
        return;
    case EndpointKind::address:
        return; // acquire_address()
    case EndpointKind::parent:
    case EndpointKind::peer:
        if (at->down) {
            if (answered_for(*at)) {
                return;
            }
        } else if (at->kind() == EndpointKind::parent && at->addresses.empty() && at->wait(*this)) {
            wait_for_turn(*at); // its name is being looked up
            return;
        } else if (!fresh_only && !at->may_connect() && at->wait(*this)) {
            wait_for_turn(*at);
            return;
        }
        connect_next();
        return;
    }
}

// Once a request: who got none dials.
bool Exchange::borrow_at(Endpoint& at) {
    if (borrowed_ || !at.borrow(*this)) {
        return false;
    }
    borrowed_ = true;
    wait_for_turn(at);
    due(Due::borrow);
    return true;
}

// Where nobody answered last. False: this request is to find out whether that is still so; the
// others need not wait for it.
bool Exchange::answered_for(Endpoint& at) {
    const bool due = core_.now_ms() >= at.retry_at_ms;
    if (due && !at.knocked) {
        at.retry_at_ms = core_.now_ms() + core_.settings.connect_ms;
        return false;
    }
    if (due && core_.link_child) {
        if (core_.away()) { // one word to the home, not one for each request
            at.retry_at_ms = core_.now_ms() + core_.settings.connect_ms;
        }
        core_.link_child->knock();
    }
    unreachable(at.down_why);
    return true;
}

void Exchange::wait_for_turn(Endpoint& at) {
    at_ = At::waiting;
    waiting_at_ = &at;
    due(Due::start);
}

void Exchange::connect_next() {
    Endpoint* at = endpoint();
    // Found out elsewhere meanwhile: the addresses that are left are tried there.
    if (at != nullptr && at->knocked) {
        unreachable(at->down_why);
        return;
    }
    while (at != nullptr && tries_ < at->addresses.size()) {
        const net::Address& address =
            at->addresses[(at->preferred + tries_) % at->addresses.size()];
        ++tries_;
        auto conn = std::make_unique<UpstreamConn>(core_, *at);
        conn->exchange = this;
        at_ = At::connecting;
        if (Status status = conn->connect(address, at->tls, at->verify_name); !status) {
            why_ = status.error().message;
            core_.bury(std::move(conn));
            if (status.error().code == Code::try_later) {
                notice(Notice::busy); // it is this machine that lacks something
                return;
            }
            continue;
        }
        up_ = std::move(conn);
        due(Due::connect);
        return;
    }
    const std::string why = why_.empty() ? std::string("no address is known") : why_;
    if (at != nullptr) {
        at->mark_down(why);
    }
    unreachable(why);
}

void Exchange::on_up_open() {
    if (at_ != At::connecting || !up_) {
        return;
    }
    Endpoint& at = up_->endpoint;
    if (at.kind() == EndpointKind::parent) {
        const Result<std::string> name =
            core_.credentials.name_parent
                ? core_.credentials.name_parent(up_->wire.conn->verified_chain())
                : Result<std::string>(fail(Code::refused, "the parent is not known"));
        if (!name) {
            on_up_fail(name.error().message);
            return;
        }
        core_.link_child->met(*name);
        set_link_options(up_->wire.conn->fd(), core_.settings.link_silence_ms);
    }
    if (at.kind() == EndpointKind::peer) {
        const auto peer = core_.peers.find(std::string_view(at.key()).substr(peer_key.size()));
        const Result<std::string> name =
            peer != core_.peers.end()
                ? peer->second.name_peer(up_->wire.conn->verified_chain())
                : Result<std::string>(fail(Code::refused, "the peer is not known any more"));
        if (!name || *name != peer->first) {
            on_up_fail(name ? "another center answers there" : name.error().message);
            return;
        }
        set_link_options(up_->wire.conn->fd(), core_.settings.link_silence_ms);
    }
    if (at.kind() == EndpointKind::address) {
        if (at.peer != nullptr) {
            at.peer->connected();
        }
    } else {
        at.answers_at(up_->wire.conn->peer()); // the list may be another one by now
        if (at.kind() != EndpointKind::peer) {
            at.mark_up();
        }
    }
    why_.clear();
    send_request();
}

void Exchange::on_up_fail(const std::string& why) {
    why_ = why;
    if (at_ == At::connecting && to_upstream()) {
        address_failed(why);
        return;
    }
    if (at_ == At::connecting) {
        release_up(false);
        connect_next();
        return;
    }
    retry_or_fail("the connection broke");
}

void Exchange::dial() {
    if (!dial_) {
        dial_ = std::make_unique<net::Dial>(core_.reactor());
    }
    at_ = At::dialing;
    due(Due::nothing); // the dial has its own limit, and ends no later than the deadline
    const Endpoint* at = endpoint();
    dial_era_ = at->era(); // of who answers this dial
    dial_->start(at->key().substr(2), in_time(core_.settings.connect_ms),
                 [this](Result<Fd> socket) { on_dialed(std::move(socket)); });
}

void Exchange::replaced(const Endpoint& at, bool cut_tunnel) {
    if (at_ == At::dialing && endpoint() == &at) {
        dial_->cancel();
        dial();
    } else if (cut_tunnel && at_ == At::tunnel && up_ && &up_->endpoint == &at) {
        cut("the app is restarted");
    }
}

void Exchange::on_dialed(Result<Fd> socket) {
    if (at_ != At::dialing) {
        return;
    }
    Endpoint* at = endpoint();
    if (socket) {
        auto conn = std::make_unique<UpstreamConn>(core_, *at);
        conn->era = dial_era_;
        if (Status status = conn->adopt(std::move(*socket)); !status) {
            core_.bury(std::move(conn));
            notice(Notice::not_running, status.error().message);
            return;
        }
        use(std::move(conn));
        return;
    }
    if (core_.now_ms() >= deadline_ms_) {
        give_up("no time was left before the request could be sent");
        return;
    }
    const Code code = socket.error().code;
    if (code == Code::try_later ||
        (starts_ > 0 && code != Code::unreachable && code != Code::not_found) ||
        starts_ > restarts_max) {
        notice(Notice::not_running, socket.error().message);
        return;
    }
    if (starts_ > 0) {
        // It is said to be up and nobody answers: its end is still on its way to the spawner.
        at_ = At::waiting;
        due(Due::restart);
        return;
    }
    start_app();
}

// Nobody answers: the keeper starts it, once for all who wait.
void Exchange::start_app() {
    Endpoint* at = endpoint();
    ++starts_;
    at_ = At::waiting;
    if (at == nullptr || !at->wait(*this)) {
        notice(Notice::busy);
        return;
    }
    waiting_at_ = at;
    due(Due::start);
    at->start(std::string(app_.name()), who_ ? who_->identity->user : std::string(),
              std::string(request_id()));
}

void Exchange::on_started(const StartAnswer& answer) {
    waiting_at_ = nullptr;
    if (at_ != At::waiting) {
        return;
    }
    if (answer) {
        dial();
        return;
    }
    std::string text = answer.error().message;
    if (!answer.error().hint.empty()) {
        text.append("\n").append(answer.error().hint);
    }
    notice(answer.error().code == Code::partial ? Notice::arriving : Notice::not_running, text);
}

void Exchange::on_turn() {
    const Endpoint* at = std::exchange(waiting_at_, nullptr);
    if (at_ != At::waiting) {
        return;
    }
    // It was chosen already, and would count twice.
    if (at != nullptr && at->peer != nullptr && !at->down) {
        use_address(*at->peer, false);
        return;
    }
    acquire(false);
}

void Exchange::use(std::unique_ptr<UpstreamConn> conn) {
    up_ = std::move(conn);
    up_->exchange = this;
    send_request();
}

void Exchange::unreachable(const std::string& why) {
    const Endpoint* at = endpoint();
    std::string text = why;
    if (at != nullptr && at->down) {
        text = "Since " + rfc3339(at->down_since_us) + ": " + at->down_why;
    }
    why_ = "unreachable: " + why;
    release_up(false);
    notice(Notice::unreachable, text);
}

} // namespace hasp::passon
