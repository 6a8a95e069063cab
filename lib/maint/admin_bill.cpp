// Commands about money. What reads the whole ledger does so beside the keeper's turn, through a
// connection of its own to STATE/ledger.db.
#include "admin.h"
#include "base/text.h"
#include "billing/closing.h"
#include "ledger_keys.h"
#include "store/db.h"

#include <algorithm>

namespace hasp::maint {

namespace {

constexpr std::size_t missing_shown_max = 20;
// A use is sealed within a second of its end; what was sealed later than this after a period is
// none of its.
constexpr std::int64_t sealed_within_us = 60'000'000;

std::string leaf(const std::string& tier) {
    return tier.substr(tier.rfind('/') + 1);
}

Json period_json(const billing::ClosedPeriod& period) {
    return {{"period", period.name},
            {"from", rfc3339(period.from_us)},
            {"to", rfc3339(period.to_us)},
            {"tariff", period.tariff},
            {"closed", rfc3339(period.closed_us)},
            {"missing", Json::parse(period.missing, nullptr, false)}};
}

Json invoices_json(const std::vector<std::pair<std::string, std::string>>& texts,
                   const std::string& user) {
    Json list = Json::array();
    for (const auto& [name, text] : texts) {
        if (user.empty() || name == user) {
            list.push_back(parse_object(text));
        }
    }
    return list;
}

// What all invoices come to.
void add_total(Json& out, const std::vector<std::pair<std::string, std::string>>& texts) {
    std::int64_t total = 0;
    std::int64_t exponent = 2;
    std::string currency;
    for (const auto& [name, text] : texts) {
        const Json invoice = parse_object(text);
        total += int_of(invoice, "total_minor");
        exponent = int_of(invoice, "exponent", 2);
        currency = text_of(invoice, "currency");
    }
    out["count"] = texts.size();
    out["total"] = billing::format_money(total, static_cast<int>(exponent));
    out["currency"] = currency;
}

Result<Json> set_tariff(billing::LedgerStore& store, const std::string& text,
                        const std::string& file, bool dry_run, std::int64_t now_us) {
    auto tariff = billing::parse_tariff(text, file);
    auto rows = store.tariffs();
    if (!tariff.ok() || !rows.ok()) {
        return tariff.ok() ? rows.error() : tariff.error();
    }
    const bool known = std::any_of(rows->begin(), rows->end(), [&](const billing::TariffRow& row) {
        return row.version == tariff->version && row.text == text;
    });
    if (const bool other = std::any_of(
            rows->begin(), rows->end(),
            [&](const billing::TariffRow& row) { return row.version == tariff->version; });
        !dry_run || (other && !known)) {
        if (Status put =
                store.put_tariff({tariff->version, tariff->effective_from_us, text, now_us});
            !put.ok()) {
            return put.error();
        }
    }
    return Json{{"version", tariff->version},
                {"effective_from", rfc3339(tariff->effective_from_us)},
                {"prices", tariff->prices.size()},
                {"changed", !known},
                {"dry_run", dry_run}};
}

Result<Json> show_tariffs(billing::LedgerStore& store, const std::string& version,
                          std::int64_t now_us) {
    auto rows = store.tariffs();
    if (!rows.ok()) {
        return rows.error();
    }
    std::string in_force;
    for (const billing::TariffRow& row : *rows) {
        in_force = row.effective_from_us <= now_us ? row.version : in_force;
    }
    Json list = Json::array();
    for (const billing::TariffRow& row : *rows) {
        if (!version.empty() && row.version != version) {
            continue;
        }
        list.push_back({{"version", row.version},
                        {"effective_from", rfc3339(row.effective_from_us)},
                        {"set", rfc3339(row.set_us)},
                        {"in_force", row.version == in_force},
                        {"text", row.text}});
    }
    if (!version.empty() && list.empty()) {
        return fail(Code::not_found, "there is no tariff '" + version + "'",
                    "hasp bill tariff show lists those that there are");
    }
    return Json{{"tariffs", list}};
}

Result<Json> show_periods(billing::LedgerStore& store) {
    auto closed = store.periods();
    if (!closed.ok()) {
        return closed.error();
    }
    Json list = Json::array();
    for (const billing::ClosedPeriod& period : *closed) {
        auto texts = store.invoices(period.from_us);
        if (!texts.ok()) {
            return texts.error();
        }
        Json one = period_json(period);
        add_total(one, *texts);
        list.push_back(std::move(one));
    }
    return Json{{"periods", list}};
}

Result<Json> show_period(billing::LedgerStore& store, const std::string& text,
                         const std::string& user) {
    auto period = billing::closed_period(store, text);
    if (!period.ok()) {
        return period.error();
    }
    auto texts = store.invoices(period->from_us);
    if (!texts.ok()) {
        return texts.error();
    }
    Json out = period_json(*period);
    add_total(out, *texts);
    out["invoices"] = invoices_json(*texts, user);
    if (!user.empty() && out["invoices"].empty()) {
        return fail(Code::not_found, "there is no invoice of '" + user + "' for " + period->name);
    }
    return out;
}

Result<Json> explain_line(billing::LedgerStore& store, const std::string& tier,
                          const std::string& text, const std::string& user, std::size_t line) {
    auto period = billing::closed_period(store, text);
    if (!period.ok()) {
        return period.error();
    }
    auto behind = billing::explain(store, tier, *period, user, line);
    if (!behind.ok()) {
        return behind.error();
    }
    Json batches = Json::array();
    for (const billing::Behind::Batch& b : behind->batches) {
        batches.push_back({{"tier", b.chain.tier},
                           {"epoch", b.chain.epoch},
                           {"stream", b.first.stream},
                           {"first", b.first.next},
                           {"events", b.count},
                           {"of_line", b.of_line},
                           {"hash", to_hex(b.hash)}});
    }
    Json events = Json::array();
    for (const billing::Behind::One& e : behind->events) {
        events.push_back({{"tier", e.chain.tier},
                          {"stream", e.at.stream},
                          {"seq", e.at.next},
                          {"time", rfc3339(e.time_us)},
                          {"app", e.app},
                          {"request", to_hex(e.rid)}});
    }
    return Json{{"period", period->name}, {"user", user},       {"line", line},
                {"count", behind->count}, {"batches", batches}, {"events", events}};
}

Result<Json> verified_json(const Result<billing::Verified>& verified) {
    if (!verified.ok()) {
        return verified.error();
    }
    Json findings = Json::array();
    for (const billing::Finding& finding : verified->findings) {
        findings.push_back({{"where", finding.where}, {"what", finding.what}});
    }
    return Json{{"chains", verified->chains},     {"batches", verified->batches},
                {"events", verified->events},     {"periods", verified->periods},
                {"invoices", verified->invoices}, {"findings", findings}};
}

// What a tier below, as it described itself last, may not have told of the time before `to_us`.
void add_missing(const Json& status, const std::string& name, std::int64_t to_us,
                 std::vector<std::string>& out) {
    const auto as_of = billing::parse_rfc3339(text_of(status, "as_of"));
    if (!as_of.ok()) {
        out.push_back(name + ": nothing was heard from it yet");
        return;
    }
    const Json& usage = member(status, "usage");
    const auto oldest = billing::parse_rfc3339(text_of(usage, "oldest_unsent"));
    const bool of_later = oldest.ok() && *oldest >= to_us + sealed_within_us;
    if (*as_of < to_us) {
        out.push_back(name + ": last heard at " + rfc3339(*as_of) + ", before the period ended");
    } else if (!usage.is_object()) {
        out.push_back(name + ": it does not say what it has not sent yet");
    } else if (int_of(usage, "unsent_events") > 0 && !of_later) {
        out.push_back(name + ": " + std::to_string(int_of(usage, "unsent_events")) +
                      " events are not sent yet");
    } else if (!text_of(usage, "failing").empty()) {
        out.push_back(name + ": it cannot write usage: " + text_of(usage, "failing"));
    }
    for (const Json& child : member(status, "children")) {
        const std::string state = text_of(child, "state");
        if (state == "up" || state == "dark") {
            add_missing(member(child, "status"), name + "/" + text_of(child, "name"), to_us, out);
        }
    }
}

// What is known not to have arrived of a period, by what this tier and those below say of
// themselves.
std::vector<std::string> usage_missing(const Json& status, const billing::Period& period) {
    std::vector<std::string> out;
    const Json& usage = member(status, "usage");
    if (!text_of(usage, "failing").empty()) {
        out.push_back("this tier cannot write usage: " + text_of(usage, "failing"));
    }
    for (const Json& fork : member(usage, "forks")) {
        const auto seen = billing::parse_rfc3339(text_of(fork, "seen"));
        if (seen.ok() && *seen >= period.from_us) {
            out.push_back(leaf(text_of(fork, "tier")) + ": usage was refused at " +
                          text_of(fork, "seen") + ", since it contradicts what was there");
        }
    }
    for (const Json& child : member(status, "children")) {
        const std::string state = text_of(child, "state");
        if (state == "up" || state == "dark") {
            add_missing(member(child, "status"), text_of(child, "name"), period.to_us, out);
        }
    }
    return out;
}

Result<Json> close_period(billing::LedgerStore& store, const std::string& tier, const Json& args,
                          const Json& status, std::int64_t now_us) {
    auto asked = billing::asked_period(store, text_of(args, "period"));
    if (!asked.ok()) {
        return asked.error();
    }
    const std::vector<std::string> missing = usage_missing(status, asked->period);
    auto bill = billing::make_bill(store, tier, *asked, missing, now_us);
    if (!bill.ok()) {
        return bill.error();
    }
    const bool dry_run = true_of(args, "dry_run");
    if (!missing.empty() && !true_of(args, "partial") && !dry_run) {
        std::string list;
        for (std::size_t i = 0; i < missing.size() && i < missing_shown_max; ++i) {
            list += (i == 0 ? "" : "; ") + missing[i];
        }
        if (missing.size() > missing_shown_max) {
            list += "; and " + std::to_string(missing.size() - missing_shown_max) + " more";
        }
        return fail(Code::partial,
                    "usage of " + asked->period.name +
                        " has not all arrived, and nothing was "
                        "closed: " +
                        list,
                    "try again when it has, or close with --partial: what comes later goes onto "
                    "the next period's invoices");
    }
    if (!dry_run) {
        if (Status closed = billing::close_bill(store, *bill); !closed.ok()) {
            return closed.error();
        }
    }
    std::vector<std::pair<std::string, std::string>> texts;
    for (const billing::Invoice& invoice : bill->invoices) {
        texts.emplace_back(invoice.user, billing::encode_invoice(invoice));
    }
    Json out = period_json(bill->period);
    add_total(out, texts);
    out["invoices"] = invoices_json(texts, "");
    out["late"] = bill->late;
    out["dry_run"] = dry_run;
    return out;
}

} // namespace

void Admin::in_ledger(std::function<Result<Json>(billing::LedgerStore&)> work,
                      const Answer& answer) {
    auto result = std::make_shared<Result<Json>>(fail(Code::failed, "the ledger was not read"));
    world_.ports.background(
        [result, work = std::move(work), path = world_.ledger_path,
         realm = world_.me.name.realm()] {
            auto db = store::Db::open(path);
            auto store = db.ok() ? billing::open_sqlite_ledger_store(**db, realm) : db.error();
            *result = store.ok() ? work(**store) : store.error();
        },
        [result, answer] { answer(std::move(*result)); });
}

void Admin::bill_commands() {
    commands_["bill.tariff.set"] = [this](const Json& args, const Answer& answer) {
        in_ledger(
            [text = text_of(args, "text"), file = text_of(args, "file"),
             dry_run = true_of(args, "dry_run"), now = world_.clock.wall_us()](auto& store) {
                return set_tariff(store, text, file.empty() ? "the tariff" : file, dry_run, now);
            },
            answer);
    };
    commands_["bill.tariff.show"] = [this](const Json& args, const Answer& answer) {
        in_ledger([version = text_of(args, "version"), now = world_.clock.wall_us()](
                      auto& store) { return show_tariffs(store, version, now); },
                  answer);
    };
    commands_["bill.show"] = [this](const Json& args, const Answer& answer) {
        in_ledger(
            [period = text_of(args, "period"), user = text_of(args, "user")](auto& store) {
                return period.empty() ? show_periods(store) : show_period(store, period, user);
            },
            answer);
    };
    commands_["bill.explain"] = [this](const Json& args, const Answer& answer) {
        in_ledger(
            [tier = world_.me.name.text(), period = text_of(args, "period"),
             user = text_of(args, "user"),
             line = static_cast<std::size_t>(std::max<std::int64_t>(int_of(args, "line"), 0))](
                auto& store) { return explain_line(store, tier, period, user, line); },
            answer);
    };
    commands_["bill.verify"] = [this](const Json&, const Answer& answer) {
        in_ledger(
            [&me = world_.me, &clock = world_.clock](auto& store) {
                LedgerKeys keys(me, clock);
                return verified_json(billing::verify_ledger(
                    store, me.name.text(),
                    [&](const billing::Chain& chain, const std::string& envelope) {
                        return keys.open(chain, envelope);
                    },
                    ledger_crypto(me)));
            },
            answer);
    };
    commands_["bill.close"] = [this](const Json& args, const Answer& answer) {
        // This time their last word counts; whoever tries again a second later has a newer one.
        world_.ask_for_reports();
        in_ledger([tier = world_.me.name.text(), args, status = world_.status(),
                   now = world_.clock.wall_us()](
                      auto& store) { return close_period(store, tier, args, status, now); },
                  answer);
    };
}

} // namespace hasp::maint
