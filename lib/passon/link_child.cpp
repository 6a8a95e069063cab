#include "link_child.h"

#include "answer_cache.h"
#include "control_stream.h"
#include "core.h"
#include "link_socket.h"
#include "loop_group.h"
#include "net/write_head.h"
#include "server_conn.h"

#include <algorithm>

namespace hasp::passon {
namespace {
constexpr std::int64_t first_backoff_ms = 250;
constexpr std::int64_t calm_ms = 30'000;
constexpr std::uint32_t trial_calms_max = 64; // half an hour
} // namespace

// One connection on its way to become a control stream or a reversed connection.
class LinkChild::Opening final : public Mortal, public net::ConnOwner {
  public:
    enum class For : std::uint8_t { control, parked, trial };
    // Tries the addresses that there are now, from `first` on; a trial only those before the
    // preferred one.
    Opening(LinkChild& link, For what)
        : number_(link.link()), link_(link), for_(what), addresses_(link.addresses_),
          first_(what == For::trial ? 0 : link.preferred_),
          tries_max_(what == For::trial ? link.preferred_ : addresses_.size()),
          timer_(link.core_.reactor().timers(), net::timer_call<&Opening::on_time>, this) {}
    bool control() const { return for_ == For::control; }
    bool trial() const { return for_ == For::trial; }
    std::uint64_t number() const { return number_; } // of the link that it was begun for

    // False: there is nobody to try (any more).
    bool next() {
        while (tries_ < tries_max_) {
            at_ = (first_ + tries_++) % addresses_.size();
            const Result<net::Address> address = net::Address::parse(addresses_[at_]);
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
    std::string_view word() const { return control() ? "hasp-control" : "hasp-reverse"; }

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
                                 control() ? 0 : parked_test_s);
        std::string text = "POST /hasp/link/";
        text.append(control() ? "control" : "park")
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
            link_.opened(*this, std::move(wire_.conn), std::move(wire_.in), peer_, addresses_[at_]);
            return;
        }
    }

    void note(const std::string& why) {
        why_ += why_.empty() ? "" : "; ";
        why_ += addresses_.size() > 1 ? addresses_[at_] + ": " + why : why;
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
    const For for_;
    const std::vector<std::string> addresses_;
    const std::size_t first_;
    const std::size_t tries_max_;
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
    const std::vector<std::string> before = addresses_;
    use_credentials();
    calm_.arm(calm_ms);
    if (addresses_.empty() && !reported_) {
        retry_.arm(core_.settings.connect_ms); // the keeper is still looking its name up
        return;
    }
    on_retry();
    if (control_up_ && addresses_ != before) {
        calms_ = 0;
        next_trial_ = 1;
        end_openings([](const Opening& one) { return one.trial(); }); // of another list
        try_first_ones();
    }
}

// Where the link runs already, nobody waits for addresses that may be a mistake: the one that works
// stays the preferred one until one that comes before it has answered.
void LinkChild::try_first_ones() {
    if (preferred_ == 0 || std::any_of(openings_.begin(), openings_.end(),
                                       [](const auto& one) { return one->trial(); })) {
        return;
    }
    openings_.push_back(std::make_unique<Opening>(*this, Opening::For::trial));
    Opening& made = *openings_.back();
    if (!made.next()) {
        failed(made, made.why());
    }
}

void LinkChild::prefer(const std::string& address) {
    const auto at = std::find(addresses_.begin(), addresses_.end(), address);
    preferred_ = at == addresses_.end() ? 0 : static_cast<std::size_t>(at - addresses_.begin());
}

void LinkChild::use_credentials() {
    Endpoint& pool = core_.endpoints.get(EndpointKind::parent, parent_key);
    const std::string used = !reached_.empty()  ? reached_
                             : pool.answered_at ? pool.answered_at->to_string()
                                                : std::string();
    addresses_ = core_.credentials.parent_addresses;
    // Where it answers it stays in use until another does: a keeper that has just begun does not
    // know yet what a name stands for, and a list may be a mistake.
    if (!used.empty() && !pool.down &&
        std::find(addresses_.begin(), addresses_.end(), used) == addresses_.end()) {
        addresses_.push_back(used);
    }
    prefer(used);
    if (pool.addresses.empty() && !addresses_.empty() && !pool.knocked) {
        pool.retry_at_ms = 0; // what nobody could try says nothing of these
    }
    pool.reach(parsed_addresses(addresses_), core_.credentials.client,
               core_.credentials.parent_name);
    pool.turn_free();
}

void LinkChild::stop(const std::string& why) {
    leave();
    end_openings([](const Opening&) { return true; });
    addresses_.clear();
    reached_.clear();
    preferred_ = 0;
    if (Endpoint* pool = core_.endpoints.find(parent_key)) {
        pool->reach({}, nullptr, {});
        pool->answered_at.reset();
        if (core_.alive) {
            pool->mark_down(why);
            pool->turn_free(); // who waits there is told so
        }
    }
}

void LinkChild::leave() {
    running_ = false;
    retry_.cancel();
    calm_.cancel();
    end_openings([](const Opening& one) { return one.control(); });
    opening_control_ = false;
    if (Endpoint* pool = core_.endpoints.find(parent_key)) {
        pool->knocked = false;
    }
}

void LinkChild::end_openings(bool (*which)(const Opening&)) {
    std::vector<Opening*> ended;
    for (const auto& one : openings_) {
        if (which(*one)) {
            ended.push_back(one.get());
        }
    }
    for (Opening* one : ended) {
        one->close();
        forget(*one);
    }
}

void LinkChild::retry_later() {
    if (!running_ || retry_.armed()) {
        return;
    }
    backoff_ms_ = backoff_ms_ == 0 ? first_backoff_ms
                                   : std::min(backoff_ms_ * 2, core_.settings.reconnect_ms_max);
    retry_.arm(half_by_chance(backoff_ms_, core_.random_u64()));
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
    openings_.push_back(std::make_unique<Opening>(*this, Opening::For::control));
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
        openings_.push_back(std::make_unique<Opening>(*this, Opening::For::parked));
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
                       std::string peer, const std::string& address) {
    const bool control = opening.control();
    const std::uint64_t number = opening.number();
    prefer(address);
    if (reached_ != address && core_.loops != nullptr) {
        core_.loops->post_others(core_.loop, [address](Core& core) {
            const Result<net::Address> at = net::Address::parse(address);
            Endpoint* pool = core.endpoints.find(parent_key);
            if (at && pool != nullptr && core.link_child) {
                pool->answers_at(*at);
                core.link_child->use_credentials();
            }
        });
    }
    reached_ = address;
    if (addresses_ != core_.credentials.parent_addresses) {
        use_credentials(); // the one that was kept beside them is needed no more, or still
    }
    backoff_ms_ = 0;
    parent_ = peer;
    forget(opening);
    Endpoint& pool = core_.endpoints.get(EndpointKind::parent, parent_key);
    pool.mark_up();
    if (const Result<net::Address> at = net::Address::parse(reached_); at) {
        pool.answers_at(*at);
    }
    if (control) {
        address_ = conn->peer().to_string();
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
    if (control_up_) {
        report(true, {});
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
    const bool trial = opening.trial();
    forget(opening);
    if (trial) {
        return; // tried again when the address in use fails
    }
    if (control) {
        opening_control_ = false;
        report(false, why);
    }
    if (control || (addresses_.empty() && !control_up_)) {
        is_down(why);
    }
    retry_later();
}

void LinkChild::on_control_closed(const std::string& why, bool lost) {
    control_up_ = false;
    if (!running_) {
        return;
    }
    if (lost) {
        is_down(why).close_idle();
    }
    report(false, why);
    retry_later();
}

Endpoint& LinkChild::is_down(const std::string& why) {
    Endpoint& pool = core_.endpoints.get(EndpointKind::parent, parent_key);
    pool.knocked = running_ && wants_control_;
    pool.mark_down(why);
    pool.tell_loops(); // that somebody knocks, too
    pool.turn_free();  // who waits there is told so
    return pool;
}

void LinkChild::knock() {
    if (core_.away()) {
        core_.loops->post(LoopGroup::home, [](Core& home) {
            if (home.link_child) {
                home.link_child->knock();
            }
        });
        return;
    }
    if (running_ && wants_control_ && !control_up_ && !opening_control_) {
        retry_.cancel();
        open_control();
    }
}

void LinkChild::report(bool up, const std::string& why) {
    // While it is down, a new reason is news, but not a new beginning; while it is up, an address
    // that answers.
    if (!wants_control_ || (reported_ && reported_up_ == up &&
                            (up ? reported_reached_ == reached_ : reported_why_ == why))) {
        return;
    }
    if (!reported_ || reported_up_ != up) {
        since_us_ = core_.wall_us();
    }
    reported_ = true;
    reported_up_ = up;
    if (up) {
        const auto confirm = [now_s = core_.wall_us() / 1'000'000](Core& core) {
            if (core.cache) {
                core.cache->link_is_up(now_s);
            }
        };
        confirm(core_);
        if (core_.loops != nullptr) {
            core_.loops->post_others(core_.loop, confirm);
        }
    }
    reported_why_ = why;
    reported_reached_ = reached_;
    if (address_.empty() && !core_.credentials.parent_addresses.empty()) {
        address_ = core_.credentials.parent_addresses.front();
    }
    core_.parts.keeper.parent_changed({up, address_, since_us_, why, reached_});
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
    // Again and again, since a mistake may be mended, but seldom: an idle link is to cost little.
    if (control_up_ && ++calms_ >= next_trial_) {
        calms_ = 0;
        next_trial_ = std::min(2 * next_trial_, trial_calms_max);
        try_first_ones();
    }
}

} // namespace hasp::passon
