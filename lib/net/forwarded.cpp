#include "net/forwarded.h"

#include "chars.h"
#include "net/fields.h"
#include "net/head.h"

#include <algorithm>
#include <array>
#include <optional>

namespace hasp::net {
namespace {

// More proxies than anybody has in a row; what stands before them is not looked at.
constexpr std::size_t hops_max = 16;

// The last items of all fields of a name, in their order.
class LastItems {
  public:
    LastItems(const Headers& headers, Name id) {
        for (const Header* field = headers.find(id); field != nullptr;
             field = headers.next(*field)) {
            ListItems items(field->value);
            while (const auto item = items.next()) {
                ring_[seen_++ % hops_max] = *item;
            }
        }
    }
    std::size_t size() const { return std::min(seen_, hops_max); }
    // 0: the last one.
    std::string_view from_end(std::size_t i) const { return ring_[(seen_ - 1 - i) % hops_max]; }

  private:
    std::array<std::string_view, hops_max> ring_;
    std::size_t seen_ = 0;
};

// "192.0.2.1", "192.0.2.1:4711", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:4711": the address
// alone. Empty: none, like "unknown" and "_hidden".
std::string_view ip_of(std::string_view node) {
    if (!node.empty() && node.front() == '[') {
        const std::size_t close = node.find(']');
        node = close == std::string_view::npos ? std::string_view{} : node.substr(1, close - 1);
    } else if (const std::size_t colon = node.find(':');
               colon != std::string_view::npos &&
               node.find(':', colon + 1) == std::string_view::npos) {
        node = node.substr(0, colon);
    }
    return Networks::is_address(node) ? node : std::string_view{};
}

std::string_view scheme_of(std::string_view text) {
    return same_text(text, "https") ? "https" : same_text(text, "http") ? "http" : "";
}

// One element of Forwarded, held strictly against the grammar of RFC 7239 §4: a client could write
// a quote that swallows what a proxy adds behind it.
struct Element {
    std::string_view client;
    std::string_view scheme;
    std::string_view host;
};

// A token, or a quoted string, whose quotes are left away; with escapes it is nothing that we need.
// False: neither.
bool take_value(std::string_view& rest, std::string_view& value) {
    if (rest.empty() || rest.front() != '"') {
        const std::size_t end = std::min(rest.find_first_of("; \t"), rest.size());
        value = rest.substr(0, end);
        rest.remove_prefix(end);
        return is_token(value);
    }
    bool escaped = false;
    for (std::size_t i = 1; i < rest.size(); ++i) {
        if (rest[i] == '\\') {
            escaped = true;
            ++i;
        } else if (rest[i] == '"') {
            value = escaped ? std::string_view{} : rest.substr(1, i - 1);
            rest.remove_prefix(i + 1);
            return true;
        }
    }
    return false;
}

std::optional<Element> parse_element(std::string_view rest) {
    Element out;
    for (;;) {
        const std::size_t equals = rest.find('=');
        if (equals == std::string_view::npos || !is_token(rest.substr(0, equals))) {
            return std::nullopt;
        }
        const std::string_view name = rest.substr(0, equals);
        rest.remove_prefix(equals + 1);
        std::string_view value;
        if (!take_value(rest, value)) {
            return std::nullopt;
        }
        if (same_text(name, "for")) {
            out.client = ip_of(value);
        } else if (same_text(name, "proto")) {
            out.scheme = scheme_of(value);
        } else if (same_text(name, "host")) {
            out.host = value;
        }
        const std::size_t next = rest.find_first_not_of(" \t");
        if (next == std::string_view::npos) {
            return out;
        }
        if (rest[next] != ';') {
            return std::nullopt;
        }
        rest.remove_prefix(next + 1);
        rest.remove_prefix(std::min(rest.find_first_not_of(" \t"), rest.size()));
        if (rest.empty()) {
            return out; // a semicolon at the end is common
        }
    }
}

} // namespace

Forwarded read_x_forwarded(const Headers& headers, const Networks& proxies) {
    Forwarded out;
    const LastItems addresses(headers, Name::x_forwarded_for);
    for (std::size_t i = 0; i < addresses.size(); ++i) {
        const std::string_view ip = ip_of(addresses.from_end(i));
        if (ip.empty()) {
            break; // the last that was understood stands
        }
        out.client = ip;
        if (!proxies.contains(ip)) {
            break;
        }
    }
    if (const LastItems said(headers, Name::x_forwarded_proto); said.size() > 0) {
        out.scheme = scheme_of(said.from_end(0));
    }
    if (const LastItems said(headers, Name::x_forwarded_host); said.size() > 0) {
        out.host = said.from_end(0);
    }
    return out;
}

Forwarded read_forwarded(const Headers& headers, const Networks& proxies) {
    Forwarded out;
    const LastItems elements(headers, Name::forwarded);
    for (std::size_t i = 0; i < elements.size(); ++i) {
        const auto element = parse_element(elements.from_end(i));
        if (!element) {
            break; // the last that was understood stands
        }
        // A hop that says nothing of these leaves what the one behind it said.
        out.client = element->client.empty() ? out.client : element->client;
        out.scheme = element->scheme.empty() ? out.scheme : element->scheme;
        out.host = element->host.empty() ? out.host : element->host;
        if (element->client.empty() || !proxies.contains(element->client)) {
            break;
        }
    }
    return out;
}

} // namespace hasp::net
