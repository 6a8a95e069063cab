#include "upstream_group.h"

#include "base/text.h"
#include "core.h"
#include "loop_group.h"

#include <algorithm>
#include <tuple>

namespace hasp::passon {
namespace {

// Checks under way at a time, of all apps: the others wait their turn.
constexpr std::size_t checks_max = 64;
constexpr std::int64_t turn_ms = 500;

// What a group is made of, so that one that is another now is seen.
std::string fingerprint_of(const registry::App& app) {
    std::string out;
    const auto add = [&out](std::string_view text) { out.append(text).append("\n"); };
    for (std::size_t i = 0; i < app.upstream_count(); ++i) {
        const registry::AddressView one = app.upstream_address(i);
        add(one.address);
        add(one.host);
        add(one.base_path);
        add((one.tls ? "s" : "") + std::to_string(one.weight));
    }
    if (app.upstream_count() > 0) {
        const registry::HealthView h = app.upstream_health();
        add(h.path);
        for (const std::uint32_t number :
             {h.interval_ms, h.timeout_ms, h.error_window_ms, std::uint32_t{h.status_min},
              std::uint32_t{h.status_max}, std::uint32_t{h.fails}, std::uint32_t{h.passes},
              std::uint32_t{h.errors}}) {
            add(std::to_string(number));
        }
    }
    for (std::size_t i = 0; i < app.set_request_count(); ++i) {
        add(app.set_request(i).name);
        add(app.set_request(i).value);
    }
    return out;
}

Endpoint& endpoint_of(Core& core, const registry::App& app, const registry::AddressView& one) {
    std::string key(one.tls ? "s:" : "a:");
    key.append(app.name()).append(" ").append(one.address).append(" ").append(one.host);
    key.append(one.base_path);
    Endpoint& found = core.endpoints.get(EndpointKind::address, key);
    if (!found.addresses.empty()) {
        return found;
    }
    if (const Result<net::Address> address = net::Address::parse(one.address); address) {
        found.addresses.push_back(*address);
    }
    found.secure = one.tls;
    found.host_field = one.host.empty() ? one.address : one.host;
    found.base_path = one.base_path;
    if (one.tls) {
        // The name without its port; an IPv6 address without its brackets.
        const std::string_view host = found.host_field;
        found.verify_name = host.starts_with('[') ? host.substr(1, host.find(']') - 1)
                                                  : host.substr(0, host.find(':'));
    }
    return found;
}

} // namespace

Peer::Peer(Core& core, UpstreamGroup& group, Endpoint& endpoint, std::uint32_t share)
    : at(endpoint), weight(share), core_(core), group_(group),
      timer_(core.reactor().timers(), net::timer_call<&Peer::on_timer>, this) {
    at.peer = this;
}

Peer::~Peer() {
    at.peer = nullptr;
}

// A tenth more or less, so that many tiers do not knock in step.
void Peer::arm_after(std::int64_t ms) {
    const auto spread = static_cast<std::uint64_t>(ms / 5 + 1);
    timer_.arm(std::max<std::int64_t>(
        1, ms - ms / 10 + static_cast<std::int64_t>(core_.random_u64() % spread)));
}

bool Peer::is_checked_here() const {
    return group_.is_checked() && !core_.away();
}

void Peer::begin_checks() {
    if (is_checked_here()) {
        // The first ones are spread over an interval.
        timer_.arm(
            1 + static_cast<std::int64_t>(core_.random_u64() %
                                          static_cast<std::uint64_t>(group_.rules().interval_ms)));
    } else if (at.down && !group_.is_checked()) {
        timer_.arm(std::max<std::int64_t>(1, at.retry_at_ms - core_.now_ms()));
    }
}

void Peer::on_timer() {
    if (is_checked_here()) {
        begin_check();
    } else if (at.down && !group_.was_asked()) {
        try_due_ = true;
    } else if (at.down) {
        begin_check();
    }
}

void Peer::begin_check() {
    try_due_ = false;
    if (check_ != nullptr || core_.draining) {
        return;
    }
    if (core_.upstreams.checking >= checks_max) {
        arm_after(turn_ms);
        return;
    }
    if (at.secure && core_.upstream_tls == nullptr) {
        arm_after(group_.rules().interval_ms);
        return;
    }
    check_ = std::make_unique<HealthCheck>(core_, group_, *this);
    const Status begun = check_->begin();
    if (begun.ok()) {
        return;
    }
    if (begun.error().code == Code::try_later) {
        core_.bury(std::move(check_));
        arm_after(turn_ms); // it is this machine that lacks something
    } else {
        checked(begun.error().message);
    }
}

void Peer::checked(const std::string& why) {
    core_.bury(std::move(check_));
    ++checks;
    const UpstreamGroup::Rules& rules = group_.rules();
    if (why.empty()) {
        failed_in_a_row_ = 0;
        ++good_in_a_row_;
        if (at.down && (!group_.is_checked() || good_in_a_row_ >= rules.passes)) {
            go_up();
        }
    } else {
        ++checks_failed;
        good_in_a_row_ = 0;
        ++failed_in_a_row_;
        if (at.down || failed_in_a_row_ >= rules.fails) {
            go_down(why);
        }
    }
    if (group_.is_checked()) {
        look_again();
    }
}

// What is down is looked at sooner, but not more often than its back-off says.
void Peer::look_again() {
    const std::int64_t interval_ms = group_.rules().interval_ms;
    const bool sooner = at.down && at.backoff_ms > 0;
    arm_after(sooner ? std::min(at.backoff_ms, interval_ms) : interval_ms);
}

void Peer::go_down(const std::string& why) {
    const bool was_down = at.down;
    stand_down(why);
    if (!was_down) {
        group_.tell_keeper();
        tell_loops();
    }
}

void Peer::tell_loops() {
    if (core_.loops == nullptr) {
        return;
    }
    core_.loops->post_others(core_.loop, [app = group_.app(), key = at.key(),
                                          why = at.down ? at.down_why : std::string()](Core& core) {
        core.upstreams.find(app); // made where nobody has asked for it yet
        Endpoint* const one = core.endpoints.find(key);
        if (one != nullptr && one->peer != nullptr) {
            one->peer->follow(why);
        }
    });
}

void Peer::follow(const std::string& why) {
    const bool was_down = at.down;
    if (!why.empty()) {
        stand_down(why);
    } else if (was_down) {
        stand_up();
    }
    if (at.down != was_down) {
        group_.tell_keeper();
    }
}

void Peer::stand_down(const std::string& why) {
    const bool was_down = at.down;
    at.mark_down(why);
    errors_ = 0;
    good_in_a_row_ = 0;
    at.close_idle();
    if (!group_.is_checked()) {
        timer_.arm(std::max<std::int64_t>(1, at.retry_at_ms - core_.now_ms()));
    } else if (check_ == nullptr && is_checked_here()) {
        look_again();
    }
    if (!was_down) {
        group_.changed();
    }
}

void Peer::go_up() {
    stand_up();
    group_.tell_keeper();
    tell_loops();
}

// The back-off stays until a request was served: what only takes connections is tried ever more
// seldom.
void Peer::stand_up() {
    at.down = false;
    at.down_why.clear();
    at.turn_free();
    errors_ = 0;
    failed_in_a_row_ = 0;
    group_.changed();
}

void Peer::connect_failed(const std::string& why) {
    ++failures;
    go_down(why);
}

void Peer::connected() {
    if (at.down && !group_.is_checked()) {
        go_up();
    }
}

void Peer::request_failed(const std::string& why) {
    ++failures;
    const UpstreamGroup::Rules& rules = group_.rules();
    const std::int64_t now_ms = core_.now_ms();
    if (errors_ == 0 || now_ms - errors_from_ms_ > rules.error_window_ms) {
        errors_from_ms_ = now_ms;
        errors_ = 0;
    }
    ++errors_;
    // One slow page must not take the whole app away: the last one stays.
    if (!at.down && errors_ >= rules.errors && group_.has_other(at)) {
        go_down(why);
    }
}

UpstreamGroup::UpstreamGroup(Core& core, const registry::App& app, std::string fingerprint)
    : core_(core), app_(app.name()), fingerprint_(std::move(fingerprint)) {
    const std::size_t count = app.upstream_count();
    const registry::HealthView h = count > 0 ? app.upstream_health() : registry::HealthView{};
    rules_ = {std::string(h.path), h.interval_ms, h.timeout_ms, h.error_window_ms, h.status_min,
              h.status_max,        h.fails,       h.passes,     h.errors};
    bool names_agent = false;
    bool names_accept = false;
    for (std::size_t i = 0; i < app.set_request_count(); ++i) {
        const registry::FieldView field = app.set_request(i);
        names_agent = names_agent || iequals(field.name, "user-agent");
        names_accept = names_accept || iequals(field.name, "accept");
        if (!registry::tells_who(field.value) && net::is_token(field.name) &&
            net::is_field_value(field.value)) {
            check_lines_.append(field.name).append(": ").append(field.value).append("\r\n");
        }
    }
    check_lines_.append(names_agent ? "" : "User-Agent: hasp-health\r\n");
    check_lines_.append(names_accept ? "" : "Accept: */*\r\n");
    for (std::size_t i = 0; i < count; ++i) {
        const registry::AddressView one = app.upstream_address(i);
        Endpoint& at = endpoint_of(core, app, one);
        // The same address twice is one.
        if (at.addresses.empty() || at.peer != nullptr) {
            continue;
        }
        peers_.push_back(std::make_unique<Peer>(core, *this, at, one.weight));
        down_count_ += at.down ? 1 : 0;
    }
    for (const auto& peer : peers_) {
        peer->begin_checks();
    }
    all_down_since_us_ = core_.wall_us();
}

UpstreamGroup::~UpstreamGroup() = default;

bool UpstreamGroup::was_asked() {
    return std::exchange(asked_, false);
}

bool UpstreamGroup::has_other(const Endpoint& than) const {
    return std::any_of(peers_.begin(), peers_.end(),
                       [&](const auto& one) { return &one->at != &than && !one->at.down; });
}

Peer* UpstreamGroup::pick(const Endpoint* except) {
    if (down_count_ == 0 && peers_.size() == 1) {
        ++peers_.front()->requests;
        return peers_.front().get();
    }
    if (down_count_ > 0) {
        asked_ = true;
        begin_due_tries();
    }
    Peer* chosen = pick_among(except);
    if (chosen == nullptr && except != nullptr) {
        chosen = pick_among(nullptr);
    }
    if (chosen == nullptr) {
        // All are down. Where nothing is checked, this request is the try of one whose time has
        // come; the others need not wait for it.
        for (const auto& one : peers_) {
            if (one->try_due_) {
                one->try_due_ = false;
                one->timer_.arm(core_.settings.connect_ms);
                chosen = one.get();
                break;
            }
        }
    }
    if (chosen != nullptr) {
        ++chosen->requests;
    }
    return chosen;
}

Peer* UpstreamGroup::pick_among(const Endpoint* except) {
    Peer* best = nullptr;
    std::int64_t total = 0;
    for (const auto& one : peers_) {
        if (one->at.down || &one->at == except) {
            continue;
        }
        one->current += one->weight;
        total += one->weight;
        if (best == nullptr || one->current > best->current) {
            best = one.get();
        }
    }
    if (best != nullptr) {
        best->current -= total;
    }
    return best;
}

void UpstreamGroup::begin_due_tries() {
    if (down_count_ == peers_.size()) {
        return; // the request itself will be one
    }
    for (const auto& one : peers_) {
        if (one->try_due_) {
            one->begin_check();
        }
    }
}

void UpstreamGroup::changed() {
    const bool all_were = down_count_ == peers_.size();
    down_count_ = static_cast<std::size_t>(
        std::count_if(peers_.begin(), peers_.end(), [](const auto& one) { return one->at.down; }));
    if (down_count_ == peers_.size() && !all_were) {
        all_down_since_us_ = core_.wall_us();
    }
    // Who joins or leaves begins with the others.
    for (const auto& one : peers_) {
        one->current = 0;
    }
}

void UpstreamGroup::tell_keeper() const {
    if (!core_.away()) {
        core_.parts.keeper.upstream_changed(state());
    }
}

std::string UpstreamGroup::why() const {
    if (peers_.empty()) {
        return "no address is known";
    }
    const Peer* last = nullptr;
    for (const auto& one : peers_) {
        if (last == nullptr || one->at.down_since_us > last->at.down_since_us) {
            last = one.get();
        }
    }
    std::string out = "Since " + rfc3339(all_down_since_us_) + ": ";
    if (peers_.size() > 1) {
        out += "none of its " + std::to_string(peers_.size()) + " addresses serves; the last: ";
    }
    return out + last->at.down_why;
}

UpstreamState UpstreamGroup::state() const {
    UpstreamState out;
    out.app = app_;
    for (const auto& one : peers_) {
        out.addresses.push_back({one->at.addresses.front().to_string(), !one->at.down,
                                 one->at.down ? one->at.down_since_us : 0, one->at.down_why});
    }
    return out;
}

namespace {
bool is_ours(const registry::App& app) {
    return app && app.route() == registry::Route::here && app.kind() == registry::Kind::upstream;
}
} // namespace

UpstreamGroup* Upstreams::find(std::string_view name) {
    if (const auto known = groups_.find(name); known != groups_.end()) {
        return known->second.get();
    }
    const registry::App app = core_.snapshot ? core_.snapshot->find(name) : registry::App{};
    return is_ours(app) ? &get(app) : nullptr;
}

UpstreamGroup& Upstreams::get(const registry::App& app) {
    const auto known = groups_.find(app.name());
    if (known != groups_.end()) {
        return *known->second;
    }
    return *groups_
                .emplace(std::string(app.name()),
                         std::make_unique<UpstreamGroup>(core_, app, fingerprint_of(app)))
                .first->second;
}

void Upstreams::follow(const registry::Snapshot& snapshot) {
    for (auto at = groups_.begin(); at != groups_.end();) {
        const registry::App app = snapshot.find(at->first);
        if (is_ours(app) && fingerprint_of(app) == at->second->fingerprint()) {
            ++at;
            continue;
        }
        const UpstreamState before = at->second->state();
        at = groups_.erase(at);
        const bool down = std::any_of(before.addresses.begin(), before.addresses.end(),
                                      [](const auto& one) { return !one.up; });
        if (down && !core_.away()) {
            core_.parts.keeper.upstream_changed(is_ours(app) ? get(app).state()
                                                             : UpstreamState{before.app, {}});
        }
    }
    // Those with checks are checked whether anybody asks or not.
    for (std::uint32_t i = 0; i < snapshot.size(); ++i) {
        const registry::App app = snapshot.at(i);
        if (is_ours(app) && app.upstream_count() > 0 && !app.upstream_health().path.empty()) {
            get(app);
        }
    }
}

std::vector<Metrics::AddressRow> Upstreams::rows() const {
    std::vector<Metrics::AddressRow> out;
    for (const auto& [name, group] : groups_) {
        for (const auto& one : group->peers()) {
            if (out.size() < Metrics::addresses_max) {
                out.push_back({std::string(name), one->at.addresses.front().to_string(),
                               !one->at.down, one->requests, one->failures, one->checks,
                               one->checks_failed});
            }
        }
    }
    std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) {
        return std::tie(a.app, a.address) < std::tie(b.app, b.address);
    });
    return out;
}

} // namespace hasp::passon
