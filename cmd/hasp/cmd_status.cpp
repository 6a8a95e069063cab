// hasp status: how this tier and those below it are.
#include "commands.h"
#include "state.h"

namespace hasp::cmd {

namespace {

std::string short_time(const std::string& rfc3339) {
    return rfc3339.size() >= 19 ? rfc3339.substr(0, 10) + " " + rfc3339.substr(11, 8) : "never";
}

std::string indent(const std::string& text, const std::string& by) {
    std::string out;
    std::size_t start = 0;
    while (start < text.size()) {
        const std::size_t end = text.find('\n', start);
        out += by + text.substr(start, end - start) + "\n";
        start = end == std::string::npos ? text.size() : end + 1;
    }
    return out;
}

std::string link_line(const Json& link) {
    if (!link.is_object()) {
        return "none: this is the top of the tree";
    }
    std::string line = text_of(link, "state");
    if (!text_of(link, "since").empty()) {
        line += " since " + short_time(text_of(link, "since"));
    }
    line += ", to " + text_of(link, "parent");
    if (!text_of(link, "address").empty()) {
        line += " at " + text_of(link, "address");
    }
    if (member(link, "rtt_ms").is_number()) {
        line += ", " + std::to_string(int_of(link, "rtt_ms")) + " ms";
    }
    if (!text_of(link, "reason").empty()) {
        line += " (" + text_of(link, "reason") + ")";
    }
    return line;
}

std::string leases_line(const Json& leases) {
    std::map<std::string, std::size_t> kinds;
    std::string first;
    for (const Json& lease : leases) {
        ++kinds[text_of(lease, "kind")];
        if (const std::string expires = text_of(lease, "expires");
            first.empty() || expires < first) {
            first = expires;
        }
    }
    std::string line;
    for (const auto& [kind, count] : kinds) {
        line += (line.empty() ? "" : ", ") + std::to_string(count) + " " + kind;
    }
    return line.empty() ? "none" : line + "; the first ends " + short_time(first);
}

std::string render(const Json& s);

std::string apps_table(const Json& apps) {
    std::vector<std::vector<std::string>> rows{{"APP", "RELEASE", "STATE"}};
    for (const Json& app : apps) {
        std::string state = text_of(app, "state");
        for (const Json& instance : member(app, "instances")) {
            if (!text_of(instance, "reason").empty() && text_of(instance, "state") != "ready") {
                state += " (" + text_of(instance, "id") + ": " + text_of(instance, "reason") + ")";
            }
        }
        rows.push_back({text_of(app, "name"), text_of(app, "release").substr(0, 12), state});
    }
    return columns(rows);
}

std::string children_text(const Json& children) {
    std::string out;
    for (const Json& child : children) {
        out += text_of(child, "name") + "  " + text_of(child, "state");
        if (text_of(child, "state") == "dark") {
            out += ", last heard " + short_time(text_of(child, "last_seen"));
        }
        out += "\n";
        const Json& status = member(child, "status");
        if (status.is_object()) {
            out += indent("as of " + short_time(text_of(status, "as_of")) + "\n" + render(status),
                          "    ");
        }
    }
    return out;
}

std::string render(const Json& s) {
    std::string out;
    out += "link       " + link_line(member(s, "link")) + "\n";
    out += "leases     " + leases_line(member(s, "leases")) + "\n";
    out += "isolation  " + text_of(s, "isolation") + "\n";
    if (!text_of(s, "clock").empty()) {
        out += "clock      " + text_of(s, "clock") + "\n";
    }
    if (!member(s, "apps").empty()) {
        out += indent(apps_table(member(s, "apps")), "");
    }
    if (const Json& files = member(s, "files"); int_of(files, "unsent_files") > 0) {
        out += "files      " + std::to_string(int_of(files, "unsent_files")) + " unsent, " +
               std::to_string(int_of(files, "unsent_bytes")) + " bytes, since " +
               short_time(text_of(files, "unsent_since")) + "\n";
    }
    for (const Json& error : member(s, "errors")) {
        out +=
            "error      " + short_time(text_of(error, "at")) + "  " + text_of(error, "text") + "\n";
    }
    if (!member(s, "children").empty()) {
        out += "below\n" + indent(children_text(member(s, "children")), "  ");
    }
    return out;
}

int run(const Args& args, Env& env) {
    return show(args, env, run_at_state(args, env, "status", Json::object()), [](const Json& s) {
        return text_of(s, "tier") +
               (true_of(s, "running") ? "" : " (not running: what its disk says)") + ", " +
               short_time(text_of(s, "as_of")) + " UTC\n" + render(s);
    });
}

} // namespace

Command status_command() {
    return {.path = {"status"},
            .summary = "show how this tier and those below are",
            .description =
                "Shows the link to the parent, what is leased, the apps and their state, what "
                "keeps them apart, the newest errors, and each tier below as it "
                "last told: every part says how old it is, and a tier that cannot be reached is "
                "shown as dark. Without a running tier it shows what the disk says, and says so.",
            .examples = {{"hasp status --json | jq '.children[].state'",
                          "Prints up, dark, invited or revoked for each tier below."}},
            .exit_codes = {5, 75},
            .run = run};
}

} // namespace hasp::cmd
