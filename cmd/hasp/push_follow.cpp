#include "push_follow.h"

#include "base/clock.h"

#include <map>
#include <poll.h>

namespace hasp::cmd {

namespace {

constexpr int ask_again_ms = 300;
constexpr std::uint64_t timeout_s_max = 24 * 3600;

Json state_of(const Json& rollouts, const std::string& tier, const std::string& release) {
    for (const Json& one : member(rollouts, "rollouts")) {
        if (text_of(one, "tier") == tier && text_of(one, "release") == release) {
            return one;
        }
    }
    return {{"tier", tier}, {"state", "waiting"}, {"why", "it has not said anything about it yet"}};
}

std::string line_of(const Json& tier) {
    const std::string why = text_of(tier, "why");
    return text_of(tier, "tier") + ": " + text_of(tier, "state") + (why.empty() ? "" : ", " + why);
}

} // namespace

Followed follow_rollout(PushTransport& transport, Env& env, const std::string& app,
                        const std::string& release, const std::vector<std::string>& to,
                        std::int64_t seconds) {
    const std::int64_t end_us = env.clock.boot_us() + seconds * 1'000'000;
    std::map<std::string, std::string> shown;
    Followed out;
    for (;;) {
        const auto rollouts = transport.call("app.rollouts", {{"app", app}, {"release", release}});
        std::string rolled_back;
        std::string missing;
        out.tiers = Json::array();
        for (const std::string& name : to) {
            const Json tier =
                rollouts.ok()
                    ? state_of(*rollouts, name, release)
                    : Json{{"tier", name}, {"state", "waiting"}, {"why", rollouts.error().message}};
            const std::string state = text_of(tier, "state");
            if (state == "rolled_back") {
                rolled_back += (rolled_back.empty() ? "" : "; ") + line_of(tier) + "\n" +
                               text_of(tier, "last_lines");
            } else if (state != "serving") {
                missing += (missing.empty() ? "" : "; ") + line_of(tier);
            }
            if (std::string line = line_of(tier); env.err_is_tty && shown[name] != line) {
                env.err(line + "\n");
                shown[name] = std::move(line);
            }
            out.tiers.push_back(tier);
        }
        if (!rolled_back.empty()) {
            while (rolled_back.ends_with('\n')) {
                rolled_back.pop_back();
            }
            out.outcome = fail(Code::failed, "the release was rolled back: " + rolled_back);
            return out;
        }
        if (missing.empty()) {
            return out;
        }
        if (env.clock.boot_us() >= end_us) {
            out.outcome =
                fail(Code::timed_out,
                     "after " + std::to_string(seconds) +
                         " seconds not every tier serves it: " + missing,
                     "it stays assigned: hasp app releases " + app + " shows how far it is");
            return out;
        }
        ::poll(nullptr, 0, ask_again_ms);
    }
}

std::vector<Option> wait_options() {
    return {{.name = "wait", .text = "end when every tier serves it, or one rolled it back"},
            {.name = "timeout",
             .metavar = "SECONDS",
             .text = "how long --wait waits",
             .kind = Kind::value,
             .default_text = "600"}};
}

Result<std::int64_t> wait_seconds(const Args& args) {
    const auto seconds = args.number("timeout", 1, timeout_s_max);
    return seconds.ok() ? Result<std::int64_t>(static_cast<std::int64_t>(*seconds))
                        : Result<std::int64_t>(seconds.error());
}

} // namespace hasp::cmd
