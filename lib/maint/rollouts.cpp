#include "rollouts.h"

#include "base/text.h"
#include "billing/period.h"

#include <algorithm>
#include <array>
#include <optional>
#include <tuple>
#include <utility>

namespace hasp::maint {

namespace {

constexpr std::array<std::pair<RolloutState, const char*>, 5> states{
    {{RolloutState::waiting, "waiting"},
     {RolloutState::fetching, "fetching"},
     {RolloutState::probing, "probing"},
     {RolloutState::serving, "serving"},
     {RolloutState::rolled_back, "rolled_back"}}};

std::optional<RolloutState> state_from(const std::string& name) {
    for (const auto& [state, text] : states) {
        if (name == text) {
            return state;
        }
    }
    return std::nullopt;
}

std::string first_bytes(std::string text) {
    text.resize(std::min(text.size(), rollout_text_bytes_max));
    return text;
}

// Whole lines from the end: the last ones say why.
std::string last_bytes(const std::string& text) {
    if (text.size() <= rollout_text_bytes_max) {
        return text;
    }
    const std::string cut = text.substr(text.size() - rollout_text_bytes_max);
    const std::size_t newline = cut.find('\n');
    return newline == std::string::npos ? cut : cut.substr(newline + 1);
}

std::optional<Rollout> rollout_from(const Json& json, const std::string& below) {
    const auto state = state_from(text_of(json, "state"));
    auto at_us = billing::parse_rfc3339(text_of(json, "at"));
    Rollout rollout{text_of(json, "tier"),
                    text_of(json, "app"),
                    text_of(json, "release"),
                    state.value_or(RolloutState::waiting),
                    text_of(json, "serves"),
                    first_bytes(text_of(json, "why")),
                    last_bytes(text_of(json, "last_lines")),
                    at_us.ok() ? *at_us : 0};
    const bool theirs = rollout.tier == below || rollout.tier.starts_with(below + "/");
    if (!state || !at_us.ok() || !theirs || rollout.tier.size() > rollout_text_bytes_max ||
        !valid_name(rollout.app) || rollout.release_id.size() > rollout_text_bytes_max ||
        rollout.serves.size() > rollout_text_bytes_max) {
        return std::nullopt;
    }
    return rollout;
}

} // namespace

const char* text(RolloutState state) {
    return states.at(static_cast<std::size_t>(state)).second;
}

Status Rollouts::load() {
    auto rows = store_.rollouts();
    auto children = store_.children();
    if (!rows.ok() || !children.ok()) {
        return rows.ok() ? children.error() : rows.error();
    }
    for (const RolloutRow& row : *rows) {
        const auto state = state_from(row.state); // the table's check lets no other in
        own_[row.app] = {me_,        row.app, row.release_id, state.value_or(RolloutState::waiting),
                         row.serves, row.why, row.last_lines, row.at_us};
    }
    for (const ChildRow& child : *children) {
        if (child.state == "enrolled" && !child.report.empty()) {
            child_said(child.name, member(parse_object(child.report), "rollouts"));
        }
    }
    return {};
}

Status Rollouts::set(Rollout rollout) {
    rollout.tier = me_;
    rollout.why = first_bytes(std::move(rollout.why));
    rollout.last_lines = last_bytes(rollout.last_lines);
    if (const Rollout* old = own(rollout.app); old != nullptr) {
        Rollout same = rollout;
        same.at_us = old->at_us;
        if (same == *old) {
            return write();
        }
    }
    unwritten_.insert(rollout.app);
    own_[rollout.app] = std::move(rollout);
    if (on_change_) {
        on_change_();
    }
    return write();
}

Status Rollouts::write() {
    while (!unwritten_.empty()) {
        const Rollout& r = own_.at(*unwritten_.begin());
        const Status put = store_.put_rollout(
            {r.app, r.release_id, text(r.state), r.serves, r.why, r.last_lines, r.at_us});
        if (!put.ok()) {
            return put;
        }
        unwritten_.erase(unwritten_.begin());
    }
    return {};
}

Status Rollouts::drop(const std::string& app) {
    if (const Status dropped = store_.drop_rollout(app); !dropped.ok()) {
        return dropped;
    }
    unwritten_.erase(app);
    if (own_.erase(app) > 0 && on_change_) {
        on_change_();
    }
    return {};
}

const Rollout* Rollouts::own(const std::string& app) const {
    const auto at = own_.find(app);
    return at == own_.end() ? nullptr : &at->second;
}

bool Rollouts::child_said(const std::string& child, const Json& rollouts) {
    std::vector<Rollout> said;
    for (const Json& one : rollouts) {
        if (said.size() == rollouts_of_child_max) {
            break;
        }
        if (auto rollout = rollout_from(one, me_ + "/" + child)) {
            said.push_back(*std::move(rollout));
        }
    }
    std::vector<Rollout>& known = children_[child];
    if (said == known) {
        return false;
    }
    known = std::move(said);
    return true;
}

void Rollouts::forget_child(const std::string& child) {
    children_.erase(child);
}

std::vector<Rollout> Rollouts::known(const std::string& app) const {
    std::vector<Rollout> out;
    const auto add = [&](const Rollout& one) {
        if (app.empty() || one.app == app) {
            out.push_back(one);
        }
    };
    for (const auto& [name, one] : own_) {
        add(one);
    }
    for (const auto& [child, said] : children_) {
        std::for_each(said.begin(), said.end(), add);
    }
    std::stable_sort(out.begin(), out.end(), [](const Rollout& a, const Rollout& b) {
        return std::tie(a.app, a.tier) < std::tie(b.app, b.tier);
    });
    return out;
}

Json Rollouts::report() const {
    Json out = Json::array();
    for (const Rollout& one : known()) {
        out.push_back(to_json(one));
    }
    return out;
}

Json to_json(const Rollout& rollout) {
    Json out{{"tier", rollout.tier},          {"app", rollout.app},
             {"release", rollout.release_id}, {"state", text(rollout.state)},
             {"serves", rollout.serves},      {"at", rfc3339(rollout.at_us)}};
    if (!rollout.why.empty()) {
        out["why"] = rollout.why;
    }
    if (!rollout.last_lines.empty()) {
        out["last_lines"] = rollout.last_lines;
    }
    return out;
}

} // namespace hasp::maint
