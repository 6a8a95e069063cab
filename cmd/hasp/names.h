// Which host names a LAN's resolver must know so that users reach a tier, and the same as the text
// that a resolver reads. Pure: nothing is looked up, read or sent; any thread.
//
// A text holds nothing but what DnsName and IpAddress let through, and is ASCII: whatever stands in
// an app's manifest or a neighbour's report, it cannot end a line or a quotation of a format.
#pragma once

#include "base/result.h"
#include "json_tools.h"

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hasp::cmd {

inline constexpr std::size_t names_max = 20'000; // of one plan; what is more is left out and said
inline constexpr std::size_t addresses_max = 16; // of one plan
inline constexpr std::uint64_t names_ttl_s_max = 604'800;

// A host name as resolvers take it: in lower case, without the dot at its end, of labels of a-z,
// 0-9 and "-" (RFC 1123 §2.1), each at most 63 bytes, at most 253 in all (RFC 1035 §2.3.4). Names
// beyond ASCII stand as A-labels (xn--…, RFC 5890 §2.3.2.1).
class DnsName {
  public:
    // Code::usage says what is wrong; `text` in the message is escaped.
    static Result<DnsName> parse(std::string_view text);

    const std::string& text() const { return text_; }
    // The same name, or one below `domain`.
    bool is_in(const DnsName& domain) const;
    // What stands before `domain`: "@" for the same name. Precondition: is_in(domain).
    std::string below(const DnsName& domain) const;
    // localhost and what is below it: every machine answers these itself (RFC 6761 §6.3).
    bool is_localhost() const;

    auto operator<=>(const DnsName&) const = default;

  private:
    explicit DnsName(std::string text) : text_(std::move(text)) {}
    std::string text_;
};

// An address of a host, as inet_ntop(3) writes it.
class IpAddress {
  public:
    // Code::usage for what is none, and for what no name may lead to: 0.0.0.0 and ::, multicast,
    // link-local IPv6 (RFC 4291 §2.5.6: it means nothing without an interface).
    static Result<IpAddress> parse(std::string_view text);

    const std::string& text() const { return text_; }
    bool v6() const { return text_.find(':') != std::string::npos; }
    bool is_loopback() const { return text_ == "::1" || text_.starts_with("127."); }

    auto operator<=>(const IpAddress&) const = default;

  private:
    explicit IpAddress(std::string text) : text_(std::move(text)) {}
    std::string text_;
};

struct HostName {
    DnsName name;
    std::string app;   // empty: the portal
    std::string where; // of an app: the tier that holds it, a leaf name; for people
};

struct NamePlan {
    std::vector<HostName> names;    // sorted by name, each once
    std::vector<DnsName> wildcards; // everything below these leads to the tier, too
    std::vector<std::string> notes; // what was left out and why, what to mind; sentences
};

// From the answer of the admin command "names" (maint/PROTOCOL.md). Without portal_hosts the portal
// is taken to be at the domain of app_host, where the tier's own pages lead to. Names that are none
// are left out with a note.
NamePlan plan_names(const Json& tier, bool wildcard);

// Where users type them: "https://wiki.clinic.example:8443/", the portal's first. TLS where the
// tier listens with it; a usual port is left out.
std::vector<std::string> urls_of(const NamePlan& plan, const Json& tier);

// Narrows a plan to `zone`, with a note of what is left out; names of localhost go always.
// Code::not_found when nothing remains.
Result<NamePlan> names_for_resolver(const NamePlan& plan, const std::optional<DnsName>& zone);

// The fewest zones that hold every name and claim nothing else: a name that is in none of the
// others is a zone of its own. Sorted.
std::vector<DnsName> zones_of(const NamePlan& plan);

enum class Resolver : unsigned char { dnsmasq, unbound, bind, windows };
inline constexpr const char* resolver_words[] = {"dnsmasq", "unbound", "bind", "windows"};

struct ZoneData {
    NamePlan plan;
    std::vector<IpAddress> addresses; // at least one
    std::uint32_t ttl_s = 300;
    std::uint32_t serial = 1; // of the zone file; must rise with each change (RFC 1035 §3.3.13)
    std::optional<DnsName> zone = {}; // the one to make; none: zones_of(plan)
};

// The text. bind: Code::usage when the names are in several zones, since a zone file holds one.
Result<std::string> render_names(Resolver resolver, const ZoneData& data);

} // namespace hasp::cmd
