// The config of a tier, hasp.toml: one table of keys (config_keys.cpp) is what the parser, the
// manual and the example are made from. Everything here is pure but load_config; any thread.
#pragma once

#include "base/result.h"
#include "maint/table.h"
#include "signon/password.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hasp::maint {

// Values are within the limits of the table and the relations between keys hold, if the Config came
// from parse_config. Units stand last in the names. Defaults are here and nowhere else. Zero means
// "none" only where the comment says so.
struct Config {
    // Where the certificate for browsers comes from.
    enum class TlsFrom : unsigned char { files, lan, acme };
    struct Web {
        std::vector<std::string> listen = {"127.0.0.1:8480"}; // IP:PORT
        std::vector<std::string> tls_listen;                  // IP:PORT; needs tls_cert and tls_key
        std::string tls_cert;                                 // PEM file
        std::string tls_key;                                  // PEM file
        TlsFrom tls_from = TlsFrom::files;
        std::vector<std::string> tls_names;       // empty: browser_names()
        std::int64_t offline_days = 0;            // 0: as long as what is lent to this tier
        std::string app_host = "{app}.localhost"; // empty: apps only under /apps/NAME/
        std::string direct_url; // of app_host, for terminals; empty: nobody is sent here
        std::vector<std::string> direct_networks; // of terminals that reach it
        bool direct = true;                       // users of this tier may be sent above
        std::vector<std::string>
            portal_hosts;       // host names of the portal; empty: any that is no app's
        std::int64_t loops = 1; // threads of front
        std::int64_t coalesce_us = 100;
        std::int64_t max_connections = 20'000;
        std::int64_t max_connections_per_address = 1'000;
        std::int64_t http2_streams = 100;
        std::vector<std::string> proxies; // networks
        enum class ProxiesSay : unsigned char { x_forwarded, forwarded, proxy_protocol };
        ProxiesSay proxies_say = ProxiesSay::x_forwarded;
        std::int64_t head_bytes_max = 32'768;
        std::int64_t header_count_max = 100;
        std::int64_t target_bytes_max = 8'192;
        std::int64_t body_mib_max = 10'240; // 0: any length
        std::int64_t head_s = 15;
        std::int64_t body_idle_s = 60;
        std::int64_t slow_bytes_min = 1'024; // in body_idle_s
        std::int64_t answer_head_s = 120;
        std::int64_t answer_idle_s = 3'600;
        std::int64_t websocket_idle_s = 3'600;
        std::int64_t keepalive_s = 75;
        std::int64_t upstream_idle_s = 60;
        std::int64_t connect_ms = 5'000;
        std::int64_t whole_s = 0;                                   // 0: none
        std::vector<std::string> compress = {"br", "zstd", "gzip"}; // empty: nothing is
    } web;
    struct WebCa {
        std::vector<std::string> names;  // DNS subtrees and networks; empty: no authority here
        std::vector<std::string> assign; // TIER=NAME, TIER=NETWORK
        std::int64_t days = 47;
    } web_ca;
    struct Acme {
        std::string directory;           // URL; empty: this tier asks no such authority
        std::string ca;                  // PEM file; empty: the system's authorities
        std::string contact;             // mailto:…; empty: none
        std::vector<std::string> names;  // DNS subtrees that certificates are asked for
        std::vector<std::string> assign; // TIER=NAME
        std::string dns_hook;            // a program
        std::int64_t dns_wait_s = 30;
    } acme;
    struct Upstream {
        std::string ca;
        std::string cert;
        std::string key;
    } upstream;
    struct Metrics {
        std::vector<std::string> listen; // IP:PORT
    } metrics;
    struct Cache {
        std::int64_t size_mib = 256; // 0: there is none
        std::int64_t object_kib_max = 16'384;
        std::int64_t disconnected_s = 7 * 86'400;
    } cache;
    struct Link {
        std::vector<std::string> listen;    // IP:PORT where children connect
        std::vector<std::string> addresses; // HOST:PORT, in invitations and told to children
        std::vector<std::string> parent;    // HOST:PORT, in the place of all that is known
        std::int64_t park_min = 2;
        std::int64_t park_max = 64;
        std::int64_t reconnect_s_max = 60;
        std::int64_t max_unverified_per_address = 256;
        std::int64_t heartbeat_s = 15;
        bool yield = true; // bulk makes way for users' requests
        // On the link to the parent, both ways. 0: none.
        std::int64_t files_kib_s = 0;
        std::int64_t releases_kib_s = 0;
        std::int64_t budget_files_mib = 0; // a calendar month, as the next
        std::int64_t budget_releases_mib = 0;
        std::int64_t budget_users_mib = 0; // told, never held
    } link;
    struct Session {
        std::int64_t hours = 12;
        std::int64_t absolute_days = 30;
    } session;
    struct Login {
        std::int64_t failures_before_delay = 10;           // of one account
        std::int64_t attempts_per_minute_per_address = 60; // of one client address
        std::int64_t argon2_threads = 2;
        std::int64_t password_bytes_min = signon::password_bytes_min; // of new passwords
        // Of new passwords and of unknown users. No key of the file: only simulations spend less.
        signon::Argon2Cost password_cost;
    } login;
    enum class Isolation : unsigned char { bwrap, landlock, none_allowed };
    struct Apps {
        Isolation isolation = Isolation::landlock; // the least that is accepted
        std::int64_t start_s = 60;
    } apps;
    struct Files {
        // Of working copies.
        std::int64_t scan_hours = 24;
        std::int64_t kept_mib = 4'096;   // contents that are agreed on with their home
        std::int64_t copies_mib = 0;     // working copies, and those contents; 0: no bound
        std::vector<std::string> pinned; // users whose copies stay all the same
        bool on_demand = true;           // contents may come later than their files
        // Of files whose home is here.
        std::int64_t versions_days = 30;
        std::int64_t versions_daily_days = 90;
        std::int64_t versions_weekly_days = 365;
        std::int64_t trash_days = 30;
        std::int64_t scrub_days = 30;
        // sync::ContentStore::Composed. No key of the file: tests have small files.
        bool compose_small = false;
        // sync::AnswerBounds, sync::BatchBounds. No keys of the file: tests have a few, so that
        // a few files go in parts.
        std::int64_t answer_rows = 20'000;
        std::int64_t batch_operations = 5'000;
        std::int64_t along_bytes = std::int64_t{8} << 20; // sync::Home::bound_along()
    } files;
    enum class WhenGone : unsigned char { open, closed };
    struct Scan {
        std::string clamd;                // unix:/PATH or HOST:PORT; empty: none
        std::vector<std::string> command; // a program and its arguments; empty: none
        WhenGone when_gone = WhenGone::open;
        std::int64_t size_max_mib = 25;
        std::int64_t timeout_s = 60;
    } scan;
    struct Lease {
        std::int64_t days = 7;
        std::int64_t run_days = 30;
        std::int64_t renew_percent = 50;
    } lease;
    enum class LogFormat : unsigned char { text, json };
    enum class LogLevel : unsigned char { debug, info, warn, error };
    struct Logging {
        LogLevel level = LogLevel::info;
        LogFormat format = LogFormat::text;
        bool access = true;
        std::int64_t access_flush_ms = 1'000;
    } log;
    struct Process {
        std::string front_user = "nobody"; // used only when hasp was started as root; empty: stay
        bool seccomp = true;
        std::int64_t drain_s = 3'600;
    } process;
};

inline constexpr std::size_t config_bytes_max = 256 * 1024;

// TOML text to a Config. `file` is named in messages. Errors: usage, "FILE:LINE: …" with the
// nearest valid key as the hint, for bad TOML, unknown sections and keys, wrong types, values out
// of range, and broken relations between keys.
Result<Config> parse_config(std::string_view text, const std::string& file);

// Reads and parses. not_found when there is no such file: the caller decides whether the defaults
// do.
Result<Config> load_config(const std::string& path);

// A commented hasp.toml with only what differs from the defaults; parse_config of it gives `config`
// again.
std::string example_config(const Config& config);

// Who has to begin anew for a changed value to count. A reload begins a new front in any case, and
// a new keeper where a value is the keeper's; the apps' own process ends only with the tier.
enum class Takes : unsigned char { front, keeper, start };
struct ConfigChange {
    std::string key; // "web.keepalive_s"
    Takes takes = Takes::front;
};
// In the table's order.
std::vector<ConfigChange> config_changes(const Config& was, const Config& now);
// `now`, but what needs a new start of the tier as it was.
Config config_in_effect(const Config& was, const Config& now);

// The table as rows for the manual.
std::vector<TableRow> config_rows();

// The names that this tier's certificate is to have: `web.tls_names`; without them `portal_hosts`
// (else the domain of app_host) and a wildcard for the apps' hosts.
std::vector<std::string> browser_names(const Config& config);

// Pure checks, no look-up. IP:PORT with IPv4 or [IPv6], port 0-65535 (0: any free one).
bool valid_listen_address(std::string_view text);
// HOST:PORT with an IP or a host name, port 1-65535.
bool valid_peer_address(std::string_view text);
// http(s)://HOST[:PORT], {app} once in HOST, which is a host name with it.
bool valid_direct_url(std::string_view text);
// RFC 1123 host name: labels of letters, digits and hyphens, up to 253 bytes.
bool valid_host_name(std::string_view text);

} // namespace hasp::maint
