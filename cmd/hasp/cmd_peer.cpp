// hasp peer …: centers beside this one.
#include "base/files.h"
#include "commands.h"
#include "state.h"
#include "trust/peer.h"

namespace hasp::cmd {

namespace {

std::string app_words(const std::vector<std::string>& names) {
    std::string out;
    for (const std::string& name : names) {
        out += (out.empty() ? "" : ", ") + name;
    }
    return out.empty() ? "nothing" : out;
}

std::string state_words(const Json& peer) {
    const std::string state = text_of(peer, "state");
    return state == "unusable" ? state + ": " + text_of(peer, "reason") : state;
}

int export_peer(const Args& args, Env& env) {
    return show(args, env,
                run_at_state(args, env, "peer.export", {{"addresses", args.list("address")}}),
                [](const Json& r) { return text_of(r, "line") + "\n"; });
}

int add_peer(const Args& args, Env& env) {
    const std::string file = args.get("from");
    Result<std::string> line{std::string()};
    if (!file.empty()) {
        line = file == "-" ? env.in(trust::peer_card_bytes_max)
                           : read_file(file, trust::peer_card_bytes_max);
    }
    if (!line.ok()) {
        return report(args, env, line.error());
    }
    const Json arguments{{"name", args.get("NAME")},
                         {"line", *line},
                         {"use", args.list("use")},
                         {"offer", args.list("offer")}};
    return show(args, env, run_at_state(args, env, "peer.add", arguments), [&](const Json& r) {
        return args.quiet()
                   ? std::string()
                   : text_of(r, "name") + " is " + text_of(r, "tier") + ", realm " +
                         text_of(r, "realm_id").substr(0, 16) +
                         "\nasked there for: " + app_words(texts_of(r, "asks")) +
                         "\noffered to its users: " + app_words(texts_of(r, "offers")) + "\n";
    });
}

int list_peers(const Args& args, Env& env) {
    return show(
        args, env, run_at_state(args, env, "peer.list", Json::object()), [&](const Json& r) {
            std::vector<std::vector<std::string>> rows{{"NAME", "TIER", "STATE", "USES", "OFFERS"}};
            for (const Json& peer : member(r, "peers")) {
                rows.push_back({text_of(peer, "name"), text_of(peer, "tier"), state_words(peer),
                                app_words(texts_of(peer, "asks")),
                                app_words(texts_of(peer, "offers"))});
            }
            return listing(args, rows);
        });
}

int remove_peer(const Args& args, Env& env) {
    return show(
        args, env, run_at_state(args, env, "peer.remove", {{"name", args.get("NAME")}}),
        [&](const Json&) { return args.quiet() ? "" : args.get("NAME") + " is removed\n"; });
}

} // namespace

std::vector<Command> peer_commands() {
    const Positional name{.name = "NAME", .text = "what this tier calls the peer"};
    return {
        {.path = {"peer"}, .summary = "add, list and remove centers beside this one"},
        {.path = {"peer", "export"},
         .summary = "print the line by which another center knows this one",
         .description = "Prints one line with this tier's addresses, its name, the root "
                        "certificate of its realm and its key. It holds no secret, but who alters "
                        "it on its way takes this tier's place: hand it over by a way that you "
                        "trust.",
         .options = {{.name = "address",
                      .metavar = "HOST:PORT",
                      .text = "where the other center finds this one (default: addresses under "
                              "[link] in hasp.toml)",
                      .kind = Kind::list}},
         .examples = {{"hasp peer export > east.peer", "Writes the line for the other operator."}},
         .exit_codes = {5, 75},
         .run = export_peer},
        {.path = {"peer", "add"},
         .summary = "make a center known as a peer, or change what it may do",
         .description =
             "Both centers must add each other. Requests of users of this tier, and of those "
             "below, for an app under --use go to the peer, if neither this tier nor one above or "
             "below holds it; they are accepted there if that peer has the app under its --offer. "
             "What comes back is shown under the app's own host name alone and never under "
             "/apps/NAME/, so that --use needs app_host under [web] in hasp.toml. "
             "An app under --offer may be used by whom the peer speaks for, as USER@NAME, if this "
             "tier holds it itself and runs it once for all: a peer's users have no folders "
             "here.\n\nFor a NAME that is known, both lists are replaced, and what is under way "
             "with it is cut; without --from its line stays.",
         .options = {{.name = "from",
                      .metavar = "FILE",
                      .text = "its line, from `hasp peer export` there; - is standard input",
                      .kind = Kind::value},
                     {.name = "use",
                      .metavar = "APP",
                      .text = "an app that is asked for there",
                      .kind = Kind::list},
                     {.name = "offer",
                      .metavar = "APP",
                      .text = "an app of this tier that its users may use",
                      .kind = Kind::list}},
         .positionals = {name},
         .examples = {{"hasp peer add west --from west.peer --use radicale",
                       "Sends requests for radicale to the center that made west.peer."},
                      {"hasp peer add east --from east.peer --offer radicale",
                       "There: lets the users of the other center use radicale."}},
         .exit_codes = {5, 6, 75},
         .run = add_peer},
        {.path = {"peer", "list"},
         .summary = "list the peers",
         .description = "STATE is what the last request that went there found. A row that this "
                        "hasp cannot read is \"unusable\", with the reason: add the peer anew with "
                        "its line, or remove it.",
         .exit_codes = {5, 75},
         .run = list_peers},
        {.path = {"peer", "remove"},
         .summary = "end what a peer may do, at once",
         .description = "Cuts its connections and what its users have open here; nothing of it is "
                        "accepted any more, and nothing is sent there.",
         .positionals = {name},
         .examples = {{"hasp peer remove west", "Cuts west off."}},
         .exit_codes = {5, 75},
         .run = remove_peer},
    };
}

} // namespace hasp::cmd
