// Files: what of a round crosses a link, piece by piece, as the gate of the link to the parent lets
// it.
#include "base/text.h"
#include "files_parts.h"

#include <algorithm>
#include <utility>

namespace hasp::maint {

void Files::wait_turn(const RoundPtr& round, LinkWay way, std::uint64_t most_bytes,
                      std::function<void(const Turn&)> go) {
    if (!round->over_parent) {
        go(std::nullopt);
        return;
    }
    const auto most = static_cast<std::size_t>(
        std::min<std::uint64_t>(std::max<std::uint64_t>(most_bytes, 1), file_chunk_bytes_max));
    world_.gate.wait_turn(Purpose::files, way, most,
                          [this, round, go = std::move(go)](Result<LinkPace::Piece> piece) {
                              if (piece.ok()) {
                                  go(*piece);
                              } else {
                                  over_budget(round, piece.error());
                              }
                          });
}

// What changed here is looked at all the same: its operator sees how much waits.
void Files::over_budget(const RoundPtr& round, const Error& why) {
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
    if (round->out.batch.empty()) {
        push_piece(round, std::nullopt); // a question, and nothing to move
        return;
    }
    wait_turn(round, LinkWay::up, round->out.bytes - round->offset,
              [this, round](const Turn& turn) { push_piece(round, turn); });
}

void Files::push_piece(const RoundPtr& round, const Turn& turn) {
    auto bytes = std::make_shared<Result<std::string>>(std::string());
    const auto send = [this, round, bytes, turn] {
        if (!bytes->ok()) {
            if (turn) {
                world_.gate.done(*turn, false);
            }
            finish(round, bytes->error());
            return;
        }
        Message message{{{"t", "files.push"},
                         {"user", round->id.user},
                         {"app", round->id.app},
                         {"tier", world_.me.name.leaf()},
                         {"since", revision_json(round->out.since)},
                         {begins_anew, true},
                         {"format", round->out.reads}},
                        **bytes};
        if (!round->out.batch.empty()) {
            message.head["batch"] = round->out.batch;
            message.head["total"] = round->out.bytes;
        }
        if (round->out.whole) {
            message.head["whole"] = true;
        }
        if (round->offset > 0) {
            message.head["offset"] = round->offset;
        }
        if (round->confirms && round->out.batch.empty() && !round->out.asks_first) {
            message.head[verdicts_only] = true;
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
        if (round->offset == 0 && round->tries == 0) {
            round->compares = next_wanted_;
        }
        const std::size_t asked = dump(message.head).size() + message.body.size();
        // With the last piece the home has its work to do.
        const bool tells = round->offset + message.body.size() < round->out.bytes;
        pass_on("-", round->id, std::move(message),
                [this, round, asked, turn, tells](Result<Message> answer) {
                    if (turn) {
                        world_.gate.done(*turn, tells && answer.ok());
                    }
                    pushed(round, std::move(answer), asked);
                });
    };
    if (round->out.batch.empty()) {
        send();
        return;
    }
    client_work_.run(
        [this, round, bytes, most = bytes_of(turn)] {
            *bytes = engine_->client->read(round->id, round->offset, most);
        },
        send);
}

void Files::pushed(const RoundPtr& round, Result<Message> answer, std::size_t asked_bytes) {
    if (round->over_a_link) {
        round->wire_up += asked_bytes + ipc::frame_prefix_bytes;
        if (answer.ok()) {
            round->wire_down +=
                dump(answer->head).size() + answer->body.size() + ipc::frame_prefix_bytes;
        }
    }
    if (!answer.ok()) {
        if (answer.error().code == Code::timed_out && ++round->tries < tries_max) {
            push(round); // the home is still at it: the same again changes nothing
            return;
        }
        finish(round, answer.error());
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
        if (have > round->out.bytes || (have <= round->offset && ++round->tries >= tries_max)) {
            finish(round, fail(Code::failed, "the home takes no more of the batch"));
            return;
        }
        round->offset = have;
        push(round);
        return;
    }
    round->answer = text_of(made, "name");
    round->answer_bytes = count_of(made, "bytes");
    round->answer_offset = 0;
    round->tries = 0;
    take(round, std::move(answer->body));
}

// The home was restored from a backup: what it lacks of ours is sent, what it has and we lack
// comes, and what differs is kept at both.
void Files::begin_anew(const RoundPtr& round) {
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

void Files::take(const RoundPtr& round, std::string bytes) {
    const std::uint64_t size = bytes.size();
    if (size == 0 || round->answer_bytes > sync::batch_bytes_max ||
        size > round->answer_bytes - round->answer_offset) {
        finish(round, fail(Code::refused, "the home's answer is not as long as it says"));
        return;
    }
    auto taken = std::make_shared<Status>();
    client_work_.run(
        [this, round, taken, bytes = std::move(bytes)] {
            *taken = engine_->client->take(round->id, round->answer_offset, bytes);
        },
        [this, round, taken, size] {
            if (!taken->ok()) {
                finish(round, taken->error());
                return;
            }
            round->answer_offset += size;
            if (round->answer_offset < round->answer_bytes) {
                fetch(round);
            } else {
                judge(round);
            }
        });
}

void Files::fetch(const RoundPtr& round) {
    wait_turn(round, LinkWay::down, round->answer_bytes - round->answer_offset,
              [this, round](const Turn& turn) { fetch_piece(round, turn); });
}

void Files::fetch_piece(const RoundPtr& round, const Turn& turn) {
    Message message{{{"t", "files.fetch"},
                     {"user", round->id.user},
                     {"app", round->id.app},
                     {"answer", round->answer},
                     {"offset", round->answer_offset},
                     {"bytes", bytes_of(turn)}},
                    {}};
    const std::size_t asked = dump(message.head).size();
    pass_on("-", round->id, std::move(message), [this, round, asked, turn](Result<Message> answer) {
        if (turn) {
            world_.gate.done(*turn, answer.ok());
        }
        if (round->over_a_link) {
            round->wire_up += asked + ipc::frame_prefix_bytes;
            round->wire_down += answer.ok() ? answer->body.size() + 2 * ipc::frame_prefix_bytes : 0;
        }
        if (answer.ok()) {
            round->tries = 0;
            take(round, std::move(answer->body));
        } else if (answer.error().code == Code::timed_out && ++round->tries < tries_max) {
            fetch(round);
        } else {
            finish(round, answer.error());
        }
    });
}

} // namespace hasp::maint
