#include "base/clock.h"
#include "base/files.h"
#include "base/random.h"
#include "base/text.h"
#include "billing/tariff.h"
#include "commands.h"
#include "maint/config.h"
#include "run/dialer.h"
#include "run/manifest.h"

#include <cerrno>
#include <cstdlib>
#include <string_view>
#include <unistd.h>

namespace {

using namespace hasp;
using namespace hasp::cmd;

std::vector<Command> commands() {
    std::vector<Command> all{init_command(),   serve_command(), relay_command(),
                             status_command(), sync_command(),  doctor_command(),
                             names_command(),  push_command(),  put_back_command()};
    for (const auto& group :
         {restore_commands(), std::vector<Command>{quarantine_command()}, backup_commands(),
          local_commands(), peer_commands(), app_commands(), release_commands(), user_commands(),
          token_commands(), lease_commands(), ca_commands(), why_commands(), reload_commands(),
          bill_commands(), config_commands(), hidden_commands()}) {
        all.insert(all.end(), group.begin(), group.end());
    }
    return all;
}

// As the manual of hasp.toml writes them: values in quotes, units in full.
maint::TableRow manual_row(const run::KeyRow& row) {
    std::string type(row.type);
    const bool choice = type.find('|') != std::string::npos;
    if (choice) {
        std::string values;
        for (const std::string_view value : split(row.type, '|')) {
            values += (values.empty() ? "one of \"" : ", \"") + std::string(trim(value)) + "\"";
        }
        type = values;
    }
    std::string default_text(row.default_value);
    if (!default_text.empty() && (choice || row.type == "string")) {
        default_text = "\"" + default_text + "\"";
    }
    return {std::string(row.section),
            std::string(row.key),
            type,
            row.unit == "s" ? "seconds" : std::string(row.unit),
            default_text,
            std::string(row.limits),
            std::string(row.text)};
}

std::vector<FileManual> manuals() {
    FileManual app{.file = "hasp-app.toml",
                   .summary = "what an app is, how it runs and what it may do",
                   .description = "Stands at the top of an app's folder and goes with each of its "
                                  "releases. An unknown key, a wrong type or a value that does not "
                                  "fit is refused with its line.\n\nA manifest needs [app] and the "
                                  "section of its kind.",
                   .rows = {},
                   .example =
                       "[app]\nname = \"wiki\"\ntitle = \"Wiki\"\nkind = \"process\"\ninstance = "
                       "\"user\"\n\n[process]\ncommand = [\"/usr/bin/node\", "
                       "\"server.js\"]\nlisten = \"tcp:8080\"\n\n[data]\nscope = \"user\"\n"};
    for (const run::KeyRow& row : run::manifest_keys()) {
        app.rows.push_back(manual_row(row));
    }
    FileManual tariff{
        .file = "hasp-tariff.toml",
        .summary = "what usage costs",
        .description =
            "Set with `hasp bill tariff set FILE`; `hasp bill tariff check FILE` says beforehand "
            "what is wrong with it. An unknown key, a wrong type or a value that does not fit is "
            "refused with its line.\n\nRates are texts, never numbers: money does not pass through "
            "floating point. Each line of an invoice is its quantity times its rate, rounded once; "
            "tax is rounded once a rate on each invoice.\n\nA period is priced by the tariff that "
            "is in force when it begins. Usage that came after its period was closed goes onto the "
            "next invoice, at the prices of the period that it belongs to.",
        .rows = {},
        .example = "[tariff]\nversion = \"2026\"\ncurrency = \"EUR\"\neffective_from = "
                   "\"2026-01-01\"\nzone = \"+01:00\"\n\n[groups]\noffice = [\"calendar\", "
                   "\"wiki\"]\n\n[[price]]\nline = \"Office, requests\"\nper = "
                   "\"request\"\nrate = \"0.0005\"\ntax = \"19\"\ngroups = "
                   "[\"office\"]\n\n[[price]]\nline = \"Office, users\"\nper = "
                   "\"active_user\"\nrate = \"4.50\"\ntax = \"19\"\ngroups = [\"office\"]\n"};
    for (const billing::TariffKey& row : billing::tariff_keys()) {
        tariff.rows.push_back({row.section == "price" ? "[price]" : std::string(row.section),
                               std::string(row.key), std::string(row.type), "",
                               std::string(row.default_value), std::string(row.limits),
                               std::string(row.text)});
    }
    return {{.file = "hasp.toml",
             .summary = "the config of a tier",
             .description =
                 "Stands in the tier's folder, and is read at start and by `hasp reload`. A "
                 "missing key has "
                 "its default. An unknown key, a wrong type or a value beyond its limits is "
                 "refused with "
                 "its line; `hasp config check FILE` says so beforehand.\n\nPaths are absolute, or "
                 "begin where hasp was started.",
             .rows = maint::config_rows(),
             .example = "[web]\nlisten = [\"192.0.2.10:80\"]\n\n[link]\nlisten = "
                        "[\"192.0.2.10:8490\"]\naddresses = [\"center.example:8490\"]\n"},
            std::move(app),
            std::move(tariff)};
}

Result<std::string> read_stdin(std::size_t limit_bytes) {
    std::string text;
    char buffer[4096];
    for (;;) {
        const ssize_t n = ::read(STDIN_FILENO, buffer, sizeof buffer);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return errno_error(errno, "cannot read standard input");
        }
        if (n == 0) {
            return text;
        }
        text.append(buffer, static_cast<std::size_t>(n));
        if (text.size() > limit_bytes) {
            return fail(Code::refused,
                        "standard input is larger than " + std::to_string(limit_bytes) + " bytes");
        }
    }
}

} // namespace

int main(int argc, char** argv) {
    // Inside an app's sandbox, where nothing of the rest is wanted.
    if (argc > 1 && std::string_view(argv[1]) == run::dialer_word) {
        ::_exit(run::dialer_command(argc - 2, argv + 2));
    }
    SystemClock clock;
    SystemRandom random;
    Env env{.out =
                [](std::string_view text) {
                    [[maybe_unused]] const Status written = write_all(STDOUT_FILENO, text);
                },
            .err =
                [](std::string_view text) {
                    [[maybe_unused]] const Status written = write_all(STDERR_FILENO, text);
                },
            .in = read_stdin,
            .variable = [](const std::string& name) -> std::optional<std::string> {
                const char* value = std::getenv(name.c_str());
                return value == nullptr ? std::nullopt : std::optional<std::string>(value);
            },
            .clock = clock,
            .random = random,
            .out_is_tty = ::isatty(STDOUT_FILENO) == 1,
            .err_is_tty = ::isatty(STDERR_FILENO) == 1,
            .in_is_tty = ::isatty(STDIN_FILENO) == 1};
    const std::vector<Command> table = commands();
    const std::vector<FileManual> files = manuals();
    return run_cli({table, files}, argc, argv, env);
}
