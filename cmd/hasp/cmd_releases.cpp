// hasp app releases, rollback, allow, key: what was published, and by whom.
#include "base/files.h"
#include "base/random.h"
#include "base/text.h"
#include "commands.h"
#include "maint/release_proof.h"
#include "push_follow.h"
#include "state.h"

#include <unistd.h>

namespace hasp::cmd {

namespace {

constexpr std::size_t key_file_bytes_max = 4096;

std::string sequence_of(const Json& release) {
    return std::to_string(int_of(release, "epoch")) + "." +
           std::to_string(int_of(release, "number"));
}

std::string leaf(const std::string& tier) {
    return tier.substr(tier.rfind('/') + 1);
}

int releases(const Args& args, Env& env) {
    auto transport = push_transport(args, env);
    if (!transport.ok()) {
        return report(args, env, transport.error());
    }
    return show(args, env, (*transport)->call("app.releases", {{"app", args.get("APP")}}),
                [&](const Json& r) {
                    std::vector<std::vector<std::string>> rows{
                        {"SEQUENCE", "RELEASE", "COMMIT", "PUBLISHED", "KEY", "SERVED BY"}};
                    for (const Json& one : member(r, "releases")) {
                        std::string tiers;
                        for (const Json& tier : member(one, "serves")) {
                            tiers += (tiers.empty() ? "" : " ") + leaf(tier.get<std::string>());
                        }
                        rows.push_back({sequence_of(one), text_of(one, "release").substr(0, 12),
                                        text_of(one, "commit").substr(0, 12),
                                        text_of(one, "published").substr(0, 19),
                                        text_of(one, "key"), tiers});
                    }
                    return listing(args, rows);
                });
}

int rollback(const Args& args, Env& env) {
    auto transport = local_transport(args, env);
    auto seconds = wait_seconds(args);
    if (!seconds.ok()) {
        return report(args, env, seconds.error());
    }
    auto done = transport->call(
        "app.rollback",
        {{"app", args.get("APP")}, {"release", args.get("release")}, {"to", args.list("TIER")}});
    Status outcome;
    if (done.ok() && args.flag("wait")) {
        const Followed followed =
            follow_rollout(*transport, env, args.get("APP"), text_of(*done, "release"),
                           texts_of(*done, "to"), *seconds);
        (*done)["tiers"] = followed.tiers;
        outcome = followed.outcome;
    }
    const int shown = show(args, env, done, [](const Json& r) {
        std::string to;
        for (const std::string& tier : texts_of(r, "to")) {
            to += " " + tier;
        }
        return text_of(r, "app") + " goes back to the release " +
               text_of(r, "release").substr(0, 12) + " as " + sequence_of(r) + " at" + to + "\n";
    });
    return outcome.ok() ? shown : report(args, env, outcome.error());
}

int allow(const Args& args, Env& env) {
    auto pem = read_file(args.get("key"), key_file_bytes_max);
    auto key = pem.ok() ? maint::public_key_from_pem(*pem) : Result<trust::PublicKey>(pem.error());
    if (!key.ok()) {
        return report(
            args, env,
            fail(key.error().code, args.get("key") + ": " + key.error().message, key.error().hint));
    }
    return show(
        args, env,
        run_at_state(args, env, "app.allow",
                     {{"app", args.get("APP")}, {"key", *pem}, {"remove", args.flag("remove")}}),
        [&](const Json& r) {
            std::string keys;
            for (const std::string& name : texts_of(r, "keys")) {
                keys += " " + name;
            }
            return args.quiet() ? std::string()
                                : text_of(r, "app") + " may be published with" +
                                      (keys.empty() ? " the tier's own key alone" : keys) + "\n";
        });
}

int key(const Args& args, Env& env) {
    const std::string file = args.get("FILE");
    // There already: its public part once more, never another key in its place.
    const bool there = ::access(file.c_str(), F_OK) == 0;
    auto made = there ? trust::load_signing_key(file)
                      : Result<trust::SigningKey>(trust::SigningKey::generate(env.random));
    if (!made.ok()) {
        return report(args, env, made.error());
    }
    if (Status saved = there ? Status{} : trust::save_private(file, made->pem()); !saved.ok()) {
        return report(args, env, saved.error());
    }
    const trust::PublicKey open = made->public_key();
    return show(args, env,
                Json{{"key", maint::key_name(open.raw())}, {"public", maint::public_pem(open)}},
                [](const Json& r) { return text_of(r, "public"); });
}

} // namespace

std::vector<Command> release_commands() {
    std::vector<Option> rollback_options{
        {.name = "release",
         .metavar = "RELEASE",
         .text = "the release, or how its id begins (default: the one before)",
         .kind = Kind::value}};
    for (Option& option : wait_options()) {
        rollback_options.push_back(std::move(option));
    }
    return {
        {.path = {"app", "releases"},
         .summary = "list the releases of an app that a tier holds",
         .description =
             "Newest first: sequence, release, the commit that it was made from, when it was "
             "published, the key that signed it, and the tiers that serve it. The tier that "
             "publishes an app keeps its last ten releases and those that a tier is to hold; the "
             "others keep the last two.",
         .options = {center_option()},
         .positionals = {{.name = "APP", .text = "name of the app"}},
         .exit_codes = {4, 5, 7, 75},
         .run = releases},
        {.path = {"app", "rollback"},
         .summary = "go back to an older release of an app",
         .description =
             "Assigns what an older release holds as the newest one, under a new sequence that "
             "this tier signs, at the tiers that are named or at all that hold the app. With a "
             "publisher's key, push the older commit instead: hasp push-app DIR --rev REV.",
         .options = std::move(rollback_options),
         .positionals =
             {{.name = "APP", .text = "name of the app"},
              {.name = "TIER", .text = "only at this tier", .required = false, .repeated = true}},
         .examples = {{"hasp app rollback wiki --wait",
                       "Goes back to the release before, and ends when every tier serves it."}},
         .exit_codes = {4, 5, 8, 75},
         .run = rollback},
        {.path = {"app", "allow"},
         .summary = "accept another publisher's key for an app",
         .description =
             "The first key that signs a release of an app is accepted from then on; any other "
             "is refused until it is allowed here. This tier's own key is always accepted.",
         .options = {{.name = "key",
                      .metavar = "FILE",
                      .text = "the public key, as `hasp app key` prints it",
                      .kind = Kind::value,
                      .required = true},
                     {.name = "remove", .text = "accept it no longer; what it signed stays"}},
         .positionals = {{.name = "APP", .text = "name of the app"}},
         .examples = {{"hasp app allow wiki --key publisher.pub",
                       "Lets the holder of that key publish the wiki."}},
         .exit_codes = {5, 75},
         .run = allow},
        {.path = {"app", "key"},
         .summary = "make a publisher's key and print its public part",
         .description = "Writes an Ed25519 private key for `hasp push-app --key`, readable by you "
                        "alone. When the file is there already, its public part is printed again.",
         .positionals = {{.name = "FILE", .text = "where the private key is kept"}},
         .examples = {{"hasp app key publisher.pem > publisher.pub",
                       "Makes a key, and keeps its public part for `hasp app allow`."}},
         .exit_codes = {4},
         .run = key},
    };
}

} // namespace hasp::cmd
