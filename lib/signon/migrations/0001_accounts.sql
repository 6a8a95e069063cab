-- Accounts whose home is this tier. Times are microseconds since 1970-01-01 UTC.
CREATE TABLE signon_accounts (
    tenant          TEXT NOT NULL,
    user            TEXT NOT NULL,
    display_name    TEXT NOT NULL,
    email           TEXT NOT NULL,
    role            TEXT NOT NULL CHECK (role IN ('user', 'operator')),
    disabled        INTEGER NOT NULL CHECK (disabled IN (0, 1)),
    -- V0 = Argon2id(password, salt); all NULL until the first password.
    verifier        BLOB CHECK (length(verifier) = 32),
    salt            BLOB CHECK (length(salt) = 16),
    memory_kib      INTEGER,
    passes          INTEGER,
    lanes           INTEGER,
    created_us      INTEGER NOT NULL,
    changed_us      INTEGER NOT NULL,
    PRIMARY KEY (tenant, user),
    CHECK ((verifier IS NULL) = (salt IS NULL) AND (verifier IS NULL) = (memory_kib IS NULL)
           AND (verifier IS NULL) = (passes IS NULL) AND (verifier IS NULL) = (lanes IS NULL))
) STRICT;

-- Numbers that never fall for a name: the row stays when the account is removed.
CREATE TABLE signon_account_counters (
    tenant           TEXT NOT NULL,
    user             TEXT NOT NULL,
    password_version INTEGER NOT NULL,  -- 0: never had a password
    generation       INTEGER NOT NULL,  -- rises at each change of the account, its groups or its entitlements
    PRIMARY KEY (tenant, user)
) STRICT;

CREATE TABLE signon_members (
    tenant      TEXT NOT NULL,
    group_name  TEXT NOT NULL,
    user        TEXT NOT NULL,
    PRIMARY KEY (tenant, group_name, user),
    FOREIGN KEY (tenant, user) REFERENCES signon_accounts (tenant, user) ON DELETE CASCADE
) STRICT;
CREATE INDEX signon_members_by_user ON signon_members (tenant, user);

-- holder is a user or a group, as kind says; an app and a group need not exist here.
CREATE TABLE signon_entitlements (
    tenant  TEXT NOT NULL,
    kind    TEXT NOT NULL CHECK (kind IN ('user', 'group')),
    holder  TEXT NOT NULL,
    app     TEXT NOT NULL,
    PRIMARY KEY (tenant, kind, holder, app)
) STRICT;
