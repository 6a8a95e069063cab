// Delegation: releases on their way down, and the desired state being reached one step after
// another. Every step is persisted before the next begins; what fails is tried again.
#include "base/files.h"
#include "base/text.h"
#include "delegation.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <unistd.h>

namespace hasp::maint {

namespace {
constexpr std::int64_t retry_us = 10'000'000;
constexpr std::size_t chunk_bytes = 256 * 1024;
} // namespace

// Named by its content: a child that is half-way through it never meets another.
std::string Delegation::pack_path(const std::string& sha256) const {
    return world_.state + "/packs/" + sha256 + ".pack";
}

bool Delegation::assigned(const std::string& child, const std::string& app,
                          const std::string& release_id) {
    auto rows = world_.store.assignments(child);
    return rows.ok() && std::any_of(rows->begin(), rows->end(), [&](const AssignmentRow& row) {
               return row.wanted && row.app == app && row.release_id == release_id;
           });
}

void Delegation::serve_children() {
    world_.links.on("lease.section", [this](const std::string& from, const Message& m,
                                            const Links::Answer& answer) {
        const std::string sha256 = text_of(m.head, "sha256");
        auto row = world_.store.lease(from);
        const bool theirs = from != to_parent && row.ok() && *row &&
                            std::any_of((*row)->sections.begin(), (*row)->sections.end(),
                                        [&](const auto& s) { return s.second == sha256; });
        auto body = theirs ? world_.store.section(sha256)
                           : Result<std::optional<std::string>>(std::nullopt);
        if (!body.ok() || !*body) {
            answer(fail(Code::not_found, "no such section in your lease"));
            return;
        }
        answer(Message{Json::object(), **body});
    });
    world_.links.on("release.get", [this](const std::string& from, const Message& m,
                                          const Links::Answer& a) { on_release_get(from, m, a); });
    world_.links.on("pack.get", [this](const std::string& from, const Message& m,
                                       const Links::Answer& a) { on_pack_get(from, m, a); });
}

void Delegation::on_release_get(const std::string& child, const Message& message,
                                const Links::Answer& answer) {
    const std::string app = text_of(message.head, "app");
    const std::string id = text_of(message.head, "release");
    if (!assigned(child, app, id)) {
        answer(fail(Code::not_found, "that release is not assigned to you"));
        return;
    }
    auto release = world_.releases.manifest(app, id);
    if (!release.ok()) {
        answer(release.error());
        return;
    }
    if (Status made = make_folders(world_.state + "/packs"); !made.ok()) {
        answer(made.error());
        return;
    }
    auto have = texts_of(message.head, "have");
    std::sort(have.begin(), have.end());
    std::string key = app + " " + id;
    for (const std::string& commit : have) {
        key += " " + commit;
    }
    const std::string text = encode_release(*release);
    const auto tell = [answer, text](const Result<PackInfo>& info) {
        if (!info.ok()) {
            answer(info.error());
            return;
        }
        answer(Message{{{"pack_bytes", info->size}, {"pack_sha256", info->sha256}}, text});
    };
    if (const auto made = packs_.find(key);
        made != packs_.end() && ::access(pack_path(made->second.sha256).c_str(), R_OK) == 0) {
        tell(made->second);
        return;
    }
    std::vector<std::function<void(const Result<PackInfo>&)>>& waiting = packing_[key];
    waiting.push_back(tell);
    if (waiting.size() > 1) {
        return; // one pack for all who have the same and want the same
    }
    auto info = std::make_shared<Result<PackInfo>>(fail(Code::failed, "no pack"));
    const std::string path = world_.state + "/packs/new-" + std::to_string(++packs_made_);
    world_.ports.background(
        [this, app, path, info, commit = release->commit, have] {
            *info = write_pack(world_.releases.repo_path(app), commit, have, path);
            if (info->ok() && ::rename(path.c_str(), pack_path((*info)->sha256).c_str()) != 0) {
                *info = errno_error(errno, "cannot keep the pack of " + app);
            }
        },
        [this, key, info] {
            if (info->ok()) {
                packs_.insert_or_assign(key, **info);
            }
            const auto told = packing_.extract(key);
            for (const auto& tell_one : told.mapped()) {
                tell_one(*info);
            }
        });
}

void Delegation::on_pack_get(const std::string& child, const Message& message,
                             const Links::Answer& answer) {
    const std::string app = text_of(message.head, "app");
    const std::string id = text_of(message.head, "release");
    if (!assigned(child, app, id)) {
        answer(fail(Code::not_found, "that release is not assigned to you"));
        return;
    }
    // Whatever is there was made for somebody who may have this app's releases; its name is the
    // hash that the child was told.
    const std::string sha256 = text_of(message.head, "pack");
    const auto ours = std::any_of(packs_.begin(), packs_.end(), [&](const auto& made) {
        return made.second.sha256 == sha256 && made.first.starts_with(app + " " + id);
    });
    const Fd fd(ours ? ::open(pack_path(sha256).c_str(), O_RDONLY | O_CLOEXEC) : -1);
    std::string chunk(chunk_bytes, '\0');
    const ssize_t n =
        fd ? ::pread(fd.get(), chunk.data(), chunk.size(), int_of(message.head, "offset")) : -1;
    if (n < 0) {
        answer(fail(Code::try_later, "the pack is not there any more: ask for the release again"));
        return;
    }
    chunk.resize(static_cast<std::size_t>(n));
    answer(Message{Json::object(), std::move(chunk)});
}

// Goes through the desired state until something has to be waited for.
void Delegation::work() {
    if (working_ || desired_counter_ == trust::Counter{}) {
        return;
    }
    for (const AssignmentRow& row : desired_) {
        const bool here = row.target == world_.me.name.text();
        if (!row.wanted) {
            auto held = world_.store.app(row.app);
            if (here && held.ok() && *held && (*held)->origin == row.origin) {
                if (const Status removed = world_.apps.remove(row.app); !removed.ok()) {
                    done_with(removed.error().message);
                    return;
                }
            }
        } else if (!world_.releases.holds(row.app, row.release_id)) {
            if (world_.links.connected(to_parent)) {
                working_ = true;
                fetch_release(row);
            }
            return;
        } else if (here) {
            if (const Status placed = put_in_place(row); !placed.ok()) {
                done_with("cannot install '" + row.app + "': " + placed.error().message);
                return;
            }
        }
        if (!here) {
            const auto target = trust::TierName::parse(row.target);
            AssignmentRow below = row;
            below.child = target->at_depth(world_.me.name.depth() + 1).leaf();
            if (const Status assigned_below = world_.store.assign(below); !assigned_below.ok()) {
                done_with(assigned_below.error().message);
                return;
            }
            touch();
        }
    }
    if (reached_ != desired_counter_) {
        reached_ = desired_counter_;
        const Json json{{"epoch", reached_.epoch}, {"number", reached_.number}};
        if (const Status kept = world_.store.set_fact("reached", dump(json)); !kept.ok()) {
            world_.log.error("desired.keep", kept.error().message);
        }
        world_.log.info("desired.reached", "everything that the parent assigned is in place",
                        {{"generation", std::to_string(reached_.number)}});
    }
    // Also when nothing changed: the parent may have lost what we said.
    if (on_reached_) {
        on_reached_();
    }
}

Status Delegation::put_in_place(const AssignmentRow& row) {
    auto held = world_.store.app(row.app);
    if (held.ok() && *held && (*held)->release_id == row.release_id &&
        (*held)->data_home == row.data_home && (*held)->origin == row.origin) {
        return {};
    }
    auto manifest = read_file(world_.releases.tree_path(row.app, row.release_id) + "/" +
                                  run::manifest_file_name,
                              run::manifest_bytes_max);
    if (!manifest.ok()) {
        return manifest.error();
    }
    return world_.apps.install(
        {row.app, row.release_id, row.origin, *manifest, row.data_home, world_.clock.wall_us()});
}

void Delegation::fetch_release(const AssignmentRow& wanted) {
    std::vector<std::string> have;
    if (auto held = world_.releases.list(wanted.app); held.ok()) {
        for (const HeldRelease& release : *held) {
            have.push_back(release.commit);
        }
    }
    const Json question{
        {"t", "release.get"}, {"app", wanted.app}, {"release", wanted.release_id}, {"have", have}};
    world_.links.ask(to_parent, question, {}, [this, wanted](Result<Message> answer) {
        if (!answer.ok()) {
            done_with(answer.error().message);
            return;
        }
        auto release = decode_release(answer->body);
        if (!release.ok() || release->app != wanted.app ||
            release_id(*release) != wanted.release_id) {
            done_with("the parent sent another release than it had assigned");
            return;
        }
        if (Status made = make_folders(world_.state + "/spool"); !made.ok()) {
            done_with(made.error().message);
            return;
        }
        auto spool = std::make_shared<PackSpool>(
            world_.state + "/spool/" + wanted.app + "-" + wanted.release_id + ".pack",
            static_cast<std::uint64_t>(int_of(answer->head, "pack_bytes")),
            text_of(answer->head, "pack_sha256"));
        if (Status opened = spool->open(); !opened.ok()) {
            done_with(opened.error().message);
            return;
        }
        fetch_pack(wanted, spool, *release);
    });
}

void Delegation::fetch_pack(const AssignmentRow& wanted, const std::shared_ptr<PackSpool>& spool,
                            const Release& release) {
    if (spool->complete()) {
        import(wanted, spool, release);
        return;
    }
    const Json question{{"t", "pack.get"},
                        {"app", wanted.app},
                        {"release", wanted.release_id},
                        {"pack", spool->expected_sha256()},
                        {"offset", spool->have_bytes()}};
    world_.links.ask(
        to_parent, question, {}, [this, wanted, spool, release](Result<Message> answer) {
            if (!answer.ok() || answer->body.empty()) {
                done_with(answer.ok() ? "the pack ended early" : answer.error().message);
                return;
            }
            if (Status appended = spool->append(spool->have_bytes(), answer->body);
                !appended.ok()) {
                done_with(appended.error().message);
                return;
            }
            fetch_pack(wanted, spool, release);
        });
}

void Delegation::import(const AssignmentRow& wanted, const std::shared_ptr<PackSpool>& spool,
                        const Release& release) {
    auto result = std::make_shared<Status>();
    world_.ports.background(
        [this, spool, release, result] {
            *result = spool->finish();
            if (result->ok()) {
                auto imported = world_.releases.import_pack(spool->path(), release);
                *result = imported.ok() ? spool->remove() : Status{imported.error()};
            }
        },
        [this, wanted, release, result] {
            working_ = false;
            if (!result->ok()) {
                done_with("the release of '" + wanted.app +
                          "' was refused: " + result->error().message);
                return;
            }
            const ReleaseRow row{wanted.app, wanted.release_id, encode_release(release),
                                 release.commit, world_.clock.wall_us()};
            if (const Status put = world_.store.put_release(row); !put.ok()) {
                done_with(put.error().message);
                return;
            }
            world_.log.info("release.held", "a release has arrived",
                            {{"app", wanted.app}, {"release", wanted.release_id}});
            work();
        });
}

void Delegation::done_with(const std::string& problem) {
    working_ = false;
    retry_at_us_ = world_.clock.boot_us() + retry_us;
    world_.log.warn("desired.delayed", problem);
    [[maybe_unused]] const Status kept =
        world_.store.add_error({world_.clock.wall_us(), "desired.delayed", problem});
}

void Delegation::tick() {
    if (retry_at_us_ != 0 && world_.clock.boot_us() >= retry_at_us_ &&
        world_.links.connected(to_parent)) {
        retry_at_us_ = 0;
        work();
    }
}

} // namespace hasp::maint
