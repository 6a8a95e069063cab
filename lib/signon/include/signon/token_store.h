// Tokens of programs and pipelines, of users homed here. Thread and errors as
// signon/account_store.h.
//
// Text: hasp_ID_SECRETCHECK: ID 32 hex digits (no secret; also the sid of identities made from it),
// SECRET 32 hex digits (128 random bits), CHECK 8 hex digits: CRC-32 (IEEE 802.3) of everything
// before it. So that scanners of repositories find lost ones.
#pragma once

#include "base/result.h"
#include "signon/identity.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hasp {
class Clock;
class Random;
} // namespace hasp
namespace hasp::store {
class Db;
}

namespace hasp::signon {

class AccountStore;

inline constexpr std::size_t token_text_bytes = 5 + 32 + 1 + 32 + 8;
inline constexpr std::size_t token_label_bytes_max = 100;
inline constexpr std::size_t tokens_per_user_max = 100;
inline constexpr std::size_t token_scope_apps_max = 100;
// How long an identity made from a token may be kept before it is asked for again.
inline constexpr std::int64_t token_identity_us = std::int64_t{15} * 60 * 1'000'000;

// Is this text shaped like a token with the right check digits? Pure; tells a token from a password
// in basic authentication.
bool looks_like_token(std::string_view text);

enum class ScopeKind : unsigned char {
    all,       // every app of the user; never the operator's role
    apps,      // those of the listed apps that the user is entitled to; never the operator's role
    operator_, // the operator's role and no app: for commands
    push,      // no app and no role: releases of the listed apps may be pushed, by an operator
};
struct Scope {
    ScopeKind kind = ScopeKind::all;
    std::vector<std::string> apps; // only with ScopeKind::apps and push
    bool operator==(const Scope&) const = default;
};
// "all", "operator", names separated by commas, or those behind "push:". Code::usage otherwise.
Result<Scope> parse_scope(std::string_view text);
std::string format_scope(const Scope& scope);

struct Token {
    std::string id;
    std::string user;
    std::string label;
    Scope scope;
    std::int64_t created_us = 0;
    std::optional<std::int64_t> expires_us;
    std::optional<std::int64_t> last_used_us; // exact to ten minutes
};

struct IssuedToken {
    Token token;
    std::string text; // shown once; only its SHA-256 is kept
};

class TokenStore {
  public:
    virtual ~TokenStore() = default;

    // Code::refused for an operator's or a pusher's scope of somebody who is no operator.
    virtual Result<IssuedToken> issue(const std::string& user, const std::string& label,
                                      const Scope& scope,
                                      std::optional<std::int64_t> expires_us) = 0;
    // Of one user, or of all when empty; by user and creation.
    virtual Result<std::vector<Token>> list(const std::string& user) = 0;
    // By id. Code::not_found.
    virtual Status revoke(const std::string& id) = 0;
    virtual Result<std::vector<std::string>> revoke_all_of(const std::string& user) = 0;

    // The user's identity narrowed to the token's scope. `basic_user` is the user name of basic
    // authentication, which must be the token's user; nullopt for a bearer. Code::refused with the
    // same sentence whether it is unknown, over, malformed or of a disabled account.
    virtual Result<Identity> verify(std::string_view text,
                                    std::optional<std::string_view> basic_user) = 0;
};

std::unique_ptr<TokenStore> make_sqlite_token_store(store::Db& db, AccountStore& accounts,
                                                    const Clock& clock, Random& random,
                                                    std::string tenant = "main");

} // namespace hasp::signon
