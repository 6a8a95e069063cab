// For tests: what the conformance suites run against. A further implementation of the stores is one
// more entry of backends().
#pragma once

#include "base/clock.h"
#include "base/random.h"
#include "signon/account_store.h"
#include "signon/schema.h"
#include "signon/session_store.h"
#include "signon/token_store.h"
#include "store/test_db.h"

#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <string>

namespace hasp::signon {

class Backend {
  public:
    virtual ~Backend() = default;
    virtual AccountStore& accounts() = 0;
    virtual TokenStore& tokens() = 0;
    virtual SessionStore& sessions() = 0;
    // As a restart of the keeper: all stores are made anew on what is on the disk.
    virtual void restart() = 0;

    ManualClock clock;
    SeededRandom random{42};
};

class SqliteBackend final : public Backend {
  public:
    SqliteBackend() { make(); }
    AccountStore& accounts() override { return *accounts_; }
    TokenStore& tokens() override { return *tokens_; }
    SessionStore& sessions() override { return *sessions_; }
    void restart() override {
        tokens_.reset();
        accounts_.reset();
        sessions_.reset();
        db_.reopen();
        make();
    }

  private:
    void make() {
        EXPECT_TRUE(migrate_tables(*db_));
        accounts_ = make_sqlite_account_store(*db_, clock);
        tokens_ = make_sqlite_token_store(*db_, *accounts_, clock, random);
        sessions_ = make_sqlite_session_store(*db_, clock, random);
    }
    store::TestDb db_;
    std::unique_ptr<AccountStore> accounts_;
    std::unique_ptr<TokenStore> tokens_;
    std::unique_ptr<SessionStore> sessions_;
};

struct NamedBackend {
    std::string name;
    std::function<std::unique_ptr<Backend>()> make;
};
inline void PrintTo(const NamedBackend& backend, std::ostream* out) {
    *out << backend.name;
}

inline auto backends() {
    return testing::Values(
        NamedBackend{"sqlite", [] { return std::make_unique<SqliteBackend>(); }});
}

class StoreSuite : public testing::TestWithParam<NamedBackend> {
  protected:
    void SetUp() override { backend = GetParam().make(); }
    AccountStore& accounts() { return backend->accounts(); }
    TokenStore& tokens() { return backend->tokens(); }
    SessionStore& sessions() { return backend->sessions(); }
    void add(const std::string& user, Role role = Role::user) {
        ASSERT_TRUE(accounts().add({user, "Name of " + user, user + "@example.org", role}));
    }
    std::unique_ptr<Backend> backend;
};

inline std::string backend_name(const testing::TestParamInfo<NamedBackend>& info) {
    return info.param.name;
}

template <typename T>
Code code_of(const T& result) {
    EXPECT_FALSE(result.ok());
    return result.ok() ? Code::failed : result.error().code;
}

} // namespace hasp::signon
