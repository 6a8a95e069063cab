// hasp reload, hasp restart: other settings and another hasp under the users' feet.
#include "commands.h"
#include "door.h"
#include "state.h"

namespace hasp::cmd {

namespace {

constexpr int answer_ms_max = 180'000;

Result<Json> ask_supervisor(const Args& args, const std::string& command) {
    const std::string state = absolute_path(args.state());
    auto frame = ipc::call_unix(state + door_name, dump({{"cmd", command}}), {}, answer_ms_max);
    if (!frame.ok()) {
        const Code code = frame.error().code;
        return code == Code::not_found || code == Code::unreachable
                   ? fail(Code::unreachable, "no daemon runs on " + state,
                          "start it with `hasp serve`, or name its state with --state")
                   : frame.error();
    }
    const Json answer = parse_object(frame->head);
    if (answer.contains("error")) {
        return error_of(member(answer, "error"));
    }
    return member(answer, "result");
}

std::string listed(const std::vector<std::string>& keys) {
    std::string out;
    for (const std::string& key : keys) {
        out += (out.empty() ? "" : ", ") + key;
    }
    return out;
}

std::string told(const Json& result) {
    const std::string changed = listed(texts_of(result, "changed"));
    const std::string waits = listed(texts_of(result, "at_start"));
    return (changed.empty() ? "no setting has changed" : "changed: " + changed) + "\n" +
           (waits.empty() ? "" : "needs a new start of the tier: " + waits + "\n") +
           (result.contains("loops")
                ? "fewer loops than web.loops serve: " + std::to_string(int_of(result, "loops")) +
                      "; fronts of before that finish what they have hold the rest: reload again "
                      "when they have ended\n"
                : "");
}

int run_reload(const Args& args, Env& env) {
    return show(args, env, ask_supervisor(args, "reload"),
                [&](const Json& result) { return args.quiet() ? std::string() : told(result); });
}

int run_restart(const Args& args, Env& env) {
    return show(args, env, ask_supervisor(args, "restart"), [&](const Json& result) {
        return args.quiet() ? std::string()
                            : "hasp " + text_of(result, "version") + " serves\n" + told(result);
    });
}

} // namespace

std::vector<Command> reload_commands() {
    return {
        {.path = {"reload"},
         .summary = "take over changed settings without a failed request",
         .description =
             "Reads the config of the running tier again. If it is wrong, nothing changes, and the "
             "mistake is told. Else a new front process begins with the new settings, certificates "
             "and authorities on the same listening sockets; the one before it finishes what users "
             "have begun there, WebSockets and long answers included, for as long as drain_s under "
             "[process] says. Addresses to listen on may change too. Prints which settings have "
             "changed, and which wait for the next start.",
         .examples = {{"hasp reload --state /srv/hasp", "After a change of /srv/hasp/hasp.toml."}},
         .exit_codes = {2, 4, 5},
         .run = run_reload},
        {.path = {"restart"},
         .summary = "go on with the hasp that is installed now, without a failed request",
         .description =
             "Starts the program that the tier was started from, as the file is now, in the place "
             "of the one that runs: same process id, same sockets, same lock. Front is followed as "
             "in `hasp reload`, and the keeper begins anew; questions wait for it. Apps run on, "
             "and so does the process that they are children of: that one is the new program's "
             "from the next start of the tier. A program that cannot take over is told, and the "
             "one before serves on.",
         .examples = {{"hasp restart --state /srv/hasp", "After an upgrade of the package."}},
         .exit_codes = {2, 4, 5},
         .run = run_restart}};
}

} // namespace hasp::cmd
