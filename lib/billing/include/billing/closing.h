// Periods: closed once, explained, and held against the batches. Reads and writes a LedgerStore;
// its thread and errors. `tier` is the name of the tier that bills.
#pragma once

#include "billing/ledger_store.h"
#include "billing/rating.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hasp::billing {

inline constexpr std::size_t explained_events_max = 10'000; // listed; all are counted
inline constexpr std::size_t findings_max = 1'000;

// The tariff that is in force when the period begins, and the period itself: months are those of
// that tariff's zone. Code::usage (no period), not_found (no tariff is in force).
struct Asked {
    Period period;
    Tariff tariff;
};
Result<Asked> asked_period(LedgerStore& store, std::string_view text);

struct Bill {
    ClosedPeriod period;
    std::vector<Invoice> invoices;
    std::vector<std::string> late; // closed periods whose late usage is on it
};
// What closing would write. Code::conflict: it overlaps a closed one; try_later: it has not ended.
Result<Bill> make_bill(LedgerStore& store, const std::string& tier, const Asked& asked,
                       const std::vector<std::string>& missing, std::int64_t now_us);
// Durable when it returns ok.
Status close_bill(LedgerStore& store, const Bill& bill);

// The closed period of this name, or with these bounds. Code::not_found.
Result<ClosedPeriod> closed_period(LedgerStore& store, std::string_view text);

// What stands behind a line of an invoice.
struct Behind {
    struct Batch {
        ChainKey chain;
        Position first;
        std::uint32_t count = 0; // of all its events
        std::uint64_t of_line = 0;
        std::string hash;
    };
    struct One {
        ChainKey chain;
        Position at;
        std::int64_t time_us = 0;
        std::string app;
        std::string rid; // 16 bytes: the request's id in the access logs
    };
    std::vector<Batch> batches;
    std::vector<One> events; // at most explained_events_max
    std::uint64_t count = 0;
};
// Code::not_found: no invoice of this user, or no such line (from 1).
Result<Behind> explain(LedgerStore& store, const std::string& tier, const ClosedPeriod& period,
                       const std::string& user, std::size_t line);

struct Finding {
    std::string
        where; // "hasp://…/tokyo epoch 1 stream 3 event 2000", "invoice of nurse for 2026-11"
    std::string what;
};
struct Verified {
    std::uint64_t chains = 0;
    std::uint64_t batches = 0;
    std::uint64_t events = 0;
    std::uint64_t periods = 0;
    std::uint64_t invoices = 0;
    std::vector<Finding> findings; // at most findings_max
};
// Chains, signatures, hashes, the days' totals, and every invoice counted anew. `open_batch` gives
// the signed header of an envelope if the signature holds.
using OpenBatch =
    std::function<Result<std::string>(const Chain& chain, const std::string& envelope)>;
Result<Verified> verify_ledger(LedgerStore& store, const std::string& tier,
                               const OpenBatch& open_batch, const Crypto& crypto);

} // namespace hasp::billing
