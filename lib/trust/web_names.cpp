#include "trust/web_names.h"

#include "base/text.h"

#include <algorithm>
#include <arpa/inet.h>
#include <optional>

namespace hasp::trust {

namespace {
constexpr std::size_t dns_name_max = 253; // RFC 1035 §2.3.4, without the final dot
constexpr std::size_t dns_label_max = 63;

bool is_dns_label(std::string_view label) {
    return !label.empty() && label.size() <= dns_label_max && label.front() != '-' &&
           label.back() != '-' && std::all_of(label.begin(), label.end(), [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
           });
}

// Network order; 4 or 16 bytes.
std::optional<std::string> address_bytes(const std::string& text) {
    std::array<char, 16> out{};
    if (inet_pton(AF_INET, text.c_str(), out.data()) == 1) {
        return std::string(out.data(), 4);
    }
    if (inet_pton(AF_INET6, text.c_str(), out.data()) == 1) {
        return std::string(out.data(), 16);
    }
    return std::nullopt;
}

std::string mask_of(std::size_t bytes, std::size_t bits) {
    std::string mask(bytes, '\0');
    for (std::size_t i = 0; i < bits; ++i) {
        mask[i / 8] = static_cast<char>(static_cast<unsigned char>(mask[i / 8]) | (0x80U >> i % 8));
    }
    return mask;
}

bool within(const std::string& address, const WebNames::Network& network) {
    if (address.size() != network.address.size()) {
        return false;
    }
    for (std::size_t i = 0; i < address.size(); ++i) {
        if ((address[i] & network.mask[i]) != network.address[i]) {
            return false;
        }
    }
    return true;
}

std::optional<WebNames::Network> read_network(std::string_view text) {
    const std::size_t slash = text.find('/');
    const auto address = address_bytes(std::string(text.substr(0, slash)));
    if (!address) {
        return std::nullopt;
    }
    std::size_t bits = address->size() * 8;
    if (slash != std::string_view::npos) {
        const auto given = parse_u64(text.substr(slash + 1));
        if (!given || *given > bits) {
            return std::nullopt;
        }
        bits = *given;
    }
    WebNames::Network network{std::string(text), *address, mask_of(address->size(), bits)};
    return within(*address, network) ? std::optional(network) : std::nullopt;
}
} // namespace

bool is_web_address(std::string_view text) {
    return address_bytes(std::string(text)).has_value();
}

bool is_web_dns_name(std::string_view text) {
    if (text.starts_with("*.")) {
        text.remove_prefix(2);
    }
    // A last label of digits alone is an address that was mistyped.
    const auto labels = split(text, '.');
    return text.size() <= dns_name_max && std::all_of(labels.begin(), labels.end(), is_dns_label) &&
           !parse_u64(labels.back());
}

Result<WebNames> WebNames::parse(const std::vector<std::string>& texts) {
    if (texts.size() > web_names_max) {
        return fail(Code::usage, "more than " + std::to_string(web_names_max) + " names");
    }
    WebNames out;
    for (const std::string& text : texts) {
        if (auto network = read_network(text)) {
            out.networks_.push_back(*std::move(network));
        } else if (is_web_dns_name(text) && !text.starts_with("*.")) {
            out.dns_.push_back(text);
        } else {
            return fail(Code::usage,
                        "`" + text +
                            "` is neither a DNS name in lower case nor a network, for example "
                            "clinic.lan or 10.0.0.0/8");
        }
    }
    return out;
}

bool WebNames::covers(std::string_view name) const {
    if (const auto address = address_bytes(std::string(name))) {
        return std::any_of(networks_.begin(), networks_.end(),
                           [&](const Network& network) { return within(*address, network); });
    }
    if (!is_web_dns_name(name)) {
        return false;
    }
    return std::any_of(dns_.begin(), dns_.end(), [&](const std::string& top) {
        return name == top || (name.size() > top.size() && name.ends_with(top) &&
                               name[name.size() - top.size() - 1] == '.');
    });
}

bool WebNames::contains(const WebNames& inner) const {
    return std::all_of(inner.dns_.begin(), inner.dns_.end(),
                       [&](const std::string& name) { return covers(name); }) &&
           std::all_of(inner.networks_.begin(), inner.networks_.end(), [&](const Network& small) {
               return std::any_of(networks_.begin(), networks_.end(), [&](const Network& large) {
                   // A shorter mask has no bit that the longer one has not.
                   return within(small.address, large) && large.mask <= small.mask;
               });
           });
}

std::vector<std::string> WebNames::texts() const {
    std::vector<std::string> out = dns_;
    for (const Network& network : networks_) {
        out.push_back(network.text);
    }
    return out;
}

} // namespace hasp::trust
