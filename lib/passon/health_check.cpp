#include "health_check.h"

#include "core.h"
#include "net/head.h"
#include "net/write_head.h"
#include "upstream_group.h"

namespace hasp::passon {
namespace {
constexpr int interim_max = 16;
} // namespace

HealthCheck::HealthCheck(Core& core, const UpstreamGroup& group, Peer& peer)
    : core_(core), group_(group), peer_(peer),
      timer_(core.reactor().timers(), net::timer_call<&HealthCheck::on_time>, this) {
    ++core_.upstreams.checking;
}

HealthCheck::~HealthCheck() {
    --core_.upstreams.checking;
}

Status HealthCheck::begin() {
    const Endpoint& at = peer_.at;
    wire_.conn = std::make_unique<net::Conn>(core_.reactor(), *this);
    timer_.arm(group_.rules().timeout_ms);
    return wire_.conn->connect(at.addresses.front(), at.secure ? core_.upstream_tls : nullptr,
                               at.verify_name);
}

void HealthCheck::on_open(net::Conn&) {
    if (!group_.is_checked()) {
        finish({});
        return;
    }
    net::HeadWriter out(core_.head_out);
    core_.text.assign(peer_.at.base_path).append(group_.rules().path);
    const std::size_t query = core_.text.find('?');
    const std::string_view target = core_.text;
    out.request_line("GET", target.substr(0, query), query != std::string::npos,
                     query == std::string::npos ? std::string_view{} : target.substr(query + 1));
    out.field("Host", peer_.at.host_field);
    out.block("Connection: close\r\n");
    out.block(group_.check_lines());
    out.end();
    asked_ = true;
    if (out.failed() || !wire_.write(out.text())) {
        finish("the request of the check could not be sent");
    }
}

void HealthCheck::on_ready(net::Conn&) {
    if (over_ || !asked_) {
        return;
    }
    if (wire_.blocked() && !wire_.flush()) {
        finish("the connection broke");
        return;
    }
    read();
}

void HealthCheck::read() {
    net::AnswerHead& answer = core_.answer_head;
    for (;;) {
        if (wire_.in.size() > seen_) {
            const net::ParseResult parsed =
                net::parse_answer_head(wire_.in.readable(), answer, {}, core_.head_limits(), seen_);
            if (parsed.bad()) {
                finish(std::string("the answer to the check is no HTTP: ") + parsed.reason);
                return;
            }
            if (parsed.done() && answer.interim) {
                if (++interim_ > interim_max) {
                    finish("interim answers to the check without end");
                    return;
                }
                wire_.in.consume(parsed.consumed);
                seen_ = 0;
                continue;
            }
            if (parsed.done()) {
                const UpstreamGroup::Rules& rules = group_.rules();
                const bool good =
                    answer.status >= rules.status_min && answer.status <= rules.status_max;
                finish(good ? std::string()
                            : "the check of " + rules.path + " was answered with " +
                                  std::to_string(answer.status));
                return;
            }
            seen_ = wire_.in.size();
        }
        switch (wire_.fill()) {
        case Wire::Fill::got:
            continue;
        case Wire::Fill::again:
            return;
        default:
            finish("the connection ended before the check was answered");
            return;
        }
    }
}

void HealthCheck::on_fail(net::Conn& conn) {
    finish(conn.failure());
}

void HealthCheck::on_time() {
    finish(asked_ ? "the check was not answered in time" : "connecting took too long");
}

void HealthCheck::finish(const std::string& why) {
    if (over_) {
        return;
    }
    over_ = true;
    timer_.cancel();
    if (wire_.conn) {
        wire_.conn->close();
    }
    peer_.checked(why); // buries this
}

} // namespace hasp::passon
