// hasp doctor: what is wrong with this tier, and what to do about it.
#include "base/clock.h"
#include "commands.h"
#include "doctor.h"
#include "state.h"

namespace hasp::cmd {

namespace {

const char* word(Health health) {
    return health == Health::good ? "ok" : health == Health::warning ? "warning" : "problem";
}

int doctor(const Args& args, Env& env) {
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
    return {.path = {"doctor"},
            .summary = "look for what is wrong with this tier",
            .description =
                "Looks at the state folder, keys, certificates, database, disk, clock, link, "
                "addresses, leases, apps and what keeps them apart, the tiers below and the newest "
                "errors. Each finding says what to do next. It changes nothing, works also when "
                "the tier does not run, and ends with 0 when all is well and 1 when anything was "
                "found; with --quiet only what was found is printed.",
            .examples = {{"hasp doctor --quiet", "Prints what needs attention, for cron."}},
            .exit_codes = {5, 75},
            .run = doctor};
}

} // namespace hasp::cmd
