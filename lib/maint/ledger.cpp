#include "ledger.h"

#include "base/text.h"

#include <algorithm>
#include <iterator>

namespace hasp::maint {

namespace {

std::uint64_t minus(std::uint64_t a, std::uint64_t b) {
    return a > b ? a - b : 0;
}

Json position_json(const billing::Position& at) {
    return {{"stream", at.stream}, {"next", at.next}};
}

} // namespace

Json ledger_json(const LedgerStatus& s) {
    Json streams = Json::array();
    for (const LedgerStatus::Stream& stream : s.streams) {
        Json one{{"tier", stream.tier},
                 {"epoch", stream.epoch},
                 {"end", position_json(stream.end)},
                 {"acked", position_json(stream.acked)}};
        if (!stream.stopped.empty()) {
            one["stopped"] = stream.stopped;
        }
        streams.push_back(std::move(one));
    }
    Json forks = Json::array();
    for (const billing::Fork& fork : s.forks) {
        forks.push_back({{"tier", fork.chain.tier},
                         {"epoch", fork.chain.epoch},
                         {"at", position_json(fork.at)},
                         {"seen", rfc3339(fork.seen_us)}});
    }
    Json out{{"unsent_events", s.events_unsent},
             {"unsent_bytes", s.bytes_unsent},
             {"oldest_unsent", s.oldest_unsent_us > 0 ? Json(rfc3339(s.oldest_unsent_us)) : Json()},
             {"dropped", s.dropped},
             {"malformed", s.malformed},
             {"streams", streams},
             {"forks", forks}};
    if (!s.failing.empty()) {
        out["failing"] = s.failing;
    }
    return out;
}

Ledger::Ledger(World world)
    : world_(world), keys_(world.me, world.clock), crypto_(ledger_crypto(world.me)) {
    serve_children();
}

Status Ledger::load() {
    if (own_) {
        return {};
    }
    const Status opened =
        world_.ledger.open_chain(own_key(), trust::to_pem(world_.me.ca_chain_der));
    auto chain = opened.ok() ? world_.ledger.chain(own_key()) : opened.error();
    if (!chain.ok() || !*chain) {
        return chain.ok() ? fail(Code::failed, "the ledger lost the chain of this tier")
                          : chain.error();
    }
    own_ = **chain;
    marks_.clear();
    return {};
}

Status Ledger::seal(std::span<const billing::UsageRecord> records, const billing::RingMark* mark,
                    std::uint64_t dropped) {
    if (Status loaded = load(); !loaded.ok()) {
        return loaded;
    }
    billing::ChainHead head = own_->head;
    const std::uint64_t stream = stream_ != 0 ? stream_ : head.at.stream + 1;
    std::vector<billing::SealedBatch> batches;
    for (std::size_t at = 0; at < records.size(); at += billing::batch_events_max) {
        auto batch = billing::seal_batch(
            head, own_->key.epoch, stream,
            records.subspan(at, std::min(billing::batch_events_max, records.size() - at)),
            at == 0 ? dropped : 0, world_.clock.wall_us(), crypto_);
        if (!batch.ok()) {
            return batch.error();
        }
        batches.push_back(*std::move(batch));
    }
    const Status kept = world_.ledger.append(own_->key, batches, mark, world_.clock.wall_us());
    if (!kept.ok()) {
        // It may be on the disk all the same: what is there is read again.
        own_.reset();
        return kept;
    }
    own_->head = head;
    if (!batches.empty()) {
        stream_ = stream;
        dirty_ = true;
    }
    return {};
}

void Ledger::note_failure(const Status& status) {
    const std::string now = status.ok() ? std::string() : status.error().message;
    if (now == failing_) {
        return;
    }
    failing_ = now;
    if (status.ok()) {
        world_.log.info("usage.kept", "usage can be written again");
    } else {
        world_.log.error("usage.failed", now, {{"next", status.error().hint}});
        if (const Status kept = world_.store.add_error(
                {world_.clock.wall_us(), "usage.failed", "usage cannot be written: " + now});
            !kept.ok()) {
            world_.log.error("errors.keep", kept.error().message);
        }
    }
    if (on_change_) {
        on_change_();
    }
}

std::size_t Ledger::record(const billing::RingPlace& at,
                           std::span<const billing::UsageRecord> records) {
    const std::string ring(reinterpret_cast<const char*>(at.ring.data()), at.ring.size());
    Status status = load();
    auto held = marks_.find(at.lane);
    if (status.ok() && (held == marks_.end() || held->second.ring != ring)) {
        auto mark = world_.ledger.ring_mark(ring, at.lane);
        if (mark.ok()) {
            held = marks_.insert_or_assign(at.lane, *mark).first;
        } else {
            status = mark.error();
        }
    }
    if (!status.ok()) {
        note_failure(status);
        return 0;
    }
    // A keeper that died between the commit and the ring's take is given the same records again.
    const std::size_t known =
        std::min<std::uint64_t>(records.size(), minus(held->second.position, at.first));
    const auto fresh = records.subspan(known);
    if (fresh.empty()) {
        return records.size();
    }
    // Starts of apps are the keeper's own to tell.
    const auto tells_start = [](const billing::UsageRecord& record) {
        return record.kind == billing::UsageKind::app_start;
    };
    const billing::RingMark mark{ring, at.lane, at.first + records.size(), at.dropped};
    const std::uint64_t dropped = minus(at.dropped, held->second.dropped);
    std::span<const billing::UsageRecord> good = fresh;
    std::vector<billing::UsageRecord> sorted_out;
    const bool believed = std::none_of(fresh.begin(), fresh.end(), tells_start);
    if (believed) {
        status = seal(fresh, &mark, dropped);
    }
    // Sealing looks at every record anyhow: what makes no sense is looked for when it was met.
    if (!believed || (!status.ok() && status.error().code == Code::refused)) {
        std::copy_if(fresh.begin(), fresh.end(), std::back_inserter(sorted_out),
                     [&](const billing::UsageRecord& record) {
                         return billing::sensible(record) && !tells_start(record);
                     });
        good = sorted_out;
        if (good.size() != fresh.size()) {
            status = seal(good, &mark, dropped);
        }
    }
    note_failure(status);
    if (!status.ok()) {
        return known;
    }
    if (good.size() != fresh.size()) {
        malformed_ += fresh.size() - good.size();
        world_.log.warn("usage.malformed", "records of front's made no sense and were left out",
                        {{"count", std::to_string(fresh.size() - good.size())}});
    }
    marks_.insert_or_assign(at.lane, mark);
    return records.size();
}

Status Ledger::app_started(const std::string& app, const std::string& user) {
    billing::UsageRecord record;
    record.kind = billing::UsageKind::app_start;
    record.time_us = world_.clock.wall_us();
    billing::set_name(record.app, app);
    billing::set_name(record.user, user);
    if (starts_.size() < usage_starts_waiting_max) {
        starts_.push_back(record);
    }
    const Status status = seal(starts_, nullptr, 0);
    note_failure(status);
    if (status.ok()) {
        starts_.clear();
    }
    return status;
}

void Ledger::tick() {
    if (!starts_.empty()) {
        const Status status = seal(starts_, nullptr, 0);
        note_failure(status);
        if (status.ok()) {
            starts_.clear();
        }
    }
}

LedgerStatus Ledger::status() {
    LedgerStatus out;
    out.malformed = malformed_;
    out.failing = failing_;
    auto chains = world_.ledger.chains();
    auto forks = world_.ledger.forks();
    auto oldest = world_.ledger.oldest_unsent_us();
    if (!chains.ok() || !forks.ok() || !oldest.ok()) {
        out.failing = !chains.ok()  ? chains.error().message
                      : !forks.ok() ? forks.error().message
                                    : oldest.error().message;
        return out;
    }
    const bool reports = world_.me.has_parent();
    for (const billing::Chain& chain : *chains) {
        const auto sending = sending_.find(chain.key);
        out.streams.push_back(
            {chain.key.tier, chain.key.epoch, chain.head.at, chain.acked,
             sending == sending_.end() ? std::string() : sending->second.stopped});
        if (reports) {
            out.events_unsent += minus(chain.events, chain.acked_events);
            out.bytes_unsent += minus(chain.bytes, chain.acked_bytes);
        }
        if (chain.key == own_key()) {
            out.dropped = chain.dropped;
        }
    }
    out.oldest_unsent_us = reports ? *oldest : 0;
    out.forks = *std::move(forks);
    return out;
}

} // namespace hasp::maint
