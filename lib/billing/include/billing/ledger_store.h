// Where usage lies until it is billed and after: chains of batches (our own and those from below),
// what was confirmed above, tariffs, closed periods with their invoices. At the level of
// transactions: a call is durable (fsync) when it returns ok, and has changed nothing when not.
//
// One thread. Every call may block on the disk. Errors are the store's (store/db.h), with conflict
// and not_found as said below.
#pragma once

#include "base/result.h"
#include "billing/batch.h"

#include <compare>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace hasp::store {
class Db;
}

namespace hasp::billing {

struct ChainKey {
    std::string tier; // hasp://…
    std::uint64_t epoch = 0;
    friend auto operator<=>(const ChainKey&, const ChainKey&) = default;
};

struct Chain {
    ChainKey key;
    std::string certificates; // PEM
    ChainHead head;
    std::uint64_t events = 0;
    std::uint64_t bytes = 0;
    std::uint64_t dropped = 0;
    Position acked; // by the parent
    std::uint64_t acked_events = 0;
    std::uint64_t acked_bytes = 0;
};

// How far one lane of a usage ring is durable.
struct RingMark {
    std::string ring; // its id, 16 bytes
    std::uint32_t lane = 0;
    std::uint64_t position = 0; // of the first record that is not in the ledger
    std::uint64_t dropped = 0;  // as the lane counted by then
};

struct StoredBatch {
    ChainKey chain;
    std::string header; // encode_header()
    SealedBatch batch;  // `days` is empty
    std::int64_t arrived_us = 0;
};

struct Fork {
    ChainKey chain;
    Position at; // where the two part
    std::string hash;
    std::int64_t seen_us = 0;
};

inline constexpr std::int64_t forks_kept_max = 100; // of a chain; the first ones

struct Received {
    Verdict last = Verdict::again; // of the last batch that was looked at
    std::size_t taken = 0;
    Position want; // the chain's end afterwards
    std::string head_hash;
};

struct TariffRow {
    std::string version;
    std::int64_t effective_from_us = 0;
    std::string text;
    std::int64_t set_us = 0;
};

// Up to where a chain was billed.
struct Horizon {
    ChainKey chain;
    Position until;
    friend bool operator==(const Horizon&, const Horizon&) = default;
};

struct ClosedPeriod {
    std::int64_t from_us = 0;
    std::int64_t to_us = 0;
    std::string name; // "2026-11" or "FROM/TO"
    std::string tariff;
    std::int64_t number = 0; // in the order of closing, given by close()
    std::int64_t closed_us = 0;
    std::vector<Horizon> horizon;
    std::string missing; // JSON list; "[]": nothing was known to be missing
};

// How much of a chain is read at a time where all of it is walked.
inline constexpr std::size_t chain_read_bytes = 4 * 1024 * 1024;

class LedgerStore {
  public:
    virtual ~LedgerStore() = default;

    // In the order of their keys.
    virtual Result<std::vector<Chain>> chains() = 0;
    virtual Result<std::optional<Chain>> chain(const ChainKey& key) = 0;
    // Makes an empty chain, or does nothing when there is one.
    virtual Status open_chain(const ChainKey& key, const std::string& certificates) = 0;

    // Our own batches, with the ring's mark in the same transaction; `mark` null: they came from no
    // ring. Code::conflict unless each continues the chain; not_found without open_chain().
    virtual Status append(const ChainKey& key, std::span<const SealedBatch> batches,
                          const RingMark* mark, std::int64_t now_us) = 0;
    // Zero position and drops for a ring that was never heard of.
    virtual Result<RingMark> ring_mark(const std::string& ring, std::uint32_t lane) = 0;

    // Another tier's batches, judged one by one in one transaction: those that continue the chain
    // are kept, those held already are passed over, and the first other one ends it. A fork is
    // kept to be seen.
    virtual Result<Received> receive(const ChainKey& key, std::span<const SealedBatch> batches,
                                     std::int64_t now_us) = 0;
    virtual Result<std::vector<Fork>> forks() = 0;

    // Batches from this position on, in order, as many as fit into bytes_max, at least one if there
    // is one.
    virtual Result<std::vector<StoredBatch>> batches_from(const ChainKey& key, const Position& from,
                                                          std::size_t bytes_max) = 0;
    // When the first batch that the parent has not confirmed was sealed, of all chains; 0: none.
    virtual Result<std::int64_t> oldest_unsent_us() = 0;
    // The parent has everything below `until`. Never falls; ok when it is known already.
    virtual Status acked(const ChainKey& key, const Position& until, const std::string& ack) = 0;

    // Every batch that may hold events with from_us <= time < to_us, chain by chain in order. Stops
    // at the first error of `on_batch`.
    virtual Status scan(std::int64_t from_us, std::int64_t to_us,
                        const std::function<Status(const StoredBatch&)>& on_batch) = 0;
    virtual Result<std::vector<DayTotals>> days(const ChainKey& key) = 0;

    // The same version with the same text again is ok; with another, Code::conflict.
    virtual Status put_tariff(const TariffRow& row) = 0;
    virtual Result<std::vector<TariffRow>> tariffs() = 0; // by effective_from_us

    // Code::conflict when it overlaps a closed one. `invoices`: (user, text).
    virtual Status close(ClosedPeriod period,
                         const std::vector<std::pair<std::string, std::string>>& invoices) = 0;
    virtual Result<std::vector<ClosedPeriod>> periods() = 0; // by number
    // (user, text) in the order of users.
    virtual Result<std::vector<std::pair<std::string, std::string>>>
    invoices(std::int64_t period_from_us) = 0;
};

// Brings the tables up to date. `db` must outlive the store.
Result<std::unique_ptr<LedgerStore>> open_sqlite_ledger_store(store::Db& db, std::string tenant);

} // namespace hasp::billing
