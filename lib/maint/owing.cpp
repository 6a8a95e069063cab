#include "owing.h"

#include "base/text.h"
#include "signon/pages.h"
#include "trust/name.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <functional>

namespace hasp::maint {

namespace {

std::string leaf_of(const std::string& tier) {
    std::string leaf = tier.substr(tier.rfind('/') + 1);
    if (!leaf.empty() && leaf.front() >= 'a' && leaf.front() <= 'z') {
        leaf.front() = static_cast<char>(leaf.front() - 'a' + 'A');
    }
    return leaf;
}

std::string size_text(std::uint64_t bytes) {
    constexpr double kilo = 1000;
    std::array<char, 32> out{};
    const auto value = static_cast<double>(bytes);
    if (bytes < 1'000) {
        return std::to_string(bytes) + " bytes";
    }
    const bool mega = bytes >= 1'000'000;
    const double shown = value / (mega ? kilo * kilo : kilo);
    const int size = std::snprintf(out.data(), out.size(), shown < 10 ? "%.1f %s" : "%.0f %s",
                                   shown, mega ? "MB" : "kB");
    return {out.data(), static_cast<std::size_t>(std::max(size, 0))};
}

CopyReport copy_of(const Json& json) {
    return {text_of(json, "user"), us_of_rfc3339(text_of(json, "since")), count_of(json, "files"),
            count_of(json, "bytes"), us_of_rfc3339(text_of(json, "unsent_since"))};
}

struct Visit {
    Copies& out;
    std::size_t left = copies_reported_max;

    void tier(const std::string& name, const Json& status, bool up, std::int64_t heard_us,
              std::size_t depth) {
        for (const Json& one : member(status, "copies")) {
            CopyReport copy = copy_of(one);
            if (!valid_name(copy.user) || left == 0) {
                continue;
            }
            --left;
            std::string user = copy.user;
            out[std::move(user)].push_back({name, up, heard_us, std::move(copy)});
        }
        if (depth >= tiers_deep_max) {
            return;
        }
        for (const Json& child : member(status, "children")) {
            const std::string leaf = text_of(child, "name");
            const std::string state = text_of(child, "state");
            if (!valid_name(leaf) || (state != "up" && state != "dark")) {
                continue;
            }
            const bool linked = state == "up";
            tier(name + "/" + leaf, member(child, "status"), up && linked,
                 linked ? heard_us : us_of_rfc3339(text_of(child, "last_seen")), depth + 1);
        }
    }
};

} // namespace

Json to_json(std::vector<CopyReport> copies) {
    std::stable_partition(copies.begin(), copies.end(),
                          [](const CopyReport& one) { return one.files > 0; });
    if (copies.size() > copies_reported_max) {
        copies.resize(copies_reported_max);
    }
    Json out = Json::array();
    for (const CopyReport& one : copies) {
        Json said{{"user", one.user}, {"since", rfc3339(one.since_us)}};
        if (one.files > 0) {
            said["files"] = one.files;
            said["bytes"] = one.bytes;
            said["unsent_since"] = rfc3339(one.unsent_since_us);
        }
        out.push_back(std::move(said));
    }
    return out;
}

void bound_copies(Json& status) {
    std::vector<Json*> lists;
    std::size_t unsent = 0;
    std::size_t sent = 0;
    const std::function<void(Json&, std::size_t)> visit = [&](Json& at, std::size_t depth) {
        if (!at.is_object()) {
            return;
        }
        if (const auto copies = at.find("copies"); copies != at.end() && copies->is_array()) {
            lists.push_back(&*copies);
            for (const Json& one : *copies) {
                ++(count_of(one, "files") > 0 ? unsent : sent);
            }
        }
        const auto children = at.find("children");
        if (depth >= tiers_deep_max || children == at.end() || !children->is_array()) {
            return;
        }
        for (Json& child : *children) {
            if (child.is_object() && child.contains("status")) {
                visit(child["status"], depth + 1);
            }
        }
    };
    visit(status, 0);
    if (unsent + sent <= copies_reported_max) {
        return;
    }
    std::size_t unsent_left = std::min(unsent, copies_reported_max);
    std::size_t sent_left = copies_reported_max - unsent_left;
    for (Json* list : lists) {
        Json kept = Json::array();
        for (Json& one : *list) {
            std::size_t& left = count_of(one, "files") > 0 ? unsent_left : sent_left;
            if (left > 0) {
                --left;
                kept.push_back(std::move(one));
            }
        }
        *list = std::move(kept);
    }
}

Copies copies_in(const std::string& child_name, const Json& report) {
    Copies out;
    Visit{out}.tier(child_name, member(report, "status"), true, 0, 0);
    return out;
}

Json to_json(const std::vector<Owing>& owing) {
    Json out = Json::array();
    for (const Owing& one : owing) {
        Json said = to_json(std::vector<CopyReport>{one.copy})[0];
        said["tier"] = one.tier;
        said["up"] = one.up;
        if (!one.up && one.heard_us > 0) {
            said["heard"] = rfc3339(one.heard_us);
        }
        out.push_back(std::move(said));
    }
    return out;
}

std::vector<Owing> owing_of(const Json& json) {
    std::vector<Owing> out;
    for (const Json& one : json) {
        Owing owing{text_of(one, "tier"), true_of(one, "up"), us_of_rfc3339(text_of(one, "heard")),
                    copy_of(one)};
        if (out.size() < owing_told_max && trust::TierName::parse(owing.tier).ok() &&
            valid_name(owing.copy.user)) {
            out.push_back(std::move(owing));
        }
    }
    return out;
}

std::string owing_text(const Owing& owing, const std::string& whose, std::int64_t now_us,
                       int utc_offset_s) {
    const auto clock = [&](std::int64_t at_us) {
        return signon::clock_text(at_us, now_us, utc_offset_s);
    };
    const CopyReport& copy = owing.copy;
    std::string out = leaf_of(owing.tier);
    if (copy.files == 0) {
        out += owing.heard_us > 0 ? " was last heard of " + clock(owing.heard_us) + ". It"
                                  : " cannot be reached. It";
        out += " has had " + whose + " files";
        out += copy.since_us > 0 ? " since " + clock(copy.since_us) : "";
        return out + ", and may have changes that it has not sent.";
    }
    out += " has not yet sent changes to " + whose + " files";
    out += copy.unsent_since_us > 0 ? " since " + clock(copy.unsent_since_us) : "";
    out += " (" + std::to_string(copy.files) + (copy.files == 1 ? " file, " : " files, ") +
           size_text(copy.bytes) + ")";
    if (!owing.up && owing.heard_us > 0) {
        out += "; last heard of " + clock(owing.heard_us);
    }
    return out + ".";
}

} // namespace hasp::maint
