#include "config_keys.h"

#include "base/text.h"
#include "net/content_coding.h"
#include "net/networks.h"
#include "trust/web_names.h"
#include "virus_scanner.h"

namespace hasp::maint {

namespace {

constexpr std::int64_t day_s = 86'400;
constexpr std::int64_t rate_kib_s_max = 1'048'576; // 1 GiB a second
constexpr std::int64_t kept_mib_max = 1'048'576;   // 1 TiB
constexpr std::int64_t budget_mib_max = 1'048'576; // 1 TiB a month

std::string check_listen(std::string_view text) {
    return valid_listen_address(text) ? ""
                                      : "is no IP:PORT, for example 127.0.0.1:8480 or [::1]:8480";
}
std::string check_peer(std::string_view text) {
    return valid_peer_address(text) ? "" : "is no HOST:PORT, for example center.example:8443";
}
std::string check_host(std::string_view text) {
    return valid_host_name(text) ? "" : "is no host name";
}

// {app} once, as a whole first label or part of it, so that an app's name can be read back.
std::string check_app_host(std::string_view text) {
    constexpr std::string_view mark = "{app}";
    const std::size_t at = text.find(mark);
    if (at == std::string_view::npos || text.find(mark, at + 1) != std::string_view::npos) {
        return "must contain {app} once, for example {app}.localhost";
    }
    const std::string sample =
        std::string(text.substr(0, at)) + "wiki" + std::string(text.substr(at + mark.size()));
    return valid_host_name(sample) ? "" : "does not make a host name";
}

std::string check_web_name(std::string_view text) {
    return trust::is_web_dns_name(text) || trust::is_web_address(text)
               ? ""
               : "is no host name in lower case and no address";
}

std::string check_https(std::string_view text) {
    return text.starts_with("https://") && text.find(' ') == std::string_view::npos
               ? ""
               : "is no URL that begins with https://";
}

std::string check_mailto(std::string_view text) {
    return text.starts_with("mailto:") && text.find('@') != std::string_view::npos
               ? ""
               : "is no mailto:ADDRESS";
}

std::string check_account(std::string_view text) {
    return valid_name(text) ? "" : "is no user name";
}

std::string check_subtree(std::string_view text) {
    return trust::WebNames::parse({std::string(text)}).ok()
               ? ""
               : "is no host name in lower case and no network, for example clinic.lan or "
                 "10.0.0.0/8";
}

// http(s)://HOST[:PORT] with {app} in HOST, as check_app_host() wants it.
std::string check_direct_url(std::string_view text) {
    const bool tls = text.starts_with("https://");
    if (!tls && !text.starts_with("http://")) {
        return "must begin with https:// or http://";
    }
    text.remove_prefix(tls ? 8 : 7);
    const std::size_t colon = text.find(':');
    if (colon != std::string_view::npos) {
        const auto port = parse_u64(text.substr(colon + 1));
        if (!port || *port == 0 || *port > 65'535) {
            return "has no port from 1 to 65535 behind the colon, and no path may follow";
        }
    }
    return check_app_host(text.substr(0, colon));
}

std::string check_network(std::string_view text) {
    net::Networks one;
    return one.add(text).ok() ? "" : "is no network, for example 10.0.0.0/8 or 2001:db8::/32";
}

std::string check_coding(std::string_view text) {
    return net::coding_of(text) != net::Coding::identity ? "" : "is none of br, zstd and gzip";
}

std::string check_path(std::string_view text) {
    return text.find('\0') == std::string_view::npos && text.size() <= 4096 ? "" : "is no path";
}

std::string check_clamd(std::string_view text) {
    return valid_clamd_address(text)
               ? ""
               : "is neither unix:/PATH nor HOST:PORT, for example unix:/run/clamav/clamd.ctl";
}

std::string check_program(std::string_view text) {
    return text.starts_with('/') ? check_path(text) : "is no absolute path";
}

std::string check_user(std::string_view text) {
    for (const char c : text) {
        const bool good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
        if (!good || text.size() > 32) {
            return "is no name of a system user";
        }
    }
    return {};
}

#define HASP_AT(member) [](Config& c) -> decltype(auto) { return (c.member); }
#define HASP_CHOICE(member)                                                                        \
    ChoiceAt {                                                                                     \
        [](const Config& c) { return static_cast<std::size_t>(c.member); },                        \
            [](Config& c, std::size_t i) { c.member = static_cast<decltype(c.member)>(i); }        \
    }

ConfigKey number(std::string_view section, std::string_view key, Takes takes, NumberAt at,
                 std::string_view unit, std::int64_t least, std::int64_t most,
                 std::string_view text) {
    return {.section = section,
            .key = key,
            .takes = takes,
            .at = at,
            .unit = unit,
            .least = least,
            .most = most,
            .text = text};
}
ConfigKey words(std::string_view section, std::string_view key, Takes takes, TextAt at,
                std::string (*check)(std::string_view), std::string_view limits,
                std::string_view text) {
    return {.section = section,
            .key = key,
            .takes = takes,
            .at = at,
            .check = check,
            .limits = limits,
            .text = text};
}
ConfigKey list(std::string_view section, std::string_view key, Takes takes, ListAt at,
               std::string (*check)(std::string_view), std::string_view limits,
               std::string_view text) {
    return {.section = section,
            .key = key,
            .takes = takes,
            .at = at,
            .check = check,
            .limits = limits,
            .text = text};
}
ConfigKey toggle(std::string_view section, std::string_view key, Takes takes, SwitchAt at,
                 std::string_view text) {
    return {.section = section, .key = key, .takes = takes, .at = at, .text = text};
}
ConfigKey choice(std::string_view section, std::string_view key, Takes takes, ChoiceAt at,
                 std::vector<std::string> choices, std::string_view text) {
    return {.section = section,
            .key = key,
            .takes = takes,
            .at = at,
            .choices = std::move(choices),
            .text = text};
}

std::vector<ConfigKey> make_keys() {
    return {
        list("web", "listen", Takes::front, HASP_AT(web.listen), check_listen, "IP:PORT",
             "Where users connect without TLS."),
        list("web", "tls_listen", Takes::front, HASP_AT(web.tls_listen), check_listen, "IP:PORT",
             "Where users connect with TLS. Needs tls_cert and tls_key, or another tls_from."),
        choice("web", "tls_from", Takes::keeper, HASP_CHOICE(web.tls_from),
               {"files", "lan", "acme"},
               "Where the certificate that browsers see comes from: tls_cert and tls_key, which "
               "are used anew when they change; or the nearest tier above (or this one) that has "
               "[web_ca], which signs for a key that is made here; or one that has [acme], which "
               "asks an authority outside."),
        list("web", "tls_names", Takes::keeper, HASP_AT(web.tls_names), check_web_name,
             "host names, addresses",
             "The names in that certificate, with *. before them perhaps, where tls_from is not "
             "files. Empty: portal_hosts, or the domain of app_host, and *. for the apps."),
        number("web", "offline_days", Takes::keeper, HASP_AT(web.offline_days), "days", 0, 3'650,
               "For how long browsers are to be served without the tier above: certificates are "
               "renewed so early that as much is left, as far as their life allows, and `hasp "
               "offline-report` says when it does not. 0: as long as what is lent to this tier."),
        words("web", "tls_cert", Takes::front, HASP_AT(web.tls_cert), check_path, "a path",
              "The certificate that browsers see, with its chain, as PEM."),
        words("web", "tls_key", Takes::front, HASP_AT(web.tls_key), check_path, "a path",
              "The private key of tls_cert, as PEM."),
        words("web", "app_host", Takes::keeper, HASP_AT(web.app_host), check_app_host,
              "a host name with {app}",
              "The host name of an app: {app} stands for its name. Empty: apps are reached under "
              "/apps/NAME/ alone."),
        words("web", "direct_url", Takes::keeper, HASP_AT(web.direct_url), check_direct_url,
              "http(s)://HOST[:PORT] with {app}",
              "The address of an app of this tier for terminals that reach it themselves, for "
              "example https://{app}.center.example; HOST is that of app_host. Tiers below send "
              "browsers there whose users asked for an app that allows it ([app] direct in "
              "hasp-app.toml(5)). Empty: none is."),
        list("web", "direct_networks", Takes::keeper, HASP_AT(web.direct_networks), check_network,
             "networks",
             "Networks of terminals that reach direct_url, by the addresses under which the tiers "
             "below see them, for example 10.0.0.0/8. Whoever is in none is sent there when the "
             "portal of his own tier has found that his browser reaches it."),
        toggle("web", "direct", Takes::keeper, HASP_AT(web.direct),
               "Whether users of this tier may be sent to tiers above. False, for example, where "
               "addresses on this LAN mean others than in direct_networks above."),
        list("web", "portal_hosts", Takes::keeper, HASP_AT(web.portal_hosts), check_host,
             "host names",
             "The host names of the portal; a request for a name that is neither here nor an app's "
             "is "
             "refused (421). Empty: every host name that is not an app's."),
        number(
            "web", "loops", Takes::front, HASP_AT(web.loops), "threads", 1, 32,
            "How many threads serve users. One carries what most sites have, and costs least for "
            "each request; several are for a machine with that many cores where one is busy. "
            "What other tiers ask for over links is the first thread's alone."),
        number(
            "web", "coalesce_us", Takes::front, HASP_AT(web.coalesce_us), "microseconds", 0, 1'000,
            "How long a thread that is busy pauses before it takes the next events, so that it "
            "is woken once for several. It does where that saves a good part of the processor's "
            "time, and adds at most as much to a request's; a thread with little to do, or whose "
            "users wait for each answer before they ask again, does not pause. 0: never."),
        number("web", "max_connections", Takes::front, HASP_AT(web.max_connections), "connections",
               16, 1'000'000,
               "How many connections from users and other tiers are open at most. Users get no "
               "more than seven eighths of them: the rest is for links."),
        number("web", "max_connections_per_address", Takes::front,
               HASP_AT(web.max_connections_per_address), "connections", 1, 1'000'000,
               "How many of them one address may hold; a /64 of IPv6 four times as many, and at "
               "most half of them all. Raise it where many users come from behind one address "
               "(NAT). Addresses of this machine are not counted."),
        number("web", "http2_streams", Takes::front, HASP_AT(web.http2_streams), "requests", 0,
               1'000,
               "How many requests of one HTTP/2 connection are under way at most. 0: browsers are "
               "told to use HTTP/1.1."),
        list("web", "proxies", Takes::front, HASP_AT(web.proxies), check_network, "networks",
             "Proxies in front of this tier, for example 10.0.0.0/8: they are believed when they "
             "say "
             "whose request they pass on. Empty: nobody is."),
        choice(
            "web", "proxies_say", Takes::front, HASP_CHOICE(web.proxies_say),
            {"x-forwarded", "forwarded", "proxy-protocol"},
            "How they say it: by X-Forwarded-For, -Proto and -Host, by Forwarded, or by the PROXY "
            "protocol's version 2 at the beginning of every connection. The others are not "
            "looked at."),
        number("web", "head_bytes_max", Takes::front, HASP_AT(web.head_bytes_max), "bytes", 4'096,
               32'768, "How long the head of a request or of an answer may be."),
        number("web", "header_count_max", Takes::front, HASP_AT(web.header_count_max), "headers",
               16, 100, "How many headers a request or an answer may have."),
        number(
            "web", "target_bytes_max", Takes::front, HASP_AT(web.target_bytes_max), "bytes", 1'024,
            32'768,
            "How long the path and query of a request may be (else 414), within head_bytes_max."),
        number("web", "body_mib_max", Takes::front, HASP_AT(web.body_mib_max), "MiB", 0, 1'048'576,
               "How long the body of a request to an app may be (else 413), here or on its way "
               "to another tier. An app may have a smaller limit in its manifest. 0: any length."),
        number("web", "head_s", Takes::front, HASP_AT(web.head_s), "seconds", 1, 3'600,
               "How long a client may take to send the head."),
        number("web", "body_idle_s", Takes::front, HASP_AT(web.body_idle_s), "seconds", 1, 3'600,
               "How long a body may stand still."),
        number("web", "slow_bytes_min", Takes::front, HASP_AT(web.slow_bytes_min), "bytes", 1,
               1'048'576,
               "How much of a body must move within body_idle_s. A client that sends or reads more "
               "slowly is cut."),
        number("web", "answer_head_s", Takes::front, HASP_AT(web.answer_head_s), "seconds", 1,
               3'600, "How long an app may take until its answer begins."),
        number(
            "web", "answer_idle_s", Takes::front, HASP_AT(web.answer_idle_s), "seconds", 1,
            7 * day_s,
            "How long an app may pause within an answer: the time between two events of a stream."),
        number("web", "websocket_idle_s", Takes::front, HASP_AT(web.websocket_idle_s), "seconds", 1,
               7 * day_s, "How long a WebSocket stays open without a byte in either direction."),
        number("web", "keepalive_s", Takes::front, HASP_AT(web.keepalive_s), "seconds", 1, 3'600,
               "How long a connection of a user stays open without a request."),
        number("web", "connect_ms", Takes::front, HASP_AT(web.connect_ms), "milliseconds", 10,
               60'000, "How long one try to connect to an app or to another tier may take."),
        number("web", "upstream_idle_s", Takes::front, HASP_AT(web.upstream_idle_s), "seconds", 1,
               3'600,
               "How long a connection to an app or to another tier is kept for the next request. "
               "Less than the other side keeps it."),
        number("web", "whole_s", Takes::front, HASP_AT(web.whole_s), "seconds", 0, 7 * day_s,
               "How long a request may take from first to last byte. 0: any time."),
        list("web", "compress", Takes::front, HASP_AT(web.compress), check_coding, "br, zstd, gzip",
             "How answers of the apps that are served here are compressed for clients that take "
             "it: text, JSON and the like, of 1400 bytes and more. An app opts out in its "
             "manifest. Empty: nothing is compressed."),

        list("metrics", "listen", Takes::front, HASP_AT(metrics.listen), check_listen, "IP:PORT",
             "Where Prometheus reads /metrics, without a log-in and without TLS. Empty: nowhere."),

        list("web_ca", "names", Takes::keeper, HASP_AT(web_ca.names), check_subtree,
             "names, networks",
             "Makes this tier an authority for the browsers of its subtree, which can sign for "
             "these alone: DNS names with all below them, and networks, for example "
             "[\"clinic.lan\", \"10.0.0.0/8\"]. Each tier below gets its own part of a name, "
             "tokyo that of tokyo.clinic.lan. Empty: it is none."),
        list(
            "web_ca", "assign", Takes::keeper, HASP_AT(web_ca.assign), nullptr, "TIER=NAME",
            "Further names and networks for one tier below, for example "
            "\"tokyo=booking.clinic.lan\" or \"tokyo/desk=10.1.0.0/16\". Each tier between (tokyo) "
            "is trusted with it too."),
        number("web_ca", "days", Takes::keeper, HASP_AT(web_ca.days), "days", 1, 398,
               "How long a certificate of this authority lasts."),

        words("acme", "directory", Takes::keeper, HASP_AT(acme.directory), check_https, "a URL",
              "Asks the authority with this ACME directory for certificates, for this tier and "
              "those below it, by DNS-01. Whoever sets it agrees to that authority's terms. Needs "
              "names and dns_hook. Empty: asks none."),
        words("acme", "ca", Takes::keeper, HASP_AT(acme.ca), check_path, "a path",
              "Authorities to trust, in the place of the system's, when that server is asked, as "
              "PEM."),
        words("acme", "contact", Takes::keeper, HASP_AT(acme.contact), check_mailto,
              "mailto:ADDRESS", "Whom the authority may write to about the account."),
        list("acme", "names", Takes::keeper, HASP_AT(acme.names), check_web_name, "DNS names",
             "The names that certificates are asked for, with all below them. Each tier below gets "
             "its own part, as in [web_ca]."),
        list("acme", "assign", Takes::keeper, HASP_AT(acme.assign), nullptr, "TIER=NAME",
             "Further names for one tier below, as in [web_ca]."),
        words("acme", "dns_hook", Takes::keeper, HASP_AT(acme.dns_hook), check_program,
              "an absolute path",
              "The program that sets records in the DNS. It is run as DNS_HOOK set NAME VALUE: a "
              "TXT record of that name is to have that value, beside those that it has; and later "
              "as DNS_HOOK clear NAME VALUE. It has 30 seconds, and ends with 0 when that is "
              "done."),
        number("acme", "dns_wait_s", Takes::keeper, HASP_AT(acme.dns_wait_s), "seconds", 0, 3'600,
               "How long all name servers take until they give a new record."),

        words("upstream", "ca", Takes::front, HASP_AT(upstream.ca), check_path, "a path",
              "Authorities to trust, beside the system's, when an upstream app is reached by "
              "HTTPS, as "
              "PEM."),
        words("upstream", "cert", Takes::front, HASP_AT(upstream.cert), check_path, "a path",
              "The certificate that this tier shows to upstream apps that ask for one, with its "
              "chain, as PEM."),
        words("upstream", "key", Takes::front, HASP_AT(upstream.key), check_path, "a path",
              "The private key of cert, as PEM."),

        number("cache", "size_mib", Takes::front, HASP_AT(cache.size_mib), "MiB", 0, 65'536,
               "How much of the disk answers of apps may take that are kept for those who ask "
               "again, as far as the apps' Cache-Control allows. Counts from the next start. 0: "
               "none are kept."),
        number("cache", "object_kib_max", Takes::front, HASP_AT(cache.object_kib_max), "KiB", 1,
               1'048'576,
               "How long an answer may be that is kept. At most a quarter of size_mib counts."),
        number("cache", "disconnected_s", Takes::front, HASP_AT(cache.disconnected_s), "seconds", 0,
               365 * day_s,
               "How long beyond its end an answer stands in while the app or the tier above cannot "
               "be reached, unless it forbids that itself. 0: only as long as it says."),

        list("link", "listen", Takes::keeper, HASP_AT(link.listen), check_listen, "IP:PORT",
             "Where tiers below connect. Empty: this tier has no children."),
        list(
            "link", "addresses", Takes::keeper, HASP_AT(link.addresses), check_peer, "HOST:PORT",
            "How tiers below reach this one, tried in this order: what invitations carry, and what "
            "the tiers below are told at each connect. They keep it; what they knew before until "
            "one of these has answered, and the invitation's for good. The first 8 count."),
        list(
            "link", "parent", Takes::keeper, HASP_AT(link.parent), check_peer, "HOST:PORT",
            "Where the tier above is, tried in this order, in the place of all that the invitation "
            "and that tier itself have said: for when it has moved and cannot be heard. While a "
            "link stands, its address stays in use until one of these answers. Empty: as they "
            "say."),
        number("link", "park_min", Takes::front, HASP_AT(link.park_min), "connections", 1, 1'000,
               "How many idle connections a tier keeps parked at its parent."),
        number("link", "park_max", Takes::front, HASP_AT(link.park_max), "connections", 1, 10'000,
               "How many it parks under load. Not less than park_min."),
        number("link", "reconnect_s_max", Takes::front, HASP_AT(link.reconnect_s_max), "seconds", 1,
               3'600, "The longest pause between attempts to reach the parent."),
        number("link", "max_unverified_per_address", Takes::front,
               HASP_AT(link.max_unverified_per_address), "connections", 1, 100'000,
               "How many connections to listen one address may hold that have not shown a "
               "certificate of a tier: during their handshake, or of boxes that want to join. At "
               "most a quarter of max_connections, and all of them half of it. Of IPv6, a /64 "
               "counts as one address. Beyond that the one that came first is closed for the one "
               "that comes, so that silent ones keep no tier out: where many tiers come from "
               "behind one address (NAT) and all connect at once, more is better."),
        number("link", "heartbeat_s", Takes::keeper, HASP_AT(link.heartbeat_s), "seconds", 1, 300,
               "How often a link is tested. While nothing else goes over it, every eighth time "
               "only: an idle "
               "tier is to cost little. It is given up when two tests in a row had no answer."),
        toggle(
            "link", "yield", Takes::keeper, HASP_AT(link.yield),
            "Whether releases and people's files make way for users' requests on the link to the "
            "parent. False: they take what it gives."),
        number("link", "files_kib_s", Takes::keeper, HASP_AT(link.files_kib_s), "KiB a second", 0,
               rate_kib_s_max,
               "How fast people's files move over the link to the parent at most, both ways "
               "together. 0: as fast as the link lets them."),
        number("link", "releases_kib_s", Takes::keeper, HASP_AT(link.releases_kib_s),
               "KiB a second", 0, rate_kib_s_max,
               "How fast releases come over that link at most. 0: as fast as it lets them."),
        number("link", "budget_files_mib", Takes::keeper, HASP_AT(link.budget_files_mib), "MiB", 0,
               budget_mib_max,
               "How much people's files may move over the link to the parent in a calendar month "
               "(UTC), both ways together. What is more waits for the next month, or for a larger "
               "value and `hasp reload`. 0: any."),
        number("link", "budget_releases_mib", Takes::keeper, HASP_AT(link.budget_releases_mib),
               "MiB", 0, budget_mib_max, "The same for releases."),
        number("link", "budget_users_mib", Takes::keeper, HASP_AT(link.budget_users_mib), "MiB", 0,
               budget_mib_max,
               "How much users' requests are expected to move in a month. They are never held: "
               "`hasp status` and the log tell of 80 % and of all of it. 0: nothing is told."),

        number("session", "hours", Takes::keeper, HASP_AT(session.hours), "hours", 1, 720,
               "How long a log-in lasts without being used."),
        number("session", "absolute_days", Takes::keeper, HASP_AT(session.absolute_days), "days", 1,
               365, "How long it lasts at most. Not shorter than hours."),

        number(
            "login", "failures_before_delay", Takes::keeper, HASP_AT(login.failures_before_delay),
            "failures", 1, 1'000,
            "How many wrong passwords in a row an account takes at once. Each further try has to "
            "wait, 1, 2, 4 and so on up to 900 seconds, until one is right or a day has passed."),
        number("login", "attempts_per_minute_per_address", Takes::keeper,
               HASP_AT(login.attempts_per_minute_per_address), "attempts", 1, 10'000,
               "How many tries, right or wrong, one address has in a minute."),
        number("login", "argon2_threads", Takes::keeper, HASP_AT(login.argon2_threads), "threads",
               1, 64, "How many passwords are hashed at the same time; each takes 64 MiB."),
        number("login", "password_bytes_min", Takes::keeper, HASP_AT(login.password_bytes_min),
               "bytes", 1, 64,
               "How long a new password must be. Less than 8 is for trees that are thrown away."),

        choice("apps", "isolation", Takes::start, HASP_CHOICE(apps.isolation),
               {"bwrap", "landlock", "none-allowed"},
               "The least isolation that is accepted. The strongest that works on this machine is "
               "used, "
               "and `hasp status` names it. With less than this, no app starts."),
        number("apps", "start_s", Takes::front, HASP_AT(apps.start_s), "seconds", 1, 3'600,
               "How long a request waits for its app to start. How long the start itself may take "
               "is in "
               "the app's manifest."),

        number("files", "scan_hours", Takes::keeper, HASP_AT(files.scan_hours), "hours", 1, 720,
               "How often everything in people's folders is looked at, though what changes is "
               "noticed: for what the kernel does not tell (writes through mapped memory, or by "
               "other machines on a network's disk). Folders that cannot be watched are looked at "
               "every five minutes, and after each use."),
        number(
            "files", "kept_mib", Takes::start, HASP_AT(files.kept_mib), "MiB", 0, kept_mib_max,
            "How much this tier keeps of what people's files were when their home last agreed "
            "with them, so that a change costs its own bytes alone and not a block of 1 KiB "
            "around each. Contents of up to 1 MiB stand compressed in sync.db, larger ones are "
            "files that share their blocks with the working copy where the file system can do "
            "that (Btrfs, XFS). What was changed longest ago goes first. Never more than a tenth "
            "of what the disk has free. 0: nothing is kept."),
        toggle(
            "files", "on_demand", Takes::start, HASP_AT(files.on_demand),
            "Whether an app may start before all of its user's files are here: of what is to come "
            "for the first time, contents of 64 KiB and more come later than the rest where they "
            "are more than 8 MiB together, and whoever opens such a file waits for it. They come "
            "by themselves, the newest first. Needs root and a file system with trusted "
            "attributes (ext4, XFS, Btrfs); elsewhere all come at once."),
        number("files", "copies_mib", Takes::keeper, HASP_AT(files.copies_mib), "MiB", 0,
               kept_mib_max,
               "How much people's files and what is kept of their contents (kept_mib) may take at "
               "this tier together. When it is more, the files of those who were here longest ago "
               "are removed, all of a person's at once, and come again with the next log-in; never "
               "those of somebody who is logged in or whose app runs, nor any that their home does "
               "not have or that cannot be brought now. 0: no bound."),
        list("files", "pinned", Takes::keeper, HASP_AT(files.pinned), check_account, "user names",
             "Whose files copies_mib does not remove."),
        number("files", "versions_days", Takes::keeper, HASP_AT(files.versions_days), "days", 0,
               36'500,
               "How long each version of a user's file is kept after another took its place, where "
               "the user's account is."),
        number("files", "versions_daily_days", Takes::keeper, HASP_AT(files.versions_daily_days),
               "days", 0, 36'500,
               "How long what stood at the end of a day (UTC) is kept after another took its "
               "place."),
        number("files", "versions_weekly_days", Takes::keeper, HASP_AT(files.versions_weekly_days),
               "days", 0, 36'500,
               "How long what stood at the end of a week (Sunday, UTC) is kept after another took "
               "its place."),
        number("files", "trash_days", Takes::keeper, HASP_AT(files.trash_days), "days", 1, 36'500,
               "How long a file is kept after it was removed: hasp sync restore brings it back."),
        number("files", "scrub_days", Takes::keeper, HASP_AT(files.scrub_days), "days", 1, 3'650,
               "How often all kept contents of users' files are read and compared with what they "
               "should be."),

        words("scan", "clamd", Takes::keeper, HASP_AT(scan.clamd), check_clamd,
              "unix:/PATH or HOST:PORT",
              "The virus scanner: a clamd of ClamAV, for example \"unix:/run/clamav/clamd.ctl\". "
              "New and changed files of users whose account is here are looked at before they "
              "count, and releases before they are put in place. What is infected goes into "
              "quarantine (hasp sync quarantine), an infected release is refused. Empty: none."),
        list("scan", "command", Takes::keeper, HASP_AT(scan.command), nullptr,
             "a program's absolute path and its arguments",
             "Or a program that is run for each content, which it reads from its standard input. "
             "It ends with 0: clean; 1: infected, and its first line is what was found; anything "
             "else: it could not be looked at."),
        choice("scan", "when_gone", Takes::keeper, HASP_CHOICE(scan.when_gone), {"open", "closed"},
               "What becomes of contents that the scanner cannot look at: they count as if it had "
               "found nothing, and are not looked at later; or they wait for it. `hasp status` "
               "says that it is gone."),
        number("scan", "size_max_mib", Takes::keeper, HASP_AT(scan.size_max_mib), "MiB", 1, 4'000,
               "Larger contents are not looked at, and count. For clamd not more than "
               "StreamMaxLength in clamd.conf, which is 25 MiB unless it is set there."),
        number("scan", "timeout_s", Takes::keeper, HASP_AT(scan.timeout_s), "seconds", 1, 3'600,
               "How long the scanner may take for one content."),

        number("lease", "days", Takes::keeper, HASP_AT(lease.days), "days", 1, 365,
               "How long the authority lent to a tier below lasts."),
        number("lease", "run_days", Takes::keeper, HASP_AT(lease.run_days), "days", 1, 3'650,
               "How long a tier below may run an app. Not shorter than days."),
        number("lease", "renew_percent", Takes::keeper, HASP_AT(lease.renew_percent), "percent", 5,
               95, "How much of a lease's life passes before it is renewed."),

        choice("log", "level", Takes::keeper, HASP_CHOICE(log.level),
               {"debug", "info", "warn", "error"},
               "The least important messages that are written."),
        choice("log", "format", Takes::keeper, HASP_CHOICE(log.format), {"text", "json"},
               "Lines for people, or JSON for machines."),
        toggle("log", "access", Takes::front, HASP_AT(log.access),
               "Whether each request is written to STATE/log/access.jsonl."),
        number("log", "access_flush_ms", Takes::front, HASP_AT(log.access_flush_ms), "milliseconds",
               10, 60'000,
               "How long lines of the access log are collected before they are written."),

        words("process", "front_user", Takes::start, HASP_AT(process.front_user), check_user,
              "a system user",
              "The user that the process with the users' sockets becomes, when hasp was started as "
              "root. Empty: it stays."),
        toggle("process", "seccomp", Takes::front, HASP_AT(process.seccomp),
               "Whether system calls that this process has no use for are refused to it. Turn it "
               "off only "
               "to find a fault."),
        number("process", "drain_s", Takes::front, HASP_AT(process.drain_s), "seconds", 0,
               7 * day_s,
               "How long that process goes on, after a reload has put another beside it, with what "
               "users have begun there: WebSockets and long answers."),
    };
}

#undef HASP_AT
#undef HASP_CHOICE

std::string toml_text(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            out += '\\';
        }
        out += c;
    }
    return out + "\"";
}

} // namespace

bool valid_direct_url(std::string_view text) {
    return check_direct_url(text).empty();
}

const std::vector<ConfigKey>& config_keys() {
    static const std::vector<ConfigKey> keys = make_keys();
    return keys;
}

std::string config_value_text(const ConfigKey& key, const Config& config) {
    Config copy = config; // the accessors serve writing too
    struct Show {
        const ConfigKey& key;
        Config& config;
        std::string operator()(NumberAt at) const { return std::to_string(at(config)); }
        std::string operator()(TextAt at) const { return toml_text(at(config)); }
        std::string operator()(SwitchAt at) const { return at(config) ? "true" : "false"; }
        std::string operator()(const ChoiceAt& at) const {
            return toml_text(key.choices[at.get(config)]);
        }
        std::string operator()(ListAt at) const {
            std::string out;
            for (const std::string& item : at(config)) {
                out += (out.empty() ? "" : ", ") + toml_text(item);
            }
            return "[" + out + "]";
        }
    };
    return std::visit(Show{key, copy}, key.at);
}

} // namespace hasp::maint
