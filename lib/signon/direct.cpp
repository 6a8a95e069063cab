#include "signon/direct.h"

#include "base/clock.h"
#include "base/random.h"
#include "base/text.h"
#include "direct_text.h"
#include "text_rules.h"
#include "trust/hash.h"

#include <utility>

namespace hasp::signon {

namespace {

constexpr std::size_t fields_max = 8;
constexpr std::size_t fixed_bytes = 1 + 8 + direct_id_bytes;
constexpr char pass_kind = 'p';
constexpr char ticket_kind = 't';
constexpr char cookie_kind = 'c';
constexpr std::size_t pass_fields = 3;
constexpr std::size_t ticket_fields = 7;
constexpr std::size_t cookie_fields = 4;

// The longest cookie there can be: two names, a sid and a user's word in raw bytes.
static_assert((fixed_bytes + 4 * 2 + 2 * name_length_max + 16 + 8 + trust::sha256_bytes) * 4 / 3 +
                  3 <=
              direct_cookie_bytes_max);

void append_number(std::string& out, std::uint64_t value, int bytes) {
    for (int i = bytes - 1; i >= 0; --i) {
        out.push_back(static_cast<char>(value >> (8 * i)));
    }
}

std::uint64_t read_number(std::string_view bytes) {
    std::uint64_t value = 0;
    for (const char c : bytes) {
        value = value << 8 | static_cast<unsigned char>(c);
    }
    return value;
}

std::string sealed(std::string_view key, const DirectText& text) {
    const std::string body = format_direct(text);
    return to_base64url(body + hmac_sha256(key, body));
}

std::optional<DirectText> opened(std::string_view key, char kind, std::size_t fields,
                                 std::string_view text) {
    if (key.empty() || text.size() > direct_text_bytes_max) {
        return std::nullopt;
    }
    const auto bytes = from_base64url(text);
    if (!bytes || bytes->size() < fixed_bytes + trust::sha256_bytes) {
        return std::nullopt;
    }
    const std::string_view all = *bytes;
    const std::string_view body = all.substr(0, all.size() - trust::sha256_bytes);
    if (!equal_constant_time(hmac_sha256(key, body), all.substr(body.size()))) {
        return std::nullopt;
    }
    auto parsed = parse_direct(body);
    if (!parsed || parsed->kind != kind || parsed->fields.size() != fields) {
        return std::nullopt;
    }
    return parsed;
}

} // namespace

std::string format_direct(const DirectText& text) {
    std::string out(1, text.kind);
    append_number(out, static_cast<std::uint64_t>(text.until_us), 8);
    out += text.id;
    for (const std::string& field : text.fields) {
        append_number(out, field.size(), 2);
        out += field;
    }
    return out;
}

std::optional<DirectText> parse_direct(std::string_view bytes) {
    if (bytes.size() < fixed_bytes || bytes.size() > direct_text_bytes_max) {
        return std::nullopt;
    }
    DirectText out;
    out.kind = bytes.front();
    out.until_us = static_cast<std::int64_t>(read_number(bytes.substr(1, 8)));
    out.id = bytes.substr(9, direct_id_bytes);
    bytes.remove_prefix(fixed_bytes);
    while (!bytes.empty()) {
        if (bytes.size() < 2 || out.fields.size() == fields_max) {
            return std::nullopt;
        }
        const std::size_t size = read_number(bytes.substr(0, 2));
        bytes.remove_prefix(2);
        if (size > bytes.size()) {
            return std::nullopt;
        }
        out.fields.emplace_back(bytes.substr(0, size));
        bytes.remove_prefix(size);
    }
    return out.until_us < 0 ? std::nullopt : std::optional(std::move(out));
}

std::string direct_nonce_hash(std::string_view nonce) {
    return to_hex(sha256(nonce));
}

std::string direct_user_word(std::string_view user) {
    return to_hex(sha256(user).substr(0, 8));
}

DirectSeals::DirectSeals(const Clock& clock, Random& random, std::string_view secret)
    : clock_(clock), random_(random), cookie_key_(hmac_sha256(secret, "hasp direct cookie")) {}

const std::string& DirectSeals::own_key() {
    if (key_.empty()) {
        key_ = random_.bytes(trust::sha256_bytes);
    }
    return key_;
}

std::string DirectSeals::seal(const DirectPass& pass) {
    return sealed(own_key(), {pass_kind,
                              clock_.boot_us() + direct_life_us,
                              random_.bytes(direct_id_bytes),
                              {pass.app, pass.origin, pass.state}});
}

Result<DirectPass> DirectSeals::open(std::string_view text) const {
    auto parsed = opened(key_, pass_kind, pass_fields, text);
    if (!parsed || parsed->until_us <= clock_.boot_us()) {
        return fail(Code::refused, "the pass is not valid, or over");
    }
    auto& f = parsed->fields;
    return DirectPass{std::move(f[0]), std::move(f[1]), std::move(f[2])};
}

Result<std::string> DirectSeals::seal(const DirectTicket& t) {
    if (t.target.size() > direct_target_bytes_max) {
        return fail(Code::usage, "the target is too long for a ticket");
    }
    return sealed(own_key(), {ticket_kind,
                              clock_.boot_us() + direct_life_us,
                              random_.bytes(direct_id_bytes),
                              {t.child, t.sid, t.user, t.app, t.method, t.target, t.nonce}});
}

void DirectSeals::drop_used() {
    while (!by_age_.empty() && by_age_.front().until_us <= clock_.boot_us()) {
        used_.erase(by_age_.front().id);
        by_age_.pop_front();
    }
}

Result<DirectTicket> DirectSeals::redeem(std::string_view text, std::string_view nonce,
                                         std::string_view method) {
    const Error refusal = fail(Code::refused, "the ticket is not valid, used, or over");
    auto parsed = opened(key_, ticket_kind, ticket_fields, text);
    if (!parsed || parsed->until_us <= clock_.boot_us()) {
        return refusal;
    }
    drop_used();
    if (used_.size() >= direct_used_max) {
        return fail(Code::try_later, "too many come directly at a time");
    }
    if (!used_.insert(parsed->id).second) {
        return refusal;
    }
    // Forgotten when no ticket that was sealed before now can be good any more: the ages rise.
    by_age_.push_back({parsed->id, clock_.boot_us() + direct_life_us});
    auto& f = parsed->fields;
    DirectTicket ticket{std::move(f[0]), std::move(f[1]), std::move(f[2]), std::move(f[3]),
                        std::move(f[4]), std::move(f[5]), std::move(f[6])};
    if (nonce.empty() || !equal_constant_time(ticket.nonce, direct_nonce_hash(nonce)) ||
        ticket.method != method) {
        return refusal;
    }
    return ticket;
}

std::string DirectSeals::seal(const DirectCookie& cookie) {
    return sealed(cookie_key_, {cookie_kind,
                                cookie.until_us,
                                random_.bytes(direct_id_bytes),
                                {cookie.child, from_hex(cookie.sid).value_or(""), cookie.app,
                                 from_hex(cookie.user).value_or("")}});
}

Result<DirectCookie> DirectSeals::open_cookie(std::string_view text) const {
    auto parsed = text.size() > direct_cookie_bytes_max
                      ? std::nullopt
                      : opened(cookie_key_, cookie_kind, cookie_fields, text);
    if (!parsed || parsed->until_us <= clock_.wall_us()) {
        return fail(Code::refused, "no such session");
    }
    auto& f = parsed->fields;
    return DirectCookie{std::move(f[0]), to_hex(f[1]), std::move(f[2]), parsed->until_us,
                        to_hex(f[3])};
}

} // namespace hasp::signon
