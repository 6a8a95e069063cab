#include "json_tools.h"
#include "sqlite_ledger_store.h"
#include "store/transaction.h"

namespace hasp::billing {

namespace {

std::string horizon_text(const std::vector<Horizon>& horizon) {
    Json list = Json::array();
    for (const Horizon& h : horizon) {
        list.push_back({{"tier", h.chain.tier},
                        {"epoch", h.chain.epoch},
                        {"stream", h.until.stream},
                        {"next", h.until.next}});
    }
    return dump(list);
}

std::vector<Horizon> horizon_of(std::string_view text) {
    std::vector<Horizon> out;
    const Json list = Json::parse(text, nullptr, false);
    for (const Json& h : list) {
        out.push_back({{text_of(h, "tier"), static_cast<std::uint64_t>(int_of(h, "epoch"))},
                       {static_cast<std::uint64_t>(int_of(h, "stream")),
                        static_cast<std::uint64_t>(int_of(h, "next"))}});
    }
    return out;
}

} // namespace

Status SqliteLedgerStore::put_tariff(const TariffRow& row) {
    auto held = db_.first(
        "SELECT text FROM billing_tariffs WHERE tenant = ?1 AND version = ?2",
        [](const store::Statement& s) { return s.text(0); }, tenant_, row.version);
    if (!held.ok()) {
        return held.error();
    }
    if (*held) {
        return **held == row.text
                   ? Status()
                   : fail(Code::conflict,
                          "there is a tariff '" + row.version + "' already, with another text",
                          "a tariff that was set never changes: give the new one a version of its "
                          "own");
    }
    return store::done(db_.execute("INSERT INTO billing_tariffs VALUES (?1, ?2, ?3, ?4, ?5)",
                                   tenant_, row.version, row.effective_from_us, row.text,
                                   row.set_us));
}

Result<std::vector<TariffRow>> SqliteLedgerStore::tariffs() {
    std::vector<TariffRow> out;
    const Status read = db_.each(
        "SELECT version, effective_from_us, text, set_us FROM billing_tariffs WHERE tenant = ?1 "
        "ORDER BY effective_from_us, set_us, version",
        [&](const store::Statement& s) {
            out.push_back({s.text(0), s.integer(1), s.text(2), s.integer(3)});
        },
        tenant_);
    return read.ok() ? Result<std::vector<TariffRow>>(std::move(out))
                     : Result<std::vector<TariffRow>>(read.error());
}

Status SqliteLedgerStore::close(ClosedPeriod period,
                                const std::vector<std::pair<std::string, std::string>>& invoices) {
    auto transaction = store::Transaction::begin(db_);
    if (!transaction.ok()) {
        return transaction.error();
    }
    auto held = periods();
    if (!held.ok()) {
        return held.error();
    }
    for (const ClosedPeriod& other : *held) {
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
    auto put =
        db_.execute("INSERT INTO billing_periods VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                    tenant_, period.from_us, period.to_us, period.name, period.tariff,
                    period.number, period.closed_us, horizon_text(period.horizon), period.missing);
    if (!put.ok()) {
        return put.error();
    }
    for (const auto& [user, text] : invoices) {
        if (auto added = db_.execute("INSERT INTO billing_invoices VALUES (?1, ?2, ?3, ?4)",
                                     tenant_, period.from_us, user, text);
            !added.ok()) {
            return added.error();
        }
    }
    return transaction->commit();
}

Result<std::vector<ClosedPeriod>> SqliteLedgerStore::periods() {
    std::vector<ClosedPeriod> out;
    const Status read = db_.each(
        "SELECT from_us, to_us, name, tariff, number, closed_us, horizon, missing FROM "
        "billing_periods WHERE tenant = ?1 ORDER BY number",
        [&](const store::Statement& s) {
            out.push_back({s.integer(0), s.integer(1), s.text(2), s.text(3), s.integer(4),
                           s.integer(5), horizon_of(s.view(6)), s.text(7)});
        },
        tenant_);
    return read.ok() ? Result<std::vector<ClosedPeriod>>(std::move(out))
                     : Result<std::vector<ClosedPeriod>>(read.error());
}

Result<std::vector<std::pair<std::string, std::string>>>
SqliteLedgerStore::invoices(std::int64_t period_from_us) {
    std::vector<std::pair<std::string, std::string>> out;
    const Status read = db_.each(
        "SELECT user, text FROM billing_invoices WHERE tenant = ?1 AND from_us = ?2 ORDER BY user",
        [&](const store::Statement& s) { out.emplace_back(s.text(0), s.text(1)); }, tenant_,
        period_from_us);
    if (!read.ok()) {
        return read.error();
    }
    return out;
}

} // namespace hasp::billing
