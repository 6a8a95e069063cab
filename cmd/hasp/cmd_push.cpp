// hasp push-app: a release is made and signed here, and assigned there.
#include "base/clock.h"
#include "base/fd.h"
#include "base/files.h"
#include "base/text.h"
#include "commands.h"
#include "maint/release_git.h"
#include "maint/release_proof.h"
#include "push_follow.h"
#include "run/manifest.h"
#include "state.h"

#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

namespace hasp::cmd {

namespace {

constexpr std::size_t piece_bytes = std::size_t{256} << 10;
constexpr int tries_max = 5; // of one piece, when the connection breaks
constexpr int try_again_ms = 500;

// A folder of our own that goes with its owner.
class Scratch {
  public:
    static Result<Scratch> make(const Env& env) {
        std::string path = env.variable("TMPDIR").value_or("/tmp") + "/hasp-push-XXXXXX";
        if (::mkdtemp(path.data()) == nullptr) {
            return errno_error(errno, "cannot make a folder in " + path);
        }
        return Scratch(path);
    }
    Scratch(Scratch&& other) noexcept : path_(std::move(other.path_)) { other.path_.clear(); }
    Scratch& operator=(Scratch&&) = delete;
    ~Scratch() {
        if (!path_.empty()) {
            [[maybe_unused]] const Status gone = remove_tree(path_);
        }
    }
    const std::string& path() const { return path_; }

  private:
    explicit Scratch(std::string path) : path_(std::move(path)) {}
    std::string path_;
};

struct Push {
    maint::PushSource source;
    run::Manifest manifest;
    maint::Release release;
    std::string id;
    std::optional<trust::SigningKey> key;
    Json question; // what every command of it repeats
};

std::uint64_t bytes_of(const maint::Release& release) {
    std::uint64_t bytes = 0;
    for (const maint::ReleaseFile& file : release.files) {
        bytes += file.size;
    }
    return bytes;
}

// Everything that can be wrong with what is pushed is found here, before anybody is asked.
Result<Push> prepare(const Args& args, Env& env, const std::string& repo) {
    auto source = maint::find_source(absolute_path(args.get("DIR")), args.get("rev"));
    if (!source.ok()) {
        return source.error();
    }
    auto text = maint::read_source_file(*source, run::manifest_file_name, run::manifest_bytes_max);
    if (!text.ok()) {
        return text.error();
    }
    auto manifest = run::parse_manifest(*text, run::manifest_file_name);
    if (!manifest.ok()) {
        return manifest.error();
    }
    auto release = maint::make_release_from_source(*source, repo, manifest->name);
    if (!release.ok()) {
        return release.error();
    }
    Push push{*std::move(source), *std::move(manifest), *std::move(release), {}, {}, {}};
    push.id = maint::release_id(push.release);
    if (const std::string file = args.get("key"); !file.empty()) {
        auto key = trust::load_signing_key(file);
        if (!key.ok()) {
            return key.error();
        }
        push.key = *std::move(key);
    }
    if (push.source.dirty) {
        env.err("hasp: " + args.get("DIR") +
                " has changes that are not committed; what is pushed is the commit " +
                push.source.commit.substr(0, 12) + "\n");
    }
    push.question = {
        {"app", push.release.app},      {"release", push.id},
        {"source", push.source.commit}, {"dataset", push.manifest.data == run::DataScope::app},
        {"to", args.list("to")},        {"all", args.flag("all")},
        {"home", args.get("home")}};
    if (push.key) {
        push.question["key"] = to_base64url(push.key->public_key().raw());
    }
    return push;
}

struct Upload {
    std::uint64_t bytes = 0;
    bool delta = false;
};

Status send_file(PushTransport& transport, Env& env, const Json& upload, int fd,
                 std::uint64_t bytes) {
    const auto ask = [&] {
        const auto have = transport.call("push.chunk", upload);
        return have.ok() ? Result<std::uint64_t>(count_of(*have, "have"))
                         : Result<std::uint64_t>(have.error());
    };
    auto have = ask();
    std::string piece;
    for (int failed = 0; have.ok() ? *have < bytes : failed < tries_max;) {
        if (!have.ok()) {
            // A piece whose answer was lost may arrive after we asked what is there.
            if (have.error().code != Code::unreachable && have.error().code != Code::conflict) {
                return have.error();
            }
            ::poll(nullptr, 0, try_again_ms);
            ++failed;
            have = ask();
            continue;
        }
        piece.resize(std::min<std::uint64_t>(piece_bytes, bytes - *have));
        if (::pread(fd, piece.data(), piece.size(), static_cast<off_t>(*have)) !=
            static_cast<ssize_t>(piece.size())) {
            return fail(Code::failed, "cannot read the pack");
        }
        Json question = upload;
        question["offset"] = *have;
        const auto sent = transport.call("push.chunk", question, piece);
        if (sent.ok()) {
            have = static_cast<std::uint64_t>(int_of(*sent, "have"));
            failed = 0;
            if (env.err_is_tty) {
                env.err("\rupload " + std::to_string(*have * 100 / bytes) + " %" +
                        (*have == bytes ? "\n" : ""));
            }
        } else {
            have = sent.error();
        }
    }
    return have.ok() ? Status{} : Status{have.error()};
}

// The pack, as a delta against what the tier holds, goes there; what is there already stays.
Result<Upload> upload(Push& push, PushTransport& transport, Env& env, const std::string& folder,
                      const Json& begun) {
    const std::string repo = folder + "/repo.git";
    std::vector<std::string> have;
    std::string base_text;
    Upload out;
    for (const Json& one : member(begun, "have")) {
        maint::PushSource before = push.source;
        before.commit = text_of(one, "source");
        auto base = maint::add_source_base(push.source, repo, push.release.app, before.commit);
        if (!base.ok()) {
            return base.error();
        }
        have.push_back(text_of(one, "commit"));
        if (*base && !out.delta) {
            // The newest that both have: the text travels as its difference to this one's.
            auto release = maint::make_release_from_source(before, repo, push.release.app);
            if (release.ok() && maint::release_id(*release) == text_of(one, "release")) {
                base_text = maint::encode_release(*release);
                push.question["base"] = text_of(one, "release");
            }
            out.delta = true;
        }
    }
    const std::string file = folder + "/upload";
    auto info = maint::write_upload(repo, push.release, have, base_text, file);
    if (!info.ok()) {
        return info.error();
    }
    out.bytes = info->size;
    push.question["bytes"] = info->size;
    push.question["sha256"] = info->sha256;
    push.question["text_bytes"] = info->text_bytes;
    const Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) {
        return errno_error(errno, "cannot open " + file);
    }
    const Status sent = send_file(transport, env, push.question, fd.get(), info->size);
    return sent.ok() ? Result<Upload>(out) : Result<Upload>(sent.error());
}

// Our signature under the sequence that the tier gave.
Status sign(Push& push, const Json& begun, const Clock& clock) {
    push.release.epoch = static_cast<std::uint64_t>(int_of(begun, "epoch"));
    push.release.number = static_cast<std::uint64_t>(int_of(begun, "number"));
    push.question["epoch"] = push.release.epoch;
    push.question["number"] = push.release.number;
    if (!push.key) {
        return {};
    }
    auto name = trust::TierName::parse(text_of(begun, "tier"));
    auto tier_key = trust::PublicKey::from_raw(from_base64url(text_of(begun, "key")).value_or(""));
    if (!name.ok() || !tier_key.ok()) {
        return fail(Code::failed, "the tier did not say who it is",
                    "compare the versions of hasp there and here");
    }
    const maint::Origin origin{from_base64url(text_of(begun, "realm_id")).value_or(""), *name,
                               *tier_key};
    auto signature = maint::sign_release(
        push.release, {{}, {}, push.source.commit, clock.wall_us()}, origin, *push.key);
    if (!signature.ok()) {
        return signature.error();
    }
    push.question["signature"] = to_base64url(*signature);
    return {};
}

std::string summary(const Json& done) {
    std::string to;
    for (const Json& tier : member(done, "to")) {
        to += " " + (tier.is_string() ? tier.get<std::string>() : "");
    }
    const std::string commit = text_of(done, "commit").substr(0, 12);
    const std::string what = text_of(done, "app") + " release " +
                             text_of(done, "release").substr(0, 12) +
                             (commit.empty() ? "" : " of the commit " + commit);
    if (true_of(done, "dry_run")) {
        return what + " (" + std::to_string(int_of(done, "files")) + " files, " +
               std::to_string(int_of(done, "bytes")) + " bytes) " +
               (true_of(done, "current") ? "is there already:" : "would be assigned to") + to +
               "\n";
    }
    if (true_of(done, "current")) {
        return what + " is there already, nothing to do:" + to + "\n";
    }
    return what + " (" + std::to_string(int_of(done, "files")) + " files, " +
           std::to_string(int_of(done, "pack_bytes")) + " bytes sent" +
           (true_of(done, "delta") ? " as a delta" : "") + ") is assigned to" + to + "\n";
}

Json result_of(const Push& push, const Json& begun, const Upload& sent) {
    return {{"app", push.release.app},
            {"release", push.id},
            {"commit", push.source.commit},
            {"sequence", {{"epoch", push.release.epoch}, {"number", push.release.number}}},
            {"files", push.release.files.size()},
            {"bytes", bytes_of(push.release)},
            {"pack_bytes", sent.bytes},
            {"delta", sent.delta},
            {"current", true_of(begun, "current")},
            {"to", member(begun, "to")},
            {"tiers", Json::array()}};
}

Result<Json> push_it(Push& push, PushTransport& transport, Env& env, const std::string& folder,
                     bool dry_run) {
    auto begun = transport.call("push.begin", push.question);
    if (!begun.ok()) {
        return begun.error();
    }
    if (dry_run || true_of(*begun, "current")) {
        const Json& newest = member(*begun, "newest");
        push.release.epoch = static_cast<std::uint64_t>(int_of(newest, "epoch"));
        push.release.number = static_cast<std::uint64_t>(int_of(newest, "number"));
        Json done = result_of(push, *begun, {});
        if (dry_run) {
            done["dry_run"] = true;
        }
        return done;
    }
    Upload sent;
    if (!true_of(*begun, "held")) {
        auto there = upload(push, transport, env, folder, *begun);
        if (!there.ok()) {
            return there.error();
        }
        sent = *there;
    }
    if (Status signed_it = sign(push, *begun, env.clock); !signed_it.ok()) {
        return signed_it.error();
    }
    auto committed = transport.call("push.commit", push.question);
    return committed.ok() ? Result<Json>(result_of(push, *begun, sent))
                          : Result<Json>(committed.error());
}

int run_push(const Args& args, Env& env) {
    auto transport = push_transport(args, env);
    auto seconds = wait_seconds(args);
    auto scratch = Scratch::make(env);
    if (!transport.ok() || !seconds.ok() || !scratch.ok()) {
        return report(args, env,
                      !transport.ok() ? transport.error()
                      : !seconds.ok() ? seconds.error()
                                      : scratch.error());
    }
    if (!(*transport)->local() && args.get("key").empty()) {
        return report(args, env,
                      fail(Code::usage, "a release that is pushed over HTTP must be signed",
                           "give the publisher's key with --key or HASP_KEY; hasp app key makes "
                           "one"));
    }
    auto push = prepare(args, env, scratch->path() + "/repo.git");
    auto done = push.ok() ? push_it(*push, **transport, env, scratch->path(), args.flag("dry-run"))
                          : Result<Json>(push.error());
    if (!done.ok()) {
        return report(args, env, done.error());
    }
    Status outcome;
    if (args.flag("wait") && !args.flag("dry-run")) {
        const Followed followed = follow_rollout(**transport, env, push->release.app, push->id,
                                                 texts_of(*done, "to"), *seconds);
        (*done)["tiers"] = followed.tiers;
        outcome = followed.outcome;
    }
    const int shown = show(args, env, done, summary);
    return outcome.ok() ? shown : report(args, env, outcome.error());
}

} // namespace

Command push_command() {
    std::vector<Option> options{
        {.name = "rev",
         .metavar = "REV",
         .text = "the commit, tag or branch that is pushed (default: HEAD)",
         .kind = Kind::value},
        {.name = "to",
         .metavar = "TIER",
         .text = "a tier that is to hold it (default: those that hold it now)",
         .kind = Kind::list},
        {.name = "all", .text = "every tier: the one that is pushed to and those below it"},
        {.name = "home",
         .metavar = "TIER",
         .text = "the tier that keeps the app's dataset, for an app with scope = \"app\" under "
                 "[data] (default: where it is now)",
         .kind = Kind::value},
        {.name = "key",
         .metavar = "FILE",
         .text = "the publisher's key, which `hasp app key` makes (default: the tier itself "
                 "signs, when it is on this machine)",
         .kind = Kind::value,
         .env = "HASP_KEY"},
        center_option(),
        {.name = "dry-run", .text = "say what would be pushed, and send nothing"}};
    for (Option& option : wait_options()) {
        options.push_back(std::move(option));
    }
    return {
        .path = {"push-app"},
        .summary = "publish a release of an app from a git repository",
        .description =
            "Makes a release of a commit, signs it where it runs, and assigns it to tiers. What "
            "is not committed is left out, with a warning; nothing is committed. DIR may be the "
            "top of a repository, a folder inside it (which is then the app), a bare "
            "repository, or a folder without git.\n\nOnly what the tier does not hold is sent: a "
            "later push of the same repository is a delta against the releases before. A push "
            "that was interrupted goes on where it was when the same command is run again. The "
            "same content once more is nothing to do, and success.\n\nThe first key that signs "
            "an app's release is the one that must sign the next ones; `hasp app allow` accepts "
            "another.\n\nWith --wait, a release that a tier rolled back ends with 1 and the app's "
            "last lines; a tier that cannot be reached is waited for until --timeout, which ends "
            "with 8. The release stays assigned, and such a tier gets the newest one at its next "
            "contact.\n\nFrom a pipeline: HASP_CENTER is the tier's web address, HASP_TOKEN a "
            "token of `hasp token create USER --push APP`, HASP_KEY the publisher's key.",
        .options = std::move(options),
        .positionals = {{.name = "DIR", .text = "the repository or folder with the app"}},
        .examples = {{"hasp push-app ./wiki --to center --to tokyo --wait",
                      "Publishes the last commit, and ends when both serve it."},
                     {"hasp push-app ./wiki --rev v1.4 --dry-run",
                      "Says what the tag would become, and for whom."}},
        .exit_codes = {4, 5, 6, 7, 8, 75},
        .run = run_push};
}

} // namespace hasp::cmd
