// Files: contents that come later than their files, when somebody opens one or while nobody does.
#include "base/text.h"
#include "files_parts.h"
#include "sync/codec.h"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace hasp::maint {

namespace {

constexpr std::int64_t bring_again_us = 30'000'000; // what is to come, behind one that stopped
constexpr int wrong_max = 2;
constexpr std::uint64_t take_up_bytes = 8 << 20;
constexpr std::uint64_t writing_bytes_max = 8 << 20; // of one content
// Beyond this a packed piece is not worth unpacking.
constexpr std::size_t packed_percent_max = 90;

std::string packed(std::string_view bytes) {
    std::string out;
    sync::Compressor compressor([&out](std::string_view some) {
        out += some;
        return Status{};
    });
    const bool done = compressor.write(bytes).ok() && compressor.finish().ok();
    return done && out.size() * 100 <= bytes.size() * packed_percent_max ? out : std::string();
}

// refused: it is not so many bytes.
Result<std::string> unpacked(std::string bytes, std::size_t size) {
    sync::MemoryFile file(std::move(bytes));
    sync::Decompressor in(sync::pull_from(file));
    std::string out(size + 1, '\0');
    std::size_t have = 0;
    while (have < out.size()) {
        auto got = in.read({out.data() + have, out.size() - have});
        if (!got.ok()) {
            return got.error();
        }
        if (*got == 0) {
            break;
        }
        have += *got;
    }
    out.resize(have);
    return have == size ? Result<std::string>(std::move(out))
                        : fail(Code::refused, "a piece of a file is not as long as it was to be");
}

} // namespace

// What an earlier run left to come is held anew: marks end with whoever held them.
void Files::come_later(std::shared_ptr<sync::OpenGate> gate) {
    gate_ = std::move(gate); // what is opened is answered in any case
    if (engine_ == nullptr) {
        return;
    }
    const bool more = world_.config.files.on_demand && gate_->can_hold().ok();
    client_work_.run([this, gate = gate_, more] { engine_->client->come_later(gate, more); },
                     [] {});
    for (const auto& [id, held] : folders_) {
        if (held->unheld) {
            hold_again(id);
        }
    }
}

void Files::hold_again(const FolderId& id) {
    auto at = working_folder(id);
    if (!at.ok()) {
        world_.log.error("files.hold", at.error().message, {{"user", id.user}, {"app", id.app}});
        return;
    }
    auto done = std::make_shared<Status>();
    client_work_.run([this, at = *at, done] { *done = engine_->client->hold_opens(at); },
                     [this, id, done] {
                         if (!done->ok()) {
                             world_.log.error("files.hold", done->error().message,
                                              {{"user", id.user}, {"app", id.app}});
                             return;
                         }
                         Folder& held = folder(id);
                         held.unheld = false;
                         if (!held.running && !held.leaving) {
                             wake_waiting(held);
                         }
                     });
}

Error Files::not_here_yet(const Folder& folder) {
    return fail(Code::partial,
                std::to_string(folder.status.to_come_files) + " files of " +
                    folder.status.folder.user + " in '" + folder.status.folder.app +
                    "' are without their content yet",
                "it comes while the link is up; then the app can be opened");
}

void Files::opened() {
    if (gate_ == nullptr) {
        return;
    }
    for (sync::OpenGate::Opening& one : gate_->take()) {
        const sync::Absent& absent = one.file->absent();
        const FolderId id{absent.user, absent.app};
        const auto under_way = fills_.find(one.file->inode());
        auto still = one.file->still();
        if (still.ok() && !*still) {
            gate_->answer(one.number, 0);
        } else if (!still.ok() || engine_ == nullptr || !valid_name(id.user) ||
                   !valid_name(id.app) || (under_way == fills_.end() && !room_for_a_fill())) {
            gate_->answer(one.number, EIO);
        } else if (under_way != fills_.end()) {
            const FillPtr fill = under_way->second; // it may leave fills_ in go_on()
            fill->openings.push_back(one.number);
            go_on(fill);
        } else {
            fill(std::make_unique<sync::Filling>(std::move(one.file), *world_.disk,
                                                 sync::Client::copy_path(++copies_made_)),
                 id, false, one.number);
        }
    }
}

// One that waits for a link begins anew when its turn comes.
bool Files::room_for_a_fill() {
    if (fills_.size() < fills_max) {
        return true;
    }
    const auto stopped = std::find_if(fills_.begin(), fills_.end(),
                                      [](const auto& one) { return one.second->stopped; });
    if (stopped == fills_.end()) {
        return false;
    }
    fills_.erase(stopped);
    return true;
}

void Files::fill(std::unique_ptr<sync::Filling> filling, const FolderId& id, bool behind,
                 std::uint64_t opening) {
    auto still = filling->still();
    if (!still.ok() || !*still) { // another that had it open was quicker
        if (opening != 0) {
            gate_->answer(opening, still.ok() ? 0 : EIO);
        }
        if (behind) {
            bringing_ = false;
            bring(id);
        }
        return;
    }
    auto fill = std::make_shared<Fill>();
    fill->id = id;
    fill->filling = std::move(filling);
    fill->behind = behind;
    if (opening != 0) {
        fill->openings.push_back(opening);
    }
    fills_[fill->filling->inode()] = fill;
    go_on(fill);
}

void Files::go_on(const FillPtr& fill) {
    fill->heard_us = world_.clock.boot_us();
    if (!fill->stopped) {
        return;
    }
    auto way = way_to(fill->id.user);
    if (!way.ok() || (!way->here && !world_.links.connected(way->neighbour))) {
        stop(fill, way.ok() ? fail(Code::unreachable, "there is no link to '" + way->name + "'")
                            : way.error());
        return;
    }
    fill->stopped = false;
    fill->over_parent = !way->here && way->neighbour == to_parent;
    if (fill->begun == Fill::Begun::unknown && fill->filling->absent().mtime_ns) {
        fill->begun = Fill::Begun::looked_at;
        take_up(fill);
        return;
    }
    fill->begun = Fill::Begun::known; // nobody ever wrote to it
    fill->asked = fill->came;
    ask_pieces(fill);
}

// Nobody asks for a piece before it is known which is the first. A little at a time: others wait
// for the same thread.
void Files::take_up(const FillPtr& fill) {
    auto more = std::make_shared<bool>(false);
    fill_work_.run([fill, more] { *more = fill->filling->take_up(take_up_bytes); },
                   [this, fill, more] {
                       fill->heard_us = world_.clock.boot_us();
                       if (fill->stopped) {
                           return;
                       }
                       if (*more) {
                           take_up(fill);
                           return;
                       }
                       fill->begun = Fill::Begun::known;
                       fill->asked = fill->came = fill->filling->have();
                       ask_pieces(fill);
                   });
}

bool Files::another_piece(const Fill& fill) const {
    const bool paced = fill.over_parent && world_.gate.paces();
    return !fill.stopped && !fill.turning && fill.begun == Fill::Begun::known &&
           fill.writing < writing_bytes_max && fill.asked < fill.filling->absent().size &&
           fill.under_way < (paced && fill.tries == 0 ? pieces_at_once_max : 1);
}

void Files::ask_pieces(const FillPtr& fill) {
    while (another_piece(*fill)) {
        if (!fill->over_parent) {
            ask_piece(fill, std::nullopt);
            continue;
        }
        fill->turning = true;
        const std::uint64_t left = fill->filling->absent().size - fill->asked;
        const auto most =
            static_cast<std::size_t>(std::min<std::uint64_t>(left, file_chunk_bytes_max));
        world_.gate.wait_turn(Purpose::files, LinkWay::down, most,
                              [this, fill, run = fill->run](Result<LinkPace::Piece> piece) {
                                  if (fill->run != run) {
                                      if (piece.ok()) {
                                          world_.gate.done(*piece, false);
                                      }
                                      return;
                                  }
                                  fill->turning = false;
                                  if (!piece.ok()) {
                                      world_.gate.hold(Purpose::files);
                                      stop(fill, piece.error());
                                      return;
                                  }
                                  ask_piece(fill, *piece);
                                  ask_pieces(fill);
                              });
        return;
    }
}

void Files::ask_piece(const FillPtr& fill, const Turn& turn) {
    const std::uint64_t offset = fill->asked;
    const std::uint64_t bytes =
        std::min<std::uint64_t>(bytes_of(turn), fill->filling->absent().size - offset);
    Message message{{{"t", "files.fetch"},
                     {"user", fill->id.user},
                     {"app", fill->id.app},
                     {"content", to_hex(fill->filling->absent().name)},
                     {"offset", offset},
                     {"bytes", bytes}},
                    {}};
    fill->wire_up += dump(message.head).size() + ipc::frame_prefix_bytes;
    fill->asked += bytes;
    ++fill->under_way;
    pass_on("-", fill->id, std::move(message),
            [this, fill, turn, offset, bytes, run = fill->run](Result<Message> answer) {
                if (turn) {
                    world_.gate.done(*turn, answer.ok());
                }
                fill->wire_down +=
                    answer.ok() ? answer->body.size() + 2 * ipc::frame_prefix_bytes : 0;
                if (fill->run == run) {
                    --fill->under_way;
                    piece_came(fill, std::move(answer), offset, bytes);
                }
            });
}

void Files::piece_came(const FillPtr& fill, Result<Message> answer, std::uint64_t offset,
                       std::uint64_t asked) {
    if (!answer.ok() && (answer.error().code != Code::timed_out || ++fill->tries >= tries_max)) {
        stop(fill, answer.error());
        return;
    }
    if (!answer.ok() || offset != fill->came) { // late, or one before it was
        ++fill->run;
        fill->under_way = 0;
        fill->turning = false;
        fill->asked = fill->came;
        ask_pieces(fill);
        return;
    }
    auto bytes = true_of(answer->head, "packed")
                     ? unpacked(std::move(answer->body), static_cast<std::size_t>(asked))
                     : Result<std::string>(std::move(answer->body));
    if (!bytes.ok() || bytes->size() != asked) {
        stop(fill, bytes.ok() ? fail(Code::refused, "a piece of a file is not as long as it was "
                                                    "to be")
                              : bytes.error());
        return;
    }
    fill->tries = 0;
    fill->heard_us = world_.clock.boot_us();
    fill->came += asked;
    const bool last = fill->came == fill->filling->absent().size;
    auto done = std::make_shared<Status>();
    fill->writing += asked;
    fill_work_.run(
        [fill, done, last, bytes = *std::move(bytes)] {
            *done = fill->filling->take(bytes);
            if (done->ok() && last) {
                *done = fill->filling->finish();
            }
        },
        [this, fill, done, last, asked, run = fill->run] {
            fill->writing -= asked;
            if (fill->run == run && (last || !done->ok())) {
                filled(fill, *done);
            } else {
                ask_pieces(fill);
            }
        });
    if (!last) {
        ask_pieces(fill);
    }
}

// From its first byte: what came was something else, or could not be written.
void Files::begin_again(const FillPtr& fill) {
    ++fill->run;
    fill->under_way = 0;
    fill->turning = false;
    fill->asked = fill->came = 0;
    fill->heard_us = world_.clock.boot_us();
    fill_work_.run([fill] { fill->filling->begin(); }, [this, fill] { ask_pieces(fill); });
}

void Files::filled(const FillPtr& fill, const Status& done) {
    if (!done.ok() && done.error().code == Code::refused && ++fill->wrong < wrong_max) {
        begin_again(fill);
        return;
    }
    if (!done.ok()) { // of this disk: what came is nothing to go on from
        stop(fill, fail(Code::failed, done.error().message));
        return;
    }
    answer_opens(*fill, 0);
    end_fill(fill);
    wire_up_ += fill->wire_up;
    wire_down_ += fill->wire_down;
    const auto known = folders_.find(fill->id);
    if (known == folders_.end() || known->second->leaving) { // it goes with the folder
        if (fill->behind) {
            bringing_ = false;
            brought(fill->id, false);
            bring_next();
        }
        return;
    }
    auto at = working_folder(fill->id);
    auto noted = std::make_shared<Status>(at.ok() ? Status{} : Status(at.error()));
    auto status = std::make_shared<Result<sync::FolderStatus>>(sync::FolderStatus{});
    client_work_.run(
        [this, fill, at, noted, status] {
            *noted = noted->ok() ? engine_->client->came(*at, *fill->filling) : *noted;
            *status = engine_->client->status(fill->id);
        },
        [this, fill, noted, status] {
            if (!noted->ok()) { // it is looked at as what was changed here, and is what was agreed
                world_.log.warn("files.came", noted->error().message,
                                {{"user", fill->id.user}, {"app", fill->id.app}});
            }
            const auto held = folders_.find(fill->id);
            if (held != folders_.end() && status->ok()) {
                held->second->status.to_come_files = (*status)->to_come_files;
                held->second->status.to_come_bytes = (*status)->to_come_bytes;
                if (held->second->last.is_object()) {
                    Json& last = held->second->last;
                    last["wire_up"] = count_of(last, "wire_up") + fill->wire_up;
                    last["wire_down"] = count_of(last, "wire_down") + fill->wire_down;
                }
            }
            if (fill->behind) {
                bringing_ = false;
                to_bring_.push_back(fill->id); // behind those of other folders
                bring_next();
            }
        });
}

// Whoever waits is told so; what came of it stays for when the link is back.
void Files::stop(const FillPtr& fill, const Error& why) {
    ++fill->run;
    fill->under_way = 0;
    fill->turning = false;
    fill->stopped = true;
    fill->tries = 0;
    fill->heard_us = world_.clock.boot_us();
    if (!fill->openings.empty()) {
        world_.log.warn("files.open", "a file was opened whose content cannot come: " + why.message,
                        {{"user", fill->id.user}, {"app", fill->id.app}});
    }
    answer_opens(*fill, EIO);
    const bool waits =
        why.code == Code::unreachable || why.code == Code::timed_out || why.code == Code::try_later;
    const bool behind = std::exchange(fill->behind, false);
    if (!waits || fill->came == 0) {
        end_fill(fill);
    }
    bring_again_[fill->id] = world_.clock.boot_us() + bring_again_us;
    if (!waits) {
        if (why.code == Code::not_found) { // another content has its place by now, perhaps
            schedule(fill->id, bring_again_us);
        } else {
            world_.log.warn("files.come", why.message,
                            {{"user", fill->id.user}, {"app", fill->id.app}});
        }
    }
    if (behind) {
        bringing_ = false;
        brought(fill->id, false);
        bring_next();
    }
}

void Files::answer_opens(Fill& fill, int error) {
    for (const std::uint64_t opening : std::exchange(fill.openings, {})) {
        gate_->answer(opening, error);
    }
}

void Files::end_fill(const FillPtr& fill) {
    ++fill->run;
    const auto at = fills_.find(fill->filling->inode());
    if (at != fills_.end() && at->second == fill) {
        fills_.erase(at);
    }
}

void Files::bring(const FolderId& id) {
    if (std::find(to_bring_.begin(), to_bring_.end(), id) == to_bring_.end()) {
        to_bring_.push_back(id);
    }
    bring_next();
}

void Files::bring_next() {
    while (!bringing_ && !to_bring_.empty()) {
        const FolderId id = to_bring_.front();
        to_bring_.pop_front();
        const auto at_hand = folders_.find(id);
        if (at_hand == folders_.end() || at_hand->second->leaving || at_hand->second->ended) {
            brought(id, false);
            continue;
        }
        auto at = working_folder(id);
        if (!at.ok() || !can_reach_home(id) || world_.gate.over(Purpose::files)) {
            brought(id, false);
            continue;
        }
        bringing_ = true;
        auto next = std::make_shared<Result<std::unique_ptr<sync::Filling>>>(
            std::unique_ptr<sync::Filling>());
        auto status = std::make_shared<Result<sync::FolderStatus>>(sync::FolderStatus{});
        client_work_.run(
            [this, at = *at, next, status, in_use = runs(world_.apps, id),
             number = ++copies_made_] {
                *next = engine_->client->next_to_come(at, in_use, number);
                *status = engine_->client->status(at.id);
            },
            [this, id, next, status] {
                const auto known = folders_.find(id);
                if (known == folders_.end()) {
                    bringing_ = false;
                    bring_next();
                    return;
                }
                Folder& held = *known->second;
                if (status->ok()) {
                    held.status.to_come_files = (*status)->to_come_files;
                    held.status.to_come_bytes = (*status)->to_come_bytes;
                }
                if (!next->ok() || **next == nullptr) {
                    if (!next->ok()) {
                        world_.log.warn("files.come", next->error().message,
                                        {{"user", id.user}, {"app", id.app}});
                    }
                    bringing_ = false;
                    brought(id, next->ok());
                    bring_next();
                    return;
                }
                const auto under_way = fills_.find((**next)->inode());
                if (under_way != fills_.end()) { // somebody waits for it, or it waited for a link
                    const FillPtr fill = under_way->second; // as in opened()
                    fill->behind = true;
                    go_on(fill);
                    return;
                }
                fill(*std::move(*next), id, true, 0);
            });
    }
}

// `all`: that can be brought. Wishes that waited for it are told.
void Files::brought(const FolderId& id, bool all) {
    const auto known = folders_.find(id);
    if (known == folders_.end()) {
        return;
    }
    Folder& held = *known->second;
    if (all && held.unheld && held.status.to_come_files == 0) {
        held.unheld = false;
        if (!held.running && !held.leaving) {
            wake_waiting(held);
        }
    }
    if (held.brought_for == 0) {
        return;
    }
    const std::int64_t born = std::exchange(held.brought_for, 0);
    held.last["to_come_files"] = held.status.to_come_files;
    held.last["to_come_bytes"] = held.status.to_come_bytes;
    for (auto& [number, wanted] : wanted_) {
        const auto one = wanted.folders.find(id);
        if (number >= born || one == wanted.folders.end() || !one->second.is_null()) {
            continue;
        }
        if (wanted.wait && !all) {
            wanted.waits[id] =
                std::to_string(held.status.to_come_files) + " files are without their content yet";
            schedule(id, second_us);
            continue;
        }
        one->second = held.last;
        wanted.tell(world_.clock.boot_us());
    }
}

// Time passes.
void Files::look_at_fills() {
    const std::int64_t now = world_.clock.boot_us();
    std::vector<FillPtr> late;
    for (const auto& [inode, fill] : fills_) {
        const bool coming = fill->came < fill->filling->absent().size; // else it is written
        if (!fill->stopped && coming && now - fill->heard_us >= open_wait_us) {
            late.push_back(fill);
        }
    }
    for (const FillPtr& fill : late) {
        stop(fill, fail(Code::timed_out, "nothing came of it for half a minute"));
    }
    std::vector<FolderId> again;
    std::erase_if(bring_again_, [&](const auto& one) {
        if (one.second <= now) {
            again.push_back(one.first);
        }
        return one.second <= now;
    });
    if (!again.empty()) {
        std::erase_if(fills_, [](const auto& one) {
            return one.second->stopped && one.second->filling->unlinked();
        });
    }
    for (const FolderId& id : again) {
        bring(id);
    }
}

void Files::serve_piece(const FolderId& folder, const Message& message,
                        const Links::Answer& answer) {
    const auto name = from_hex(text_of(message.head, "content"));
    const std::uint64_t offset = count_of(message.head, "offset");
    const auto most = static_cast<std::size_t>(std::clamp<std::int64_t>(
        int_of(message.head, "bytes"), 1, static_cast<std::int64_t>(file_chunk_bytes_max)));
    if (!name || name->empty()) {
        answer(fail(Code::usage, "a malformed question for a content"));
        return;
    }
    auto bytes = std::make_shared<Result<std::string>>(std::string());
    auto small = std::make_shared<std::string>();
    home_work_.run(
        [this, folder, name, offset, most, bytes, small] {
            *bytes = engine_->home->piece(folder, *name, offset, most);
            *small = bytes->ok() ? packed(**bytes) : "";
        },
        [bytes, small, answer] {
            if (!bytes->ok()) {
                answer(bytes->error());
            } else if (small->empty()) {
                answer(Message{Json::object(), **bytes});
            } else {
                answer(Message{{{"packed", true}}, std::move(*small)});
            }
        });
}

} // namespace hasp::maint
