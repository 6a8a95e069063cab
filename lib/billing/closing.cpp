#include "closing.h"

#include "base/text.h"
#include "json_tools.h"

#include <algorithm>
#include <deque>
#include <limits>

namespace hasp::billing {

namespace detail {

HorizonMap horizon_map(const std::vector<Horizon>& horizon) {
    HorizonMap out;
    for (const Horizon& h : horizon) {
        out[h.chain] = h.until;
    }
    return out;
}

HorizonMap horizon_before(const std::vector<ClosedPeriod>& closed, std::int64_t number) {
    HorizonMap out;
    for (const ClosedPeriod& other : closed) {
        if (other.number < number) {
            out = horizon_map(other.horizon);
        }
    }
    return out;
}

Result<Tariff> tariff_of(LedgerStore& store, const std::string& version) {
    auto rows = store.tariffs();
    if (!rows.ok()) {
        return rows.error();
    }
    for (const TariffRow& row : *rows) {
        if (row.version == version) {
            return parse_tariff(row.text, "tariff " + version);
        }
    }
    return fail(Code::not_found, "there is no tariff '" + version + "'");
}

Result<Quantities> count_period(LedgerStore& store, const Tariff& tariff, const CountRules& rules) {
    Counter counter(tariff, rules);
    const Status scanned =
        store.scan(rules.from_us, rules.to_us, [&](const StoredBatch& batch) -> Status {
            const BatchHeader& h = batch.batch.header;
            const Status added =
                counter.add({batch.chain, {h.stream, h.first}, batch.batch.events});
            return added.ok()
                       ? Status()
                       : fail(Code::refused,
                              "a usage batch of " + batch.chain.tier + " is damaged: stream " +
                                  std::to_string(h.stream) + ", event " + std::to_string(h.first),
                              "hasp bill verify");
        });
    if (!scanned.ok()) {
        return scanned.error();
    }
    return counter.quantities();
}

namespace {

// Whether any batch between two horizons may hold events of each closed period: only those are
// counted again.
Result<std::vector<bool>> touched(LedgerStore& store, const std::vector<ClosedPeriod>& closed,
                                  const HorizonMap& from, const HorizonMap& until) {
    std::vector<bool> out(closed.size(), false);
    for (const auto& [chain, end] : until) {
        const auto begin = from.find(chain);
        Position at = begin == from.end() ? Position{} : begin->second;
        while (at < end) {
            auto batches = store.batches_from(chain, at, chain_read_bytes);
            if (!batches.ok()) {
                return batches.error();
            }
            if (batches->empty()) {
                break;
            }
            for (const StoredBatch& batch : *batches) {
                const BatchHeader& h = batch.batch.header;
                at = {h.stream, h.first + std::max<std::uint32_t>(h.count, 1)};
                for (std::size_t i = 0; i < closed.size(); ++i) {
                    out[i] =
                        out[i] || (h.from_us < closed[i].to_us && h.to_us >= closed[i].from_us);
                }
            }
        }
    }
    return out;
}

} // namespace

Result<Bill> bill_of(LedgerStore& store, const std::string& tier, const ClosedPeriod& period,
                     const Tariff& tariff, const std::vector<ClosedPeriod>& closed) {
    const HorizonMap now = horizon_map(period.horizon);
    const HorizonMap before = horizon_before(closed, period.number);
    std::vector<ClosedPeriod> earlier;
    std::copy_if(closed.begin(), closed.end(), std::back_inserter(earlier),
                 [&](const ClosedPeriod& other) { return other.number < period.number; });
    auto quantities = count_period(store, tariff, {tier, period.from_us, period.to_us, now});
    auto again = touched(store, earlier, before, now);
    if (!quantities.ok() || !again.ok()) {
        return quantities.ok() ? again.error() : quantities.error();
    }
    Bill bill;
    std::deque<Tariff> tariffs; // stable addresses
    std::vector<Late> late;
    for (std::size_t i = 0; i < earlier.size(); ++i) {
        if (!(*again)[i]) {
            continue;
        }
        auto old = tariff_of(store, earlier[i].tariff);
        if (!old.ok()) {
            return old.error();
        }
        tariffs.push_back(*std::move(old));
        const CountRules rules{tier, earlier[i].from_us, earlier[i].to_us, before};
        CountRules rules_now = rules;
        rules_now.horizon = now;
        auto billed = count_period(store, tariffs.back(), rules);
        auto known = count_period(store, tariffs.back(), rules_now);
        if (!billed.ok() || !known.ok()) {
            return billed.ok() ? known.error() : billed.error();
        }
        if (*billed != *known) {
            bill.late.push_back(earlier[i].name);
            late.push_back({earlier[i].name, &tariffs.back(), *billed, *known});
        }
    }
    std::vector<std::string> missing;
    for (const Json& one : Json::parse(period.missing, nullptr, false)) {
        missing.push_back(one.is_string() ? one.get<std::string>() : "");
    }
    auto invoices = make_invoices(tier, {period.from_us, period.to_us, period.name}, tariff,
                                  *quantities, late, missing);
    if (!invoices.ok()) {
        return invoices.error();
    }
    bill.period = period;
    bill.invoices = *std::move(invoices);
    return bill;
}

} // namespace detail

Result<Asked> asked_period(LedgerStore& store, std::string_view text) {
    auto rows = store.tariffs();
    if (!rows.ok()) {
        return rows.error();
    }
    // A text that is no period is said to be that, whether or not there is a tariff.
    auto period = parse_period(text, 0);
    if (!period.ok()) {
        return period.error();
    }
    for (auto row = rows->rbegin(); row != rows->rend(); ++row) {
        auto tariff = parse_tariff(row->text, "tariff " + row->version);
        if (!tariff.ok()) {
            return tariff.error();
        }
        period = parse_period(text, tariff->zone_minutes);
        if (period.ok() && tariff->effective_from_us <= period->from_us) {
            return Asked{*period, *std::move(tariff)};
        }
    }
    return fail(Code::not_found,
                "no tariff is in force at the beginning of " + std::string(text) +
                    (rows->empty() ? ": there is none at all" : ""),
                "hasp bill tariff set FILE");
}

Result<Bill> make_bill(LedgerStore& store, const std::string& tier, const Asked& asked,
                       const std::vector<std::string>& missing, std::int64_t now_us) {
    auto closed = store.periods();
    auto chains = store.chains();
    if (!closed.ok() || !chains.ok()) {
        return closed.ok() ? chains.error() : closed.error();
    }
    ClosedPeriod period;
    period.from_us = asked.period.from_us;
    period.to_us = asked.period.to_us;
    period.name = asked.period.name;
    period.tariff = asked.tariff.version;
    period.closed_us = now_us;
    period.missing = dump(Json(missing));
    for (const ClosedPeriod& other : *closed) {
        if (period.from_us < other.to_us && other.from_us < period.to_us) {
            const bool same = period.from_us == other.from_us && period.to_us == other.to_us;
            return fail(Code::conflict,
                        same ? "the period " + period.name + " is closed already"
                             : "the period " + period.name + " overlaps " + other.name +
                                   ", which is closed already",
                        "usage that came late goes onto the next period's invoices: see `hasp bill "
                        "show`");
        }
        period.number = std::max(period.number, other.number);
    }
    ++period.number;
    if (period.to_us > now_us) {
        return fail(Code::try_later, "the period " + period.name + " ends at " +
                                         rfc3339(period.to_us) + ", which is still to come");
    }
    for (const Chain& chain : *chains) {
        period.horizon.push_back({chain.key, chain.head.at});
    }
    return detail::bill_of(store, tier, period, asked.tariff, *closed);
}

Status close_bill(LedgerStore& store, const Bill& bill) {
    std::vector<std::pair<std::string, std::string>> texts;
    for (const Invoice& invoice : bill.invoices) {
        texts.emplace_back(invoice.user, encode_invoice(invoice));
    }
    return store.close(bill.period, texts);
}

Result<ClosedPeriod> closed_period(LedgerStore& store, std::string_view text) {
    auto closed = store.periods();
    if (!closed.ok()) {
        return closed.error();
    }
    const auto bounds = parse_period(text, 0);
    for (const ClosedPeriod& period : *closed) {
        if (period.name == text ||
            (bounds.ok() && text.find('/') != std::string_view::npos &&
             bounds->from_us == period.from_us && bounds->to_us == period.to_us)) {
            return period;
        }
    }
    if (!bounds.ok()) {
        return bounds.error();
    }
    return fail(Code::not_found, "the period " + std::string(text) + " is not closed",
                "hasp bill show lists those that are; hasp bill close --dry-run shows what another "
                "would hold");
}

} // namespace hasp::billing
