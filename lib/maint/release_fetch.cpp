// Delegation: one release on its way here: its text and signature, its pack piece by piece, its
// import. How fast the pieces come, and whether, the gate of the link says.
#include "base/files.h"
#include "delegation.h"

#include <algorithm>

namespace hasp::maint {

// A release on its way here.
struct Delegation::Download {
    AssignmentRow wanted;
    Release release;
    ReleaseRow proof;      // whose signature it carries
    std::string statement; // of the app's publishers
    std::string pack;      // its name at the parent
    PackSpool spool;
    std::uint64_t size = 0;
    std::uint64_t asked = 0; // bytes that are here or under way
    bool waits = false;      // for its turn
    bool cuts = false;  // the parent gives as much as it is asked for, and not whatever it likes
    bool ended = false; // it failed or is held: what was under way counts for nothing
};

// The release's text with its signature; then, unless its content is here already, its pack.
void Delegation::fetch_release(const AssignmentRow& wanted) {
    const AppRow* here = world_.apps.row(wanted.app);
    if (here != nullptr && wanted.target == world_.me.name.text() &&
        here->origin != wanted.origin) {
        failed_with(wanted, "'" + wanted.app + "' is here by order of " + here->origin + ", and " +
                                wanted.origin + " cannot put another in its place");
        return;
    }
    std::vector<std::string> have;
    std::vector<std::string> bases;
    if (auto held = world_.releases.list(wanted.app); held.ok()) {
        for (const HeldRelease& release : *held) {
            have.push_back(release.commit);
            bases.insert(bases.begin(), release.id); // the newest first
        }
        bases.resize(std::min(bases.size(), release_bases_max));
    }
    if (!world_.releases.holds(wanted.app, wanted.release_id)) {
        said(wanted, RolloutState::fetching);
    }
    Json question{{"t", "release.get"}, {"app", wanted.app}, {"release", wanted.release_id}};
    if (world_.links.has_feature(to_parent, "patch")) {
        question["bases"] = bases;
    } else {
        question["have"] = have;
    }
    if (world_.releases.holds(wanted.app, wanted.release_id)) {
        question["held"] = true;
    } else if (world_.gate.over(Purpose::packs)) {
        question["named"] = true;
    }
    world_.links.ask(to_parent, question, {}, [this, wanted](Result<Message> answer) {
        if (!answer.ok()) {
            failed_with(wanted, answer.error().message);
            return;
        }
        auto got = decode_release_answer(
            *answer, [&](const std::string& id) { return base_text_of(wanted.app, id); });
        if (!got.ok()) {
            failed_with(wanted, got.error().message);
            return;
        }
        begin_download(wanted, *std::move(got));
    });
}

void Delegation::begin_download(const AssignmentRow& wanted, ReleaseAnswer got) {
    auto release = decode_release(got.text);
    if (!release.ok() || release->app != wanted.app || release_id(*release) != wanted.release_id) {
        failed_with(wanted, "the parent sent another release than it had assigned");
        return;
    }
    auto proof = world_.publishing.prove(wanted, *release, got.signature, got.statement);
    if (!proof.ok()) {
        failed_with(wanted, proof.error().message);
        return;
    }
    if (world_.releases.holds(wanted.app, wanted.release_id)) {
        held_now(wanted, *proof, got.statement);
        return;
    }
    if (Status made = make_folders(world_.state + "/spool"); !made.ok()) {
        failed_with(wanted, made.error().message);
        return;
    }
    PackSpool spool(world_.state + "/spool/" + wanted.app + "-" + wanted.release_id + ".pack",
                    got.pack_bytes, got.pack_sha256);
    Status opened = got.pack.empty() ? Status() : spool.remove();
    opened = opened.ok() ? spool.open() : opened;
    if (opened.ok() && !got.pack.empty()) {
        opened = spool.append(0, got.pack);
    }
    if (!opened.ok()) {
        failed_with(wanted, opened.error().message);
        return;
    }
    const std::uint64_t here = spool.have_bytes();
    fetch_pack(std::make_shared<Download>(Download{wanted, *std::move(release), *std::move(proof),
                                                   got.statement, got.pack_name, std::move(spool),
                                                   got.pack_bytes, here}));
}

void Delegation::held_now(const AssignmentRow& wanted, const ReleaseRow& proof,
                          const std::string& statement) {
    if (const Status put = world_.publishing.took(wanted, proof, statement); !put.ok()) {
        failed_with(wanted, put.error().message);
        return;
    }
    working_ = false;
    work();
}

void Delegation::fetch_pack(const DownloadPtr& download) {
    if (download->spool.complete()) {
        import(download);
        return;
    }
    const bool one_at_a_time = !download->cuts && download->asked > download->spool.have_bytes();
    if (download->waits || one_at_a_time || download->asked >= download->size) {
        return;
    }
    download->waits = true;
    world_.gate.wait_turn(
        Purpose::packs, LinkWay::down, static_cast<std::size_t>(download->size - download->asked),
        [this, download](Result<LinkPace::Piece> piece) {
            download->waits = false;
            if (!piece.ok()) {
                // What is under way still comes, and is asked for no more after it.
                if (!download->ended && download->asked == download->spool.have_bytes()) {
                    hold(download, piece.error());
                }
            } else if (download->ended) {
                world_.gate.done(*piece, false);
            } else {
                ask_piece(download, *piece);
                fetch_pack(download);
            }
        });
}

void Delegation::ask_piece(const DownloadPtr& download, const LinkPace::Piece& piece) {
    const Json question{{"t", "pack.get"},
                        {"app", download->wanted.app},
                        {"release", download->wanted.release_id},
                        {"pack", download->pack},
                        {"offset", download->asked},
                        {"bytes", piece.bytes}};
    download->asked += piece.bytes;
    world_.links.ask(to_parent, question, {}, [this, download, piece](Result<Message> answer) {
        world_.gate.done(piece, answer.ok());
        if (!download->ended) {
            take_piece(download, piece.bytes, answer);
        }
    });
}

void Delegation::take_piece(const DownloadPtr& download, std::size_t asked,
                            const Result<Message>& answer) {
    PackSpool& spool = download->spool;
    const auto fails = [&](const std::string& why) {
        download->ended = true;
        failed_with(download->wanted, why);
    };
    if (!answer.ok() || answer->body.empty()) {
        fails(answer.ok() ? "the pack ended early" : answer.error().message);
        return;
    }
    const bool as_asked = answer->body.size() == asked;
    if (!as_asked && download->cuts) {
        fails("the parent sent a piece of another length than was asked for");
        return;
    }
    if (Status appended = spool.append(spool.have_bytes(), answer->body); !appended.ok()) {
        fails(appended.error().message);
        return;
    }
    if (!as_asked) {
        download->asked = spool.have_bytes();
        world_.gate.moved_more(Purpose::packs,
                               answer->body.size() - std::min(asked, answer->body.size()));
    }
    download->cuts = as_asked;
    fetch_pack(download);
}

void Delegation::hold(const DownloadPtr& download, const Error& why) {
    download->ended = true;
    const AssignmentRow& wanted = download->wanted;
    held_[wanted.app + "/" + wanted.release_id] = download->size - download->spool.have_bytes();
    said(wanted, RolloutState::waiting, why.message + "; " + why.hint);
    working_ = false;
    work();
}

bool Delegation::is_held(const AssignmentRow& row) const {
    return row.wanted && held_.contains(row.app + "/" + row.release_id);
}

std::uint64_t Delegation::held_bytes() const {
    std::uint64_t sum = 0;
    for (const AssignmentRow& row : desired_) {
        const auto held = held_.find(row.app + "/" + row.release_id);
        sum += row.wanted && held != held_.end() ? held->second : 0;
    }
    return sum;
}

void Delegation::import(const DownloadPtr& download) {
    const AssignmentRow& wanted = download->wanted;
    if (!world_.apps.begin_import(wanted.app)) {
        failed_with(wanted, "another release of '" + wanted.app + "' is being taken in");
        return;
    }
    auto result = std::make_shared<Status>();
    world_.apps.import_work(
        [releases = &world_.releases, download, result] {
            *result = download->spool.finish();
            if (result->ok()) {
                auto imported = releases->import_pack(download->spool.path(), download->release);
                *result = imported.ok() ? download->spool.remove() : Status{imported.error()};
            }
        },
        [this, download, result] {
            const AssignmentRow& done = download->wanted;
            world_.apps.end_import(done.app);
            if (!result->ok()) {
                failed_with(done, "the release of '" + done.app +
                                      "' was refused: " + result->error().message);
                return;
            }
            world_.log.info("release.held", "a release has arrived",
                            {{"app", done.app}, {"release", done.release_id}});
            held_now(done, download->proof, download->statement);
        });
}

} // namespace hasp::maint
