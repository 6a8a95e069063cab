// Front: lib/passon's engine between its sockets and the keeper. Everything that it may act on
// comes from the keeper; everything that it needs from the machine is opened before the jail
// closes.
#include "base/files.h"
#include "base/text.h"
#include "control.h"
#include "front_jail.h"
#include "front_process.h"
#include "net/conn.h"

#include <csignal>
#include <sys/resource.h>

namespace hasp::cmd {

namespace {
constexpr std::int64_t drain_poll_ms = 100;
constexpr std::int64_t drain_ms_max = 10'000;
constexpr std::size_t failed_bytes_max = 2'000;
} // namespace

int FrontProcess::run() {
    raise_descriptor_limit();
    auto reactor = net::Reactor::create(clock_, options_.config.web.coalesce_us);
    if (!reactor.ok()) {
        return fail_start(reactor.error());
    }
    reactor_ = *std::move(reactor);
    port_ = std::make_unique<FrontPort>(
        *reactor_, [this](const Json& head, ipc::Frame&& frame) { obey(head, std::move(frame)); });
    if (Status prepared = prepare(); !prepared.ok()) {
        return fail_start(prepared.error());
    }
    if (Status added = reactor_->add(control_fd, *this); !added.ok()) {
        return fail_start(added.error());
    }
    take_control();
    if (!ended_) { // it may be told so before there is a loop to stop
        reactor_->run();
    }
    reactor_->remove(control_fd, *this);
    traffic_timer_.reset();
    if (loops_) {
        loops_->stop();
    }
    engine_.reset();
    loops_.reset();
    port_.reset();
    return exit_code_;
}

void FrontProcess::raise_descriptor_limit() {
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) != 0) {
        return;
    }
    files.rlim_cur = files.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &files) != 0) {
        log_.warn("front.descriptors", "the limit of open files could not be raised");
        return;
    }
    const auto wanted = 2 * static_cast<rlim_t>(options_.config.web.max_connections);
    if (files.rlim_max < wanted) {
        log_.info("front.descriptors", "fewer files may be open than web.max_connections needs",
                  {{"files", std::to_string(files.rlim_max)}, {"needed", std::to_string(wanted)}});
    }
}

int FrontProcess::fail_start(const Error& error) {
    log_.error("front.start", error.message);
    [[maybe_unused]] const Status said =
        send_control(control_fd, "failed " + error.message.substr(0, failed_bytes_max));
    return 1;
}

Status FrontProcess::prepare() {
    for (bool started = false; !started;) {
        auto message = wait_control(control_fd);
        if (!message.ok()) {
            return message.error();
        }
        if (message->verb == "listen") {
            listening_.push_back(
                {message->rest.substr(0, message->rest.find(' ')), std::move(message->fd)});
        } else if (message->verb == "access-log") {
            access_fd_ = std::move(message->fd);
        } else if (message->verb == "cache") {
            cache_fd_ = std::move(message->fd);
        } else if (message->verb == "ring") {
            auto ring = billing::UsageRing::map(message->fd.get());
            if (!ring.ok()) {
                return ring.error();
            }
            ring_.emplace(*std::move(ring));
            take_lanes(message->rest);
        } else if (message->verb == "peer") {
            port_->connect(std::move(message->fd));
        } else if (message->verb == "start") {
            started = true;
            number_ = static_cast<FrontNumber>(parse_u64(message->rest).value_or(0));
        }
    }
    port_->number_from(first_question(number_));
    if (!ring_ || lane_ >= ring_->lanes()) {
        return fail(Code::failed, "the supervisor gave no usage ring");
    }
    if (Status read = read_certificate(); !read.ok()) {
        return read;
    }
    if (Status prepared = prepare_upstream_tls(); !prepared.ok()) {
        return prepared;
    }
    std::string reached;
    if (Status jailed = enter_jail({options_.config.process.front_user,
                                    options_.state + "/releases", options_.config.process.seccomp},
                                   reached);
        !jailed.ok()) {
        return jailed;
    }
    log_.info("front.jail", "privileges are given up", {{"now", reached}});
    return {};
}

void FrontProcess::take_lanes(const std::string& text) {
    const std::vector<std::string_view> words = split(text, ' ');
    const auto number = [&words](std::size_t at) {
        return static_cast<std::uint32_t>(words.size() > at ? parse_u64(words[at]).value_or(0) : 0);
    };
    lane_ = number(0);
    more_lanes_ = number(1);
    more_lanes_count_ = number(2);
}

void FrontProcess::end() {
    ended_ = true;
    reactor_->stop();
}

void FrontProcess::take_control() {
    for (;;) {
        auto message = receive_control(control_fd);
        if (!message.ok()) {
            end();
            return;
        }
        if (!*message) {
            return;
        }
        if ((*message)->verb == "peer") {
            port_->connect(std::move((*message)->fd));
            // Streams lead to the keeper that was: the neighbours meet the new one on new
            // streams.
            for (const passon::ControlId id : port_->open_controls()) {
                engine_->control_close(id);
                port_->control_closed(id, "the keeper was started again");
            }
        } else if ((*message)->verb == "drain") {
            drain();
        } else if ((*message)->verb == "lead") {
            lead();
        } else if ((*message)->verb == "leave") {
            leave();
        } else if ((*message)->verb == "cache") {
            cache_fd_ = std::move((*message)->fd);
            use_cache();
        } else if ((*message)->verb == "confirm" && engine_ != nullptr) {
            confirm_answers();
        } else if ((*message)->verb == "access-log" && access_log_) {
            loops_->reopen_log((*message)->fd.get());
            access_log_->reopen(std::move((*message)->fd));
        } else if ((*message)->verb == "web-certificate") {
            certificate_fd_ = std::move((*message)->fd);
        } else if ((*message)->verb == "web-key") {
            renew_certificate((*message)->fd);
        }
    }
}

void FrontProcess::lead() {
    leads_ = true;
    port_->lead(true);
    if (engine_ != nullptr) {
        engine_->set_link(link_, passon::LinkPart::control);
    }
    if (serving_) {
        confirm_answers(); // the one before served beside it
    }
}

void FrontProcess::drain() {
    if (engine_ == nullptr) {
        end();
        return;
    }
    engine_->drain();
    loops_->drain();
    drain_until_ms_ = reactor_->now_ms() + drain_ms_max;
    drain_timer_ = std::make_unique<net::Timer>(reactor_->timers(),
                                                net::timer_call<&FrontProcess::drain_step>, this);
    drain_timer_->arm(1);
}

void FrontProcess::leave() {
    leaving_ = true;
    leads_ = false;
    port_->lead(false);
    if (engine_ == nullptr) {
        end();
        return;
    }
    log_.info("front.leave", "another front has taken over; what was begun here goes on");
    engine_->leave();
    loops_->leave();
    drain_timer_ = std::make_unique<net::Timer>(reactor_->timers(),
                                                net::timer_call<&FrontProcess::leave_step>, this);
    drain_timer_->arm(1);
}

void FrontProcess::leave_step() {
    if (!cache_left_ && engine_->leave_cache() && loops_->left_cache()) {
        cache_left_ = true;
        [[maybe_unused]] const Status said = send_control(control_fd, "cache-left");
    }
    if (!engine_->left() || !loops_->ended()) {
        gone_ms_ = 0;
    } else if (gone_ms_ == 0) {
        gone_ms_ = reactor_->now_ms();
    } else if (reactor_->now_ms() - gone_ms_ >= net::linger_ms) {
        drained(); // nothing is on its way to a client any more
        return;
    }
    drain_timer_->arm(drain_poll_ms);
}

void FrontProcess::drain_step() {
    if (reactor_->now_ms() >= drain_until_ms_) {
        drained();
        return;
    }
    drain_timer_->arm(drain_poll_ms);
    if (engine_->idle() && loops_->ended()) {
        // As of a while ago: a request may have begun at another loop since.
        loops_->look_now([this] {
            if (engine_->idle() && loops_->ended()) {
                drained();
            }
        });
    }
}

void FrontProcess::drained() {
    if (!ended_) {
        tell_traffic(); // what was moved last
        [[maybe_unused]] const Status said = send_control(control_fd, "drained");
        end();
    }
}

int run_front(const ProcessOptions& options, const Log& log) {
    ::signal(SIGPIPE, SIG_IGN);
    FrontProcess process(options, log);
    return process.run();
}

} // namespace hasp::cmd
