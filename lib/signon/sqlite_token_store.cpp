#include "signon/token_store.h"

#include "base/clock.h"
#include "base/random.h"
#include "base/text.h"
#include "signon/account_store.h"
#include "store/db.h"
#include "store/transaction.h"
#include "text_rules.h"
#include "token_text.h"

#include <algorithm>

namespace hasp::signon {

namespace {

using store::Blob;
using store::Statement;

constexpr std::int64_t last_used_step_us = std::int64_t{10} * 60 * 1'000'000;

class SqliteTokenStore final : public TokenStore {
  public:
    SqliteTokenStore(store::Db& db, AccountStore& accounts, const Clock& clock, Random& random,
                     std::string tenant)
        : db_(db), accounts_(accounts), clock_(clock), random_(random), tenant_(std::move(tenant)) {
    }

    Result<IssuedToken> issue(const std::string& user, const std::string& label, const Scope& scope,
                              std::optional<std::int64_t> expires_us) override;
    Result<std::vector<Token>> list(const std::string& user) override;
    Status revoke(const std::string& id) override;
    Result<std::vector<std::string>> revoke_all_of(const std::string& user) override;
    Result<Identity> verify(std::string_view text,
                            std::optional<std::string_view> basic_user) override;

  private:
    struct Row {
        Token token;
        std::string secret_sha256;
    };
    static Row read_row(const Statement& row);
    Status note_use(const Token& token);

    store::Db& db_;
    AccountStore& accounts_;
    const Clock& clock_;
    Random& random_;
    std::string tenant_;
};

bool for_operators(const Scope& scope) {
    return scope.kind == ScopeKind::operator_ || scope.kind == ScopeKind::push;
}

SqliteTokenStore::Row SqliteTokenStore::read_row(const Statement& row) {
    Row read;
    read.token.id = row.text(0);
    read.token.user = row.text(1);
    read.token.label = row.text(2);
    // A scope that cannot be read is the narrowest one: no app.
    read.token.scope = parse_scope(row.view(3)).value_or(Scope{ScopeKind::apps, {}});
    read.secret_sha256 = row.blob(4);
    read.token.created_us = row.integer(5);
    read.token.expires_us = row.maybe_integer(6);
    read.token.last_used_us = row.maybe_integer(7);
    return read;
}

Result<IssuedToken> SqliteTokenStore::issue(const std::string& user, const std::string& label,
                                            const Scope& scope,
                                            std::optional<std::int64_t> expires_us) {
    if (label.size() > token_label_bytes_max || !printable_utf8(label)) {
        return fail(Code::usage, "the label of a token is too long or not plain text");
    }
    const std::string scope_text = format_scope(scope);
    if (auto parsed = parse_scope(scope_text); !parsed || parsed->kind != scope.kind) {
        return fail(Code::usage, "the scope of a token names no valid app");
    }
    const std::int64_t now_us = clock_.wall_us();
    if (expires_us && *expires_us <= now_us) {
        return fail(Code::usage, "the token would be over already");
    }
    auto transaction = store::Transaction::begin(db_);
    if (!transaction) {
        return transaction.error();
    }
    auto identity = accounts_.identity_of(user);
    if (!identity) {
        return identity.error();
    }
    if (for_operators(scope) && identity->role != Role::operator_) {
        return fail(Code::refused, user + " is no operator",
                    "make it one first: hasp user change " + user + " --role operator");
    }
    auto mine = list(user);
    if (!mine) {
        return mine.error();
    }
    if (mine->size() >= tokens_per_user_max) {
        return fail(Code::conflict,
                    user + " has " + std::to_string(tokens_per_user_max) +
                        " tokens, which is the limit",
                    "revoke one that is not used any more: hasp token list");
    }
    const TokenParts parts{to_hex(random_.bytes(16)), to_hex(random_.bytes(16))};
    auto added = db_.execute("INSERT INTO signon_tokens (tenant, id, user, label, scope, "
                             "secret_sha256, created_us, expires_us) "
                             "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                             tenant_, parts.id, user, label, scope_text, Blob{sha256(parts.secret)},
                             now_us, expires_us);
    if (!added) {
        return added.error();
    }
    if (Status committed = transaction->commit(); !committed) {
        return committed.error();
    }
    return IssuedToken{{parts.id, user, label, scope, now_us, expires_us, std::nullopt},
                       format_token(parts)};
}

Result<std::vector<Token>> SqliteTokenStore::list(const std::string& user) {
    std::vector<Token> tokens;
    Status read = db_.each(
        "SELECT id, user, label, scope, secret_sha256, created_us, expires_us, last_used_us FROM "
        "signon_tokens "
        "WHERE tenant = ?1 AND (?2 = '' OR user = ?2) ORDER BY user, created_us, id",
        [&](const Statement& row) { tokens.push_back(read_row(row).token); }, tenant_, user);
    if (!read) {
        return read.error();
    }
    return tokens;
}

Status SqliteTokenStore::revoke(const std::string& id) {
    auto gone = db_.execute("DELETE FROM signon_tokens WHERE tenant = ?1 AND id = ?2", tenant_, id);
    if (!gone) {
        return gone.error();
    }
    return *gone > 0 ? Status{}
                     : Status{fail(Code::not_found, "there is no token " + id,
                                   "hasp token list shows them")};
}

Result<std::vector<std::string>> SqliteTokenStore::revoke_all_of(const std::string& user) {
    std::vector<std::string> ids;
    Status gone = db_.each(
        "DELETE FROM signon_tokens WHERE tenant = ?1 AND user = ?2 RETURNING id",
        [&](const Statement& row) { ids.push_back(row.text(0)); }, tenant_, user);
    if (!gone) {
        return gone.error();
    }
    return ids;
}

Status SqliteTokenStore::note_use(const Token& token) {
    const std::int64_t now_us = clock_.wall_us();
    if (token.last_used_us && *token.last_used_us <= now_us &&
        now_us - *token.last_used_us < last_used_step_us) {
        return {};
    }
    auto noted =
        db_.execute("UPDATE signon_tokens SET last_used_us = ?3 WHERE tenant = ?1 AND id = ?2",
                    tenant_, token.id, now_us);
    return noted ? Status{} : Status{noted.error()};
}

Result<Identity> SqliteTokenStore::verify(std::string_view text,
                                          std::optional<std::string_view> basic_user) {
    const Error refusal =
        fail(Code::refused, "the token is not valid", "make a new one: hasp token add");
    const auto parts = parse_token(text);
    if (!parts) {
        return refusal;
    }
    auto row = db_.first("SELECT id, user, label, scope, secret_sha256, created_us, expires_us, "
                         "last_used_us FROM signon_tokens "
                         "WHERE tenant = ?1 AND id = ?2",
                         read_row, tenant_, parts->id);
    if (!row) {
        return row.error();
    }
    if (!*row || !equal_constant_time((*row)->secret_sha256, sha256(parts->secret))) {
        return refusal;
    }
    const Token& token = (*row)->token;
    const std::int64_t now_us = clock_.wall_us();
    if ((token.expires_us && *token.expires_us <= now_us) ||
        (basic_user && *basic_user != token.user)) {
        return refusal;
    }
    auto identity = accounts_.identity_of(token.user);
    if (!identity) {
        return identity.error().code == Code::refused || identity.error().code == Code::not_found
                   ? refusal
                   : identity.error();
    }
    if (for_operators(token.scope) && identity->role != Role::operator_) {
        return refusal;
    }
    narrow(*identity, token.scope);
    identity->sid = token.id;
    identity->until_us = now_us + token_identity_us;
    if (token.expires_us) {
        identity->until_us = std::min(identity->until_us, *token.expires_us);
    }
    if (Status noted = note_use(token); !noted) {
        return noted.error();
    }
    return identity;
}

} // namespace

std::unique_ptr<TokenStore> make_sqlite_token_store(store::Db& db, AccountStore& accounts,
                                                    const Clock& clock, Random& random,
                                                    std::string tenant) {
    return std::make_unique<SqliteTokenStore>(db, accounts, clock, random, std::move(tenant));
}

} // namespace hasp::signon
