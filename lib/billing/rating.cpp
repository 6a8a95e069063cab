#include "billing/rating.h"

#include "base/text.h"
#include "json_tools.h"

#include <algorithm>
#include <set>

namespace hasp::billing {

bool counts(const CountRules& rules, const ChainKey& chain, const Position& at,
            const Event& event) {
    if (event.time_us < rules.from_us || event.time_us >= rules.to_us || event.user.empty()) {
        return false;
    }
    if (event.served != Served::here && chain.tier != rules.tier) {
        return false;
    }
    if (!rules.horizon) {
        return true;
    }
    const auto until = rules.horizon->find(chain);
    return until != rules.horizon->end() && at < until->second;
}

const Counter::AppPrices& Counter::prices_of(std::string_view app) {
    const auto known = apps_.find(app);
    if (known != apps_.end()) {
        return known->second;
    }
    return apps_
        .emplace(app,
                 AppPrices{tariff_.price(Per::request, app), tariff_.price(Per::app_start, app),
                           tariff_.price(Per::active_user, app)})
        .first->second;
}

Status Counter::add(const EventRun& run) {
    if (chain_ != run.chain) {
        chain_ = run.chain;
        next_ = {};
    }
    const Position start = run.first;
    const Status decoded = decode_events(run.events, [&](std::size_t i, const Event& e) {
        const Position at{start.stream, start.next + i};
        if (at < next_) {
            return;
        }
        next_ = {at.stream, at.next + 1};
        if (!counts(rules_, run.chain, at, e)) {
            return;
        }
        const AppPrices& prices = prices_of(e.app);
        const auto quantity = [&](std::size_t price) -> std::uint64_t& {
            std::vector<std::uint64_t>& mine = quantities_[std::string(e.user)];
            mine.resize(tariff_.prices.size());
            return mine[price];
        };
        if (e.kind == UsageKind::request && prices.request) {
            ++quantity(*prices.request);
        }
        if (e.kind == UsageKind::app_start && prices.app_start) {
            ++quantity(*prices.app_start);
        }
        if (prices.active_user) {
            quantity(*prices.active_user) = 1;
        }
    });
    return decoded;
}

Result<Quantities> count_usage(const Tariff& tariff, const CountRules& rules,
                               std::vector<EventRun> runs) {
    std::sort(runs.begin(), runs.end(), [](const EventRun& a, const EventRun& b) {
        return std::tie(a.chain, a.first) < std::tie(b.chain, b.first);
    });
    Counter counter(tariff, rules);
    for (const EventRun& run : runs) {
        if (Status added = counter.add(run); !added.ok()) {
            return added.error();
        }
    }
    return counter.quantities();
}

namespace {

std::uint64_t quantity_of(const Quantities& all, const std::string& user, std::size_t price) {
    const auto mine = all.find(user);
    return mine == all.end() || price >= mine->second.size() ? 0 : mine->second[price];
}

InvoiceLine line_of(const Tariff& tariff, std::size_t price) {
    const Price& p = tariff.prices[price];
    InvoiceLine line;
    line.price = price;
    line.tariff = tariff.version;
    line.text = p.line;
    line.per = p.per;
    line.rate = p.rate_text;
    line.tax = p.tax_text;
    return line;
}

// The lines of one period: what is known now, less what was billed before.
Status add_lines(Invoice& invoice, const Tariff& tariff, const Quantities& known,
                 const Quantities& billed, const std::string& period) {
    for (std::size_t i = 0; i < tariff.prices.size(); ++i) {
        const std::uint64_t now = quantity_of(known, invoice.user, i);
        const std::uint64_t before = quantity_of(billed, invoice.user, i);
        if (now == before) {
            continue;
        }
        const auto price = [&](std::uint64_t quantity) {
            return price_of(quantity, tariff.prices[i].rate, tariff.exponent, tariff.rounding);
        };
        const auto all = price(now);
        const auto paid = price(before);
        if (!all.ok() || !paid.ok()) {
            return all.ok() ? paid.error() : all.error();
        }
        InvoiceLine line = line_of(tariff, i);
        line.period = period;
        line.quantity = static_cast<std::int64_t>(now) - static_cast<std::int64_t>(before);
        line.amount = *all - *paid;
        invoice.lines.push_back(std::move(line));
    }
    return {};
}

Status add_up(Invoice& invoice, Rounding rounding) {
    std::map<std::string, std::int64_t> bases;
    for (const InvoiceLine& line : invoice.lines) {
        const auto net = sum_of(invoice.net, line.amount);
        const auto base = sum_of(line.tax.empty() ? 0 : bases[line.tax], line.amount);
        if (!net.ok() || !base.ok()) {
            return net.ok() ? base.error() : net.error();
        }
        invoice.net = *net;
        if (!line.tax.empty()) {
            bases[line.tax] = *base;
        }
    }
    for (const auto& [percent, base] : bases) {
        const auto rate = parse_rate(percent);
        const auto amount =
            rate.ok() ? percent_of(base, *rate, rounding) : Result<std::int64_t>(rate.error());
        const auto tax = amount.ok() ? sum_of(invoice.tax, *amount) : amount;
        if (!tax.ok()) {
            return tax.error();
        }
        invoice.taxes.push_back({percent, base, *amount});
        invoice.tax = *tax;
    }
    const auto total = sum_of(invoice.net, invoice.tax);
    if (!total.ok()) {
        return total.error();
    }
    invoice.total = *total;
    return {};
}

} // namespace

Result<std::vector<Invoice>> make_invoices(const std::string& tier, const Period& period,
                                           const Tariff& tariff, const Quantities& quantities,
                                           const std::vector<Late>& late,
                                           const std::vector<std::string>& missing) {
    std::set<std::string> users;
    for (const auto& [user, mine] : quantities) {
        users.insert(user);
    }
    for (const Late& one : late) {
        for (const auto& [user, mine] : one.known) {
            users.insert(user);
        }
        if (one.tariff->currency != tariff.currency || one.tariff->exponent != tariff.exponent) {
            return fail(Code::refused, "usage of the closed period " + one.period +
                                           " came late, and is priced in " + one.tariff->currency +
                                           ", not in " + tariff.currency);
        }
    }
    std::vector<Invoice> out;
    for (const std::string& user : users) {
        Invoice invoice{.issuer = tier,
                        .user = user,
                        .period = period,
                        .tariff = tariff.version,
                        .currency = tariff.currency,
                        .exponent = tariff.exponent,
                        .missing = missing};
        Status good = add_lines(invoice, tariff, quantities, {}, "");
        for (const Late& one : late) {
            if (good.ok()) {
                good = add_lines(invoice, *one.tariff, one.known, one.billed, one.period);
            }
        }
        if (good.ok()) {
            good = add_up(invoice, tariff.rounding);
        }
        if (!good.ok()) {
            return good.error();
        }
        if (!invoice.lines.empty()) {
            out.push_back(std::move(invoice));
        }
    }
    return out;
}

std::string encode_invoice(const Invoice& invoice) {
    const auto money = [&](std::int64_t minor) { return format_money(minor, invoice.exponent); };
    Json lines = Json::array();
    for (const InvoiceLine& line : invoice.lines) {
        Json one{{"line", lines.size() + 1},    {"text", line.text},
                 {"per", per_name(line.per)},   {"rate", line.rate},
                 {"quantity", line.quantity},   {"amount", money(line.amount)},
                 {"amount_minor", line.amount}, {"tax_percent", line.tax},
                 {"tariff", line.tariff},       {"price", line.price}};
        if (!line.period.empty()) {
            one["late_from"] = line.period;
        }
        lines.push_back(std::move(one));
    }
    Json taxes = Json::array();
    for (const InvoiceTax& tax : invoice.taxes) {
        taxes.push_back({{"percent", tax.percent},
                         {"base", money(tax.base)},
                         {"amount", money(tax.amount)},
                         {"amount_minor", tax.amount}});
    }
    return dump(Json{{"issuer", invoice.issuer},
                     {"user", invoice.user},
                     {"period", invoice.period.name},
                     {"from", rfc3339(invoice.period.from_us)},
                     {"to", rfc3339(invoice.period.to_us)},
                     {"tariff", invoice.tariff},
                     {"currency", invoice.currency},
                     {"exponent", invoice.exponent},
                     {"lines", lines},
                     {"taxes", taxes},
                     {"net", money(invoice.net)},
                     {"tax", money(invoice.tax)},
                     {"total", money(invoice.total)},
                     {"total_minor", invoice.total},
                     {"missing", invoice.missing}});
}

} // namespace hasp::billing
