#include "exchange.h"

#include "core.h"
#include "static_files.h"
#include "upstream_group.h"

#include <algorithm>
#include <cstring>

namespace hasp::passon {
namespace {

constexpr std::int64_t minute_ms = 60'000;

} // namespace

Exchange::Exchange(Core& core)
    : core_(core), timer_(core.reactor().timers(), net::timer_call<&Exchange::on_time>, this),
      whole_(core.reactor().timers(), net::timer_call<&Exchange::on_whole_time>, this),
      minute_(
          core.reactor().timers(),
          [](void* self) {
              auto* one = static_cast<Exchange*>(self);
              one->write_usage(billing::UsageKind::websocket, false, one->core_.boot_us());
              one->minute_.arm(minute_ms);
          },
          this),
      again_(net::timer_call<&Exchange::on_again>, this) {}

Exchange::~Exchange() = default;

void Exchange::attach(ServerConn& down) {
    down_ = &down;
    ++core_.counters.exchanges;
}

void Exchange::reset() {
    if (handle_) {
        *handle_ = nullptr;
        handle_.reset();
    }
    if (waiting_at_ != nullptr) {
        waiting_at_->forget(*this);
        waiting_at_ = nullptr;
    }
    // timer_ and whole_ stay where they are: to move a deadline away costs less than to arm it anew
    // for each request, and one that comes due meanwhile finds nothing to do.
    minute_.cancel();
    again_.cancel();
    if (dial_) {
        dial_->cancel();
    }
    release_up(false);
    if (down_ != nullptr && down_->beside && core_.cache) {
        core_.cache->refreshed();
    }
    if (cached_.on) {
        end_cached();
    }
    head_buffer_.give_back();
    snapshot_.reset();
    who_.reset();
    word_.reset();
    file_.reset();
    head_text_ = {};
    app_ = {};
    down_ = nullptr;
    app_name_ = mount_ = scheme_ = authority_ = host_ = client_ = sid_ = served_ = {};
    // A long head's memory is not kept for the next request.
    if (text_.capacity() > 16 * 1024) {
        text_ = {};
        log_text_ = {};
    }
    text_.clear();
    log_text_.clear();
    log_method_ = log_host_ = 0;
    why_.clear();
    own_body_.clear();
    at_ = At::idle;
    due_ = Due::nothing;
    tries_ = 0;
    avoid_ = nullptr;
    deadline_ms_ = answer_ms_ = 0;
    window_from_ = minute_in_ = minute_out_ = own_bytes_ = 0;
    counted_ = {};
    status_ = 0;
    up_seen_ = interim_ = 0;
    request_broken_ = false;
    notice_asked_ = direct_asked_ = false;
    starts_ = 0;
    borrowed_ = retried_ = sent_bytes_ = answered_ = up_reusable_ = by_credential_ = continue_due_ =
        begun_ = for_app_ = false;
    authorised_by_parent_ = traced_ = false;
    coding_ = net::Coding::identity;
    varies_ = marked_ = false;
    core_.coders -= std::exchange(holds_coder_, false) ? 1 : 0;
    keep_ = true;
    request_.reset();
    answer_.reset();
    --core_.counters.exchanges;
}

Exchange::Handle Exchange::handle() {
    if (!handle_) {
        handle_ = std::make_shared<Exchange*>(this);
    }
    return handle_;
}

void Exchange::begin(std::size_t head_bytes) {
    begun_ = true;
    wall_us_ = core_.wall_us();
    boot_us_ = core_.boot_us(); // not the round's: it says whether a session is over
    snapshot_ = core_.snapshot;
    trusted_us_ = snapshot_ == nullptr ? 0 : boot_us_ + snapshot_->clock_offset_us();
    deadline_ms_ = core_.now_ms() + core_.settings.answer_head_ms;
    keep_ = head.keep_alive && !down_->last_request();
    // The head's views stay valid in this buffer; what came behind it goes to a buffer of the
    // connection's own.
    head_buffer_ = std::move(down_->wire.in);
    const std::string_view behind = head_buffer_.readable().substr(head_bytes);
    if (!behind.empty()) {
        down_->wire.in = core_.reactor().buffers().lend();
        std::memcpy(down_->wire.in.space().data(), behind.data(), behind.size());
        down_->wire.in.commit(behind.size());
    }
    start_request_body();
    continue_due_ = head.expect_continue && head.framing != net::Framing::none;
    text_.reserve(2 * head_bytes + 128);
    if (core_.settings.whole_ms > 0) {
        whole_.arm(core_.settings.whole_ms);
    } else {
        whole_.cancel();
    }
    resolve();
}

void Exchange::refuse(int status, const char* why) {
    const bool known = std::exchange(begun_, true); // the head was read, so its method counts
    wall_us_ = core_.wall_us();
    boot_us_ = core_.boot_us();
    snapshot_ = core_.snapshot;
    make_request_id();
    why_ = why;
    served_ = "own";
    head.framing = net::Framing::none;
    if (!known) {
        head.method = net::Method::other;
        head.version_minor = 1;
    }
    core_.text.assign(std::to_string(status))
        .append(" ")
        .append(net::reason_phrase(status))
        .append("\n");
    answer_own(status, {}, "text/plain; charset=utf-8", core_.text, false);
}

// Nothing reads the request's head any more, and its answer may last for days. What the log says of
// it is kept.
void Exchange::let_head_go() {
    if (!head_buffer_) {
        return;
    }
    log_text_.assign(head.method_text);
    log_method_ = log_text_.size();
    log_text_.append(head.host);
    log_host_ = head.host.size();
    log_text_.append(head.path);
    head_buffer_.give_back();
}

void Exchange::start_request_body() {
    if (head.framing == net::Framing::none) {
        request_.start_without();
    } else {
        request_.start(head.framing, head.content_length, head.framing, head.content_length);
    }
    request_.limit_to(body_bytes_max());
}

// Before the app is known, this tier's own.
std::uint64_t Exchange::body_bytes_max() const {
    const std::uint64_t own = core_.settings.body_bytes_max;
    const std::uint64_t of_app = app_ ? app_.body_bytes_max() : 0;
    return std::min(own == 0 ? UINT64_MAX : own, of_app == 0 ? UINT64_MAX : of_app);
}

bool Exchange::request_body_done() {
    if (head.framing == net::Framing::none || request_.done()) {
        return true;
    }
    // Nobody was told to send it.
    if (continue_due_) {
        return false;
    }
    return request_.discard(down_->wire) == BodyRelay::Step::done;
}

void Exchange::release_up(bool reusable) {
    if (!up_) {
        return;
    }
    up_->exchange = nullptr;
    up_->settled();
    if (reusable && up_->wire.conn && up_->wire.conn->open() && up_->wire.in.empty() &&
        !up_->wire.blocked()) {
        Endpoint& home = up_->endpoint;
        up_->reused = true;
        home.put_idle(std::move(up_));
        return;
    }
    if (up_->wire.conn) {
        up_->wire.conn->close();
    }
    core_.bury(std::move(up_));
}

void Exchange::end(bool keep) {
    const std::int64_t now_us = core_.boot_us();
    if (at_ == At::tunnel) {
        --core_.counters.tunnels;
        write_usage(billing::UsageKind::websocket, true, now_us);
    } else if (answered_ || for_app_) {
        write_usage(billing::UsageKind::request, true, now_us);
    }
    at_ = At::idle;
    write_log(now_us);
    if (up_ && up_->endpoint.peer != nullptr && answered_ && answer_.done()) {
        up_->endpoint.peer->served();
    }
    release_up(up_reusable_ && answer_.done());
    down_->finish(keep);
}

void Exchange::cut(const char* why) {
    why_ = why;
    up_reusable_ = false;
    // A reset, so that nobody takes what came for a whole answer.
    down_->wire.conn->abort();
    down_->close();
}

void Exchange::on_down_gone() {
    if (why_.empty()) {
        why_ = "the client went away";
    }
    up_reusable_ = false;
    end(false);
}

void Exchange::on_again() {
    on_down_ready();
}

void Exchange::on_down_ready() {
    switch (at_) {
    case At::own_body:
        read_own_body();
        return;
    case At::sent:
        if (!request_.done() && !request_broken_) {
            pump_request();
        } else {
            watch_client();
        }
        return;
    case At::answering:
        // The request's body may still be on its way up while the answer comes down.
        if (!request_.done() && !request_broken_) {
            pump_request();
        }
        if (at_ == At::answering) {
            pump_answer();
        }
        if (at_ == At::answering) {
            watch_client();
        }
        return;
    case At::file:
        send_file();
        return;
    case At::stored:
        send_stored();
        return;
    case At::tunnel:
        pump_tunnel();
        return;
    default:
        watch_client();
        return;
    }
}

// While the client has nothing to say: that it went away ends the work for it. Bytes that come are
// its next request and stay.
void Exchange::watch_client() {
    const bool body_due =
        head.framing != net::Framing::none && !request_.done() && !request_broken_;
    if (body_due || !down_->wire.in.empty() || !down_->wire.conn->readable()) {
        return;
    }
    const Wire::Fill fill = down_->wire.fill();
    if (fill == Wire::Fill::end || fill == Wire::Fill::cut || fill == Wire::Fill::failed) {
        down_->close();
    }
}

bool Exchange::matches(const IdentityFilter& filter) const {
    if (!who_) {
        return false;
    }
    const Identity& who = *who_->identity;
    return (filter.sid.empty() || filter.sid == who.sid) &&
           (filter.user.empty() || filter.user == who.user) &&
           (filter.child.empty() ||
            ((down_->from() == From::child || down_->from() == From::peer) &&
             filter.child == down_->peer()));
}

bool Exchange::still_allowed(const registry::Snapshot& snapshot) const {
    const std::int64_t now_us = core_.boot_us() + snapshot.clock_offset_us();
    registry::Viewer viewer;
    const std::uint64_t this_app = registry::name_hash(app_name_);
    if (who_) {
        // A peer's word is for a request; a tunnel lasts as long as the peer, where its user is,
        // keeps it open.
        viewer.signed_on = down_->from() == From::peer || now_us < who_->identity->until_us;
        viewer.since_us = who_->identity->since_us;
        viewer.entitled =
            authorised_by_parent_ ? std::span(&this_app, 1) : std::span(who_->identity->apps);
    }
    // A tunnel writes: it is not for an app that may only be read.
    const registry::Decision now = registry::decide(snapshot, app_name_, viewer, now_us, source());
    return now.verdict == verdict_;
}

std::string_view Exchange::up_peer() const {
    return up_ && (up_->endpoint.kind() == EndpointKind::child ||
                   up_->endpoint.kind() == EndpointKind::peer)
               ? std::string_view(up_->endpoint.key()).substr(2)
               : std::string_view{};
}

void Exchange::lose_up(const char* why) {
    if (answered_) {
        cut(why);
        return;
    }
    unreachable(why);
}

} // namespace hasp::passon
