// The text of tokens and scopes: pure.
#include "token_text.h"

#include "base/text.h"
#include "signon/token_store.h"
#include "text_rules.h"

#include <algorithm>

namespace hasp::signon {

namespace {

constexpr std::string_view prefix = "hasp_";
constexpr std::size_t id_digits = 32;
constexpr std::size_t secret_digits = 32;
constexpr std::size_t check_digits = 8;
static_assert(prefix.size() + id_digits + 1 + secret_digits + check_digits == token_text_bytes);

// CRC-32 of IEEE 802.3, bit by bit: tokens are short.
std::string crc32_hex(std::string_view text) {
    std::uint32_t crc = 0xffffffffU;
    for (const char c : text) {
        crc ^= static_cast<unsigned char>(c);
        for (int bit = 0; bit < 8; ++bit) {
            crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? 0xedb88320U : 0U);
        }
    }
    crc = ~crc;
    std::string bytes;
    for (int shift = 24; shift >= 0; shift -= 8) {
        bytes.push_back(static_cast<char>((crc >> shift) & 0xffU));
    }
    return to_hex(bytes);
}

} // namespace

std::string format_token(const TokenParts& parts) {
    const std::string body = std::string(prefix) + parts.id + "_" + parts.secret;
    return body + crc32_hex(body);
}

std::optional<TokenParts> parse_token(std::string_view text) {
    if (text.size() != token_text_bytes || !text.starts_with(prefix) ||
        text[prefix.size() + id_digits] != '_') {
        return std::nullopt;
    }
    const std::string_view body = text.substr(0, text.size() - check_digits);
    TokenParts parts{std::string(body.substr(prefix.size(), id_digits)),
                     std::string(body.substr(prefix.size() + id_digits + 1))};
    // Both parts have the shape of a session id: 32 hex digits in lower case.
    if (!valid_sid(parts.id) || !valid_sid(parts.secret) ||
        crc32_hex(body) != text.substr(body.size())) {
        return std::nullopt;
    }
    return parts;
}

bool looks_like_token(std::string_view text) {
    return parse_token(text).has_value();
}

Result<Scope> parse_scope(std::string_view text) {
    if (text == "all") {
        return Scope{ScopeKind::all, {}};
    }
    if (text == "operator") {
        return Scope{ScopeKind::operator_, {}};
    }
    constexpr std::string_view pushes = "push:";
    Scope scope{text.starts_with(pushes) ? ScopeKind::push : ScopeKind::apps, {}};
    if (scope.kind == ScopeKind::push) {
        text.remove_prefix(pushes.size());
    }
    for (const std::string_view app : split(text, ',')) {
        if (!valid_name(app) || scope.apps.size() == token_scope_apps_max) {
            return fail(Code::usage, "not a scope of a token",
                        "a scope is all, operator, names of apps separated by commas, or push: and "
                        "such names");
        }
        scope.apps.emplace_back(app);
    }
    std::sort(scope.apps.begin(), scope.apps.end());
    scope.apps.erase(std::unique(scope.apps.begin(), scope.apps.end()), scope.apps.end());
    return scope;
}

std::string format_scope(const Scope& scope) {
    if (scope.kind == ScopeKind::all || scope.kind == ScopeKind::operator_) {
        return scope.kind == ScopeKind::all ? "all" : "operator";
    }
    std::string text;
    for (const std::string& app : scope.apps) {
        text += (text.empty() ? "" : ",") + app;
    }
    return scope.kind == ScopeKind::push ? "push:" + text : text;
}

void narrow(Identity& identity, const Scope& scope) {
    if (scope.kind == ScopeKind::operator_) {
        identity.apps.clear();
        return;
    }
    identity.role = Role::user;
    if (scope.kind == ScopeKind::push) {
        identity.apps.clear();
    }
    if (scope.kind == ScopeKind::apps) {
        std::erase_if(identity.apps, [&](const std::string& app) {
            return std::find(scope.apps.begin(), scope.apps.end(), app) == scope.apps.end();
        });
    }
}

} // namespace hasp::signon
