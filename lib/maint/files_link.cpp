// Files: what of a round crosses a link, piece by piece, as the gate of the link to the parent lets
// it.
#include "base/text.h"
#include "files_parts.h"

#include <algorithm>
#include <utility>

namespace hasp::maint {

void Files::wait_turn(const RoundPtr& round, LinkWay way, std::uint64_t most_bytes,
                      std::function<void(const Turn&)> go) {
    const unsigned run = round->pieces.run;
    if (!round->over_parent) {
        go(std::nullopt);
        return;
    }
    const auto most = static_cast<std::size_t>(
        std::min<std::uint64_t>(std::max<std::uint64_t>(most_bytes, 1), file_chunk_bytes_max));
    world_.gate.wait_turn(Purpose::files, way, most,
                          [this, round, run, go = std::move(go)](Result<LinkPace::Piece> piece) {
                              const bool meant = round->pieces.run == run;
                              if (piece.ok() && meant) {
                                  go(*piece);
                              } else if (piece.ok()) {
                                  world_.gate.done(*piece, false);
                              } else if (meant) {
                                  over_budget(round, piece.error());
                              }
                          });
}

// From what the other end has on; what is under way is not heard any more.
void Files::begin_pieces(const RoundPtr& round, std::uint64_t offset) {
    round->pieces = {offset, 0, round->pieces.run + 1, false};
}

bool Files::another_piece(const RoundPtr& round, std::uint64_t total) const {
    const Round::Pieces& pieces = round->pieces;
    const bool paced = round->over_parent && world_.gate.paces();
    const bool alone = !paced || round->late || (round->out.resumed && round->offset == 0);
    return !pieces.turning && pieces.asked < total &&
           pieces.under_way < (alone ? 1 : pieces_at_once_max);
}

// What changed here is looked at all the same: its operator sees how much waits.
void Files::over_budget(const RoundPtr& round, const Error& why) {
    begin_pieces(round, 0);
    round->held = true;
    held_.insert(round->id);
    world_.gate.hold(Purpose::files);
    look_only(round, why);
}

void Files::go_on_with_held() {
    if (held_.empty() || world_.gate.over(Purpose::files)) {
        return;
    }
    for (const FolderId& id : held_) {
        schedule(id, 0);
    }
    held_.clear();
}

void Files::push(const RoundPtr& round) {
    begin_pieces(round, round->offset);
    if (round->offset >= round->out.bytes) {
        push_piece(round, {}, std::nullopt); // a question, or all of the batch is there
    } else {
        push_pieces(round);
    }
}

void Files::push_pieces(const RoundPtr& round) {
    if (!another_piece(round, round->out.bytes)) {
        return;
    }
    round->pieces.turning = true;
    wait_turn(round, LinkWay::up, round->out.bytes - round->pieces.asked,
              [this, round](const Turn& turn) { read_piece(round, turn); });
}

void Files::read_piece(const RoundPtr& round, const Turn& turn) {
    auto bytes = std::make_shared<Result<std::string>>(std::string());
    client_work_.run(
        [this, round, bytes, offset = round->pieces.asked, most = bytes_of(turn)] {
            *bytes = engine_->client->read(round->id, offset, most);
        },
        [this, round, bytes, turn, run = round->pieces.run] {
            const bool meant = round->pieces.run == run;
            if (meant && bytes->ok()) {
                push_piece(round, *std::move(*bytes), turn);
                if (round->pieces.run == run) {
                    push_pieces(round);
                }
                return;
            }
            if (turn) {
                world_.gate.done(*turn, false);
            }
            if (meant) {
                finish(round, bytes->error());
            }
        });
}

void Files::push_piece(const RoundPtr& round, std::string bytes, const Turn& turn) {
    Round::Pieces& pieces = round->pieces;
    const std::uint64_t offset = pieces.asked;
    // From its own home a tier has everything at once.
    const unsigned reads = round->over_a_link
                               ? round->out.reads
                               : std::min(round->out.reads, sync::batch_format_later - 1);
    Message message{{{"t", "files.push"},
                     {"user", round->id.user},
                     {"app", round->id.app},
                     {"tier", world_.me.name.leaf()},
                     {"since", revision_json(round->out.since)},
                     {begins_anew, true},
                     {"format", reads}},
                    std::move(bytes)};
    if (!round->out.batch.empty()) {
        message.head["batch"] = round->out.batch;
        message.head["total"] = round->out.bytes;
    }
    if (offset > 0) {
        message.head["offset"] = offset;
    }
    if (round->out.whole) {
        message.head["whole"] = true;
    }
    if (round->confirms && round->out.batch.empty() && !round->out.asks_first) {
        message.head[verdicts_only] = true;
    }
    if (round->out.since.epoch != 0) {
        message.head[files_gone] = true;
    }
    if (const sync::Position& after = round->out.after; after.number != 0) {
        message.head["after"] = {{"number", after.number}, {"place", to_hex(after.place)}};
    }
    if (round->out.met > round->out.since.number) {
        message.head["met"] = round->out.met;
    }
    if (round->over_parent) {
        message.head["bytes"] = world_.gate.piece_bytes(Purpose::files, LinkWay::down);
    }
    if (offset == 0 && round->tries == 0) {
        round->compares = next_wanted_;
    }
    const std::size_t asked = dump(message.head).size() + message.body.size();
    pieces.asked += message.body.size();
    pieces.turning = false;
    ++pieces.under_way;
    // With the last piece the home has its work to do.
    const bool tells = pieces.asked < round->out.bytes;
    const Links::Answer heard = [this, round, asked, turn, tells, end = pieces.asked,
                                 run = pieces.run](Result<Message> answer) {
        if (turn) {
            world_.gate.done(*turn, tells && answer.ok());
        }
        if (round->over_a_link) {
            round->wire_up += asked + ipc::frame_prefix_bytes;
            if (answer.ok()) {
                round->wire_down +=
                    dump(answer->head).size() + answer->body.size() + ipc::frame_prefix_bytes;
            }
        }
        if (round->pieces.run == run) {
            --round->pieces.under_way;
            pushed(round, std::move(answer), end);
        }
    };
    const std::uint64_t epoch = asked_if_gone(message.head);
    unless_gone(round->id, epoch, heard,
                [this, round, heard, message = std::move(message)]() mutable {
                    pass_on("-", round->id, std::move(message), heard);
                });
}

void Files::pushed(const RoundPtr& round, Result<Message> answer, std::uint64_t end) {
    if (!answer.ok()) {
        if (answer.error().code == Code::timed_out && ++round->tries < tries_max) {
            round->late = true;
            push(round); // the home is still at it: the same again changes nothing
            return;
        }
        finish(round, answer.error());
        return;
    }
    if (true_of(answer->head, files_gone)) {
        round->gone = true;
        finish(round, ended_error(round->id));
        return;
    }
    if (true_of(answer->head, begins_anew)) {
        begin_anew(round);
        return;
    }
    round->format = static_cast<unsigned>(
        std::min<std::uint64_t>(count_of(answer->head, "format"), sync::batch_format_newest));
    const Json& made = member(answer->head, "answer");
    if (!made.is_object()) {
        const std::uint64_t have = count_of(answer->head, "have");
        const bool taken = have == end && have > round->offset && have < round->out.bytes;
        if (have > round->out.bytes ||
            (!taken && have <= round->offset && ++round->tries >= tries_max)) {
            finish(round, fail(Code::failed, "the home takes no more of the batch"));
            return;
        }
        round->offset = have;
        if (taken) {
            push_pieces(round);
        } else {
            push(round); // it has less or more than what is under way follows on
        }
        return;
    }
    round->answered = true;
    round->answer = text_of(made, "name");
    round->answer_bytes = count_of(made, "bytes");
    round->answer_offset = 0;
    round->tries = 0;
    begin_pieces(round, answer->body.size());
    take(round, std::move(answer->body));
}

// The home was restored from a backup: what it lacks of ours is sent, what it has and we lack
// comes, and what differs is kept at both.
void Files::begin_anew(const RoundPtr& round) {
    begin_pieces(round, 0);
    if (std::exchange(round->began_anew, true)) {
        finish(round, fail(Code::conflict, "the home of " + round->id.user +
                                               "'s files says twice that it was restored"));
        return;
    }
    world_.log.warn("files.restored",
                    "the home was restored from a backup: all is compared, nothing is deleted",
                    {{"user", round->id.user}, {"app", round->id.app}});
    auto done = std::make_shared<Status>();
    client_work_.run([this, round, done] { *done = engine_->client->begin_anew(round->id); },
                     [this, round, done] {
                         if (done->ok()) {
                             prepare(round);
                         } else {
                             finish(round, done->error());
                         }
                     });
}

// In the order in which they were asked for.
void Files::take(const RoundPtr& round, std::string bytes) {
    const std::uint64_t size = bytes.size();
    const std::uint64_t offset = std::exchange(round->answer_offset, round->answer_offset + size);
    if (size == 0 || round->answer_bytes > sync::batch_bytes_max ||
        size > round->answer_bytes - offset) {
        finish(round, fail(Code::refused, "the home's answer is not as long as it says"));
        return;
    }
    auto taken = std::make_shared<Status>();
    client_work_.run(
        [this, round, taken, offset, bytes = std::move(bytes)] {
            *taken = engine_->client->take(round->id, offset, bytes);
        },
        [this, round, taken, end = offset + size, run = round->pieces.run] {
            if (round->pieces.run != run) {
                return;
            }
            if (!taken->ok()) {
                finish(round, taken->error());
            } else if (end < round->answer_bytes) {
                fetch_pieces(round);
            } else {
                begin_pieces(round, end);
                judge(round);
            }
        });
}

void Files::fetch_pieces(const RoundPtr& round) {
    if (!another_piece(round, round->answer_bytes)) {
        return;
    }
    round->pieces.turning = true;
    wait_turn(round, LinkWay::down, round->answer_bytes - round->pieces.asked,
              [this, round, run = round->pieces.run](const Turn& turn) {
                  fetch_piece(round, turn);
                  if (round->pieces.run == run) {
                      fetch_pieces(round);
                  }
              });
}

void Files::fetch_piece(const RoundPtr& round, const Turn& turn) {
    Round::Pieces& pieces = round->pieces;
    const std::uint64_t offset = pieces.asked;
    const std::uint64_t bytes =
        std::min<std::uint64_t>(bytes_of(turn), round->answer_bytes - offset);
    Message message{{{"t", "files.fetch"},
                     {"user", round->id.user},
                     {"app", round->id.app},
                     {"answer", round->answer},
                     {"offset", offset},
                     {"bytes", bytes}},
                    {}};
    const std::size_t asked = dump(message.head).size();
    pieces.asked += bytes;
    pieces.turning = false;
    ++pieces.under_way;
    pass_on("-", round->id, std::move(message),
            [this, round, asked, turn, offset, bytes, run = pieces.run](Result<Message> answer) {
                if (turn) {
                    world_.gate.done(*turn, answer.ok());
                }
                if (round->over_a_link) {
                    round->wire_up += asked + ipc::frame_prefix_bytes;
                    round->wire_down +=
                        answer.ok() ? answer->body.size() + 2 * ipc::frame_prefix_bytes : 0;
                }
                if (round->pieces.run == run) {
                    if (const auto at = folders_.find(round->id);
                        answer.ok() && at != folders_.end()) {
                        at->second->some_came = true;
                        at->second->came_bytes = round->wire_down;
                        at->second->came_us = came_us_ = world_.clock.boot_us();
                    }
                    --round->pieces.under_way;
                    fetched(round, std::move(answer), offset, bytes);
                }
            });
}

void Files::fetched(const RoundPtr& round, Result<Message> answer, std::uint64_t offset,
                    std::uint64_t asked) {
    if (!answer.ok() && (answer.error().code != Code::timed_out || ++round->tries >= tries_max)) {
        finish(round, answer.error());
        return;
    }
    if (!answer.ok() || offset != round->answer_offset) { // late, or one before it was
        round->late = true;
        begin_pieces(round, round->answer_offset);
        fetch_pieces(round);
        return;
    }
    round->tries = 0;
    if (answer->body.size() != asked) { // what is under way does not follow on
        round->late = true;
        begin_pieces(round, offset + answer->body.size());
    }
    take(round, std::move(answer->body));
}

} // namespace hasp::maint
