// hasp bill …: what usage costs, who owes what, and whether it holds.
#include "base/files.h"
#include "billing/tariff.h"
#include "commands.h"
#include "state.h"

#include <poll.h>

namespace hasp::cmd {

namespace {

constexpr int close_tries = 5;
constexpr int close_again_ms = 1000;

std::string day_and_time(const std::string& rfc3339) {
    return rfc3339.size() >= 19 ? rfc3339.substr(0, 10) + " " + rfc3339.substr(11, 8) : rfc3339;
}

std::string yes_if(bool on) {
    return on ? "yes" : "";
}

// RFC 4180: quoted where it must be.
std::string csv_row(const std::vector<std::string>& cells) {
    std::string out;
    for (const std::string& cell : cells) {
        out += out.empty() ? "" : ",";
        if (cell.find_first_of(",\"\r\n") == std::string::npos) {
            // An empty first cell must still divide.
            out += cell.empty() ? "\"\"" : cell;
            continue;
        }
        out += '"';
        for (const char c : cell) {
            out += c == '"' ? "\"\"" : std::string(1, c);
        }
        out += '"';
    }
    return out + "\r\n";
}

std::string invoices_csv(const Json& period) {
    std::string out =
        csv_row({"period", "from", "to", "user", "kind", "line", "text", "per", "quantity", "rate",
                 "tax_percent", "amount", "currency", "late_from"});
    for (const Json& invoice : member(period, "invoices")) {
        const auto row = [&](const std::string& kind, const std::string& line,
                             const std::string& text, const std::string& per,
                             const std::string& quantity, const std::string& rate,
                             const std::string& tax, const std::string& amount,
                             const std::string& late) {
            out += csv_row({text_of(invoice, "period"), text_of(invoice, "from"),
                            text_of(invoice, "to"), text_of(invoice, "user"), kind, line, text, per,
                            quantity, rate, tax, amount, text_of(invoice, "currency"), late});
        };
        for (const Json& line : member(invoice, "lines")) {
            row("line", std::to_string(int_of(line, "line")), text_of(line, "text"),
                text_of(line, "per"), std::to_string(int_of(line, "quantity")),
                text_of(line, "rate"), text_of(line, "tax_percent"), text_of(line, "amount"),
                text_of(line, "late_from"));
        }
        for (const Json& tax : member(invoice, "taxes")) {
            row("tax", "", "", "", "", "", text_of(tax, "percent"), text_of(tax, "amount"), "");
        }
        row("total", "", "", "", "", "", "", text_of(invoice, "total"), "");
    }
    return out;
}

std::string missing_text(const Json& missing) {
    std::string out;
    for (const Json& one : missing) {
        out += "missing  " + (one.is_string() ? one.get<std::string>() : "") + "\n";
    }
    return out;
}

std::string invoice_text(const Json& invoice) {
    std::string out = "Invoice of " + text_of(invoice, "issuer") + " to " +
                      text_of(invoice, "user") + "\n" + "Period " + text_of(invoice, "period") +
                      ", from " + text_of(invoice, "from") + " until " + text_of(invoice, "to") +
                      "; tariff " + text_of(invoice, "tariff") + "\n";
    const std::string currency = " " + text_of(invoice, "currency");
    std::vector<std::vector<std::string>> rows{
        {"LINE", "TEXT", "PER", "QUANTITY", "RATE", "TAX %", "AMOUNT"}};
    for (const Json& line : member(invoice, "lines")) {
        const std::string late = text_of(line, "late_from");
        rows.push_back({std::to_string(int_of(line, "line")),
                        text_of(line, "text") + (late.empty() ? "" : " (late, of " + late + ")"),
                        text_of(line, "per"), std::to_string(int_of(line, "quantity")),
                        text_of(line, "rate"), text_of(line, "tax_percent"),
                        text_of(line, "amount")});
    }
    rows.push_back({"", "Net", "", "", "", "", text_of(invoice, "net")});
    for (const Json& tax : member(invoice, "taxes")) {
        rows.push_back({"", "Tax on " + text_of(tax, "base"), "", "", "", text_of(tax, "percent"),
                        text_of(tax, "amount")});
    }
    rows.push_back({"", "Total", "", "", "", "", text_of(invoice, "total") + currency});
    out += columns(rows);
    return out + missing_text(member(invoice, "missing"));
}

std::string period_text(const Args& args, const Json& period) {
    std::vector<std::vector<std::string>> rows{{"USER", "NET", "TAX", "TOTAL", "CURRENCY"}};
    for (const Json& invoice : member(period, "invoices")) {
        rows.push_back({text_of(invoice, "user"), text_of(invoice, "net"), text_of(invoice, "tax"),
                        text_of(invoice, "total"), text_of(invoice, "currency")});
    }
    std::string out = listing(args, rows);
    for (const Json& late : member(period, "late")) {
        out += "late     usage of " + late.get<std::string>() + " is on these invoices\n";
    }
    return out + missing_text(member(period, "missing"));
}

std::string periods_text(const Args& args, const Json& result) {
    std::vector<std::vector<std::string>> rows{
        {"PERIOD", "CLOSED", "TARIFF", "INVOICES", "TOTAL", "CURRENCY", "PARTIAL"}};
    for (const Json& period : member(result, "periods")) {
        rows.push_back({text_of(period, "period"), day_and_time(text_of(period, "closed")),
                        text_of(period, "tariff"), std::to_string(int_of(period, "count")),
                        text_of(period, "total"), text_of(period, "currency"),
                        yes_if(!member(period, "missing").empty())});
    }
    return listing(args, rows);
}

std::string behind_text(const Json& behind) {
    std::vector<std::vector<std::string>> batches{
        {"TIER", "EPOCH", "STREAM", "FIRST", "EVENTS", "OF THE LINE", "HASH"}};
    for (const Json& b : member(behind, "batches")) {
        batches.push_back({text_of(b, "tier"), std::to_string(int_of(b, "epoch")),
                           std::to_string(int_of(b, "stream")), std::to_string(int_of(b, "first")),
                           std::to_string(int_of(b, "events")),
                           std::to_string(int_of(b, "of_line")), text_of(b, "hash").substr(0, 16)});
    }
    std::vector<std::vector<std::string>> events{
        {"TIME", "TIER", "STREAM", "SEQ", "APP", "REQUEST"}};
    for (const Json& e : member(behind, "events")) {
        events.push_back({text_of(e, "time"), text_of(e, "tier"),
                          std::to_string(int_of(e, "stream")), std::to_string(int_of(e, "seq")),
                          text_of(e, "app"), text_of(e, "request")});
    }
    std::string out = columns(batches) + "\n" + columns(events);
    const auto shown = static_cast<std::int64_t>(member(behind, "events").size());
    if (int_of(behind, "count") > shown) {
        out += "and " + std::to_string(int_of(behind, "count") - shown) + " more\n";
    }
    return out;
}

Result<std::string> tariff_file(const std::string& file, Env& env) {
    auto text = file == "-" ? env.in(billing::tariff_bytes_max)
                            : read_file(file, billing::tariff_bytes_max);
    if (!text.ok()) {
        return text.error();
    }
    // What the file itself gets wrong is said by its name, before the tier is asked.
    auto tariff = billing::parse_tariff(*text, file == "-" ? "standard input" : file);
    return tariff.ok() ? text : Result<std::string>(tariff.error());
}

int tariff_set(const Args& args, Env& env) {
    auto text = tariff_file(args.get("FILE"), env);
    if (!text.ok()) {
        return report(args, env, text.error());
    }
    return show(
        args, env,
        run_at_state(
            args, env, "bill.tariff.set",
            {{"text", *text}, {"file", args.get("FILE")}, {"dry_run", args.flag("dry-run")}}),
        [&](const Json& r) {
            const std::string what = !true_of(r, "changed")  ? " is set already"
                                     : true_of(r, "dry_run") ? " would be set"
                                                             : " is set";
            return args.quiet() ? std::string()
                                : "tariff " + text_of(r, "version") + what + ", in force from " +
                                      text_of(r, "effective_from") + "\n";
        });
}

int tariff_check(const Args& args, Env& env) {
    auto text = tariff_file(args.get("FILE"), env);
    if (!text.ok()) {
        return report(args, env, text.error());
    }
    return show(args, env, Json{{"file", args.get("FILE")}, {"valid", true}},
                [&](const Json&) { return args.quiet() ? "" : args.get("FILE") + " is valid\n"; });
}

int tariff_show(const Args& args, Env& env) {
    return show(
        args, env, run_at_state(args, env, "bill.tariff.show", {{"version", args.get("VERSION")}}),
        [&](const Json& r) {
            if (!args.get("VERSION").empty()) {
                return text_of(member(r, "tariffs")[0], "text");
            }
            std::vector<std::vector<std::string>> rows{{"VERSION", "EFFECTIVE FROM", "IN FORCE"}};
            for (const Json& tariff : member(r, "tariffs")) {
                rows.push_back({text_of(tariff, "version"), text_of(tariff, "effective_from"),
                                yes_if(true_of(tariff, "in_force"))});
            }
            return listing(args, rows);
        });
}

int close_period(const Args& args, Env& env) {
    const Json asked{{"period", args.get("PERIOD")},
                     {"partial", args.flag("partial")},
                     {"dry_run", args.flag("dry-run")}};
    Result<Json> closed = run_at_state(args, env, "bill.close", asked);
    // The first try has asked the tiers below how far they are.
    for (int tries = 1; tries < close_tries && !closed.ok() && closed.error().code == Code::partial;
         ++tries) {
        ::poll(nullptr, 0, close_again_ms);
        closed = run_at_state(args, env, "bill.close", asked);
    }
    return show(args, env, closed,
                [&](const Json& r) { return args.quiet() ? "" : period_text(args, r); });
}

int show_bill(const Args& args, Env& env) {
    const std::string period = args.get("PERIOD");
    const std::string user = args.get("user");
    if (args.given("explain")) {
        auto line = args.number("explain", 1, 1'000'000);
        if (!line.ok()) {
            return report(args, env, line.error());
        }
        if (period.empty() || user.empty()) {
            return report(args, env,
                          fail(Code::usage, "--explain needs a period and --user",
                               "hasp bill show 2026-11 --user nurse --explain 1"));
        }
        return show(args, env,
                    run_at_state(args, env, "bill.explain",
                                 {{"period", period}, {"user", user}, {"line", *line}}),
                    behind_text);
    }
    if (period.empty() && (!user.empty() || args.flag("csv"))) {
        return report(args, env,
                      fail(Code::usage, "name the period whose invoices are to be shown",
                           "hasp bill show lists the closed ones"));
    }
    return show(args, env,
                run_at_state(args, env, "bill.show", {{"period", period}, {"user", user}}),
                [&](const Json& r) {
                    if (args.flag("csv")) {
                        return invoices_csv(r);
                    }
                    return period.empty() ? periods_text(args, r)
                           : user.empty() ? period_text(args, r)
                                          : invoice_text(member(r, "invoices")[0]);
                });
}

int verify(const Args& args, Env& env) {
    const auto result = run_at_state(args, env, "bill.verify", Json::object());
    const int code = show(args, env, result, [&](const Json& r) {
        std::string out;
        for (const Json& finding : member(r, "findings")) {
            out += text_of(finding, "where") + ": " + text_of(finding, "what") + "\n";
        }
        if (out.empty() && !args.quiet()) {
            out = std::to_string(int_of(r, "batches")) + " batches with " +
                  std::to_string(int_of(r, "events")) + " events in " +
                  std::to_string(int_of(r, "chains")) + " chains and " +
                  std::to_string(int_of(r, "invoices")) + " invoices hold\n";
        }
        return out;
    });
    return code == 0 && !member(*result, "findings").empty() ? exit_code(Code::refused) : code;
}

} // namespace

std::vector<Command> bill_commands() {
    const Option dry_run{.name = "dry-run", .text = "show what would be done, and change nothing"};
    return {
        {.path = {"bill"}, .summary = "price usage, close periods and show invoices"},
        {.path = {"bill", "tariff"}, .summary = "set and show what usage costs"},
        {.path = {"bill", "tariff", "set"},
         .summary = "set a tariff",
         .description =
             "From its day on, periods are priced by it: see hasp-tariff.toml(5). A tariff that "
             "was set never changes; the same file again is no error.",
         .options = {dry_run},
         .positionals = {{.name = "FILE", .text = "the tariff, or - for standard input"}},
         .examples = {{"hasp bill tariff set tariff-2027.toml",
                       "Sets the prices from the day that stands in the file."}},
         .exit_codes = {2, 5, 6, 75},
         .run = tariff_set},
        {.path = {"bill", "tariff", "check"},
         .summary = "say whether a tariff is right",
         .description = "Names the first mistake with its line. Nothing is changed, and no tier is "
                        "needed.",
         .positionals = {{.name = "FILE", .text = "the tariff, or - for standard input"}},
         .exit_codes = {2, 5},
         .run = tariff_check},
        {.path = {"bill", "tariff", "show"},
         .summary = "list the tariffs, or print one",
         .positionals = {{.name = "VERSION",
                          .text = "print this one as it was set",
                          .required = false}},
         .exit_codes = {5, 75},
         .run = tariff_show},
        {.path = {"bill", "close"},
         .summary = "close a period and make its invoices",
         .description =
             "A period is a month, 2026-11, in the tariff's zone, or FROM/TO with two RFC 3339 "
             "times. It is closed once, and not before it has ended. Each account that used apps "
             "of this tier or of those below gets an invoice; so does one whose home is this tier "
             "for what was passed on above.\n\nWhile it is known that usage has not all arrived, "
             "nothing is closed, and the exit status is 3; the tiers below are asked first, which "
             "may "
             "take 5 seconds. With --partial it is closed, and the "
             "invoices say what was missing. Usage that comes later goes onto the next period's "
             "invoices, on lines of its own.",
         .options = {{.name = "partial", .text = "close though usage is known to be missing"},
                     dry_run},
         .positionals = {{.name = "PERIOD", .text = "2026-11, or FROM/TO"}},
         .examples = {{"hasp bill close --quiet 2026-11",
                       "Closes November; prints nothing when all went well."},
                      {"hasp bill close --dry-run 2026-11", "Shows what the invoices would be."}},
         .exit_codes = {2, 3, 4, 5, 6, 75},
         .run = close_period},
        {.path = {"bill", "show"},
         .summary = "show closed periods and invoices",
         .options = {{.name = "user",
                      .metavar = "NAME",
                      .text = "the whole invoice of this account",
                      .kind = Kind::value},
                     {.name = "explain",
                      .metavar = "LINE",
                      .text = "list the batches and events behind this line of it",
                      .kind = Kind::value},
                     {.name = "csv", .text = "write the invoices' lines as CSV (RFC 4180)"}},
         .positionals = {{.name = "PERIOD",
                          .text = "a closed period; without it they are listed",
                          .required = false}},
         .examples = {{"hasp bill show 2026-11 --user nurse", "Prints one invoice."},
                      {"hasp bill show 2026-11 --user nurse --explain 1",
                       "Lists each request that its first line counts, with its id in the access "
                       "logs."},
                      {"hasp bill show 2026-11 --csv > 2026-11.csv",
                       "Writes all invoices for another program."}},
         .exit_codes = {2, 4, 5, 75},
         .run = show_bill},
        {.path = {"bill", "verify"},
         .summary = "hold the ledger and all invoices against each other",
         .description =
             "Checks every signature and every chain of batches, counts the events anew, and "
             "makes every invoice again. What does not hold is named, and the exit status is 4. "
             "A chain cannot show what a box never recorded; it shows gaps, changes and "
             "rollbacks.",
         .examples = {{"hasp bill verify --quiet", "Prints nothing when all holds: for cron."}},
         .exit_codes = {4, 5, 75},
         .run = verify},
    };
}

} // namespace hasp::cmd
