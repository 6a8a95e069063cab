// hasp why, hasp offline-report: what is served where, and what a lost link would mean.
#include "base/text.h"
#include "commands.h"
#include "state.h"

namespace hasp::cmd {

namespace {

// "2026-11-25 14:02 UTC": to the minute, for people.
std::string minute(const Json& time) {
    const std::string text = time.is_string() ? time.get<std::string>() : "";
    return text.size() < 16 ? std::string("an unknown time")
                            : text.substr(0, 10) + " " + text.substr(11, 5) + " UTC";
}

std::string lines_with(const std::string& lines, const std::string& before) {
    std::string out;
    for (const std::string_view line : split(lines, '\n')) {
        if (!line.empty()) {
            out += before + std::string(line) + "\n";
        }
    }
    return out;
}

std::string age(const Json& r) {
    if (true_of(r, "live", true)) {
        return {};
    }
    return "The tier is dark since " + minute(member(r, "dark_since")) +
           ". This is what it said last, " + minute(member(r, "as_of")) + ".\n";
}

std::string leaf(const std::string& tier) {
    return tier.substr(tier.rfind('/') + 1);
}

int why(const Args& args, Env& env) {
    const Json arguments{
        {"app", args.get("APP")}, {"at", args.get("at")}, {"user", args.get("user")}};
    return show(args, env, run_at_state(args, env, "why", arguments), [](const Json& r) {
        const Json& served = member(r, "served");
        std::string out = age(r) + text_of(r, "app") + " at " + leaf(text_of(r, "tier"));
        if (!text_of(r, "user").empty()) {
            out += " for " + text_of(r, "user");
        }
        out += served.is_boolean() ? (served.get<bool>() ? ": served" : ": not served")
                                   : ": not known";
        const std::string from = text_of(r, "from");
        if (served.is_boolean() && served.get<bool>() && !from.empty()) {
            out += from == "here" ? ", here" : ", through " + text_of(r, "through");
        }
        out += "\n";
        for (const auto& [key, title] :
             {std::pair{"cause", "because  "}, std::pair{"rule", "rule     "},
              std::pair{"instance", "process  "}, std::pair{"log_in", "log-in   "}}) {
            if (!text_of(r, key).empty()) {
                out += std::string(title) + text_of(r, key) + "\n";
            }
        }
        out += lines_with(text_of(r, "last_lines"), "         | ");
        if (!text_of(r, "next").empty()) {
            out += "next     " + text_of(r, "next") + "\n";
        }
        return out;
    });
}

std::string list(const Json& items, const std::function<std::string(const Json&)>& line) {
    std::string out;
    for (const Json& one : items) {
        out += "  - " + line(one) + "\n";
    }
    return out.empty() ? "  nothing\n" : out;
}

std::string unsent_words(const Json& unsent) {
    std::string out;
    for (const char* what : {"files", "events"}) {
        if (member(unsent, what).is_number()) {
            out += (out.empty() ? "" : ", ") + std::to_string(int_of(unsent, what)) + " " + what;
        }
    }
    return out.empty() ? "not known" : out;
}

// Until when browsers reach the tier by HTTPS, and whether that is long enough.
std::string certificate_text(const Json& c) {
    if (!c.is_object()) {
        return {};
    }
    const std::string from = text_of(c, "from");
    std::string out = "\nThe certificate that browsers see";
    if (!member(c, "ends").is_string()) {
        out += ": there is none\n";
    } else {
        out += " ends " + minute(member(c, "ends")) + " (" +
               (from == "files" ? "from files, by " : "by ") + text_of(c, "issuer") + ").\n";
        if (member(c, "renews").is_string()) {
            out += "  The next one is asked for from " + minute(member(c, "renews")) +
                   " on, over the link; whenever that drops, HTTPS works for " +
                   std::to_string(int_of(c, "allows_days")) + " days at least.\n";
        }
    }
    for (const char* what : {"short", "error"}) {
        if (!text_of(c, what).empty()) {
            out += "  " + text_of(c, what) + "\n";
        }
    }
    return out;
}

std::string report_text(const Json& r) {
    const std::string tier = leaf(text_of(r, "tier"));
    const Json& link = member(r, "link");
    if (!link.is_object()) {
        return tier + " is the top of the tree: it has no link above that could drop.\n" +
               certificate_text(member(r, "certificate"));
    }
    const bool down = text_of(link, "state") == "down";
    std::string out = age(r);
    out += down ? "The link of " + tier + " is down since " + minute(member(link, "since")) + ".\n"
                : "If the link of " + tier + " drops now:\n";
    if (member(r, "stops").is_array()) {
        out += "\nStops at once, for everybody:\n" + list(member(r, "stops"), [](const Json& a) {
                   return text_of(a, "title") + " (" + text_of(a, "at") +
                          (text_of(a, "why").empty() ? "" : ": " + text_of(a, "why")) + ")";
               });
    }
    out += "\nGoes on:\n" + list(member(r, "goes_on"), [](const Json& a) {
               std::string line = text_of(a, "title");
               if (member(a, "until").is_string()) {
                   line += ", until " + minute(member(a, "until"));
                   const std::string then = text_of(a, "then");
                   line += then == "continue"    ? "; after that only for those who are logged in"
                           : then == "read-only" ? "; after that for reading only"
                           : then == "stop"      ? "; after that it stops"
                                                 : "";
               } else {
                   line += ", without end";
               }
               return line;
           });
    out += "\nCan log in:\n" + list(member(r, "log_in"), [](const Json& u) {
               return text_of(u, "user") + ", until " + minute(member(u, "until"));
           });
    if (int_of(r, "own_accounts") > 0) {
        out += "  and the " + std::to_string(int_of(r, "own_accounts")) +
               " accounts of this site itself\n";
    }
    if (!member(r, "only_session").empty()) {
        out += "\nStay logged in, but cannot log in again:\n" +
               list(member(r, "only_session"), [](const Json& u) {
                   return text_of(u, "user") + ", until " + minute(member(u, "until"));
               });
    }
    out += "\nNobody else can log in until the link is back.\n";
    out += certificate_text(member(r, "certificate"));
    out += "Not yet sent upward: " + unsent_words(member(r, "unsent")) + ".\n";
    for (const Json& budget : member(r, "budgets")) {
        if (const Json& waits = member(budget, "waits"); waits.is_object()) {
            out += "Not moved even with a link: " + text_of(waits, "text") + "; " +
                   kib_waiting(waits) + " since " + minute(member(waits, "since")) + ". " +
                   text_of(waits, "next") + ".\n";
        }
    }
    return out;
}

int offline_report(const Args& args, Env& env) {
    return show(args, env, run_at_state(args, env, "offline.report", {{"at", args.get("TIER")}}),
                report_text);
}

} // namespace

std::vector<Command> why_commands() {
    return {
        {.path = {"why"},
         .summary = "say why an app is or is not served at a tier",
         .description =
             "Says whether a request for APP at a tier would be served, from where and by which "
             "rule; if not, the cause and what to run next. With --user also whether that user may "
             "use it and could log in there. The tier itself is asked; when it cannot be reached, "
             "the answer is what it said last, with its age. Nothing is changed.",
         .options = {{.name = "at",
                      .metavar = "TIER",
                      .text = "the tier to look at: this one or one below (default: this one)",
                      .kind = Kind::value},
                     {.name = "user",
                      .metavar = "USER",
                      .text = "an account that wants to use it",
                      .kind = Kind::value}},
         .positionals = {{.name = "APP", .text = "name of the app"}},
         .examples = {{"hasp why wiki --at tokyo --user nurse",
                       "Says whether nurse reaches the wiki at tokyo, and by which right."}},
         .exit_codes = {5, 75},
         .run = why},
        {.path = {"offline-report"},
         .summary = "say what a lost link would mean for a site",
         .description =
             "If the link of a tier drops now: which apps stop at once and which go on until when, "
             "who can log in until when and who cannot, when the certificate ends that browsers "
             "see and whether that is long enough, and what was not yet sent upward. For a "
             "tier that is dark already it is told from what is known of it. Nothing is changed.",
         .positionals = {{.name = "TIER",
                          .text = "this tier or one below (default: this one)",
                          .required = false}},
         .examples = {{"hasp offline-report tokyo", "Says what tokyo would lose."}},
         .exit_codes = {5, 75},
         .run = offline_report},
    };
}

} // namespace hasp::cmd
