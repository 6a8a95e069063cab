#include "doctor.h"

#include "backup_note.h"

#include "base/clock.h"
#include "base/text.h"
#include "state.h"

#include <algorithm>
#include <map>

namespace hasp::cmd {

namespace {

constexpr std::int64_t soon_us = 2 * day_us;    // grants are renewed long before
constexpr std::int64_t fresh_error_us = day_us; // older errors are history
constexpr std::int64_t unsent_old_us = day_us;
constexpr std::size_t errors_named_max = 3;
constexpr std::int64_t backup_old_us = 7 * day_us;

// Times in status are RFC 3339 in UTC, whose order is that of the texts.
bool before(const Json& object, const char* key, std::int64_t than_us) {
    const std::string text = text_of(object, key);
    return !text.empty() && text < rfc3339(than_us);
}

void look_at_link(std::vector<Finding>& out, const Json& status) {
    const Json& link = member(status, "link");
    if (!link.is_object()) {
        return;
    }
    if (text_of(link, "state") == "up") {
        out.push_back(
            {"link", Health::good, "the link to " + text_of(link, "parent") + " is up", ""});
        return;
    }
    out.push_back({"link", Health::problem,
                   "the link to " + text_of(link, "parent") + " is down" +
                       (text_of(link, "since").empty() ? "" : " since " + text_of(link, "since")) +
                       (text_of(link, "reason").empty() ? "" : ": " + text_of(link, "reason")),
                   "look whether " +
                       (text_of(link, "address").empty() ? "the parent's address"
                                                         : text_of(link, "address")) +
                       " answers from here; hasp offline-report says what works meanwhile"});
}

void look_at_leases(std::vector<Finding>& out, const Json& status, std::int64_t now_us) {
    std::size_t ended = 0;
    std::size_t soon = 0;
    std::string first;
    for (const Json& lease : member(status, "leases")) {
        ended += before(lease, "expires", now_us) ? 1U : 0U;
        if (before(lease, "expires", now_us + soon_us)) {
            ++soon;
            first = first.empty() ? text_of(lease, "expires")
                                  : std::min(first, text_of(lease, "expires"));
        }
    }
    const std::string next = "bring the link up; before a long time without it, at the tier above: "
                             "hasp lease extend TIER --days N";
    if (ended > 0) {
        out.push_back({"lease", Health::problem,
                       std::to_string(ended) + " grants have ended, the first " + first, next});
    } else if (soon > 0) {
        out.push_back({"lease", Health::warning,
                       std::to_string(soon) + " grants end within two days, the first " + first,
                       next});
    } else if (!member(status, "leases").empty()) {
        out.push_back({"lease", Health::good, "no grant ends within two days", ""});
    }
}

void look_at_apps(std::vector<Finding>& out, const Json& status) {
    std::size_t failing = 0;
    for (const Json& app : member(status, "apps")) {
        const std::string state = text_of(app, "state");
        if (state == "failing" || state == "no lease" || state == "lease expired") {
            ++failing;
            out.push_back({"apps", Health::problem, text_of(app, "name") + ": " + state,
                           "hasp why " + text_of(app, "name")});
        }
    }
    if (failing == 0) {
        out.push_back({"apps", Health::good,
                       std::to_string(member(status, "apps").size()) + " apps are held, none fails",
                       ""});
    }
    const std::string isolation = text_of(status, "isolation");
    const bool none = isolation.starts_with("none");
    const bool less = !isolation.starts_with("bwrap");
    if (!isolation.empty() && isolation != "unknown") {
        out.push_back({"isolation",
                       none   ? Health::problem
                       : less ? Health::warning
                              : Health::good,
                       "apps are kept apart by " + isolation,
                       less ? "install bubblewrap and allow user namespaces, then start the tier "
                              "again"
                            : ""});
    }
}

void look_at_children(std::vector<Finding>& out, const Json& status) {
    for (const Json& child : member(status, "children")) {
        const std::string name = text_of(child, "name");
        const std::string state = text_of(child, "state");
        if (state == "dark") {
            out.push_back(
                {"children", Health::warning,
                 name + " is dark, last heard " +
                     (text_of(child, "last_seen").empty() ? "never" : text_of(child, "last_seen")),
                 "hasp offline-report " + name + "; on its machine: hasp doctor"});
        } else if (state == "up") {
            const bool drifts = int_of(member(child, "desired"), "generation") !=
                                    int_of(member(child, "reached"), "generation") ||
                                int_of(child, "lease") != int_of(member(child, "reached"), "lease");
            out.push_back(
                {"drift", drifts ? Health::warning : Health::good,
                 name + (drifts ? " has not reached what it is to be" : " is as it is to be"),
                 drifts ? "look again in a minute; then: hasp local show " + name : ""});
        }
    }
}

void look_at_errors(std::vector<Finding>& out, const Json& status, std::int64_t now_us) {
    std::size_t named = 0;
    for (const char* list : {"errors", "errors_below"}) {
        for (const Json& error : member(status, list)) {
            if (before(error, "at", now_us - fresh_error_us) || ++named > errors_named_max) {
                continue;
            }
            const std::string tier = text_of(error, "tier");
            out.push_back({"errors", Health::warning,
                           (tier.empty() ? "" : tier + ": ") + text_of(error, "text") + " (" +
                               text_of(error, "at") + ")",
                           "hasp status has the last lines"});
        }
    }
    if (named == 0) {
        out.push_back({"errors", Health::good, "no errors within a day", ""});
    }
}

} // namespace

std::vector<Finding> examine_status(const Json& status, std::int64_t now_us) {
    std::vector<Finding> out;
    const bool running = true_of(status, "running");
    out.push_back({"running", running ? Health::good : Health::problem,
                   running ? "the tier runs" : "the tier does not run",
                   running ? "" : "hasp serve, or hasp relay for a tier with a parent"});
    if (running) {
        look_at_link(out, status);
    }
    const std::string clock = text_of(status, "clock");
    out.push_back(
        {"clock", clock.empty() ? Health::good : Health::warning,
         clock.empty() ? "the clock agrees with what is certain"
                       : "the machine's clock is " + clock,
         clock.empty() ? "" : "set the machine's clock, or let it be set over the network"});
    look_at_leases(out, status, now_us);
    look_at_apps(out, status);
    look_at_children(out, status);
    if (before(member(status, "unsent"), "since", now_us - unsent_old_us)) {
        out.push_back({"unsent", Health::warning,
                       "something waits to be sent upward since " +
                           text_of(member(status, "unsent"), "since"),
                       "hasp status says what; it is sent by itself when the link is up"});
    }
    if (const Json& damaged = member(status, "damaged_files"); damaged.is_object()) {
        const Json& files = member(damaged, "files");
        const Json first = files.empty() ? Json::object() : files[0];
        out.push_back({"files", Health::problem,
                       std::to_string(int_of(damaged, "contents")) +
                           " kept contents of users' files are damaged, the first of " +
                           text_of(first, "path") + " in " + text_of(first, "app") + " of " +
                           text_of(first, "user"),
                       "check the disk; a tier that has such a file sends it again when it "
                       "changes, `hasp sync versions " +
                           text_of(first, "user") + " " + text_of(first, "app") +
                           "` shows older ones, else restore a backup"});
    }
    if (const Json& held = member(status, "quarantine"); int_of(held, "infected") > 0) {
        const Json& files = member(held, "files");
        const Json first = files.empty() ? Json::object() : files[0];
        out.push_back({"quarantine", Health::warning,
                       std::to_string(int_of(held, "infected")) +
                           " infected files of users are in quarantine, the first of " +
                           text_of(first, "path") + " in " + text_of(first, "app") + " of " +
                           text_of(first, "user"),
                       "`hasp sync quarantine` lists them; tell whose they are"});
    }
    if (const Json& scan = member(status, "scan"); !text_of(scan, "problem").empty()) {
        out.push_back({"scanner", Health::problem,
                       text_of(scan, "scanner") +
                           " does not look at what is new: " + text_of(scan, "problem"),
                       "let it run again, or change [scan] in hasp.toml"});
    }
    if (const Json& problem = member(status, "files_problem"); problem.is_object()) {
        out.push_back(
            {"files", Health::problem,
             "users' files are not kept equal: " + text_of(problem, "text"),
             (text_of(problem, "next").empty() ? "" : text_of(problem, "next") + "; then ") +
                 "`hasp restart`"});
    }
    for (const Json& budget : member(status, "budgets")) {
        const Json& waits = member(budget, "waits");
        if (waits.is_object()) {
            out.push_back({"budget", Health::warning,
                           text_of(waits, "text") + ": " + kib_waiting(waits) + " since " +
                               text_of(waits, "since"),
                           text_of(waits, "next")});
        }
    }
    look_at_errors(out, status, now_us);
    return out;
}

Finding examine_backup(const Json& note, const std::vector<std::string>& keys,
                       std::int64_t now_us) {
    const std::int64_t at_us = int_of(note, "at_us");
    if (at_us == 0) {
        return {"backup", Health::warning, "no backup of this tier was ever made",
                "hasp backup DIR, from cron every night: examples/cron"};
    }
    const std::string made = "the last backup is of " + rfc3339(at_us);
    if (!all_saved(note, keys)) {
        return {"backup", Health::warning,
                "the keys were never saved, or there are new ones since: no backup can be restored "
                "as a whole without them",
                "hasp backup keys FILE --passphrase-file FILE; keep it apart from the backups"};
    }
    if (now_us - at_us > backup_old_us) {
        return {"backup", Health::warning, made, "look why cron makes none, or: hasp backup DIR"};
    }
    if (const std::int64_t left = int_of(note, "left"); left > 0) {
        return {
            "backup", Health::warning,
            made + " and lacks " + std::to_string(left) +
                " files or has them in part; the "
                "first: " +
                text_of(note, "left_first"),
            "hasp backup DIR names all of them; what the tier has lost, an older backup may have"};
    }
    return {"backup", Health::good, made, ""};
}

} // namespace hasp::cmd
