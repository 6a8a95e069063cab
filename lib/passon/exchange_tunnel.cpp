// WebSockets, once both sides have agreed on one: bytes in both directions.
#include "core.h"
#include "exchange.h"

namespace hasp::passon {
namespace {

constexpr std::int64_t tunnel_minute_ms = 60'000;

} // namespace

void Exchange::begin_tunnel(std::string_view text) {
    answered_ = true;
    keep_ = false;
    up_reusable_ = false;
    at_ = At::tunnel;
    ++core_.counters.tunnels;
    whole_.cancel();
    if (!down_->wire.write(text)) {
        down_->close();
        return;
    }
    // Nothing of the head is needed any more; a tunnel may live for days.
    let_head_go();
    minute_us_ = core_.boot_us();
    write_usage(billing::UsageKind::websocket, false, minute_us_);
    minute_.arm(tunnel_minute_ms);
    request_.start(net::Framing::until_close, 0, net::Framing::until_close, 0, true);
    answer_.start(net::Framing::until_close, 0, net::Framing::until_close, 0, true);
    pump_tunnel();
}

void Exchange::pump_tunnel() {
    const bool up_was_done = request_.done();
    const bool down_was_done = answer_.done();
    const BodyRelay::Step there =
        up_was_done ? BodyRelay::Step::done : request_.pump(down_->wire, up_->wire);
    const BodyRelay::Step back =
        down_was_done ? BodyRelay::Step::done : answer_.pump(up_->wire, down_->wire);
    const auto failed = [](BodyRelay::Step step) {
        return step == BodyRelay::Step::sink_failed || step == BodyRelay::Step::source_bad;
    };
    if (failed(there) || failed(back)) {
        down_->close();
        return;
    }
    if (up_was_done) {
        up_->wire.flush();
    }
    if (down_was_done) {
        down_->wire.flush();
    }
    if (request_.done() && answer_.done()) {
        end(false);
        return;
    }
    // One side has ended: the other is told, and gets a while to end too.
    if (request_.done() && !up_was_done) {
        up_->wire.conn->shutdown_write();
        due(Due::client_in);
    } else if (answer_.done() && !down_was_done) {
        down_->wire.conn->shutdown_write();
        due(Due::client_in);
    } else if (!request_.done() && !answer_.done()) {
        due(Due::tunnel);
    }
    if (there == BodyRelay::Step::yield || back == BodyRelay::Step::yield) {
        core_.reactor().post(again_);
    }
}

} // namespace hasp::passon
