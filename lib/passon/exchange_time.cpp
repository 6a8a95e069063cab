// Limits of time: whose turn it is, and what happens when he does not use it.
#include "core.h"
#include "exchange.h"

#include <algorithm>

namespace hasp::passon {
namespace {
constexpr std::int64_t keeper_ms = 30'000;
constexpr std::int64_t borrow_ms = 250;       // for the word of another loop, which may be busy
constexpr std::int64_t first_restart_ms = 20; // doubled each time: 0.6 s in all
} // namespace

// What is left until the answer's head has to be there, and at least one.
std::int64_t Exchange::left_ms() const {
    return std::max<std::int64_t>(1, deadline_ms_ - core_.now_ms());
}

// No wait on the way to the answer's head is longer than what is left for it.
std::int64_t Exchange::in_time(std::int64_t limit_ms) const {
    return std::min(limit_ms, left_ms());
}

// A page about what went wrong, or of hasp's own, is not the answer that the time was given for.
bool Exchange::is_out_of_time() const {
    switch (due_) {
    case Due::keeper:
        return at_ != At::page && core_.now_ms() >= deadline_ms_;
    case Due::start:
    case Due::borrow:
    case Due::restart:
    case Due::connect:
    case Due::collapsed:
        return core_.now_ms() >= deadline_ms_;
    default:
        return false;
    }
}

// Who waits is no longer woken, and takes nobody's turn.
void Exchange::stop_waiting() {
    if (waiting_at_ != nullptr) {
        waiting_at_->forget(*this);
        waiting_at_ = nullptr;
    }
    if (dial_) {
        dial_->cancel();
    }
    if (at_ == At::collapsed) {
        core_.cache->forget(*this);
    }
}

void Exchange::give_up(const char* why) {
    why_ = why;
    stop_waiting();
    release_up(false);
    notice(Notice::too_slow);
}

// Bytes by which the client shows that it goes on. Of an answer those that it took, and not those
// that the socket did: one with a large buffer has room again only after a third of it was read.
std::uint64_t Exchange::progress() const {
    return due_ == Due::client_out ? down_->wire.conn->delivered()
                                   : request_.moved() + answer_.moved() + own_bytes_;
}

bool Exchange::is_for_neighbour() const {
    return down_->from() != From::user && !down_->beside;
}

void Exchange::due(Due what) {
    const bool same = due_ == what;
    due_ = what;
    const Settings& s = core_.settings;
    if (is_for_neighbour()) {
        down_->wire.may_stand_still(what == Due::client_out, s.link_silence_ms);
    }
    if (up_ && up_->is_to_neighbour()) {
        up_->wire.may_stand_still(what == Due::app_in, s.link_silence_ms);
    }
    switch (what) {
    case Due::nothing:
        break; // on_time() finds nothing to do
    case Due::keeper:
        timer_.arm(at_ == At::page ? keeper_ms : in_time(keeper_ms));
        break;
    case Due::start:
        timer_.arm(in_time(waiting_at_->kind() == EndpointKind::process ? s.start_ms
                           : waiting_at_->kind() == EndpointKind::child
                               ? s.park_wait_ms
                               : s.connect_ms + s.park_wait_ms));
        break;
    case Due::borrow:
        timer_.arm(in_time(borrow_ms));
        break;
    case Due::restart:
        timer_.arm(in_time(first_restart_ms << (starts_ - 1)));
        break;
    case Due::connect:
        timer_.arm(in_time(s.connect_ms));
        break;
    case Due::client_in:
    case Due::client_out:
        // Not pushed away by every byte: within each window enough must have come, see on_time().
        if (!same) {
            window_from_ = progress();
            timer_.arm(s.body_idle_ms);
        }
        break;
    case Due::app_in:
        asked_ms_ = same ? asked_ms_ : core_.now_ms();
        timer_.arm(2 * s.body_idle_ms);
        break;
    case Due::app_head:
        asked_ms_ = same ? asked_ms_ : core_.now_ms();
        timer_.arm(left_ms());
        break;
    case Due::app_body:
        timer_.arm(s.answer_idle_ms);
        break;
    case Due::collapsed:
        timer_.arm(in_time(s.cache_wait_ms));
        break;
    case Due::direct:
        timer_.arm(in_time(s.direct_ms));
        break;
    case Due::tunnel:
        timer_.arm(s.tunnel_idle_ms);
        break;
    }
}

void Exchange::on_time() {
    if (is_out_of_time()) {
        give_up("no time was left before the request could be sent");
        return;
    }
    switch (due_) {
    case Due::nothing:
        return;
    case Due::keeper:
        why_ = "the keeper did not answer in time";
        notice(Notice::keeper);
        return;
    case Due::start: {
        const bool process = waiting_at_ != nullptr && waiting_at_->kind() == EndpointKind::process;
        stop_waiting();
        if (process) {
            notice(Notice::not_running, "it did not start in time");
        } else {
            unreachable("no connection became free in time");
        }
        return;
    }
    case Due::borrow:
        waiting_at_->forget(*this);
        on_turn(); // as if no other loop had one
        return;
    case Due::restart:
        start_app();
        return;
    case Due::connect:
        on_up_fail("connecting took too long");
        return;
    case Due::app_in:
    case Due::app_head:
        if (answered_) {
            cut("the app's answer did not go on");
            return;
        }
        why_ = due_ == Due::app_in ? "the app does not read the request"
                                   : "the answer did not begin in time";
        // A neighbour may leave it no time at all, which says nothing of the app.
        if (core_.now_ms() - asked_ms_ >= core_.settings.answer_head_ms / 2) {
            blame_address(why_.c_str(), false);
        }
        release_up(false);
        notice(Notice::too_slow);
        return;
    case Due::client_out:
        // It reads as its own reader does, in lumps as large as the buffers between, and how fast
        // that has to be is for the tier at the user to say.
        if (is_for_neighbour() && !is_silent(down_->wire.conn->fd())) {
            timer_.arm(core_.settings.body_idle_ms);
            return;
        }
        [[fallthrough]];
    case Due::client_in: {
        const std::uint64_t now = progress();
        const bool others = due_ == Due::client_out && down_->wire.conn->waits_for_others();
        if (others || now - window_from_ >= core_.settings.slow_bytes_min) {
            window_from_ = now;
            timer_.arm(core_.settings.body_idle_ms);
            return;
        }
        if (due_ == Due::client_in && !answered_) {
            why_ = "the body of the request came too slowly";
            release_up(false);
            refuse(408, "the body of the request came too slowly");
            return;
        }
        cut("the client reads or writes too slowly");
        return;
    }
    case Due::app_body:
        cut("the app's answer did not go on");
        return;
    case Due::collapsed:
        core_.cache->forget(*this);
        on_landed();
        return;
    case Due::direct:
        on_direct(fail(Code::timed_out, "nobody said in time where to go"));
        return;
    case Due::tunnel:
        cut("the tunnel was idle for too long");
        return;
    }
}

void Exchange::on_whole_time() {
    if (at_ == At::tunnel || at_ == At::idle) {
        return; // idle: it is of a request that has ended
    }
    if (answered_) {
        cut("the exchange took too long");
    } else {
        give_up("the exchange took too long");
    }
}

} // namespace hasp::passon
