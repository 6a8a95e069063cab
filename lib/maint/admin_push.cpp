// push.*: a release that was made and signed elsewhere comes in. Each question stands for itself:
// what was uploaded is found again by its hash, after a restart too.
#include "admin.h"
#include "base/files.h"
#include "base/text.h"
#include "release_answer.h"
#include "text_patch.h"

#include <algorithm>
#include <fcntl.h>
#include <filesystem>
#include <memory>
#include <sys/stat.h>
#include <unistd.h>

namespace hasp::maint {

namespace {

constexpr std::size_t uploads_max = 16;                          // under way at a time
constexpr std::int64_t upload_kept_us = 24LL * 3600 * 1'000'000; // after its last piece
constexpr std::array<std::string_view, 5> push_family = {"push.begin", "push.chunk", "push.commit",
                                                         "app.rollouts", "app.releases"};

// Uploads that nobody goes on with.
std::size_t sweep_uploads(const std::string& folder, std::int64_t now_us) {
    std::size_t left = 0;
    std::error_code ec;
    for (const auto& entry : std::filesystem::directory_iterator(folder, ec)) {
        struct stat st {};
        if (::stat(entry.path().c_str(), &st) == 0 &&
            now_us - st.st_mtim.tv_sec * 1'000'000 > upload_kept_us) {
            ::unlink(entry.path().c_str());
        } else {
            ++left;
        }
    }
    return left;
}

// An upload is the pack with the release's text (of sequence 0) behind it, as its difference to
// `base`. Gives the release and cuts the text off.
Result<Release> take_text(const std::string& path, std::uint64_t bytes, std::uint64_t text_bytes,
                          const std::string& base) {
    const Fd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (!fd) {
        return errno_error(errno, "cannot open the upload");
    }
    std::string patch(text_bytes, '\0');
    std::size_t done = 0;
    while (done < patch.size()) {
        const ssize_t n = ::pread(fd.get(), patch.data() + done, patch.size() - done,
                                  static_cast<off_t>(bytes - text_bytes + done));
        if (n <= 0 && errno != EINTR) {
            return fail(Code::failed, "cannot read the upload");
        }
        done += n > 0 ? static_cast<std::size_t>(n) : 0;
    }
    const auto text = apply_patch(base, patch, release_manifest_bytes_max);
    if (!text.ok()) {
        return text.error();
    }
    auto release = decode_release(*text);
    if (release.ok() && ::ftruncate(fd.get(), static_cast<off_t>(bytes - text_bytes)) != 0) {
        return errno_error(errno, "cannot cut the upload");
    }
    return release;
}

// What a commit works on in the background.
struct Incoming {
    std::string app;
    std::string id;
    trust::Counter sequence;
    std::string signature; // empty: ours
    std::vector<std::string> keys;
    Origin origin;
    std::optional<PackSpool> spool; // nothing: the content is held
    std::uint64_t text_bytes = 0;
    std::string base; // release whose text that of this one is a difference to; empty: none
    Release release;
    std::optional<Proof> proof;
};

Status take_in(Incoming& in, const ReleaseStore& releases) {
    if (in.spool) {
        if (!in.spool->complete()) {
            return fail(Code::conflict, "the upload is not complete", "push again: it goes on");
        }
        if (Status whole = in.spool->finish(); !whole.ok()) {
            return whole;
        }
        std::string base;
        if (!in.base.empty()) {
            const auto held = releases.manifest(in.app, in.base);
            if (!held.ok()) {
                return fail(Code::conflict,
                            "the release that the text is a difference to is not held any more",
                            "push again");
            }
            base = base_text(encode_release(*held));
        }
        auto release = take_text(in.spool->path(), in.spool->expected_size(), in.text_bytes, base);
        if (!release.ok()) {
            return release.error();
        }
        in.release = *std::move(release);
    } else {
        auto release = releases.manifest(in.app, in.id);
        if (!release.ok()) {
            return release.error();
        }
        in.release = *std::move(release);
    }
    if (in.release.app != in.app || release_id(in.release) != in.id) {
        return fail(Code::refused, "the upload holds another release than was announced");
    }
    in.release.epoch = in.sequence.epoch;
    in.release.number = in.sequence.number;
    if (in.signature.empty()) {
        return {};
    }
    auto proof = verify_claim(in.release, in.signature, in.keys, in.origin);
    if (!proof.ok()) {
        return proof.error();
    }
    in.proof = *std::move(proof);
    return {};
}

Status import(Incoming& in, ReleaseStore& releases) {
    auto imported = in.spool ? releases.import_pack(in.spool->path(), in.release)
                             : releases.import_from_repo(in.release);
    if (!imported.ok()) {
        return imported.error();
    }
    return {};
}

} // namespace

void Admin::run_push(const Json& request, const std::string& body,
                     const std::vector<std::string>& apps, const Answer& answer) {
    const std::string command = text_of(request, "cmd");
    const Json& args = member(request, "args");
    const std::string app = text_of(args, "app");
    const bool known =
        std::find(push_family.begin(), push_family.end(), command) != push_family.end();
    if (!known || (!apps.empty() && std::find(apps.begin(), apps.end(), app) == apps.end()) ||
        !valid_name(app)) {
        answer(fail(Code::refused,
                    known ? "this token may not push '" + app + "'"
                          : "a token may not do this: '" + command + "'",
                    known ? "make one that may: hasp token create USER --push " + app
                          : "run the command at the tier itself"));
        return;
    }
    if (command == "push.commit" && text_of(args, "signature").empty()) {
        answer(fail(Code::refused, "a release that comes over HTTP must be signed",
                    "give the publisher's key: --key FILE or HASP_KEY"));
        return;
    }
    run(request, body, answer);
}

void Admin::push_begin(const Json& args, const Answer& answer) {
    const std::string app = text_of(args, "app");
    const std::string id = text_of(args, "release");
    if (!valid_name(app) || !valid_release_id(id)) {
        answer(fail(Code::usage, "'" + app + "' '" + id + "' names no release"));
        return;
    }
    auto where = placement(app, true_of(args, "dataset"), args);
    auto key = from_base64url(text_of(args, "key"));
    auto sequence = world_.publishing.next_sequence(app);
    auto keys = world_.publishing.keys_or_first(app, key.value_or(""));
    auto rows = world_.store.releases(app);
    auto newest = world_.store.publishers(app);
    for (const Error* error :
         {where.ok() ? nullptr : &where.error(), sequence.ok() ? nullptr : &sequence.error(),
          keys.ok() ? nullptr : &keys.error(), rows.ok() ? nullptr : &rows.error(),
          newest.ok() ? nullptr : &newest.error()}) {
        if (error != nullptr) {
            answer(*error);
            return;
        }
    }
    Json have = Json::array();
    for (const ReleaseRow& row : *rows) {
        if (have.size() < pack_have_max && world_.releases.holds(app, row.release_id)) {
            have.push_back(
                {{"commit", row.commit_id}, {"source", row.source}, {"release", row.release_id}});
        }
    }
    // Nothing to do when it is the newest and everywhere where it is to be.
    const Placement before = placed(app);
    bool current = *newest && (*newest)->origin == world_.me.name.text() &&
                   (*newest)->release_id == id && before.data_home == where->data_home;
    Json to = Json::array();
    for (const trust::TierName& name : where->targets) {
        current = current && has_release(name, app, id);
        to.push_back(name.text());
    }
    answer(Json{{"tier", world_.me.name.text()},
                {"realm_id", to_base64url(world_.me.realm_id)},
                {"key", to_base64url(world_.me.envelope_key.public_key().raw())},
                {"epoch", sequence->epoch},
                {"number", sequence->number},
                {"have", have},
                {"held", world_.releases.holds(app, id)},
                {"current", current},
                {"newest", *newest ? Json{{"epoch", (*newest)->newest.epoch},
                                          {"number", (*newest)->newest.number},
                                          {"release", (*newest)->release_id}}
                                   : Json()},
                {"to", to}});
}

bool Admin::has_release(const trust::TierName& name, const std::string& app,
                        const std::string& id) {
    if (name == world_.me.name) {
        auto row = world_.store.app(app);
        return row.ok() && *row && (*row)->release_id == id;
    }
    auto rows = world_.store.assignments(name.at_depth(world_.me.name.depth() + 1).leaf());
    return rows.ok() && std::any_of(rows->begin(), rows->end(), [&](const AssignmentRow& row) {
               return row.wanted && row.app == app && row.target == name.text() &&
                      row.release_id == id;
           });
}

// The upload of a release, as far as it is here.
Result<PackSpool> Admin::spool(const Json& args) {
    const std::string app = text_of(args, "app");
    const std::string id = text_of(args, "release");
    const std::string sha256 = text_of(args, "sha256");
    const std::int64_t bytes = int_of(args, "bytes", -1);
    if (!valid_name(app) || !valid_release_id(id) || sha256.size() != 64 || !from_hex(sha256) ||
        bytes < 0) {
        return fail(Code::usage, "this names no upload: app, release, bytes and sha256 are needed");
    }
    const std::string path = world_.pushes + "/" + app + "-" + id + "-" + sha256.substr(0, 16);
    if (::access(path.c_str(), F_OK) != 0) {
        if (Status made = make_folders(world_.pushes); !made.ok()) {
            return made.error();
        }
        if (sweep_uploads(world_.pushes, world_.clock.wall_us()) >= uploads_max) {
            return fail(Code::try_later, "too many pushes are under way",
                        "try again when one of them is done");
        }
    }
    PackSpool spool(path, static_cast<std::uint64_t>(bytes), sha256);
    if (Status opened = spool.open(); !opened.ok()) {
        return opened.error();
    }
    return spool;
}

void Admin::push_chunk(const Json& args, const std::string& body, const Answer& answer) {
    auto upload = spool(args);
    if (!upload.ok()) {
        answer(upload.error());
        return;
    }
    if (body.size() > pack_chunk_bytes) {
        answer(fail(Code::usage, "a piece of an upload has at most " +
                                     std::to_string(pack_chunk_bytes) + " bytes"));
        return;
    }
    // Without a piece it is the question how much is here.
    if (!body.empty()) {
        const std::int64_t offset = int_of(args, "offset", -1);
        if (Status appended = upload->append(static_cast<std::uint64_t>(offset), body);
            !appended.ok()) {
            answer(appended.error());
            return;
        }
    }
    answer(Json{{"have", upload->have_bytes()}});
}

void Admin::push_commit(const Json& args, const Answer& answer) {
    const std::string app = text_of(args, "app");
    const std::string id = text_of(args, "release");
    auto where = placement(app, true_of(args, "dataset"), args);
    const std::string key = from_base64url(text_of(args, "key")).value_or("");
    auto keys = world_.publishing.keys_or_first(app, key);
    auto next = world_.publishing.next_sequence(app);
    const std::string base = text_of(args, "base");
    if (!valid_name(app) || !valid_release_id(id) || (!base.empty() && !valid_release_id(base)) ||
        !where.ok() || !keys.ok() || !next.ok()) {
        answer(!where.ok()  ? where.error()
               : !keys.ok() ? keys.error()
               : !next.ok() ? next.error()
                            : fail(Code::usage, "this names no release"));
        return;
    }
    auto in =
        std::make_shared<Incoming>(Incoming{app,
                                            id,
                                            {static_cast<std::uint64_t>(int_of(args, "epoch")),
                                             static_cast<std::uint64_t>(int_of(args, "number"))},
                                            from_base64url(text_of(args, "signature")).value_or(""),
                                            *keys,
                                            world_.publishing.self(),
                                            std::nullopt,
                                            static_cast<std::uint64_t>(int_of(args, "text_bytes")),
                                            base,
                                            {},
                                            std::nullopt});
    // Asked again because the answer was lost.
    if (auto row = world_.store.release(app, id);
        row.ok() && *row && !in->signature.empty() && (*row)->signature == in->signature) {
        Json to = Json::array();
        for (const trust::TierName& name : where->targets) {
            to.push_back(name.text());
        }
        answer(Json{{"app", app},
                    {"release", id},
                    {"epoch", (*row)->sequence.epoch},
                    {"number", (*row)->sequence.number},
                    {"to", to}});
        return;
    }
    if (in->sequence.epoch != next->epoch || in->sequence.number < next->number) {
        answer(fail(Code::conflict,
                    "the sequence " + std::to_string(in->sequence.epoch) + "." +
                        std::to_string(in->sequence.number) + " of '" + app +
                        "' is taken: another release was pushed meanwhile",
                    "look at it with `hasp app releases " + app +
                        "`, and push again if yours is to follow it"));
        return;
    }
    if (!world_.releases.holds(app, id)) {
        auto upload = spool(args);
        if (!upload.ok() || in->text_bytes > release_manifest_bytes_max ||
            in->text_bytes > upload->expected_size()) {
            answer(upload.ok() ? fail(Code::usage, "text_bytes is not within the upload")
                               : upload.error());
            return;
        }
        in->spool = *std::move(upload);
    }
    if (const Status begun = begin_import(app); !begun.ok()) {
        answer(begun.error());
        return;
    }
    auto result = std::make_shared<Status>();
    world_.apps.import_work(
        [releases = &world_.releases, in, result] {
            *result = take_in(*in, *releases);
            *result = result->ok() ? import(*in, *releases) : *result;
            if (in->spool && (result->ok() || result->error().code == Code::refused)) {
                // What was refused is refused again: nothing to go on with.
                [[maybe_unused]] const Status gone = in->spool->remove();
            }
        },
        [this, in, result, where = *where, source = text_of(args, "source"), answer] {
            world_.apps.end_import(in->app);
            answer(result->ok() ? pushed(in->release, in->signature, in->proof, source, where)
                                : Result<Json>(result->error()));
        });
}

Result<Json> Admin::pushed(const Release& release, const std::string& signature,
                           const std::optional<Proof>& proof, const std::string& source,
                           const Placement& where) {
    auto row = sign_here(release, source);
    if (!row.ok()) {
        return row.error();
    }
    if (proof) {
        row->signature = signature;
        row->key = proof->key;
        row->source = proof->claim.source;
    }
    auto published = publish(*row, where);
    if (published.ok()) {
        std::uint64_t bytes = 0;
        for (const ReleaseFile& file : release.files) {
            bytes += file.size;
        }
        (*published)["files"] = release.files.size();
        (*published)["bytes"] = bytes;
    }
    return published;
}

void Admin::push_commands() {
    commands_["push.begin"] = [this](const Json& args, const Answer& answer) {
        push_begin(args, answer);
    };
    commands_["push.commit"] = [this](const Json& args, const Answer& answer) {
        push_commit(args, answer);
    };
}

} // namespace hasp::maint
