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

// What an operator who brings one of two tiers up to date must know; empty when they agree.
std::string skew_text(const Json& entry) {
    const Json& skew = member(entry, "skew");
    if (!skew.is_object()) {
        return "";
    }
    const auto list = [](const std::vector<std::string>& features) {
        std::string out;
        for (const std::string& feature : features) {
            out += (out.empty() ? "" : " ") + feature;
        }
        return out;
    };
    std::string out =
        "it runs hasp " + text_of(skew, "there") + ", this one " + text_of(skew, "here");
    if (const std::string lacks = list(texts_of(skew, "it_lacks")); !lacks.empty()) {
        out += "; it does not know: " + lacks;
    }
    if (const std::string lacks = list(texts_of(skew, "we_lack")); !lacks.empty()) {
        out += "; this one does not know: " + lacks;
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
    if (const std::string skew = skew_text(link); !skew.empty()) {
        line += "; " + skew;
    }
    return line;
}

// Where the parent is looked for, in order.
std::string dials_line(const Json& addresses) {
    static const std::map<std::string, std::string> words{{"config", "from the config"},
                                                          {"parent", "told by the parent"},
                                                          {"before", "known before"},
                                                          {"invitation", "from the invitation"}};
    std::string out;
    for (const Json& one : addresses) {
        const auto word = words.find(text_of(one, "from"));
        out += (out.empty() ? "" : ", ") + text_of(one, "address") + " (" +
               (word == words.end() ? text_of(one, "from") : word->second) + ")";
    }
    return out;
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
        for (const Json& one : member(app, "addresses")) {
            if (text_of(one, "state") != "up") {
                state += " (" + text_of(one, "address") + " down since " +
                         short_time(text_of(one, "since")) + ": " + text_of(one, "reason") + ")";
            }
        }
        rows.push_back({text_of(app, "name"), text_of(app, "release").substr(0, 12), state});
    }
    return columns(rows);
}

std::string unsent_words(const Json& unsent) {
    std::string out;
    for (const char* what : {"files", "bytes", "events"}) {
        if (member(unsent, what).is_number()) {
            out += (out.empty() ? "" : ", ") + std::to_string(int_of(unsent, what)) + " " + what;
        }
    }
    return out;
}

// "requests 12 / 3, control 40 / 41 KB (in / out)"
std::string wan_words(const Json& side) {
    std::string out;
    for (const auto& [purpose, bytes] : side.items()) {
        const std::int64_t in = int_of(bytes, "in");
        const std::int64_t sent = int_of(bytes, "out");
        if (in + sent > 0) {
            out += (out.empty() ? "" : ", ") + purpose + " " + std::to_string((in + 1023) / 1024) +
                   " / " + std::to_string((sent + 1023) / 1024);
        }
    }
    return out.empty() ? "nothing" : out + " KB in / out";
}

std::string wan_lines(const Json& wan) {
    if (!member(wan, "parent").is_object()) {
        return "";
    }
    std::string out = "to parent  " + wan_words(member(wan, "parent")) + " since " +
                      short_time(text_of(wan, "since")) + "\n";
    for (const char* which : {"month", "last_month"}) {
        const Json& month = member(wan, which);
        if (member(month, "parent").is_object()) {
            out += "           " + text_of(month, "month") + ": " +
                   wan_words(member(month, "parent")) + "\n";
        }
    }
    return out;
}

// "budget     packs: 12 of 50 MiB of this month", and what waits for it.
std::string budget_lines(const Json& budgets) {
    std::string out;
    for (const Json& one : budgets) {
        const std::string state = text_of(one, "state");
        out += "budget     " + text_of(one, "purpose") + ": " +
               std::to_string(int_of(one, "month_bytes") >> 20) + " of " +
               std::to_string(int_of(one, "budget_mib")) + " MiB of this month" +
               (state == "used_up" ? ", used up"
                : state == "near"  ? ", nearly used up"
                                   : "") +
               "\n";
        if (const Json& waits = member(one, "waits"); waits.is_object()) {
            out += "           " + kib_waiting(waits) + " since " +
                   short_time(text_of(waits, "since")) + ": " + text_of(waits, "next") + "\n";
        }
    }
    return out;
}

// Only what is not plainly serving: a line each, with the app's last words.
std::string rollouts_text(const Json& rollouts) {
    std::string out;
    for (const Json& one : rollouts) {
        const std::string state = text_of(one, "state");
        if (state == "serving") {
            continue;
        }
        const std::string serves = text_of(one, "serves");
        out += "rollout    " + text_of(one, "app") + " at " + text_of(one, "tier") + ": release " +
               text_of(one, "release").substr(0, 12) +
               (state == "rolled_back" ? " was rolled back " : " is " + state + " since ") +
               short_time(text_of(one, "at")) +
               (serves.empty() ? "; nothing served before it"
                               : "; " + serves.substr(0, 12) + " serves") +
               (text_of(one, "why").empty() ? "" : ": " + text_of(one, "why")) + "\n" +
               indent(text_of(one, "last_lines"), "           | ");
    }
    return out;
}

std::string errors_text(const Json& errors) {
    std::string out;
    for (const Json& error : errors) {
        const std::string tier = text_of(error, "tier");
        out += "error      " + short_time(text_of(error, "at")) + "  " +
               (tier.empty() ? "" : tier + ": ") + text_of(error, "text") + "\n" +
               indent(text_of(error, "last_lines"), "           | ");
    }
    return out;
}

std::string children_text(const Json& children) {
    std::string out;
    for (const Json& child : children) {
        out += text_of(child, "name") + "  " + text_of(child, "state");
        if (text_of(child, "state") == "dark") {
            out += " since " + short_time(text_of(child, "last_seen"));
            // Its own words of then, which may be old: the time says how old.
            const std::string unsent = unsent_words(member(member(child, "status"), "unsent"));
            out += unsent.empty() ? "" : ", unsent then: " + unsent;
        }
        const std::int64_t wanted = int_of(member(child, "desired"), "generation");
        const std::int64_t reached = int_of(member(child, "reached"), "generation");
        if (wanted != reached) {
            out += ", has reached generation " + std::to_string(reached) + " of " +
                   std::to_string(wanted);
        }
        if (const std::string skew = skew_text(child); !skew.empty()) {
            out += "; " + skew;
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

std::string peers_text(const Json& peers) {
    std::string out;
    for (const Json& peer : peers) {
        out += "peer       " + text_of(peer, "name") + "  " + text_of(peer, "state");
        if (!text_of(peer, "since").empty()) {
            out += " since " + short_time(text_of(peer, "since"));
        }
        if (!text_of(peer, "tier").empty()) {
            out += ", " + text_of(peer, "tier");
        }
        if (!text_of(peer, "reason").empty()) {
            out += " (" + text_of(peer, "reason") + ")";
        }
        out += "\n";
    }
    return out;
}

std::string render(const Json& s) {
    std::string out;
    out += "link       " + link_line(member(s, "link")) + "\n";
    if (const std::string dials = dials_line(member(member(s, "link"), "addresses"));
        !dials.empty()) {
        out += "dials      " + dials + "\n";
    }
    out += "leases     " + leases_line(member(s, "leases")) + "\n";
    out += "isolation  " + text_of(s, "isolation") + "\n";
    if (true_of(s, "certificates_late")) {
        out += "identity   its certificates end " + short_time(text_of(s, "certificates_end")) +
               "; they are renewed at the next contact with the parent\n";
    }
    const Json& certificate = member(s, "browser_certificate");
    for (const char* what : {"error", "short"}) {
        if (!text_of(certificate, what).empty()) {
            out += "https      " + text_of(certificate, what) + "\n";
        }
    }
    if (!text_of(s, "clock").empty()) {
        out += "clock      " + text_of(s, "clock") + "\n";
    }
    if (!member(s, "apps").empty()) {
        out += indent(apps_table(member(s, "apps")), "");
    }
    out += peers_text(member(s, "peers"));
    out += rollouts_text(member(s, "rollouts"));
    if (const std::string unsent = unsent_words(member(s, "unsent")); !unsent.empty()) {
        out += "unsent     " + unsent + "\n";
    }
    for (const Json& one : member(s, "owed")) {
        out += "owed       " + text_of(one, "text") + "\n";
    }
    if (const Json& room = member(s, "room"); room.is_object()) {
        out += "room       " + std::to_string(int_of(room, "bytes") >> 20) + " of " +
               std::to_string(int_of(room, "most_bytes") >> 20) + " MiB for the files of " +
               std::to_string(int_of(room, "users")) + " users\n";
    }
    if (const Json& damaged = member(s, "damaged_files"); damaged.is_object()) {
        out += "damaged    " + std::to_string(int_of(damaged, "contents")) +
               " kept contents of users' files: hasp doctor says which\n";
    }
    if (const Json& held = member(s, "quarantine"); held.is_object()) {
        out += "quarantine " + std::to_string(int_of(held, "infected")) +
               " infected files of users, " + std::to_string(int_of(held, "waiting")) +
               " that wait for the virus scanner: hasp sync quarantine\n";
    }
    if (const std::string gone = text_of(member(s, "scan"), "problem"); !gone.empty()) {
        const Json& scan = member(s, "scan");
        out += "scanner    " + text_of(scan, "scanner") + " is gone since " +
               text_of(scan, "since") + ", and what is new " +
               (text_of(scan, "when_gone") == "closed" ? "waits for it: " : "counts without it: ") +
               gone + "\n";
    }
    if (const Json& problem = member(s, "files_problem"); problem.is_object()) {
        out += "files      not opened: " + text_of(problem, "text") + "\n";
    }
    if (const Json& backup = member(s, "last_backup"); backup.is_object()) {
        out += "backup     " + short_time(text_of(backup, "at")) + ", in " +
               text_of(backup, "folder") + "\n";
    }
    if (const Json& restored = member(s, "restored"); restored.is_object()) {
        out += "restored   " + short_time(text_of(restored, "at")) + ", from the backup of " +
               short_time(text_of(restored, "backup_at")) + "\n";
    }
    out += wan_lines(member(s, "wan"));
    out += budget_lines(member(s, "budgets"));
    out += errors_text(member(s, "errors"));
    if (!member(s, "children").empty()) {
        out += "below\n" + indent(children_text(member(s, "children")), "  ");
    }
    return out;
}

int run_status(const Args& args, Env& env) {
    return show(args, env, run_at_state(args, env, "status", Json::object()), [](const Json& s) {
        return text_of(s, "tier") +
               (true_of(s, "running") ? "" : " (not running: what its disk says)") + ", " +
               short_time(text_of(s, "as_of")) + " UTC\n" + render(s);
    });
}

} // namespace

Command status_command() {
    return {
        .path = {"status"},
        .summary = "show how this tier and those below are",
        .description =
            "Shows the link to the parent, what is leased, the apps and their state, peers, "
            "releases that are on their way or were rolled back, what keeps them apart, what "
            "was not yet sent upward, what the links carried, in this month and the last too, "
            "what is left of the link's budgets and what waits for it, the last backup, the newest "
            "errors with an app's last lines, and each tier below as it "
            "last told: every part says how old it is, and a tier that cannot be reached is "
            "shown as dark. Without a running tier it shows what the disk says, and says so.",
        .examples = {{"hasp status --json | jq '.children[].state'",
                      "Prints up, dark, invited or revoked for each tier below."}},
        .exit_codes = {5, 75},
        .run = run_status};
}

} // namespace hasp::cmd
