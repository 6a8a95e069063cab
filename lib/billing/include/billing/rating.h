// What each account owes for its usage: a pure function of events, tariff and period. The order of
// the batches, their boundaries and repetitions change no byte of an invoice. Any thread.
#pragma once

#include "billing/ledger_store.h"
#include "billing/period.h"
#include "billing/tariff.h"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hasp::billing {

// A run of events of one stream.
struct EventRun {
    ChainKey chain;
    Position first;
    std::string_view events; // encode_events()
};

// Who is asked: the tier that bills. An event counts where the app was served, at the tier itself
// or below; and, when the tier passed the request on above, by its own record of that.
struct CountRules {
    std::string tier;
    std::int64_t from_us = 0;
    std::int64_t to_us = 0;
    // Only events below; none: all. A chain that is not named has nothing.
    std::optional<std::map<ChainKey, Position>> horizon;
};
bool counts(const CountRules& rules, const ChainKey& chain, const Position& at, const Event& event);

// By user, by index into the tariff's prices.
using Quantities = std::map<std::string, std::vector<std::uint64_t>>;

class Counter {
  public:
    // Both must outlive the counter.
    Counter(const Tariff& tariff, const CountRules& rules) : tariff_(tariff), rules_(rules) {}

    // Runs in the order of (chain, first); what a run repeats of the one before is passed over.
    // Code::refused when the bytes are no events.
    Status add(const EventRun& run);
    const Quantities& quantities() const { return quantities_; }

  private:
    struct AppPrices {
        std::optional<std::size_t> request, app_start, active_user;
    };
    const AppPrices& prices_of(std::string_view app);

    const Tariff& tariff_;
    const CountRules& rules_;
    Quantities quantities_;
    std::map<std::string, AppPrices, std::less<>> apps_;
    std::optional<ChainKey> chain_;
    Position next_;
};

// The same for runs in any order, with any repetition and any boundaries.
Result<Quantities> count_usage(const Tariff& tariff, const CountRules& rules,
                               std::vector<EventRun> runs);

struct InvoiceLine {
    std::size_t price = 0; // index into the prices of its tariff
    std::string period;    // of an adjustment: the closed period whose usage came late; else empty
    std::string tariff;    // version
    std::string text;
    Per per = Per::request;
    std::string rate;
    std::int64_t quantity = 0;
    std::int64_t amount = 0; // minor units
    std::string tax;         // per cent; empty: not taxed
};
struct InvoiceTax {
    std::string percent;
    std::int64_t base = 0;
    std::int64_t amount = 0;
};
struct Invoice {
    std::string issuer; // the tier
    std::string user;
    Period period;
    std::string tariff;
    std::string currency;
    int exponent = 2;
    std::vector<InvoiceLine> lines = {}; // numbered from 1 as they stand
    std::vector<InvoiceTax> taxes = {};  // by rate
    std::int64_t net = 0;
    std::int64_t tax = 0;
    std::int64_t total = 0;
    std::vector<std::string> missing = {}; // what was known not to have arrived
};

// Usage of a closed period, as it was billed and as it is known now.
struct Late {
    std::string period;
    const Tariff* tariff = nullptr;
    Quantities billed;
    Quantities known;
};

// One for each user who owes something or has a line, in the order of users. Code::usage when an
// amount does not fit; refused when a late period had another currency.
Result<std::vector<Invoice>> make_invoices(const std::string& tier, const Period& period,
                                           const Tariff& tariff, const Quantities& quantities,
                                           const std::vector<Late>& late,
                                           const std::vector<std::string>& missing);

// Canonical JSON: one text for one invoice.
std::string encode_invoice(const Invoice& invoice);

} // namespace hasp::billing
