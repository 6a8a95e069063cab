// Batches on their way to the parent: in the order of each chain, a few messages in flight, and
// again from where the parent says that it stands.
#include "ledger.h"
#include "ledger_words.h"
#include "trust/envelope.h"

#include <algorithm>

namespace hasp::maint {

namespace {
constexpr std::int64_t step_us = 1'000'000;
constexpr std::int64_t retry_after_us = 30'000'000;
// Envelopes and the lengths before them, for a message full of the smallest batches.
constexpr std::size_t body_bytes_max = usage_message_bytes_max - 24 * 1024;
} // namespace

void Ledger::parent_connected() {
    for (auto& [key, sending] : sending_) {
        const std::uint64_t round = sending.round + 1;
        const auto before = sending.confirmed_before;
        sending = {};
        sending.round = round;
        sending.ask = before.has_value();
        sending.confirmed_before = before;
    }
    in_flight_ = 0;
    dirty_ = true;
    sent_us_ = 0;
}

void Ledger::parent_restored(std::int64_t at_us) {
    auto chains = world_.ledger.chains();
    if (at_us == asked_of_ || !chains.ok()) {
        return;
    }
    asked_of_ = at_us;
    for (const billing::Chain& chain : *chains) {
        Sending& sending = sending_[chain.key];
        sending.ask = chain.acked != billing::Position{};
        sending.confirmed_before = sending.ask ? std::optional(chain.acked) : std::nullopt;
    }
}

void Ledger::flush() {
    if (!dirty_ || !world_.me.has_parent() || !world_.links.connected(to_parent)) {
        return;
    }
    const std::int64_t now = world_.clock.boot_us();
    if (in_flight_ == 0 && sent_us_ != 0 && now - sent_us_ < step_us) {
        return;
    }
    if (!world_.links.has_feature(to_parent, "usage")) {
        return; // an older parent: it is kept until there is a newer one
    }
    send();
}

void Ledger::send() {
    auto chains = world_.ledger.chains();
    if (!chains.ok()) {
        note_failure(chains.error());
        return;
    }
    const std::int64_t now = world_.clock.boot_us();
    dirty_ = false;
    for (const billing::Chain& chain : *chains) {
        Sending& sending = sending_[chain.key];
        const bool lacks = sending.sent && *sending.sent < chain.head.at;
        if (!sending.stopped.empty() || (chain.acked == chain.head.at && !lacks && !sending.ask)) {
            continue;
        }
        if (sending.retry_us > now) {
            dirty_ = true;
            continue;
        }
        if (sending.ask) {
            ask_where(chain, sending);
            continue;
        }
        while (in_flight_ < usage_messages_in_flight_max && send_next(chain, sending)) {
            sent_us_ = now;
        }
        dirty_ = dirty_ || in_flight_ >= usage_messages_in_flight_max;
    }
}

bool Ledger::send_next(const billing::Chain& chain, Sending& sending) {
    const billing::Position from = sending.sent.value_or(chain.acked);
    if (from >= chain.head.at) {
        return false;
    }
    auto batches = world_.ledger.batches_from(chain.key, from, body_bytes_max);
    if (!batches.ok()) {
        note_failure(batches.error());
        return false;
    }
    const billing::BatchHeader* first = batches->empty() ? nullptr : &batches->front().batch.header;
    const bool continues =
        first != nullptr && ((first->stream == from.stream && first->first == from.next) ||
                             (first->stream == from.stream + 1 && first->first == 0));
    if (!continues) {
        sending.stopped = "the parent lacks usage that this tier no longer has: stream " +
                          std::to_string(from.stream) + ", event " + std::to_string(from.next);
        world_.log.error("usage.gap", sending.stopped, {{"tier", chain.key.tier}});
        return false;
    }
    std::string body;
    std::size_t taken = 0;
    for (const billing::StoredBatch& batch : *batches) {
        const std::size_t size = batch.batch.envelope.size() + batch.batch.events.size() + 8;
        if (taken > 0 && body.size() + size > body_bytes_max) {
            break;
        }
        pack_batch(body, batch.batch.envelope, batch.batch.events);
        ++taken;
    }
    const billing::SealedBatch& last = (*batches)[taken - 1].batch;
    const billing::Position end{last.header.stream, last.header.first + last.header.count};
    sending.sent = end;
    ask_parent(chain, sending, std::move(body), end, last.hash);
    return true;
}

// No batch at all: the answer says where the chain ends above.
void Ledger::ask_where(const billing::Chain& chain, Sending& sending) {
    if (sending.in_flight == 0) {
        ask_parent(chain, sending, {}, chain.head.at, chain.head.hash);
    }
}

void Ledger::ask_parent(const billing::Chain& chain, Sending& sending, std::string body,
                        const billing::Position& end, const std::string& hash) {
    Json head{{"t", "usage"}, {"tier", chain.key.tier}, {"epoch", chain.key.epoch}};
    if (sending.certificates) {
        head["certificates"] = chain.certificates;
    }
    ++sending.in_flight;
    ++in_flight_;
    world_.links.ask(
        to_parent, std::move(head), std::move(body),
        [this, key = chain.key, round = sending.round, end, hash](Result<Message> answer) {
            answered(key, round, end, hash, std::move(answer));
        });
}

void Ledger::answered(const billing::ChainKey& key, std::uint64_t round,
                      const billing::Position& end, const std::string& hash,
                      Result<Message> answer) {
    Sending& sending = sending_[key];
    const bool current = sending.round == round;
    if (current) {
        --sending.in_flight;
        --in_flight_;
    }
    dirty_ = true;
    // What else is in flight of it goes on from a place that will not be reached.
    const auto begin_anew = [&](std::optional<billing::Position> from, std::int64_t wait_us) {
        in_flight_ -= sending.in_flight;
        sending.in_flight = 0;
        ++sending.round;
        sending.sent = from;
        sending.ask = sending.ask || (!from && sending.confirmed_before);
        sending.retry_us = wait_us == 0 ? 0 : world_.clock.boot_us() + wait_us;
    };
    if (!answer.ok()) {
        if (!current || answer.error().code == Code::unreachable) {
            return;
        }
        begin_anew(std::nullopt, retry_after_us);
        if (answer.error().code == Code::refused) {
            sending.stopped = answer.error().message;
            if (on_change_) {
                on_change_();
            }
            world_.log.error("usage.refused", sending.stopped, {{"tier", key.tier}});
            if (const Status kept = world_.store.add_error(
                    {world_.clock.wall_us(), "usage.refused",
                     "the parent refuses usage of " + key.tier + ": " + sending.stopped});
                !kept.ok()) {
                world_.log.error("errors.keep", kept.error().message);
            }
        } else {
            world_.log.warn("usage.later", answer.error().message, {{"tier", key.tier}});
        }
    } else if (text_of(answer->head, "need") == "certificates") {
        if (current && !sending.certificates) {
            begin_anew(std::nullopt, 0);
            sending.certificates = true;
        } else if (current) {
            begin_anew(std::nullopt, retry_after_us);
        }
    } else {
        const billing::Position until{static_cast<std::uint64_t>(int_of(answer->head, "stream")),
                                      static_cast<std::uint64_t>(int_of(answer->head, "next"))};
        const Status taken = take_ack(key, until, end, hash, answer->body);
        if (current) {
            sending.certificates = false;
            sending.ask = sending.ask && !taken.ok();
        }
        if (current && taken.ok() && sending.confirmed_before &&
            until >= *sending.confirmed_before) {
            sending.confirmed_before.reset();
        }
        if (!taken.ok() && current) {
            begin_anew(std::nullopt, retry_after_us);
            world_.log.error("usage.ack", taken.error().message, {{"tier", key.tier}});
        } else if (current && until < end) {
            begin_anew(until, 0); // it lacks something before: from there
        }
    }
    flush();
}

Status Ledger::take_ack(const billing::ChainKey& key, const billing::Position& until,
                        const billing::Position& end, const std::string& hash,
                        const std::string& ack) {
    auto above =
        trust::verify_ca_chain(world_.me.ca_chain_der, world_.me.realm_id, world_.clock.wall_us());
    if (!above.ok() || above->size() < 2) {
        return above.ok() ? fail(Code::failed, "this tier has no parent") : above.error();
    }
    auto opened =
        trust::open(ack, (*above)[1].key,
                    {"usage-ack", world_.me.realm_id, world_.me.name.parent(), world_.me.name},
                    world_.clock.wall_us());
    if (!opened.ok()) {
        return opened.error();
    }
    auto said = decode_ack(opened->body);
    if (!said.ok()) {
        return said.error();
    }
    if (said->chain != key || said->until != until || (until == end && said->hash != hash)) {
        return fail(Code::refused, "the parent confirms other usage than it was sent");
    }
    return world_.ledger.acked(key, until, ack);
}

} // namespace hasp::maint
