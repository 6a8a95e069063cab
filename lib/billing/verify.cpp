// Explaining a line, and holding everything against the batches.
#include "base/text.h"
#include "closing.h"
#include "json_tools.h"

#include <algorithm>

namespace hasp::billing {

namespace {

std::string place(const ChainKey& chain, const Position& at) {
    return chain.tier + " epoch " + std::to_string(chain.epoch) + " stream " +
           std::to_string(at.stream) + " event " + std::to_string(at.next);
}

bool on_line(const Price& price, const Tariff& tariff, std::size_t index, const Event& e) {
    switch (price.per) {
    case Per::request:
        return e.kind == UsageKind::request && tariff.price(Per::request, e.app) == index;
    case Per::app_start:
        return e.kind == UsageKind::app_start && tariff.price(Per::app_start, e.app) == index;
    case Per::active_user:
        return tariff.price(Per::active_user, e.app) == index;
    }
    return false;
}

void add_days(std::vector<DayTotals>& all, const std::vector<DayTotals>& more) {
    for (const DayTotals& day : more) {
        const auto at =
            std::lower_bound(all.begin(), all.end(), day.day,
                             [](const DayTotals& d, std::int64_t n) { return d.day < n; });
        if (at == all.end() || at->day != day.day) {
            all.insert(at, day);
            continue;
        }
        at->requests += day.requests;
        at->websockets += day.websockets;
        at->app_starts += day.app_starts;
        at->bytes_in += day.bytes_in;
        at->bytes_out += day.bytes_out;
    }
}

class Verifier {
  public:
    Verifier(LedgerStore& store, const std::string& tier, const OpenBatch& open_batch,
             const Crypto& crypto)
        : store_(store), tier_(tier), open_batch_(open_batch), crypto_(crypto) {}

    Status run() {
        auto chains = store_.chains();
        if (!chains.ok()) {
            return chains.error();
        }
        for (const Chain& chain : *chains) {
            if (Status read = chain_holds(chain); !read.ok()) {
                return read;
            }
        }
        return bills_hold();
    }
    Verified out;

  private:
    void found(const std::string& where, const std::string& what) {
        if (out.findings.size() < findings_max) {
            out.findings.push_back({where, what});
        }
    }

    // Errors are the disk's; what does not hold is a finding.
    Status chain_holds(const Chain& chain) {
        ++out.chains;
        ChainHead head;
        std::vector<DayTotals> days;
        std::uint64_t events = 0;
        for (Position at{};;) {
            auto batches = store_.batches_from(chain.key, at, chain_read_bytes);
            if (!batches.ok()) {
                return batches.error();
            }
            if (batches->empty()) {
                break;
            }
            for (const StoredBatch& stored : *batches) {
                const BatchHeader& h = stored.batch.header;
                const Position here{h.stream, h.first};
                at = {h.stream, h.first + 1};
                ++out.batches;
                batch_holds(chain, stored, here, head, days, events);
            }
        }
        if (head.at != chain.head.at || head.hash != chain.head.hash || events != chain.events) {
            found(place(chain.key, chain.head.at),
                  "the chain ends elsewhere than it should: batches are missing or were added");
        }
        auto kept = store_.days(chain.key);
        if (!kept.ok()) {
            return kept.error();
        }
        if (*kept != days) {
            found(chain.key.tier + " epoch " + std::to_string(chain.key.epoch),
                  "the days' totals are not those of its events");
        }
        return {};
    }

    void batch_holds(const Chain& chain, const StoredBatch& stored, const Position& here,
                     ChainHead& head, std::vector<DayTotals>& days, std::uint64_t& events) {
        const std::string where = place(chain.key, here);
        auto header = open_batch_(chain, stored.batch.envelope);
        auto batch = header.ok()
                         ? check_batch(*header, stored.batch.envelope, stored.batch.events, crypto_)
                         : Result<SealedBatch>(header.error());
        if (!batch.ok()) {
            found(where, batch.error().message);
            // The rest is held against what stands beside the damaged one.
            const BatchHeader& h = stored.batch.header;
            head = {{h.stream, h.first + h.count}, stored.batch.hash};
            events += h.count;
            return;
        }
        if (*header != stored.header || batch->hash != stored.batch.hash) {
            found(where, "the numbers beside the batch are not those that were signed");
        }
        if (judge(head, batch->header, batch->hash, {}) != Verdict::next) {
            found(where, "the batch does not continue its chain");
        }
        head = {{batch->header.stream, batch->header.first + batch->header.count}, batch->hash};
        add_days(days, batch->days);
        events += batch->header.count;
        out.events += batch->header.count;
    }

    Status bills_hold() {
        auto closed = store_.periods();
        if (!closed.ok()) {
            return closed.error();
        }
        for (const ClosedPeriod& period : *closed) {
            ++out.periods;
            auto kept = store_.invoices(period.from_us);
            if (!kept.ok()) {
                return kept.error();
            }
            auto tariff = detail::tariff_of(store_, period.tariff);
            auto bill = tariff.ok() ? detail::bill_of(store_, tier_, period, *tariff, *closed)
                                    : Result<Bill>(tariff.error());
            if (!bill.ok()) {
                found("period " + period.name, bill.error().message);
                continue;
            }
            std::map<std::string, std::string> again;
            for (const Invoice& invoice : bill->invoices) {
                again[invoice.user] = encode_invoice(invoice);
            }
            for (const auto& [user, text] : *kept) {
                ++out.invoices;
                const auto at = again.find(user);
                if (at == again.end() || at->second != text) {
                    found("invoice of " + user + " for " + period.name,
                          "it is not what its events amount to");
                }
                again.erase(user);
            }
            for (const auto& [user, text] : again) {
                found("invoice of " + user + " for " + period.name,
                      "it is missing, though there is usage to be paid");
            }
        }
        return {};
    }

    LedgerStore& store_;
    const std::string& tier_;
    const OpenBatch& open_batch_;
    const Crypto& crypto_;
};

} // namespace

Result<Behind> explain(LedgerStore& store, const std::string& tier, const ClosedPeriod& period,
                       const std::string& user, std::size_t line) {
    auto kept = store.invoices(period.from_us);
    auto closed = store.periods();
    if (!kept.ok() || !closed.ok()) {
        return kept.ok() ? closed.error() : kept.error();
    }
    Json shown;
    for (const auto& [name, text] : *kept) {
        if (name == user) {
            const Json lines = member(parse_object(text), "lines");
            if (line >= 1 && line <= lines.size()) {
                shown = lines[line - 1];
            } else {
                return fail(Code::not_found, "the invoice of " + user + " for " + period.name +
                                                 " has " + std::to_string(lines.size()) +
                                                 " lines, and none is number " +
                                                 std::to_string(line));
            }
        }
    }
    if (shown.is_null()) {
        return fail(Code::not_found, "there is no invoice of '" + user + "' for " + period.name);
    }
    auto tariff = detail::tariff_of(store, text_of(shown, "tariff"));
    if (!tariff.ok()) {
        return tariff.error();
    }
    const auto index = static_cast<std::size_t>(int_of(shown, "price"));
    if (index >= tariff->prices.size()) {
        return fail(Code::refused, "the line names a price that its tariff does not have");
    }
    CountRules rules{tier, period.from_us, period.to_us, detail::horizon_map(period.horizon)};
    detail::HorizonMap billed; // what an adjustment leaves out
    if (const std::string late = text_of(shown, "late_from"); !late.empty()) {
        for (const ClosedPeriod& other : *closed) {
            if (other.name == late) {
                rules.from_us = other.from_us;
                rules.to_us = other.to_us;
            }
        }
        billed = detail::horizon_before(*closed, period.number);
    }
    Behind out;
    const Status scanned =
        store.scan(rules.from_us, rules.to_us, [&](const StoredBatch& stored) -> Status {
            const BatchHeader& h = stored.batch.header;
            Behind::Batch batch{stored.chain, {h.stream, h.first}, h.count, 0, stored.batch.hash};
            const Status read =
                decode_events(stored.batch.events, [&](std::size_t i, const Event& e) {
                    const Position at{h.stream, h.first + i};
                    const auto before = billed.find(stored.chain);
                    if (e.user != user || !counts(rules, stored.chain, at, e) ||
                        (before != billed.end() && at < before->second) ||
                        !on_line(tariff->prices[index], *tariff, index, e)) {
                        return;
                    }
                    ++batch.of_line;
                    ++out.count;
                    if (out.events.size() < explained_events_max) {
                        out.events.push_back(
                            {stored.chain, at, e.time_us, std::string(e.app), std::string(e.rid)});
                    }
                });
            if (batch.of_line > 0) {
                out.batches.push_back(batch);
            }
            return read;
        });
    if (!scanned.ok()) {
        return scanned.error();
    }
    return out;
}

Result<Verified> verify_ledger(LedgerStore& store, const std::string& tier,
                               const OpenBatch& open_batch, const Crypto& crypto) {
    Verifier verifier(store, tier, open_batch, crypto);
    if (Status run = verifier.run(); !run.ok()) {
        return run.error();
    }
    return std::move(verifier.out);
}

} // namespace hasp::billing
