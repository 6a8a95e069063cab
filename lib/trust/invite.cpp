#include "trust/invite.h"

#include "base/text.h"
#include "trust/hash.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cctype>
#include <netinet/in.h>

namespace hasp::trust {

namespace {
constexpr std::string_view join_scheme = "hasp-join:";
constexpr std::size_t check_bytes = 6;
constexpr std::size_t host_bytes_max = 253;
constexpr const char* ask_again = "copy the whole line again, or ask for a new invitation";

// Length of `bytes` bytes in base64url without padding.
constexpr std::size_t encoded(std::size_t bytes) {
    return (bytes * 4 + 2) / 3;
}

// The fields behind '#', from the left: NAME, ROOTHASH, TOKENID, SECRET, CHECK. Read from the
// right, since only they have fixed lengths.
constexpr std::size_t field_count = 5;
constexpr std::array<std::size_t, field_count> field_length = {
    0, encoded(sha256_bytes), encoded(invitation_id_bytes), encoded(invitation_secret_bytes),
    encoded(check_bytes)};

// Against typing and copying mistakes; the secret is what proves anything.
std::string checksum(std::string_view text) {
    return to_base64url(sha256("hasp-join-check-v1" + std::string(1, '\0') + std::string(text))
                            .substr(0, check_bytes));
}

std::string secret_hash(std::string_view token_id, std::string_view secret) {
    return sha256("hasp-join-secret-v1" + std::string(1, '\0') + std::string(token_id) +
                  std::string(secret));
}

Error cut_short() {
    return fail(Code::refused, "the invitation is cut short: something is missing at its end",
                ask_again);
}
Error altered() {
    return fail(Code::refused, "the invitation was altered on the way: its checksum does not fit",
                ask_again);
}
Error malformed(const std::string& why) {
    return fail(Code::refused, "the invitation cannot be used: " + why, ask_again);
}

bool valid_host(std::string_view host) {
    if (host.starts_with('[')) {
        in6_addr out{};
        return host.ends_with(']') &&
               inet_pton(AF_INET6, std::string(host.substr(1, host.size() - 2)).c_str(), &out) == 1;
    }
    return !host.empty() && host.size() <= host_bytes_max && host.front() != '-' &&
           std::all_of(host.begin(), host.end(), [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '.' || c == '-';
           });
}

Status check_addresses(const std::vector<std::string>& addresses) {
    if (addresses.empty() || addresses.size() > invitation_addresses_max) {
        return fail(Code::usage, "an invitation has 1 to " +
                                     std::to_string(invitation_addresses_max) + " addresses");
    }
    for (const std::string& address : addresses) {
        if (!valid_address(address)) {
            return fail(Code::usage, "'" + address + "' is not an address",
                        "write HOST:PORT, or [IPV6]:PORT");
        }
    }
    return {};
}

// Everything but the checksum.
std::string body_of(const Invitation& i) {
    std::string out(join_scheme);
    for (const std::string& address : i.addresses) {
        out += (&address == &i.addresses.front() ? "" : ",") + address;
    }
    out += "/" + i.parent.text().substr(std::string_view("hasp://").size()) + "#" + i.name;
    for (const std::string* field : {&i.realm_id, &i.token_id, &i.secret}) {
        out += "." + to_base64url(*field);
    }
    return out;
}
} // namespace

bool valid_address(std::string_view host_port) {
    const std::size_t colon = host_port.rfind(':');
    if (colon == std::string_view::npos || !valid_host(host_port.substr(0, colon))) {
        return false;
    }
    const std::string_view digits = host_port.substr(colon + 1);
    const auto port = parse_u64(digits);
    return port && *port >= 1 && *port <= 65535 && digits.front() != '0';
}

std::string Invitation::text() const {
    const std::string body = body_of(*this);
    return body + "." + checksum(body);
}

Result<NewInvitation> make_invitation(std::vector<std::string> addresses, const TierName& parent,
                                      std::string_view name, std::string_view realm_id,
                                      std::int64_t not_after_us, Random& random) {
    if (const Status good = check_addresses(addresses); !good) {
        return good.error();
    }
    if (const Result<TierName> child = parent.child(name); !child) {
        return child.error();
    }
    if (realm_id.size() != sha256_bytes) {
        return fail(Code::usage,
                    "a realm's id has 32 bytes, this has " + std::to_string(realm_id.size()));
    }
    NewInvitation out;
    out.invitation = Invitation{std::move(addresses),
                                parent,
                                std::string(name),
                                std::string(realm_id),
                                random.bytes(invitation_id_bytes),
                                random.bytes(invitation_secret_bytes)};
    out.record = InvitationRecord{out.invitation.token_id,
                                  secret_hash(out.invitation.token_id, out.invitation.secret),
                                  out.invitation.name, not_after_us};
    return out;
}

Result<Invitation> parse_invitation(std::string_view text) {
    text = trim(text);
    if (text.size() > invitation_bytes_max) {
        return fail(Code::usage, "this is not an invitation: it is longer than " +
                                     std::to_string(invitation_bytes_max) + " bytes");
    }
    if (!text.starts_with(join_scheme)) {
        if (!text.empty() && join_scheme.starts_with(text)) {
            return cut_short();
        }
        return fail(Code::usage,
                    "this is not an invitation: it does not begin with " + std::string(join_scheme),
                    "the operator of the tier above makes one with: hasp local invite NAME");
    }
    const std::size_t hash = text.rfind('#');
    if (hash == std::string_view::npos) {
        return cut_short();
    }
    const auto fields = split(text.substr(hash + 1), '.');
    if (fields.size() < field_count) {
        return cut_short();
    }
    // A field that is too short lost characters; one that is too long, or a field too many, gained
    // some.
    bool exact = fields.size() == field_count;
    for (std::size_t i = 1; i < field_count && exact; ++i) {
        if (fields[i].size() < field_length[i]) {
            return cut_short();
        }
        exact = fields[i].size() == field_length[i];
    }
    if (!exact ||
        fields.back() != checksum(text.substr(0, text.size() - field_length.back() - 1))) {
        return altered();
    }
    // From here on the line is as somebody wrote it; what does not fit now was never right.
    const std::string_view place = text.substr(join_scheme.size(), hash - join_scheme.size());
    const std::size_t slash = place.find('/');
    if (slash == std::string_view::npos) {
        return malformed("it names no parent");
    }
    Invitation out;
    for (const std::string_view address : split(place.substr(0, slash), ',')) {
        out.addresses.emplace_back(address);
    }
    const Result<TierName> parent =
        TierName::parse("hasp://" + std::string(place.substr(slash + 1)));
    if (!parent) {
        return malformed(parent.error().message);
    }
    out.parent = *parent;
    out.name = fields[0];
    const auto realm = from_base64url(fields[1]);
    const auto id = from_base64url(fields[2]);
    const auto secret = from_base64url(fields[3]);
    if (const Status good = check_addresses(out.addresses); !good) {
        return malformed(good.error().message);
    }
    if (!parent->child(out.name) || !realm || !id || !secret) {
        return malformed("its fields do not fit together");
    }
    out.realm_id = *realm;
    out.token_id = *id;
    out.secret = *secret;
    return out;
}

Status redeem(const InvitationRecord& record, std::string_view secret, std::string_view name,
              std::int64_t now_us) {
    // First, so that the other answers are for those who know the secret.
    if (secret.size() != invitation_secret_bytes ||
        !equal_constant_time(secret_hash(record.token_id, secret), record.secret_sha256)) {
        return fail(Code::refused,
                    "the secret of the invitation for '" + record.name + "' is wrong");
    }
    if (name != record.name) {
        return fail(Code::refused, "the invitation is for '" + record.name + "', not for '" +
                                       std::string(name) + "'");
    }
    if (now_us >= record.not_after_us) {
        return fail(Code::refused,
                    "the invitation for '" + record.name + "' expired at " +
                        rfc3339(record.not_after_us),
                    "make a new one: hasp local invite " + record.name);
    }
    return {};
}

} // namespace hasp::trust
