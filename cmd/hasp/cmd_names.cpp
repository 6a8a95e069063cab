// hasp names: what a LAN's resolver must know of this tier.
#include "base/clock.h"
#include "base/text.h"
#include "commands.h"
#include "own_addresses.h"
#include "state.h"

#include <algorithm>

namespace hasp::cmd {

namespace {

Result<OwnAddresses> addresses_of(const Args& args, const Json& tier) {
    const std::vector<std::string>& given = args.list("address");
    if (given.empty()) {
        std::vector<std::string> listen = texts_of(tier, "tls_listen");
        const std::vector<std::string> plain = texts_of(tier, "listen");
        listen.insert(listen.end(), plain.begin(), plain.end());
        return own_addresses(listen, machine_addresses());
    }
    if (given.size() > addresses_max) {
        return fail(Code::usage,
                    "--address may be given " + std::to_string(addresses_max) + " times at most");
    }
    OwnAddresses out;
    for (const std::string& text : given) {
        auto address = IpAddress::parse(text);
        if (!address.ok()) {
            return address.error();
        }
        if (std::find(out.addresses.begin(), out.addresses.end(), *address) ==
            out.addresses.end()) {
            out.addresses.push_back(*address);
        }
    }
    return out;
}

Result<std::optional<DnsName>> zone_of(const Args& args) {
    if (!args.given("zone")) {
        return std::optional<DnsName>();
    }
    auto zone = DnsName::parse(args.get("zone"));
    return zone.ok() ? Result<std::optional<DnsName>>(*zone)
                     : Result<std::optional<DnsName>>(zone.error());
}

Json as_json(const ZoneData& data, const std::vector<std::string>& notes) {
    Json names = Json::array();
    for (const HostName& host : data.plan.names) {
        Json one{{"name", host.name.text()}, {"portal", host.app.empty()}};
        if (!host.app.empty()) {
            one["app"] = host.app;
            one["where"] = host.where;
        }
        names.push_back(std::move(one));
    }
    Json out{{"names", names}, {"ttl_s", data.ttl_s}, {"notes", notes}};
    for (const auto& [key, list] :
         {std::pair{"wildcards", data.plan.wildcards},
          std::pair{"zones", data.zone ? std::vector<DnsName>{*data.zone} : zones_of(data.plan)}}) {
        out[key] = Json::array();
        for (const DnsName& name : list) {
            out[key].push_back(name.text());
        }
    }
    out["addresses"] = Json::array();
    for (const IpAddress& address : data.addresses) {
        out["addresses"].push_back(address.text());
    }
    return out;
}

std::string table(const Args& args, const ZoneData& data, const Json& tier) {
    std::vector<std::vector<std::string>> rows{{"NAME", "APP", "AT"}};
    for (const HostName& host : data.plan.names) {
        rows.push_back({host.name.text(), host.app.empty() ? "(the portal)" : host.app,
                        host.app.empty() ? "" : host.where});
    }
    for (const DnsName& wildcard : data.plan.wildcards) {
        rows.push_back({"*." + wildcard.text(), "(every other)", ""});
    }
    std::string out = columns(rows) + "\n";
    std::string list;
    for (const IpAddress& address : data.addresses) {
        list += (list.empty() ? "" : ", ") + address.text();
    }
    out += "lead to  " + (list.empty() ? "no address: give --address IP" : list) + "\n";
    if (!args.quiet()) {
        const std::vector<std::string> urls = urls_of(data.plan, tier);
        out += "\nFor the LAN's resolver     hasp names --for dnsmasq, unbound, bind or windows\n"
               "What a terminal then sees  hasp doctor --as-client " +
               (urls.empty() ? "URL" : urls.front()) + "\n";
    }
    return out;
}

// Names carry no port.
void note_ports(std::vector<std::string>& notes, const ZoneData& data, const Json& tier) {
    std::string odd;
    for (const std::string& url : urls_of(data.plan, tier)) {
        const std::size_t host = url.find("://") + 3;
        odd = odd.empty() && url.find(':', host) != std::string::npos ? url : odd;
    }
    if (!odd.empty()) {
        notes.push_back("a name carries no port: users type " + odd);
    }
}

int names(const Args& args, Env& env) {
    auto ttl = args.number("ttl", 1, names_ttl_s_max);
    auto zone = zone_of(args);
    if (!ttl.ok() || !zone.ok()) {
        return report(args, env, !ttl.ok() ? ttl.error() : zone.error());
    }
    auto tier = run_at_state(args, env, "names", Json::object());
    if (!tier.ok()) {
        return report(args, env, tier.error());
    }
    auto own = addresses_of(args, *tier);
    if (!own.ok()) {
        return report(args, env, own.error());
    }
    ZoneData data{plan_names(*tier, args.flag("wildcard")), own->addresses,
                  static_cast<std::uint32_t>(*ttl),
                  static_cast<std::uint32_t>(env.clock.wall_us() / second_us), *zone};
    std::string text;
    if (args.given("for") || *zone) {
        auto narrowed = names_for_resolver(data.plan, *zone);
        if (!narrowed.ok()) {
            return report(args, env, narrowed.error());
        }
        data.plan = std::move(*narrowed);
    }
    if (args.given("for")) {
        const auto* word = std::find(std::begin(resolver_words), std::end(resolver_words),
                                     std::string_view(args.get("for")));
        auto rendered =
            render_names(static_cast<Resolver>(word - std::begin(resolver_words)), data);
        if (!rendered.ok()) {
            return report(args, env, rendered.error());
        }
        text = std::move(*rendered);
    }
    std::vector<std::string> notes = own->notes;
    notes.insert(notes.end(), data.plan.notes.begin(), data.plan.notes.end());
    note_ports(notes, data, *tier);
    if (args.json()) {
        Json out = as_json(data, notes);
        if (!text.empty()) {
            out["for"] = args.get("for");
            out["text"] = text;
        }
        env.out(dump(out, 2) + "\n");
        return 0;
    }
    env.out(text.empty() ? table(args, data, *tier) : text);
    for (const std::string& note : args.quiet() ? std::vector<std::string>{} : notes) {
        env.err("hasp: " + note + "\n");
    }
    return 0;
}

} // namespace

Command names_command() {
    return {
        .path = {"names"},
        .summary = "print the names that a LAN's resolver must know",
        .description =
            "Shows the host names under which users reach this tier: the portal's and that of "
            "every app that is held here or passed on, with the addresses that they lead to. With "
            "--for it prints them as a resolver of the LAN reads them, so that no resolver outside "
            "is needed. The running tier is asked, else its disk.\n\nThe names come from app_host "
            "and portal_hosts under [web] in hasp.toml and from hosts in the apps' manifests. "
            "Without portal_hosts the portal is taken to be at the domain of app_host. Names below "
            ".localhost are every machine's own and are in no resolver's data.\n\nOnly --wildcard "
            "makes an app that comes later reachable without printing anew: it leads the whole "
            "domain of app_host here, and with it what else is below it. BIND and Windows DNS "
            "answer for whole zones: each name that no other holds is a zone of its own, unless "
            "--zone names a larger one, whose other names must then be added there.\n\nThe text "
            "for Windows DNS is PowerShell. Browsers that ask a resolver of their own (DNS over "
            "HTTPS) do not see what a LAN's resolver says.",
        .options = {{.name = "for",
                     .metavar = "RESOLVER",
                     .text = "print data for this resolver",
                     .kind = Kind::value,
                     .choices = {std::begin(resolver_words), std::end(resolver_words)}},
                    {.name = "address",
                     .metavar = "IP",
                     .text = "an address that the names lead to (default: those of this machine "
                             "that the tier listens on for users)",
                     .kind = Kind::list},
                    {.name = "wildcard",
                     .text = "lead every name below the domain of app_host here"},
                    {.name = "zone",
                     .metavar = "ZONE",
                     .text = "only the names in this zone, and with BIND and Windows DNS make it",
                     .kind = Kind::value},
                    {.name = "ttl",
                     .metavar = "S",
                     .text = "how many seconds an answer may be remembered",
                     .kind = Kind::value,
                     .default_text = "300"}},
        .examples = {{"hasp names --for dnsmasq > /etc/dnsmasq.d/hasp.conf",
                      "Writes what dnsmasq reads at its next start."},
                     {"hasp names --for bind --wildcard --address 192.0.2.10",
                      "Prints a zone file that later apps are in, too."}},
        .exit_codes = {5, 75},
        .run = names};
}

} // namespace hasp::cmd
