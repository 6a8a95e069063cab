#include "embedded/billing_sql.h"
#include "sqlite_ledger_store.h"
#include "store/migrate.h"
#include "store/transaction.h"

#include <algorithm>

namespace hasp::billing {

namespace {

constexpr const char* chain_columns =
    "SELECT tier, epoch, certificates, stream, next, head, events, bytes, dropped, acked_stream, "
    "acked_next, acked_events, acked_bytes FROM billing_chains WHERE tenant = ?1";

std::uint64_t number(const store::Statement& s, int column) {
    return static_cast<std::uint64_t>(s.integer(column));
}

Chain read_chain(const store::Statement& s) {
    Chain c;
    c.key = {s.text(0), number(s, 1)};
    c.certificates = s.text(2);
    c.head = {{number(s, 3), number(s, 4)}, s.blob(5)};
    c.events = number(s, 6);
    c.bytes = number(s, 7);
    c.dropped = number(s, 8);
    c.acked = {number(s, 9), number(s, 10)};
    c.acked_events = number(s, 11);
    c.acked_bytes = number(s, 12);
    return c;
}

Error no_chain(const ChainKey& key) {
    return fail(Code::not_found, "the ledger holds no usage of " + key.tier + " in epoch " +
                                     std::to_string(key.epoch));
}

} // namespace

Result<std::unique_ptr<LedgerStore>> open_sqlite_ledger_store(store::Db& db, std::string tenant) {
    if (Status migrated = store::migrate(db, "billing", embedded::billing_sql()); !migrated.ok()) {
        return migrated.error();
    }
    return std::unique_ptr<LedgerStore>(std::make_unique<SqliteLedgerStore>(db, std::move(tenant)));
}

Result<std::vector<Chain>> SqliteLedgerStore::chains() {
    std::vector<Chain> out;
    const Status read = db_.each(
        std::string(chain_columns) + " ORDER BY tier, epoch",
        [&](const store::Statement& s) { out.push_back(read_chain(s)); }, tenant_);
    return read.ok() ? Result<std::vector<Chain>>(std::move(out))
                     : Result<std::vector<Chain>>(read.error());
}

Result<std::optional<Chain>> SqliteLedgerStore::chain(const ChainKey& key) {
    return db_.first(std::string(chain_columns) + " AND tier = ?2 AND epoch = ?3", read_chain,
                     tenant_, key.tier, key.epoch);
}

Status SqliteLedgerStore::open_chain(const ChainKey& key, const std::string& certificates) {
    return store::done(db_.execute(
        "INSERT INTO billing_chains VALUES (?1, ?2, ?3, ?4, 0, 0, ?5, 0, 0, 0, 0, 0, 0, 0, x'') "
        "ON CONFLICT (tenant, tier, epoch) DO NOTHING",
        tenant_, key.tier, key.epoch, certificates, store::Blob{ChainHead{}.hash}));
}

Status SqliteLedgerStore::insert(const ChainKey& chain, const SealedBatch& batch,
                                 std::int64_t now_us) {
    const BatchHeader& h = batch.header;
    auto added = db_.execute(
        "INSERT INTO billing_batches VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, "
        "?13, ?14)",
        tenant_, chain.tier, chain.epoch, h.stream, h.first, h.count, h.from_us, h.to_us,
        h.sealed_at_us, now_us, store::Blob{batch.hash}, store::Blob{encode_header(h)},
        store::Blob{batch.envelope}, store::Blob{batch.events});
    if (!added.ok()) {
        return added.error();
    }
    for (const DayTotals& day : batch.days) {
        auto counted = db_.execute(
            "INSERT INTO billing_days VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) "
            "ON CONFLICT (tenant, tier, epoch, day) DO UPDATE SET requests = requests + "
            "excluded.requests, websockets = websockets + excluded.websockets, app_starts = "
            "app_starts + excluded.app_starts, bytes_in = bytes_in + excluded.bytes_in, bytes_out "
            "= bytes_out + excluded.bytes_out",
            tenant_, chain.tier, chain.epoch, day.day, day.requests, day.websockets, day.app_starts,
            day.bytes_in, day.bytes_out);
        if (!counted.ok()) {
            return counted.error();
        }
    }
    return {};
}

Status SqliteLedgerStore::advance(const Chain& chain) {
    return store::done(db_.execute(
        "UPDATE billing_chains SET stream = ?4, next = ?5, head = ?6, events = ?7, bytes = ?8, "
        "dropped = ?9 WHERE tenant = ?1 AND tier = ?2 AND epoch = ?3",
        tenant_, chain.key.tier, chain.key.epoch, chain.head.at.stream, chain.head.at.next,
        store::Blob{chain.head.hash}, chain.events, chain.bytes, chain.dropped));
}

namespace {
void move_on(Chain& chain, const SealedBatch& batch) {
    chain.head = {{batch.header.stream, batch.header.first + batch.header.count}, batch.hash};
    chain.events += batch.header.count;
    chain.bytes += batch.envelope.size() + batch.events.size();
    chain.dropped += batch.header.dropped;
}
} // namespace

Result<bool> SqliteLedgerStore::continue_chain(const BatchHeader& first, const Chain& added) {
    auto moved = db_.execute(
        "UPDATE billing_chains SET stream = ?4, next = ?5, head = ?6, events = events + ?7, bytes "
        "= bytes + ?8, dropped = dropped + ?9 WHERE tenant = ?1 AND tier = ?2 AND epoch = ?3 AND "
        "head = ?10 AND ((stream = ?11 AND next = ?12) OR (stream = ?11 - 1 AND ?12 = 0))",
        tenant_, added.key.tier, added.key.epoch, added.head.at.stream, added.head.at.next,
        store::Blob{added.head.hash}, added.events, added.bytes, added.dropped,
        store::Blob{first.prev}, first.stream, first.first);
    return moved.ok() ? Result<bool>(*moved == 1) : Result<bool>(moved.error());
}

Status SqliteLedgerStore::put_mark(const RingMark& mark) {
    auto moved = db_.execute(
        "UPDATE billing_rings SET position = ?4, dropped = ?5 WHERE tenant = ?1 AND ring = ?2 AND "
        "lane = ?3",
        tenant_, store::Blob{mark.ring}, mark.lane, mark.position, mark.dropped);
    if (!moved.ok() || *moved == 1) {
        return store::done(moved);
    }
    // Rings end with their supervisor: the first record of a new one makes the old ones go.
    auto dropped = db_.execute("DELETE FROM billing_rings WHERE tenant = ?1 AND ring <> ?2",
                               tenant_, store::Blob{mark.ring});
    if (!dropped.ok()) {
        return dropped.error();
    }
    return store::done(db_.execute("INSERT INTO billing_rings VALUES (?1, ?2, ?3, ?4, ?5)", tenant_,
                                   store::Blob{mark.ring}, mark.lane, mark.position, mark.dropped));
}

Status SqliteLedgerStore::append(const ChainKey& key, std::span<const SealedBatch> batches,
                                 const RingMark* mark, std::int64_t now_us) {
    const auto no_continuation = [&key](const Position& end) {
        return fail(Code::conflict,
                    "a usage batch of " + key.tier + " does not continue its chain at stream " +
                        std::to_string(end.stream) + ", event " + std::to_string(end.next));
    };
    Chain added;
    added.key = key;
    for (const SealedBatch& batch : batches) {
        if (&batch != &batches.front() &&
            judge(added.head, batch.header, batch.hash, {}) != Verdict::next) {
            return no_continuation(added.head.at);
        }
        move_on(added, batch);
    }
    auto transaction = store::Transaction::begin(db_);
    if (!transaction.ok()) {
        return transaction.error();
    }
    auto continued = batches.empty() ? false : continue_chain(batches.front().header, added);
    if (!continued.ok()) {
        return continued.error();
    }
    if (!*continued) {
        auto held = chain(key);
        if (!held.ok() || !*held) {
            return held.ok() ? no_chain(key) : held.error();
        }
        if (!batches.empty()) {
            return no_continuation((*held)->head.at);
        }
    }
    for (const SealedBatch& batch : batches) {
        if (Status put = insert(key, batch, now_us); !put.ok()) {
            return put;
        }
    }
    if (mark != nullptr) {
        if (Status put = put_mark(*mark); !put.ok()) {
            return put;
        }
    }
    return transaction->commit();
}

Result<RingMark> SqliteLedgerStore::ring_mark(const std::string& ring, std::uint32_t lane) {
    auto mark = db_.first(
        "SELECT position, dropped FROM billing_rings WHERE tenant = ?1 AND ring = ?2 AND lane = ?3",
        [&](const store::Statement& s) {
            return RingMark{ring, lane, number(s, 0), number(s, 1)};
        },
        tenant_, store::Blob{ring}, lane);
    if (!mark.ok()) {
        return mark.error();
    }
    return mark->value_or(RingMark{ring, lane, 0, 0});
}

Result<Received> SqliteLedgerStore::receive(const ChainKey& key,
                                            std::span<const SealedBatch> batches,
                                            std::int64_t now_us) {
    auto transaction = store::Transaction::begin(db_);
    if (!transaction.ok()) {
        return transaction.error();
    }
    auto held = chain(key);
    if (!held.ok() || !*held) {
        return held.ok() ? no_chain(key) : held.error();
    }
    Chain& chain = **held;
    Received out;
    for (const SealedBatch& batch : batches) {
        const BatchHeader& h = batch.header;
        auto there = db_.first(
            "SELECT hash FROM billing_batches WHERE tenant = ?1 AND tier = ?2 AND epoch = ?3 AND "
            "stream = ?4 AND first = ?5",
            [](const store::Statement& s) { return s.blob(0); }, tenant_, key.tier, key.epoch,
            h.stream, h.first);
        if (!there.ok()) {
            return there.error();
        }
        out.last = judge(chain.head, h, batch.hash, there->value_or(""));
        if (out.last == Verdict::fork) {
            auto kept = db_.execute(
                "INSERT INTO billing_forks SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 WHERE (SELECT "
                "count(*) FROM billing_forks WHERE tenant = ?1 AND tier = ?2 AND epoch = ?3) < ?10 "
                "ON CONFLICT (tenant, tier, epoch, stream, first, hash) DO NOTHING",
                tenant_, key.tier, key.epoch, h.stream, h.first, store::Blob{batch.hash},
                store::Blob{encode_header(h)}, store::Blob{batch.envelope}, now_us, forks_kept_max);
            if (!kept.ok()) {
                return kept.error();
            }
        }
        if (out.last == Verdict::next) {
            if (Status added = insert(key, batch, now_us); !added.ok()) {
                return added.error();
            }
            move_on(chain, batch);
            ++out.taken;
        } else if (out.last != Verdict::again) {
            break;
        }
    }
    out.want = chain.head.at;
    out.head_hash = chain.head.hash;
    if (Status moved = advance(chain); !moved.ok()) {
        return moved.error();
    }
    if (Status committed = transaction->commit(); !committed.ok()) {
        return committed.error();
    }
    return out;
}

Result<std::vector<Fork>> SqliteLedgerStore::forks() {
    std::vector<Fork> out;
    const Status read = db_.each(
        "SELECT tier, epoch, stream, first, hash, seen_us FROM billing_forks WHERE tenant = ?1 "
        "ORDER BY tier, epoch, stream, first, hash",
        [&](const store::Statement& s) {
            out.push_back(
                {{s.text(0), number(s, 1)}, {number(s, 2), number(s, 3)}, s.blob(4), s.integer(5)});
        },
        tenant_);
    return read.ok() ? Result<std::vector<Fork>>(std::move(out))
                     : Result<std::vector<Fork>>(read.error());
}

namespace {

constexpr const char* batch_columns =
    "tier, epoch, stream, first, arrived_us, hash, header, envelope, events";

Result<StoredBatch> read_batch(const store::Statement& s) {
    StoredBatch out;
    out.chain = {s.text(0), number(s, 1)};
    out.arrived_us = s.integer(4);
    out.header = s.blob(6);
    out.batch.hash = s.blob(5);
    out.batch.envelope = s.blob(7);
    out.batch.events = s.blob(8);
    auto header = decode_header(out.header);
    if (!header.ok()) {
        // The keys stand beside it: whoever reads on names the place.
        out.batch.header.epoch = out.chain.epoch;
        out.batch.header.stream = number(s, 2);
        out.batch.header.first = number(s, 3);
        return out;
    }
    out.batch.header = *std::move(header);
    return out;
}

} // namespace

Result<std::vector<StoredBatch>>
SqliteLedgerStore::batches_from(const ChainKey& key, const Position& from, std::size_t bytes_max) {
    auto statement = db_.prepare(
        std::string("SELECT ") + batch_columns +
        " FROM billing_batches WHERE tenant = ?1 AND tier = ?2 AND epoch = ?3 AND (stream, first) "
        ">= (?4, ?5) ORDER BY stream, first");
    if (!statement.ok()) {
        return statement.error();
    }
    if (Status bound = statement->bind_all(tenant_, key.tier, key.epoch, from.stream, from.next);
        !bound.ok()) {
        return bound.error();
    }
    std::vector<StoredBatch> out;
    for (std::size_t bytes = 0;;) {
        auto row = statement->step();
        if (!row.ok()) {
            return row.error();
        }
        if (!*row) {
            return out;
        }
        auto batch = read_batch(*statement);
        if (!batch.ok()) {
            return batch.error();
        }
        bytes += batch->batch.envelope.size() + batch->batch.events.size();
        if (!out.empty() && bytes > bytes_max) {
            return out;
        }
        out.push_back(*std::move(batch));
    }
}

Result<std::int64_t> SqliteLedgerStore::oldest_unsent_us() {
    auto all = chains();
    if (!all.ok()) {
        return all.error();
    }
    std::int64_t oldest = 0;
    for (const Chain& chain : *all) {
        if (chain.acked == chain.head.at) {
            continue;
        }
        auto first = db_.first(
            "SELECT sealed_us FROM billing_batches WHERE tenant = ?1 AND tier = ?2 AND epoch = ?3 "
            "AND (stream, first) >= (?4, ?5) ORDER BY stream, first LIMIT 1",
            [](const store::Statement& s) { return s.integer(0); }, tenant_, chain.key.tier,
            chain.key.epoch, chain.acked.stream, chain.acked.next);
        if (!first.ok()) {
            return first.error();
        }
        if (*first && (oldest == 0 || **first < oldest)) {
            oldest = **first;
        }
    }
    return oldest;
}

Status SqliteLedgerStore::acked(const ChainKey& key, const Position& until,
                                const std::string& ack) {
    auto transaction = store::Transaction::begin(db_);
    if (!transaction.ok()) {
        return transaction.error();
    }
    auto held = chain(key);
    if (!held.ok() || !*held) {
        return held.ok() ? no_chain(key) : held.error();
    }
    if (until <= (*held)->acked) {
        return {};
    }
    if ((*held)->head.at < until) {
        return fail(Code::refused,
                    "the parent confirms more usage of " + key.tier + " than there is");
    }
    auto put = db_.execute(
        "UPDATE billing_chains SET acked_stream = ?4, acked_next = ?5, ack = ?8, "
        "acked_events = acked_events + n, acked_bytes = acked_bytes + b FROM "
        "(SELECT coalesce(sum(count), 0) AS n, coalesce(sum(length(envelope) + length(events)), 0) "
        "AS b FROM billing_batches WHERE tenant = ?1 AND tier = ?2 AND epoch = ?3 AND "
        "(stream, first) >= (?6, ?7) AND (stream, first) < (?4, ?5)) "
        "WHERE tenant = ?1 AND tier = ?2 AND epoch = ?3",
        tenant_, key.tier, key.epoch, until.stream, until.next, (*held)->acked.stream,
        (*held)->acked.next, store::Blob{ack});
    if (!put.ok()) {
        return put.error();
    }
    return transaction->commit();
}

Status SqliteLedgerStore::scan(std::int64_t from_us, std::int64_t to_us,
                               const std::function<Status(const StoredBatch&)>& on_batch) {
    struct Place {
        ChainKey chain;
        Position at;
        auto operator<=>(const Place&) const = default;
    };
    std::vector<Place> places;
    if (Status read = db_.each(
            "SELECT tier, epoch, stream, first FROM billing_batches WHERE tenant = ?1 AND to_us >= "
            "?2 AND from_us < ?3",
            [&](const store::Statement& s) {
                places.push_back({{s.text(0), number(s, 1)}, {number(s, 2), number(s, 3)}});
            },
            tenant_, from_us, to_us);
        !read.ok()) {
        return read;
    }
    std::sort(places.begin(), places.end());
    for (const Place& place : places) {
        Status handled;
        const Status read = db_.each(
            std::string("SELECT ") + batch_columns +
                " FROM billing_batches WHERE tenant = ?1 AND tier = ?2 AND epoch = ?3 AND stream = "
                "?4 AND first = ?5",
            [&](const store::Statement& s) {
                auto batch = read_batch(s);
                handled = batch.ok() ? on_batch(*batch) : Status(batch.error());
            },
            tenant_, place.chain.tier, place.chain.epoch, place.at.stream, place.at.next);
        if (!read.ok() || !handled.ok()) {
            return read.ok() ? handled : read;
        }
    }
    return {};
}

Result<std::vector<DayTotals>> SqliteLedgerStore::days(const ChainKey& key) {
    std::vector<DayTotals> out;
    const Status read = db_.each(
        "SELECT day, requests, websockets, app_starts, bytes_in, bytes_out FROM billing_days WHERE "
        "tenant = ?1 AND tier = ?2 AND epoch = ?3 ORDER BY day",
        [&](const store::Statement& s) {
            out.push_back({s.integer(0), number(s, 1), number(s, 2), number(s, 3), number(s, 4),
                           number(s, 5)});
        },
        tenant_, key.tier, key.epoch);
    return read.ok() ? Result<std::vector<DayTotals>>(std::move(out))
                     : Result<std::vector<DayTotals>>(read.error());
}

} // namespace hasp::billing
