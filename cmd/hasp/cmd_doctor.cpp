// hasp doctor: what is wrong with this tier, and what to do about it.
#include "backup/key_file.h"
#include "backup_note.h"
#include "base/clock.h"
#include "client_check.h"
#include "commands.h"
#include "doctor.h"
#include "own_addresses.h"
#include "state.h"

#include <csignal>

namespace hasp::cmd {

namespace {

const char* word(Health health) {
    return health == Health::good ? "ok" : health == Health::warning ? "warning" : "problem";
}

const char* word(Sight sight) {
    return sight == Sight::ok ? "ok" : sight == Sight::warn ? "warn" : "fail";
}

struct ClientWork {
    std::vector<ClientTarget> targets;
    std::vector<std::string> expected; // addresses; empty: not known
};

// What was named, else what the tier at --state is reached by.
Result<ClientWork> client_work(const Args& args, Env& env) {
    ClientWork out;
    std::vector<std::string> urls = args.list("URL");
    if (urls.empty()) {
        auto tier = run_at_state(args, env, "names", Json::object());
        if (!tier.ok()) {
            return tier.error().code == Code::not_found
                       ? fail(Code::usage, "no URL, and no tier here whose names could be taken",
                              "hasp doctor --as-client https://clinic.example")
                       : tier.error();
        }
        urls = urls_of(plan_names(*tier, false), *tier);
        const char* listen = texts_of(*tier, "tls_listen").empty() ? "listen" : "tls_listen";
        for (const IpAddress& one :
             own_addresses(texts_of(*tier, listen), machine_addresses()).addresses) {
            out.expected.push_back(one.text());
        }
        if (urls.empty()) {
            return fail(Code::not_found, "this tier has no host names", "give a URL");
        }
    }
    if (urls.size() > client_targets_max) {
        return fail(Code::usage,
                    std::to_string(urls.size()) + " addresses are more than the " +
                        std::to_string(client_targets_max) + " that one run looks at",
                    "give those that matter");
    }
    for (const std::string& url : urls) {
        auto target = parse_client_target(url);
        if (!target.ok()) {
            return target.error();
        }
        out.targets.push_back(std::move(*target));
    }
    return out;
}

std::string client_line(const ClientFinding& one) {
    const std::string shown = word(one.sight);
    return "  " + shown + std::string(6 - shown.size(), ' ') + one.check +
           std::string(9 - one.check.size(), ' ') + one.what + "\n" +
           (one.next.empty() ? "" : std::string(17, ' ') + "→ " + one.next + "\n");
}

int as_client(const Args& args, Env& env) {
    auto timeout = args.number("timeout", 1, 60);
    auto work = client_work(args, env);
    if (!timeout.ok() || !work.ok()) {
        return report(args, env, !timeout.ok() ? timeout.error() : work.error());
    }
    std::signal(SIGPIPE, SIG_IGN); // OpenSSL writes without MSG_NOSIGNAL
    Json list = Json::array();
    std::size_t failed = 0;
    std::size_t warned = 0;
    for (const ClientTarget& target : work->targets) {
        auto seen = probe_client(target, {args.get("ca"), static_cast<int>(*timeout) * 1'000});
        if (!seen.ok()) {
            return report(args, env, seen.error());
        }
        std::vector<ClientFinding> found{judge_proxies(seen->target, env.variable)};
        // What resolves .localhost adds ::1 of itself.
        const bool local = target.host == "localhost" || target.host.ends_with(".localhost");
        for (ClientFinding& one : judge_client(
                 *seen, local ? std::vector<std::string>{} : work->expected, env.clock.wall_us())) {
            found.push_back(std::move(one));
        }
        std::string text;
        for (const ClientFinding& one : found) {
            failed += one.sight == Sight::fail ? 1U : 0U;
            warned += one.sight == Sight::warn ? 1U : 0U;
            list.push_back({{"target", seen->target.url()},
                            {"check", one.check},
                            {"state", word(one.sight)},
                            {"what", one.what},
                            {"next", one.next}});
            text += one.sight == Sight::ok && args.quiet() ? "" : client_line(one);
        }
        if (!args.json() && !text.empty()) {
            env.out(seen->target.url() + "\n" + text);
        }
    }
    if (args.json()) {
        env.out(dump(Json{{"findings", list}, {"failed", failed}, {"warned", warned}}, 2) + "\n");
    }
    return failed == 0 ? 0 : 1;
}

int doctor(const Args& args, Env& env) {
    if (args.flag("as-client")) {
        return as_client(args, env);
    }
    if (!args.list("URL").empty() || args.given("ca")) {
        return report(args, env,
                      fail(Code::usage, "a URL and --ca belong to --as-client",
                           "hasp doctor --as-client URL"));
    }
    const std::string state = absolute_path(args.state());
    std::vector<Finding> found;
    auto config = state_config(state);
    if (!config.ok()) {
        found.push_back({"config", Health::problem, config.error().message, config.error().hint});
    }
    auto status = run_at_state(args, env, "status", Json::object());
    if (!status.ok() && status.error().code == Code::not_found) {
        return report(args, env, status.error());
    }
    bool running = false;
    if (status.ok()) {
        running = true_of(*status, "running");
        for (Finding& one : examine_status(*status, env.clock.wall_us())) {
            found.push_back(std::move(one));
        }
    } else {
        found.push_back({"running", Health::problem,
                         "the tier does not answer: " + status.error().message,
                         status.error().hint});
    }
    for (Finding& one : examine_machine(state, config.ok() ? *config : maint::Config{},
                                        running && config.ok(), env.clock.wall_us())) {
        found.push_back(std::move(one));
    }
    // What a tier below another one has of its own, those above and its users' homes have, too.
    if (status.ok() && !member(*status, "link").is_object()) {
        if (auto keys = backup::read_keys(state); keys.ok()) {
            found.push_back(examine_backup(read_backup_note(state), backup::key_prints(*keys),
                                           env.clock.wall_us()));
        }
    }
    Json list = Json::array();
    std::size_t bad = 0;
    std::string text;
    for (const Finding& one : found) {
        bad += one.health == Health::good ? 0U : 1U;
        list.push_back({{"check", one.check},
                        {"state", word(one.health)},
                        {"what", one.what},
                        {"next", one.next}});
        if (one.health == Health::good && args.quiet()) {
            continue;
        }
        const std::string shown = word(one.health);
        text += shown + std::string(9 - shown.size(), ' ') + one.check +
                std::string(one.check.size() < 13 ? 14 - one.check.size() : 1, ' ') + one.what +
                "\n";
        if (!one.next.empty()) {
            text += std::string(23, ' ') + "→ " + one.next + "\n";
        }
    }
    env.out(args.json() ? dump(Json{{"findings", list}, {"bad", bad}}, 2) + "\n" : text);
    return bad == 0 ? 0 : 1;
}

} // namespace

Command doctor_command() {
    return {
        .path = {"doctor"},
        .summary = "look for what is wrong with this tier",
        .description =
            "Looks at the state folder, keys, certificates, database, disk, clock, link, "
            "addresses, leases, apps and what keeps them apart, the tiers below, the newest "
            "errors and, at the top, the age of the last backup. Each finding says what to do "
            "next. It changes nothing, works also when "
            "the tier does not run, and ends with 0 when all is well and 1 when anything was "
            "found; with --quiet only what was found is printed.\n\nWith --as-client it looks from "
            "this machine as a user's terminal does, which needs no tier here: whether the "
            "name of each portal or app resolves and to what, how fast its addresses connect, "
            "whether this machine trusts the certificate and for how long, whether hasp "
            "answers, how far the clocks are apart, and which proxy the environment names. "
            "One page is asked for (/hasp/login), and no secret is sent. Each line says ok, "
            "warn or fail; it ends with 0 when nothing failed and with 1 otherwise.",
        .options = {{.name = "as-client",
                     .text = "look at what a user's terminal sees, from this machine"},
                    {.name = "ca",
                     .metavar = "FILE",
                     .text = "with --as-client: trust these authorities (PEM) instead of the "
                             "system's",
                     .kind = Kind::value},
                    {.name = "timeout",
                     .metavar = "S",
                     .text = "with --as-client: how many seconds each step may take",
                     .kind = Kind::value,
                     .default_text = "5"}},
        .positionals = {{.name = "URL",
                         .text = "with --as-client: http or https URLs, or hosts (default: "
                                 "those of the tier at --state, as in hasp names)",
                         .required = false,
                         .repeated = true}},
        .examples = {{"hasp doctor --quiet", "Prints what needs attention, for cron."},
                     {"hasp doctor --as-client https://clinic.example",
                      "Says what this terminal sees of the portal."}},
        .exit_codes = {5, 75},
        .run = doctor};
}

} // namespace hasp::cmd
