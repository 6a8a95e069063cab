// Shared by closing, explaining and verifying. Private to lib/billing.
#pragma once

#include "billing/closing.h"

#include <map>

namespace hasp::billing::detail {

using HorizonMap = std::map<ChainKey, Position>;
HorizonMap horizon_map(const std::vector<Horizon>& horizon);

Result<Tariff> tariff_of(LedgerStore& store, const std::string& version);

// The horizon of the close before this one; empty for the first.
HorizonMap horizon_before(const std::vector<ClosedPeriod>& closed, std::int64_t number);

// Counts a period's usage below a horizon.
Result<Quantities> count_period(LedgerStore& store, const Tariff& tariff, const CountRules& rules);

// The invoices of a period, given what was closed before it: the one function that closing and
// verifying share. `period.number` and `period.horizon` say what is looked at.
Result<Bill> bill_of(LedgerStore& store, const std::string& tier, const ClosedPeriod& period,
                     const Tariff& tariff, const std::vector<ClosedPeriod>& closed);

} // namespace hasp::billing::detail
