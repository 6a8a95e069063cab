#include "names.h"

#include "base/log.h"
#include "base/text.h"

#include <algorithm>
#include <arpa/inet.h>
#include <map>
#include <optional>

namespace hasp::cmd {

namespace {

constexpr std::size_t name_bytes_max = 253;
constexpr std::size_t label_bytes_max = 63;
constexpr std::size_t quoted_bytes_max = 80;
constexpr std::size_t notes_max = 20; // of names that are none

// For a message: nothing that a terminal would act on, and not endlessly long.
std::string quoted(std::string_view text) {
    std::string out = "\"" + json_escape(std::string(text.substr(0, quoted_bytes_max)));
    return out + (text.size() > quoted_bytes_max ? "…\"" : "\"");
}

std::string wrong_label(std::string_view label) {
    if (label.empty()) {
        return "has an empty label";
    }
    if (label.size() > label_bytes_max) {
        return "has a label of more than 63 bytes";
    }
    if (label.front() == '-' || label.back() == '-') {
        return "has a label that begins or ends with \"-\"";
    }
    const bool ldh = std::all_of(label.begin(), label.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    });
    return ldh ? "" : "has other characters than letters, digits and \"-\"";
}

Error no_name(std::string_view text, const std::string& why) {
    const bool beyond_ascii = std::any_of(text.begin(), text.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0x80U) != 0;
    });
    return fail(Code::usage, quoted(text) + " is no host name: it " + why,
                beyond_ascii ? "write names beyond ASCII as resolvers know them: xn--…" : "");
}

// "clinic.example" of "{app}.clinic.example"; nothing for an empty pattern.
std::optional<std::string> domain_of(const std::string& pattern) {
    const std::size_t at = pattern.find("{app}");
    const std::size_t dot = at == std::string::npos ? at : pattern.find('.', at);
    return dot == std::string::npos ? std::nullopt : std::optional(pattern.substr(dot + 1));
}

class Planner {
  public:
    void add(const std::string& host, const std::string& app, const std::string& where) {
        auto name = DnsName::parse(host);
        if (!name.ok()) {
            left_out(name.error().message + (app.empty() ? "" : ", and is left out: app " + app));
            return;
        }
        if (names_.size() >= names_max && !names_.contains(*name)) {
            ++beyond_;
            return;
        }
        names_.try_emplace(*name, HostName{*name, app, where});
    }

    void left_out(std::string note) {
        if (plan.notes.size() < notes_max) {
            plan.notes.push_back(std::move(note));
        }
    }

    NamePlan finish() {
        for (auto& [name, host] : names_) {
            plan.names.push_back(std::move(host));
        }
        if (beyond_ > 0) {
            plan.notes.push_back("left out beyond the first " + std::to_string(names_max) +
                                 " names: " + std::to_string(beyond_) +
                                 " (--wildcard holds them all)");
        }
        return std::move(plan);
    }

    NamePlan plan;

  private:
    std::map<DnsName, HostName> names_; // the first to claim a name has it
    std::size_t beyond_ = 0;
};

} // namespace

Result<DnsName> DnsName::parse(std::string_view text) {
    std::string name = to_lower(text);
    if (name.ends_with('.')) {
        name.pop_back();
    }
    if (name.empty()) {
        return no_name(text, "is empty");
    }
    if (name.size() > name_bytes_max) {
        return no_name(text, "has more than 253 bytes");
    }
    for (const std::string_view label : split(name, '.')) {
        if (const std::string wrong = wrong_label(label); !wrong.empty()) {
            return no_name(text, wrong);
        }
    }
    // Else it is an IPv4 address, or reads like one.
    const std::string_view last = std::string_view(name).substr(name.rfind('.') + 1);
    if (last.find_first_not_of("0123456789") == std::string_view::npos) {
        return no_name(text, "ends with a number");
    }
    return DnsName(std::move(name));
}

bool DnsName::is_in(const DnsName& domain) const {
    return text_ == domain.text_ || text_.ends_with("." + domain.text_);
}

std::string DnsName::below(const DnsName& domain) const {
    return text_ == domain.text_ ? "@" : text_.substr(0, text_.size() - domain.text_.size() - 1);
}

bool DnsName::is_localhost() const {
    return text_ == "localhost" || text_.ends_with(".localhost");
}

Result<IpAddress> IpAddress::parse(std::string_view text) {
    const std::string given(text);
    unsigned char bytes[16] = {};
    char written[INET6_ADDRSTRLEN] = {};
    const bool clean = text.find('\0') == std::string_view::npos;
    const bool v4 = clean && ::inet_pton(AF_INET, given.c_str(), bytes) == 1;
    if (!v4 && !(clean && ::inet_pton(AF_INET6, given.c_str(), bytes) == 1)) {
        return fail(Code::usage, quoted(text) + " is no IP address",
                    "for example --address 192.0.2.10 or --address 2001:db8::10");
    }
    const bool nowhere =
        std::all_of(bytes, bytes + (v4 ? 4 : 16), [](unsigned char b) { return b == 0; });
    const bool multicast = v4 ? bytes[0] >= 224 : bytes[0] == 0xff;
    const bool link_local = !v4 && bytes[0] == 0xfe && (bytes[1] & 0xc0U) == 0x80U;
    if (nowhere || multicast || link_local) {
        return fail(Code::usage, given + " is no address that a name may lead to",
                    link_local ? "a link-local address means nothing without an interface" : "");
    }
    ::inet_ntop(v4 ? AF_INET : AF_INET6, bytes, written, sizeof written);
    return IpAddress(written);
}

NamePlan plan_names(const Json& tier, bool wildcard) {
    Planner planner;
    const std::string pattern = text_of(tier, "app_host");
    const std::optional<std::string> domain = domain_of(pattern);
    const std::vector<std::string> portal = texts_of(tier, "portal_hosts");
    for (const std::string& host : portal) {
        planner.add(host, "", "");
    }
    if (portal.empty() && domain) {
        planner.add(*domain, "", "");
    }
    for (const Json& app : member(tier, "apps")) {
        const std::string name = text_of(app, "name");
        if (text_of(app, "mount") == "path" || !valid_name(name)) {
            continue; // reached under the portal's name alone
        }
        const std::string where = valid_name(text_of(app, "where")) ? text_of(app, "where") : "";
        if (const std::size_t at = pattern.find("{app}"); at != std::string::npos) {
            planner.add(pattern.substr(0, at) + name + pattern.substr(at + 5), name, where);
        }
        for (const std::string& host : texts_of(app, "hosts")) {
            planner.add(host, name, where);
        }
    }
    if (wildcard) {
        auto name = DnsName::parse(domain.value_or(""));
        if (name.ok()) {
            planner.plan.wildcards.push_back(*name);
        } else {
            planner.left_out("apps have no host names here, so there is nothing for --wildcard: "
                             "set app_host under [web] in hasp.toml");
        }
    }
    return planner.finish();
}

std::vector<std::string> urls_of(const NamePlan& plan, const Json& tier) {
    std::vector<std::string> listen = texts_of(tier, "tls_listen");
    const bool tls = !listen.empty();
    listen = tls ? listen : texts_of(tier, "listen");
    const std::string first = listen.empty() ? "" : listen.front();
    std::string port = first.substr(std::min(first.rfind(':'), first.size()));
    port = port == (tls ? ":443" : ":80") || port == ":0" ? "" : port;
    std::vector<std::string> portal;
    std::vector<std::string> apps;
    for (const HostName& host : plan.names) {
        (host.app.empty() ? portal : apps)
            .push_back((tls ? "https://" : "http://") + host.name.text() + port + "/");
    }
    portal.insert(portal.end(), apps.begin(), apps.end());
    return portal;
}

Result<NamePlan> names_for_resolver(const NamePlan& plan, const std::optional<DnsName>& zone) {
    NamePlan out = plan;
    const auto drop = [&](const DnsName& name) {
        return name.is_localhost() || (zone && !name.is_in(*zone));
    };
    std::erase_if(out.names, [&](const HostName& host) { return drop(host.name); });
    std::erase_if(out.wildcards, drop);
    std::size_t local = 0;
    for (const HostName& host : plan.names) {
        local += host.name.is_localhost() ? 1U : 0U;
    }
    const std::size_t outside = plan.names.size() - out.names.size() - local;
    if (out.names.empty() && out.wildcards.empty()) {
        return local > 0 && outside == 0
                   ? fail(Code::not_found,
                          "this tier's names end in .localhost, which each machine takes for "
                          "itself: there is nothing for a resolver",
                          "set app_host and portal_hosts under [web] in hasp.toml, for example "
                          "\"{app}.clinic.example\", and start the tier again")
                   : fail(Code::not_found, "no host name of this tier is in that zone",
                          "hasp names shows them all");
    }
    if (local > 0) {
        out.notes.push_back("left out as every machine's own (.localhost): " +
                            std::to_string(local));
    }
    if (outside > 0) {
        out.notes.push_back("left out as not in " + zone->text() + ": " + std::to_string(outside));
    }
    return out;
}

std::vector<DnsName> zones_of(const NamePlan& plan) {
    std::vector<DnsName> all = plan.wildcards;
    for (const HostName& host : plan.names) {
        all.push_back(host.name);
    }
    // The shorter first, so that what holds others is there before them.
    std::stable_sort(all.begin(), all.end(), [](const DnsName& a, const DnsName& b) {
        return a.text().size() < b.text().size();
    });
    std::vector<DnsName> zones;
    for (const DnsName& name : all) {
        if (std::none_of(zones.begin(), zones.end(),
                         [&](const DnsName& zone) { return name.is_in(zone); })) {
            zones.push_back(name);
        }
    }
    std::sort(zones.begin(), zones.end());
    return zones;
}

} // namespace hasp::cmd
