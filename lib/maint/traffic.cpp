#include "traffic.h"

#include "base/text.h"

#include <algorithm>

namespace hasp::maint {

namespace {
constexpr std::size_t month_bytes = 7; // "2026-11"
constexpr std::array<const char*, 2> side_names{"parent", "children"};
} // namespace

Purpose purpose_of(std::string_view type) {
    if (type == "release.get" || type == "pack.get" || type.starts_with("push.")) {
        return Purpose::packs;
    }
    if (type.starts_with("files.") || type.starts_with("sync.")) {
        return Purpose::files;
    }
    return type == "usage" || type.starts_with("ledger.") ? Purpose::ledger : Purpose::control;
}

std::string month_of(std::int64_t wall_us) {
    return rfc3339(wall_us).substr(0, month_bytes);
}

std::string day_after_month(std::string_view month) {
    if (month.size() != month_bytes || month[4] != '-') {
        return "";
    }
    const auto year = parse_u64(month.substr(0, 4));
    const auto number = parse_u64(month.substr(5));
    if (!year || !number || *number < 1 || *number > 12) {
        return "";
    }
    const std::string next = std::to_string(*number % 12 + 1);
    return std::to_string(*year + *number / 12) + (next.size() == 1 ? "-0" : "-") + next + "-01";
}

void Traffic::restore(const Json& kept) {
    month_ = month_in(member(kept, "month"));
    last_ = month_in(member(kept, "last_month"));
    for (const Json& front : member(kept, "fronts")) {
        Said& said = said_by(int_of(front, "since_us"));
        for (std::size_t side = 0; side < side_names.size(); ++side) {
            said.bytes[side] = bytes_of(member(front, side_names[side]));
        }
    }
    for (std::size_t i = 0; i < purpose_names.size(); ++i) {
        waits_since_us_[i] = int_of(member(kept, "waits_since_us"), purpose_names[i]);
    }
}

Json Traffic::kept() const {
    Json waits = Json::object();
    for (std::size_t i = 0; i < purpose_names.size(); ++i) {
        if (waits_since_us_[i] != 0) {
            waits[purpose_names[i]] = waits_since_us_[i];
        }
    }
    Json fronts = Json::array();
    for (const auto& [since_us, said] : fronts_) {
        fronts.push_back({{"since_us", since_us},
                          {side_names[0], json_of(said.bytes[0])},
                          {side_names[1], json_of(said.bytes[1])}});
    }
    return {{"month", json_of(month_, true)},
            {"last_month", json_of(last_, true)},
            {"fronts", fronts},
            {"waits_since_us", waits}};
}

bool Traffic::in_month(std::int64_t trusted_us) {
    std::string name = month_of(trusted_us);
    if (name <= month_.name) {
        return false;
    }
    const bool another = !month_.name.empty();
    if (another) {
        last_ = std::move(month_);
        month_ = {};
        waits_since_us_ = {};
    }
    month_.name = std::move(name);
    return another;
}

void Traffic::add(std::size_t side, Purpose purpose, const Bytes& bytes) {
    for (Sides* sides : {&since_start_, &month_.bytes}) {
        Bytes& sum = (*sides)[side][static_cast<std::size_t>(purpose)];
        sum.in += bytes.in;
        sum.out += bytes.out;
    }
}

void Traffic::frame(bool upward, std::string_view type, std::uint64_t in, std::uint64_t out) {
    add(upward ? 0 : 1, purpose_of(type), {in, out});
}

// Who has said nothing for the longest is forgotten: it has ended long ago.
Traffic::Said& Traffic::said_by(std::int64_t since_us) {
    if (!fronts_.contains(since_us) && fronts_.size() >= fronts_max) {
        fronts_.erase(
            std::min_element(fronts_.begin(), fronts_.end(), [](const auto& a, const auto& b) {
                return a.second.told < b.second.told;
            }));
    }
    Said& said = fronts_[since_us];
    said.told = ++told_;
    return said;
}

void Traffic::requests(const Json& head) {
    Said& by = said_by(int_of(head, "since_us"));
    for (std::size_t side = 0; side < side_names.size(); ++side) {
        const Bytes now = bytes_of(member(head, side_names[side]));
        Bytes& said = by.bytes[side];
        // Only what is more: a front whose counters fell would be another, and says so.
        add(side, Purpose::requests,
            {now.in - std::min(now.in, said.in), now.out - std::min(now.out, said.out)});
        said = now;
    }
}

std::uint64_t Traffic::useful_to_parent() const {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < purpose_names.size(); ++i) {
        if (i != static_cast<std::size_t>(Purpose::control)) {
            sum += both(since_start_[0][i]);
        }
    }
    return sum;
}

std::uint64_t Traffic::month_to_parent(Purpose purpose) const {
    return both(month_.bytes[0][static_cast<std::size_t>(purpose)]);
}

std::int64_t Traffic::waits_since_us(Purpose purpose) const {
    return waits_since_us_[static_cast<std::size_t>(purpose)];
}

void Traffic::set_waits_since(Purpose purpose, std::int64_t wall_us) {
    waits_since_us_[static_cast<std::size_t>(purpose)] = wall_us;
}

Json Traffic::json_of(const Bytes& bytes) {
    return {{"in", bytes.in}, {"out", bytes.out}};
}

Json Traffic::json_of(const ByPurpose& bytes) {
    Json out = Json::object();
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        out[purpose_names[i]] = json_of(bytes[i]);
    }
    return out;
}

Json Traffic::json_of(const Month& month, bool has_parent) {
    if (month.name.empty()) {
        return nullptr;
    }
    return {{"month", month.name},
            {side_names[0], has_parent ? json_of(month.bytes[0]) : Json()},
            {side_names[1], json_of(month.bytes[1])}};
}

Traffic::Bytes Traffic::bytes_of(const Json& json) {
    return {count_of(json, "in"), count_of(json, "out")};
}

Traffic::Month Traffic::month_in(const Json& json) {
    Month out;
    if (!day_after_month(text_of(json, "month")).empty()) {
        out.name = text_of(json, "month");
        for (std::size_t side = 0; side < side_names.size(); ++side) {
            for (std::size_t i = 0; i < purpose_names.size(); ++i) {
                out.bytes[side][i] =
                    bytes_of(member(member(json, side_names[side]), purpose_names[i]));
            }
        }
    }
    return out;
}

Json Traffic::json(bool has_parent) const {
    return {{"since", rfc3339(since_us_)},
            {side_names[0], has_parent ? json_of(since_start_[0]) : Json()},
            {side_names[1], json_of(since_start_[1])},
            {"month", json_of(month_, has_parent)},
            {"last_month", json_of(last_, has_parent)}};
}

} // namespace hasp::maint
