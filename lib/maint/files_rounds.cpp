// Files: this tier's working copies and the rounds that compare them with their homes.
#include "base/clock.h"
#include "base/text.h"
#include "files_parts.h"

#include <algorithm>
#include <utility>

namespace hasp::maint {

namespace {

constexpr std::int64_t settle_us = second_us; // from a request to the look at what it wrote
constexpr std::int64_t settle_again_us = 3 * second_us; // what was written a little later
constexpr std::int64_t busy_every_us = 30 * second_us;  // while an app runs on the folder
constexpr std::int64_t busy_for_us = 600 * second_us;   // after the last request
constexpr std::int64_t retry_us = 30 * second_us;
constexpr std::int64_t not_kept_us = 600 * second_us; // unless a lease or a log-in says otherwise
constexpr unsigned refused_doublings_max = 8;         // of a minute: about four hours
constexpr std::int64_t wait_again_us = 2 * second_us; // for whoever waits until all is equal
// An app that does not notice changes is ended between two requests of its user's where there is
// such a moment, and soon even so: he sees old files until then.
constexpr std::int64_t unused_us = 2 * second_us;
constexpr std::int64_t use_wait_us = 10 * second_us;
constexpr std::int64_t stop_wait_us = 45 * second_us; // of files for an app to end: it drains first
constexpr std::size_t folders_max = 1'000'000;

std::string leaf_path(const std::string& state, const std::string& absolute) {
    return absolute.size() > state.size() + 1 ? absolute.substr(state.size() + 1) : absolute;
}

// From a minute to hours.
constexpr std::int64_t arriving_again_us = second_us;

// It may be otherwise in a moment.
bool passes(Code code) {
    return code == Code::unreachable || code == Code::timed_out || code == Code::try_later;
}

std::int64_t refused_wait_us(unsigned rounds) {
    return sync::refused_again_us << std::min(std::max(rounds, 1U) - 1, refused_doublings_max);
}

} // namespace

Result<sync::WorkingFolder> Files::working_folder(const FolderId& id) {
    auto copy = world_.copies.ensure(sync::Scope::user, id.user, id.app);
    if (!copy.ok()) {
        return copy.error();
    }
    return sync::WorkingFolder{id, leaf_path(world_.state, copy->path), {copy->uid, copy->gid}};
}

bool Files::holds(const std::string& app) const {
    const auto manifest = world_.apps.manifests().find(app);
    return manifest != world_.apps.manifests().end() &&
           manifest->second.data == run::DataScope::user;
}

Files::Folder& Files::folder(const FolderId& id) {
    auto& held = folders_[id];
    if (held == nullptr) {
        held = std::make_unique<Folder>();
        held->status.folder = id;
        if (!copies_.all().contains(id.user)) {
            note_copy(
                copies_.there(id.user, world_.clock.wall_us(), lent_keeps().contains(id.user)));
        }
    }
    return *held;
}

void Files::schedule(const FolderId& id, std::int64_t delay_us) {
    if (engine_ == nullptr || (!folders_.contains(id) && folders_.size() >= folders_max)) {
        return;
    }
    sooner(folder(id).asked_us, world_.clock.boot_us() + delay_us);
    set_due(id);
}

void Files::start_due() {
    const std::int64_t now = world_.clock.boot_us();
    for (auto next = due_.begin(); next != due_.end() && next->first <= now &&
                                   running_ - stopping_.size() < rounds_at_once_max;) {
        const FolderId id = next->second;
        if (folder(id).running) {
            ++next; // it begins when the one that runs is done
            continue;
        }
        start(id);
        next = due_.begin();
    }
}

void Files::start(const FolderId& id) {
    auto round = std::make_shared<Round>();
    round->id = id;
    round->born = next_wanted_;
    Folder& at = folder(id);
    const std::int64_t now = world_.clock.boot_us();
    const auto due = [now](std::int64_t& when) {
        return when != 0 && when <= now && std::exchange(when, 0) != 0;
    };
    round->for_wish = due(at.wished_us);
    round->asked = due(at.asked_us) || (round->for_wish && at.compared < round->born);
    round->wished = std::any_of(wanted_.begin(), wanted_.end(), [&](const auto& one) {
        const auto wish = one.second.folders.find(id);
        return wish != one.second.folders.end() && wish->second.is_null();
    });
    round->confirms = round->asked && std::exchange(at.confirms, false);
    at.confirming = round->confirms;
    round->scan = due(at.scan_us);
    due(at.noticed_us);
    set_due(id);
    at.running = true;
    at.came_bytes = 0;
    ++running_;
    if (!holds(id.app) && !round->confirms) {
        finish(round, fail(Code::not_found, "'" + id.app + "' is not held at this tier"));
        return;
    }
    auto at_disk = working_folder(id);
    if (!at_disk.ok()) {
        finish(round, at_disk.error());
        return;
    }
    round->folder = *std::move(at_disk);
    if (at.ended) {
        look_only(round, ended_error(id));
        return;
    }
    auto way = way_to(id.user);
    const bool may_be_gone = users_gone_.contains(id.user); // which this tier knows itself
    if (!way.ok() && !may_be_gone) {
        look_only(round, way.error());
        return;
    }
    round->over_a_link = way.ok() && !way->here;
    round->over_parent = round->over_a_link && way->neighbour == to_parent;
    if (round->over_a_link && !may_be_gone && !world_.links.connected(way->neighbour)) {
        look_only(round, fail(Code::unreachable,
                              "the home of " + id.user +
                                  "'s files cannot be reached: there is no link "
                                  "to '" +
                                  way->name + "'",
                              "work goes on; what changes is sent when the link is back"));
        return;
    }
    if (const auto over = world_.gate.over(Purpose::files); over && round->over_parent) {
        over_budget(round, *over);
        return;
    }
    prepare(round);
}

void Files::look_only(const RoundPtr& round, const Error& why) {
    auto looked = std::make_shared<Result<sync::FolderStatus>>(sync::FolderStatus{});
    client_work_.run(
        [this, round, looked] {
            hear(*round);
            *looked = engine_->client->look(round->folder);
            round->unchecked = engine_->client->unchecked(round->id);
        },
        [this, round, looked, why] {
            if (looked->ok()) {
                folder(round->id).status = **looked;
            }
            finish(round, looked->ok() ? why : looked->error());
        });
}

void Files::prepare(const RoundPtr& round) {
    if (folder(round->id).ended) { // since the last exchange of this round
        finish(round, ended_error(round->id));
        return;
    }
    if (!holds(round->id.app)) { // no more than whether the home has it, or it is gone
        round->out = {};
        round->out.since = folder(round->id).status.revision;
        push(round);
        return;
    }
    auto made = std::make_shared<Result<sync::Client::Outgoing>>(sync::Client::Outgoing{});
    client_work_.run(
        [this, round, made] {
            hear(*round);
            *made = engine_->client->prepare(round->folder, round->exchanges > 0);
            round->unchecked = engine_->client->unchecked(round->id);
        },
        [this, round, made] {
            if (!made->ok()) {
                finish(round, made->error());
                return;
            }
            round->out = **made;
            round->changing = round->out.changing;
            if (!round->asked && round->out.batch.empty() && !round->out.asks_first) {
                round->quiet = !round->for_wish;
                finish(round, std::nullopt);
                return;
            }
            round->asked = true; // what follows belongs to the same comparison
            round->answered = false;
            round->offset = 0;
            round->tries = 0;
            push(round);
        });
}

void Files::judge(const RoundPtr& round) {
    auto arrived = std::make_shared<Result<sync::Client::Arrived>>(sync::Client::Arrived{});
    client_work_.run(
        [this, round, arrived] {
            const Status noted = engine_->client->home_takes(round->id, round->format);
            *arrived = noted.ok() ? engine_->client->arrived(round->folder)
                                  : Result<sync::Client::Arrived>(noted.error());
        },
        [this, round, arrived] {
            if (!arrived->ok()) {
                finish(round, arrived->error());
                return;
            }
            const sync::Client::Arrived& a = **arrived;
            round->sent_files += a.taken + a.conflicts;
            round->sent_bytes += round->out.content_bytes;
            round->conflicts += a.conflicts;
            // Where something was sent first, that the home has all of it is another question.
            round->again =
                a.again || round->out.resumed || (round->confirms && !round->out.batch.empty());
            const auto manifest = world_.apps.manifests().find(round->id.app);
            const bool restart = manifest != world_.apps.manifests().end() &&
                                 manifest->second.on_data_change == run::DataChange::restart;
            if (a.changes > 0 && restart && runs(world_.apps, round->id)) {
                stop_app(round);
            } else {
                apply(round, runs(world_.apps, round->id));
            }
        });
}

// What the app has in memory is older than what came: it ends, and the next request starts it anew.
void Files::stop_app(const RoundPtr& round) {
    folder(round->id).applying = true;
    round->came_us = world_.clock.boot_us();
    round->stop_until_us = 0;
    stopping_.push_back(round);
    wait_for_apps();
}

void Files::wait_for_apps() {
    std::vector<RoundPtr> ended;
    const std::int64_t now = world_.clock.boot_us();
    std::erase_if(stopping_, [&](const RoundPtr& round) {
        const auto used_us = world_.apps.used_at(round->id.app, round->id.user);
        if (round->stop_until_us == 0 && used_us &&
            (now - *used_us >= unused_us || now - round->came_us >= use_wait_us)) {
            round->stop_until_us = now + stop_wait_us;
            world_.apps.stop(round->id.app, round->id.user,
                             "its user's files changed at another tier");
        }
        const bool done = !runs(world_.apps, round->id) ||
                          (round->stop_until_us != 0 && round->stop_until_us <= now);
        if (done) {
            ended.push_back(round);
        }
        return done;
    });
    for (const RoundPtr& round : ended) {
        if (runs(world_.apps, round->id)) {
            finish(round, fail(Code::try_later,
                               "'" + round->id.app + "' did not end, and its files are to change"));
        } else {
            apply(round, false);
        }
    }
}

void Files::apply(const RoundPtr& round, bool in_use) {
    folder(round->id).applying = true;
    auto applied = std::make_shared<Result<sync::Client::Applied>>(sync::Client::Applied{});
    client_work_.run(
        [this, round, applied, in_use] {
            *applied = engine_->client->apply(round->folder, in_use);
        },
        [this, round, applied] {
            if (!applied->ok()) {
                finish(round, applied->error());
                return;
            }
            // Between parts that follow one another no app starts on a half of them.
            const std::int64_t now = world_.clock.boot_us();
            round->parts_us = round->parts_us == 0 ? now : round->parts_us;
            folder(round->id).applying =
                (*applied)->again && now - round->parts_us < parts_together_us;
            round->received_files += (*applied)->files;
            round->skipped = (*applied)->skipped;
            round->passing += (*applied)->passing;
            const bool again = round->again || (*applied)->again;
            if (again && ++round->exchanges < exchanges_max) {
                prepare(round);
                return;
            }
            finish(round, again ? std::optional<Error>(fail(
                                      Code::try_later, "more is to come than one round may bring"))
                                : std::nullopt);
        });
}

void Files::finish(const RoundPtr& round, const std::optional<Error>& error) {
    begin_pieces(round, 0);
    // What is unsent now, and what is held, for those who ask.
    auto statuses = std::make_shared<Result<sync::FolderStatus>>(sync::FolderStatus{});
    const bool unreachable =
        round->held ||
        (error && (error->code == Code::unreachable || error->code == Code::timed_out));
    client_work_.run(
        [this, round, statuses, error] {
            const bool refused = error && error->code == Code::refused && !round->answered;
            if (Status anew = refused ? engine_->client->home_refused(round->id) : Status{};
                !anew.ok()) {
                *statuses = anew.error();
                return;
            }
            Status noted =
                round->quiet ? Status{}
                             : engine_->client->note_error(round->id, error ? error->message : "");
            if (!noted.ok()) {
                *statuses = noted.error();
                return;
            }
            *statuses = engine_->client->status(round->id);
        },
        [this, round, statuses, error, unreachable] {
            Folder& at = folder(round->id);
            if (statuses->ok()) {
                at.status = **statuses;
            }
            at.running = false;
            at.applying = false;
            at.confirming = false;
            --running_;
            if (round->asked) {
                const bool done = !error && round->skipped == 0 && !round->confirms &&
                                  at.status.unsent_files == 0;
                at.compared = done ? round->compares : 0;
                at.met = at.met || (!error && !round->confirms);
            }
            const bool new_end = round->gone && !at.ended;
            if (new_end) {
                mark_ended(round->id, false);
            } else if (!at.ended) {
                note_home(*round, error, unreachable);
            }
            plan_scan(round->id, *round);
            if (round->quiet) {
                again_when_needed(round, error, unreachable);
                if (!at.waiting.empty()) {
                    schedule(round->id, 0); // they wait for what the home has
                }
                start_due();
                return;
            }
            wire_up_ += round->wire_up;
            wire_down_ += round->wire_down;
            at.last = {{"user", round->id.user},
                       {"app", round->id.app},
                       {"sent_files", round->sent_files},
                       {"sent_bytes", round->sent_bytes},
                       {"received_files", round->received_files},
                       {"conflicts", round->conflicts},
                       {"left", round->skipped},
                       {"wire_up", round->wire_up},
                       {"wire_down", round->wire_down},
                       {"unsent_files", at.status.unsent_files},
                       {"unsent_bytes", at.status.unsent_bytes},
                       {"to_come_files", at.status.to_come_files},
                       {"to_come_bytes", at.status.to_come_bytes},
                       {"held", at.status.held},
                       {"held_files", at.status.held_files},
                       {"infected", at.status.infected},
                       {"unscanned", at.status.unscanned},
                       {"refused", refused_json(at.status)}};
            if (error) {
                at.last["error"] = error_json(*error);
                if (!unreachable && (new_end || !at.ended)) {
                    world_.log.warn("files.round", error->message,
                                    {{"user", round->id.user}, {"app", round->id.app}});
                }
            } else if (round->sent_files + round->received_files > 0) {
                at.moved = at.last;
                world_.log.info("files.round", "files are equal with their home",
                                {{"user", round->id.user},
                                 {"app", round->id.app},
                                 {"sent", std::to_string(round->sent_files)},
                                 {"bytes", std::to_string(round->sent_bytes)},
                                 {"received", std::to_string(round->received_files)},
                                 {"wire_up", std::to_string(round->wire_up)},
                                 {"wire_down", std::to_string(round->wire_down)}});
            }
            const bool may_pass =
                round->skipped > 0 || unreachable || (error && error->code == Code::try_later);
            bool again = false;
            const bool comes =
                at.status.to_come_files > 0 && !at.ended && can_reach_home(round->id);
            for (auto& [number, wanted] : wanted_) {
                const auto one = wanted.folders.find(round->id);
                if (number >= round->born || one == wanted.folders.end() ||
                    !one->second.is_null()) {
                    continue;
                }
                if (round->confirms) { // it brought nothing
                    again = true;
                    continue;
                }
                if (wanted.wait && may_pass) {
                    again = true;
                    std::string& why = wanted.waits[round->id];
                    why = error ? error->message : std::string();
                    if (error && !error->hint.empty()) {
                        why += "; " + error->hint;
                    }
                    continue;
                }
                if (comes) { // he is told when it is here
                    at.brought_for = std::max(at.brought_for, round->born);
                    continue;
                }
                one->second = at.last;
                wanted.tell(world_.clock.boot_us());
            }
            if (comes) {
                bring(round->id);
            }
            if (again) {
                schedule(round->id, round->confirms ? 0 : wait_again_us);
            }
            again_when_needed(round, error, unreachable);
            const bool unasked = round->confirms || (!round->asked && !error);
            end_gone(round->id);
            if (unasked && !at.waiting.empty()) {
                schedule(round->id, 0); // they wait for what the home has
            } else if (error && passes(error->code) && at.some_came && !at.waiting.empty() &&
                       !at.leaving && !at.ended && arrives(at)) {
                schedule(round->id, arriving_again_us);
            } else if (!at.leaving) {
                wake_waiting(at);
            }
            start_due();
        });
}

void Files::again_when_needed(const RoundPtr& round, const std::optional<Error>& error,
                              bool unreachable) {
    Folder& at = folder(round->id);
    const std::int64_t idle = world_.clock.boot_us() - at.used_us;
    // Each brings the same again, which stays out until somebody acts.
    const bool stuck = !error && round->skipped > 0 && round->passing == 0 &&
                       at.status.infected > 0 && at.status.unscanned == 0;
    if (!error && !round->quiet) {
        at.refused_rounds = stuck && !round->wished ? at.refused_rounds + 1 : 0;
    }
    if (!error && at.hint > static_cast<std::int64_t>(at.status.revision.number) &&
        at.status.revision.epoch != 0) {
        at.hint = 0;
        schedule(round->id, 0);
    } else if (error && !unreachable) {
        schedule(round->id, at.not_kept || at.ended ? not_kept_us : retry_us);
    } else if (round->skipped > 0) {
        // A database that an app has open stays so while the app runs.
        schedule(round->id, stuck                          ? refused_wait_us(at.refused_rounds)
                            : !at.status.refused.empty()   ? sync::refused_again_us
                            : runs(world_.apps, round->id) ? busy_every_us
                                                           : settle_us);
    } else if (round->changing > 0) {
        look_soon(round->id, settle_us);
    } else if (unreachable && !round->held && can_reach_home(round->id) &&
               (at.status.unsent_files > 0 || (at.used_us != 0 && idle < busy_for_us))) {
        schedule(round->id, retry_us); // beyond a link that stands: nobody says when it is back
    } else if (at.status.unscanned > 0) {
        schedule(round->id, sync::refused_again_us);
    } else if (at.watched) {
        return; // what is written later is noticed
    } else if (at.used_us != 0 && idle < settle_again_us) {
        schedule(round->id, settle_again_us - idle);
    } else if (runs(world_.apps, round->id) || (at.used_us != 0 && idle < busy_for_us)) {
        schedule(round->id, busy_every_us);
    }
}

bool Files::can_reach_home(const FolderId& id) {
    auto way = way_to(id.user);
    return way.ok() && (way->here || world_.links.connected(way->neighbour));
}

void Files::used(const std::string& app, const std::string& user) {
    if (!holds(app) || !valid_name(user)) {
        return;
    }
    const FolderId id{user, app};
    Folder& at = folder(id);
    at.used_us = world_.clock.boot_us();
    note_copy(copies_.used(user, world_.clock.wall_us()));
    // What he wrote is noticed; a look at the home now and then, as for any folder in use.
    schedule(id, at.watched ? busy_every_us : settle_us);
}

void Files::neighbour_changed(const std::string& neighbour, bool connected) {
    if (!connected) {
        doubt_heard(neighbour);
        return;
    }
    tell_again(neighbour);
    // What changed on either side while it was away.
    for (const auto& [id, held] : folders_) {
        auto way = way_to(id.user);
        if (way.ok() && !way->here && way->neighbour == neighbour) {
            held->agreed_us = held->confirmed_us = 0; // it may have been put back to what it was
            ask_fully(id);
            held->confirms = !holds(id.app); // no more than whether it is gone
        }
    }
    start_due();
}

void Files::tick() {
    if (engine_ == nullptr) {
        return;
    }
    wait_for_apps();
    forget_old_answers();
    go_on_with_held();
    const std::int64_t now = world_.clock.boot_us();
    for (auto& [number, wanted] : wanted_) {
        wanted.tell(now);
    }
    tell_late_starts();
    look_at_fills();
    start_due();
    upkeep();
    look_after_copies();
}

} // namespace hasp::maint
