#include "link_child.h"

#include "answer_cache.h"
#include "control_stream.h"
#include "core.h"
#include "link_socket.h"
#include "net/write_head.h"
#include "server_conn.h"

#include <algorithm>

namespace hasp::passon {
namespace {
constexpr std::int64_t first_backoff_ms = 250;
constexpr std::int64_t calm_ms = 30'000;
} // namespace

// One connection on its way to become a control stream or a reversed connection.
class LinkChild::Opening final : public Mortal, public net::ConnOwner {
  public:
    Opening(LinkChild& link, bool control)
        : number_(link.link()), link_(link), control_(control),
          timer_(link.core_.reactor().timers(), net::timer_call<&Opening::on_time>, this) {}
    bool control() const { return control_; }
    std::uint64_t number() const { return number_; } // of the link that it was begun for

    // False: there is nobody to try (any more).
    bool next() {
        const std::vector<std::string>& addresses = link_.core_.credentials.parent_addresses;
        while (tries_ < addresses.size()) {
            at_ = (link_.preferred_ + tries_++) % addresses.size();
            const Result<net::Address> address = net::Address::parse(addresses[at_]);
            if (!address) {
                note(address.error().message);
                continue;
            }
            wire_.conn = std::make_unique<net::Conn>(link_.core_.reactor(), *this);
            const LinkCredentials& credentials = link_.core_.credentials;
            if (Status status =
                    wire_.conn->connect(*address, credentials.client, credentials.parent_name);
                !status) {
                note(status.error().message);
                continue;
            }
            timer_.arm(link_.core_.settings.connect_ms);
            return true;
        }
        return false;
    }
    // What each address said, in the order in which they were tried.
    std::string why() const { return why_.empty() ? "no address of the parent is known" : why_; }
    void close() {
        timer_.cancel();
        if (wire_.conn) {
            wire_.conn->close();
        }
    }

  private:
    std::string_view word() const { return control_ ? "hasp-control" : "hasp-reverse"; }

    void on_open(net::Conn& conn) override {
        const LinkCredentials& credentials = link_.core_.credentials;
        Result<std::string> name =
            credentials.name_parent
                ? credentials.name_parent(conn.verified_chain())
                : Result<std::string>(fail(Code::refused, "the parent is not known"));
        if (!name) {
            fail_with(name.error().message);
            return;
        }
        peer_ = std::move(*name);
        set_waiting_link_options(conn.fd(), link_.core_.settings.link_silence_ms,
                                 control_ ? 0 : parked_test_s);
        std::string text = "POST /hasp/link/";
        text.append(control_ ? "control" : "park")
            .append(" HTTP/1.1\r\nHost: parent\r\nConnection: upgrade\r\nUpgrade: ");
        text.append(word()).append("\r\n\r\n");
        timer_.arm(link_.core_.settings.head_ms);
        if (!wire_.write(text)) {
            fail_with("the connection broke");
            return;
        }
        read();
    }
    void on_ready(net::Conn&) override { read(); }
    void on_fail(net::Conn& conn) override { fail_with(conn.failure()); }
    void on_time() { fail_with("the parent did not answer in time"); }

    void read() {
        for (;;) {
            if (!wire_.flush()) {
                fail_with("the connection broke");
                return;
            }
            switch (wire_.fill()) {
            case Wire::Fill::got:
                break;
            case Wire::Fill::again:
                return;
            default:
                fail_with("the parent closed the connection before it became a link");
                return;
            }
            net::AnswerHead& answer = link_.core_.answer_head;
            const net::ParseResult parsed = net::parse_answer_head(
                wire_.in.readable(), answer, {false, true}, link_.core_.head_limits());
            if (parsed.state == net::ParseResult::State::need_more) {
                continue;
            }
            if (parsed.bad() || !answer.switched ||
                answer.headers.value(net::Name::upgrade) != word()) {
                fail_with(parsed.bad() ? std::string(parsed.reason)
                                       : "the parent refused the link with status " +
                                             std::to_string(answer.status));
                return;
            }
            wire_.in.consume(parsed.consumed);
            timer_.cancel();
            link_.opened(*this, std::move(wire_.conn), std::move(wire_.in), peer_, at_);
            return;
        }
    }

    void note(const std::string& why) {
        const std::vector<std::string>& addresses = link_.core_.credentials.parent_addresses;
        why_ += why_.empty() ? "" : "; ";
        why_ += addresses.size() > 1 && at_ < addresses.size() ? addresses[at_] + ": " + why : why;
    }

    void fail_with(const std::string& why) {
        note(why);
        close();
        if (!next()) {
            link_.failed(*this, this->why());
        }
    }

    const std::uint64_t number_;
    LinkChild& link_;
    bool control_;
    net::Timer timer_;
    Wire wire_;
    std::string peer_;
    std::string why_;
    std::size_t tries_ = 0;
    std::size_t at_ = 0;
};

LinkChild::LinkChild(Core& core)
    : core_(core), retry_(core.reactor().timers(), net::timer_call<&LinkChild::on_retry>, this),
      calm_(core.reactor().timers(), net::timer_call<&LinkChild::on_calm>, this) {}

LinkChild::~LinkChild() {
    for (const auto& one : openings_) {
        one->close();
    }
}

void LinkChild::start(bool control) {
    wants_control_ = control;
    running_ = core_.credentials.client != nullptr;
    if (!running_) {
        stop("there is no parent any more");
        return;
    }
    target_ = std::max(target_, core_.settings.parked_min);
    use_credentials();
    calm_.arm(calm_ms);
    on_retry();
}

void LinkChild::use_credentials() {
    Endpoint& pool = core_.endpoints.get(EndpointKind::parent, parent_key);
    // New certificates alone leave the link on the address that it runs over.
    const bool same = addresses_ == core_.credentials.parent_addresses;
    addresses_ = core_.credentials.parent_addresses;
    preferred_ = same ? preferred_ : 0;
    pool.reach(parsed_addresses(addresses_), core_.credentials.client,
               core_.credentials.parent_name);
    pool.preferred = preferred_;
}

void LinkChild::stop(const std::string& why) {
    leave();
    end_openings(true);
    if (Endpoint* pool = core_.endpoints.find(parent_key)) {
        pool->reach({}, nullptr, {});
    }
    (void)why;
}

void LinkChild::leave() {
    running_ = false;
    retry_.cancel();
    calm_.cancel();
    end_openings(false);
}

void LinkChild::end_openings(bool all) {
    std::vector<Opening*> ended;
    for (const auto& one : openings_) {
        if (all || one->control()) {
            ended.push_back(one.get());
        }
    }
    for (Opening* one : ended) {
        one->close();
        forget(*one);
    }
    opening_control_ = false;
}

std::int64_t LinkChild::jittered(std::int64_t ms) {
    return ms / 2 +
           static_cast<std::int64_t>(core_.random_u64() % static_cast<std::uint64_t>(ms / 2 + 1));
}

void LinkChild::retry_later() {
    if (!running_ || retry_.armed()) {
        return;
    }
    backoff_ms_ = backoff_ms_ == 0 ? first_backoff_ms
                                   : std::min(backoff_ms_ * 2, core_.settings.reconnect_ms_max);
    retry_.arm(jittered(backoff_ms_));
}

void LinkChild::on_retry() {
    if (!running_) {
        return;
    }
    if (wants_control_ && !control_up_) {
        open_control();
        // Reversed connections follow the control stream: a parent that refuses one refuses all.
        return;
    }
    open_parked();
}

void LinkChild::open_control() {
    if (opening_control_) {
        return;
    }
    opening_control_ = true;
    openings_.push_back(std::make_unique<Opening>(*this, true));
    Opening& made = *openings_.back();
    if (!made.next()) {
        failed(made, made.why());
    }
}

void LinkChild::open_parked() {
    std::size_t under_way = 0;
    for (const auto& one : openings_) {
        under_way += one->control() || one->number() != link_ ? 0 : 1;
    }
    while (running_ && idle_ + under_way < target_) {
        ++under_way;
        openings_.push_back(std::make_unique<Opening>(*this, false));
        Opening& made = *openings_.back();
        if (!made.next()) {
            failed(made, made.why());
            return;
        }
    }
}

void LinkChild::forget(Opening& opening) {
    const auto at = std::find_if(openings_.begin(), openings_.end(),
                                 [&opening](const auto& one) { return one.get() == &opening; });
    if (at != openings_.end()) {
        core_.bury(std::move(*at));
        openings_.erase(at);
    }
}

void LinkChild::opened(Opening& opening, std::unique_ptr<net::Conn> conn, net::Buffer rest,
                       std::string peer, std::size_t address) {
    const bool control = opening.control();
    const std::uint64_t number = opening.number();
    preferred_ = address;
    backoff_ms_ = 0;
    parent_ = peer;
    address_ = conn->peer().to_string();
    forget(opening);
    Endpoint& pool = core_.endpoints.get(EndpointKind::parent, parent_key);
    pool.mark_up();
    pool.preferred = address < pool.addresses.size() ? address : 0;
    if (control) {
        opening_control_ = false;
        control_up_ = true;
        if (std::exchange(had_control_, true)) {
            ++link_;
            idle_ = 0;
        }
        const std::string early(rest.readable());
        ControlStream::begin(core_, std::move(conn), peer, true, early);
        if (control_up_) {
            report(true, {});
            open_parked();
        }
        return;
    }
    idle_ += number == link_ ? 1 : 0;
    auto parked = std::make_unique<ServerConn>(core_, From::parent, true);
    ServerConn& made = *parked;
    core_.add_server_conn(std::move(parked));
    made.wire.in = std::move(rest);
    made.take_reversed(std::move(conn), std::move(peer), number);
    if (!running_) {
        made.leave();
    }
}

void LinkChild::failed(Opening& opening, const std::string& why) {
    const bool control = opening.control();
    forget(opening);
    if (control) {
        opening_control_ = false;
        report(false, why);
        Endpoint& pool = core_.endpoints.get(EndpointKind::parent, parent_key);
        pool.mark_down(why);
    }
    retry_later();
}

void LinkChild::on_control_closed(const std::string& why, bool lost) {
    control_up_ = false;
    if (!running_) {
        return;
    }
    if (lost) {
        Endpoint& pool = core_.endpoints.get(EndpointKind::parent, parent_key);
        pool.mark_down(why);
        pool.close_idle();
    }
    report(false, why);
    retry_later();
}

void LinkChild::report(bool up, const std::string& why) {
    // While it is down, a new reason is news, but not a new beginning.
    if (!wants_control_ || (reported_ && reported_up_ == up && (up || reported_why_ == why))) {
        return;
    }
    if (!reported_ || reported_up_ != up) {
        since_us_ = core_.wall_us();
    }
    reported_ = true;
    reported_up_ = up;
    if (up && core_.cache) {
        core_.cache->link_is_up(core_.wall_us() / 1'000'000);
    }
    reported_why_ = why;
    if (address_.empty() && !core_.credentials.parent_addresses.empty()) {
        address_ = core_.credentials.parent_addresses.front();
    }
    core_.parts.keeper.parent_changed({up, address_, since_us_, why});
}

void LinkChild::on_parked_used(std::uint64_t link) {
    if (link != link_) {
        return;
    }
    --idle_;
    if (idle_ == 0) {
        // All are in use at once: keep more of them ready.
        target_ = std::min(target_ * 2, core_.settings.parked_max);
    }
    if (!retry_.armed()) {
        open_parked();
    }
}

void LinkChild::on_parked_idle(std::uint64_t link) {
    idle_ += link == link_ ? 1 : 0;
}

void LinkChild::on_parked_closed(bool was_idle, std::uint64_t link) {
    if (link != link_) {
        return;
    }
    if (was_idle) {
        // The parent had no use for it: do not open another in its place.
        --idle_;
        target_ = std::max(core_.settings.parked_min, std::min(target_, idle_));
    }
    if (idle_ < target_) {
        retry_later();
    }
}

void LinkChild::on_calm() {
    target_ = std::max(core_.settings.parked_min, target_ / 2);
    calm_.arm(calm_ms);
}

} // namespace hasp::passon
