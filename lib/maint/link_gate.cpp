#include "link_gate.h"

#include "base/text.h"

#include <algorithm>
#include <limits>

namespace hasp::maint {

namespace {

constexpr const char* traffic_fact = "traffic";
constexpr std::uint64_t mib = std::uint64_t{1} << 20;
constexpr std::int64_t kib = 1024;
constexpr std::uint64_t used_up_percent = 100;

struct Budgeted {
    Purpose purpose;
    const char* name; // for people
    const char* key;
    std::int64_t Config::Link::*mib_a_month;
};
constexpr std::array<Budgeted, 3> budgeted{
    {{Purpose::requests, "users' requests", "budget_users_mib", &Config::Link::budget_users_mib},
     {Purpose::files, "people's files", "budget_files_mib", &Config::Link::budget_files_mib},
     {Purpose::packs, "releases", "budget_releases_mib", &Config::Link::budget_releases_mib}}};

const Budgeted& budget_row(Purpose purpose) {
    return *std::find_if(budgeted.begin(), budgeted.end(),
                         [&](const Budgeted& one) { return one.purpose == purpose; });
}

std::string setting_of(Purpose purpose) {
    return std::string("[link] ") + budget_row(purpose).key;
}

} // namespace

LinkGate::LinkGate(World world)
    : world_(world), pace_({world_.config.link.yield, world_.config.link.files_kib_s * kib,
                            world_.config.link.releases_kib_s * kib}) {}

Status LinkGate::load() {
    auto kept = world_.store.fact(traffic_fact);
    if (!kept.ok()) {
        return kept.error();
    }
    world_.traffic.restore(parse_object(*kept));
    kept_ = *kept;
    kept_us_ = now();
    return {};
}

// Of what may move again: another month, or a budget that was raised.
void LinkGate::forget_waits() {
    for (const Purpose purpose : {Purpose::files, Purpose::packs}) {
        if (world_.traffic.waits_since_us(purpose) != 0 && !over(purpose)) {
            world_.traffic.set_waits_since(purpose, 0);
        }
    }
}

void LinkGate::keep() {
    kept_us_ = now();
    std::string text = dump(world_.traffic.kept());
    if (text == kept_) {
        return;
    }
    if (const Status kept = world_.store.set_fact(traffic_fact, text); !kept.ok()) {
        world_.log.error("traffic.keep", kept.error().message);
        return;
    }
    kept_ = std::move(text);
}

std::uint64_t LinkGate::budget(Purpose purpose) const {
    return static_cast<std::uint64_t>(world_.config.link.*budget_row(purpose).mib_a_month) * mib;
}

std::uint64_t LinkGate::left(Purpose purpose) const {
    const std::uint64_t all = budget(purpose);
    if (all == 0 || !world_.has_parent) {
        return std::numeric_limits<std::uint64_t>::max();
    }
    const std::uint64_t used = world_.traffic.month_to_parent(purpose) + pace_.under_way(purpose);
    return all - std::min(all, used);
}

std::optional<Error> LinkGate::over(Purpose purpose) const {
    if (left(purpose) >= piece_bytes_min) {
        return std::nullopt;
    }
    const std::string day = day_after_month(world_.traffic.month());
    return fail(
        Code::try_later,
        "the link's budget of this month for " + std::string(budget_row(purpose).name) + ", " +
            std::to_string(budget(purpose) / mib) + " MiB, is used up",
        (day.empty() ? "it goes on with the next month" : "it goes on on " + day + " (UTC)") +
            ", or at once with a larger " + setting_of(purpose) + " and hasp reload");
}

void LinkGate::hold(Purpose purpose) {
    if (world_.traffic.waits_since_us(purpose) != 0) {
        return;
    }
    world_.traffic.set_waits_since(purpose, world_.clock.wall_us());
    if (const auto why = over(purpose)) {
        world_.log.warn("link.budget", why->message + "; what is there to move waits. " + why->hint,
                        {{"purpose", purpose_names[static_cast<std::size_t>(purpose)]}});
    }
}

bool LinkGate::paces() const {
    return world_.config.link.yield;
}

void LinkGate::wait_turn(Purpose purpose, LinkWay way, std::size_t most_bytes, Go go) {
    (purpose == Purpose::files ? files_ : packs_).push_back({way, most_bytes, std::move(go)});
    pump();
}

void LinkGate::done(const LinkPace::Piece& piece, bool tells) {
    pace_.end(piece, tells, now());
    pump();
}

bool LinkGate::pass_first(Purpose purpose) {
    std::deque<Waiting>& queue = purpose == Purpose::files ? files_ : packs_;
    const std::optional<Error> held = over(purpose);
    // A way that is full does not hold up the other.
    const auto next = std::find_if(queue.begin(), queue.end(), [&](const Waiting& one) {
        return held || pace_.may_send_after_us(purpose, one.way, now()) == 0;
    });
    if (next == queue.end()) {
        return false;
    }
    const Waiting first = std::move(*next);
    queue.erase(next);
    if (held) {
        hold(purpose);
        first.go(*held);
        return true;
    }
    const std::uint64_t bytes = std::min<std::uint64_t>(
        {first.most_bytes, pace_.piece_bytes(purpose, first.way), left(purpose)});
    first.go(pace_.begin(purpose, first.way, static_cast<std::size_t>(bytes), now()));
    return true;
}

void LinkGate::pump() {
    if (pumping_) {
        return; // whoever was let go asks for his next piece: the loop below sees it
    }
    pumping_ = true;
    while (pass_first(Purpose::files) || pass_first(Purpose::packs)) {
    }
    pumping_ = false;
}

void LinkGate::look_at_users() {
    const std::uint64_t all = budget(Purpose::requests);
    if (all == 0 || !world_.has_parent) {
        return;
    }
    const std::uint64_t percent = world_.traffic.month_to_parent(Purpose::requests) * 100 / all;
    const std::uint64_t level = percent >= used_up_percent       ? used_up_percent
                                : percent >= budget_near_percent ? budget_near_percent
                                                                 : 0;
    if (level > users_told_) {
        world_.log.warn("link.budget", "users' requests have moved " + std::to_string(percent) +
                                           " % of this month's budget of " +
                                           std::to_string(all / mib) + " MiB (" +
                                           setting_of(Purpose::requests) + "); they go on");
    }
    users_told_ = level;
}

void LinkGate::tick(bool anchored) {
    // A guess may be years ahead, and no month comes twice.
    if (anchored && world_.traffic.in_month(world_.clock.wall_us())) {
        keep();
    }
    forget_waits();
    if (now() - kept_us_ >= traffic_keep_us) {
        keep();
    }
    look_at_users();
    const bool bulk = !files_.empty() || !packs_.empty() || pace_.under_way(Purpose::files) > 0 ||
                      pace_.under_way(Purpose::packs) > 0;
    if (bulk && now() - asked_front_us_ >= traffic_often_us) {
        asked_front_us_ = now();
        world_.ports.send_front(dump({{"t", "traffic.often"}}), {}, {});
    }
    pump();
}

Json LinkGate::json(std::uint64_t packs_waiting, std::uint64_t files_waiting) const {
    Json out = Json::array();
    for (const Budgeted& one : budgeted) {
        const std::uint64_t all = budget(one.purpose);
        if (all == 0 || !world_.has_parent) {
            continue;
        }
        const std::uint64_t used = world_.traffic.month_to_parent(one.purpose);
        const bool users = one.purpose == Purpose::requests;
        const std::optional<Error> held = users ? std::nullopt : over(one.purpose);
        const bool used_up = users ? used >= all : held.has_value();
        Json entry{{"purpose", purpose_names[static_cast<std::size_t>(one.purpose)]},
                   {"budget_mib", world_.config.link.*one.mib_a_month},
                   {"month_bytes", used},
                   {"state", used_up                                   ? "used_up"
                             : used >= all / 100 * budget_near_percent ? "near"
                                                                       : "ok"}};
        const std::int64_t since_us = world_.traffic.waits_since_us(one.purpose);
        if (held && since_us != 0) {
            entry["waits"] = {
                {"since", rfc3339(since_us)},
                {"bytes", one.purpose == Purpose::packs ? packs_waiting : files_waiting},
                {"text", held->message},
                {"next", held->hint}};
        }
        out.push_back(std::move(entry));
    }
    return out;
}

} // namespace hasp::maint
