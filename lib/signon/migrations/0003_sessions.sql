-- Sessions begun at this tier. `identity` is the JSON text of signon/identity.h; its until_us is overruled by the column.
-- No reference to signon_accounts: the user's home may be another tier.
CREATE TABLE signon_sessions (
    tenant      TEXT NOT NULL,
    sid         TEXT NOT NULL CHECK (length(sid) = 32),
    user        TEXT NOT NULL,
    identity    TEXT NOT NULL,
    origin      TEXT NOT NULL CHECK (origin IN ('home', 'parent')),
    online      INTEGER NOT NULL CHECK (online IN (0, 1)),
    created_us  INTEGER NOT NULL,
    renewed_us  INTEGER NOT NULL,
    until_us    INTEGER NOT NULL,
    PRIMARY KEY (tenant, sid)
) STRICT;
CREATE INDEX signon_sessions_by_user ON signon_sessions (tenant, user, renewed_us);
CREATE INDEX signon_sessions_by_until ON signon_sessions (tenant, until_us);

-- One for each host where the browser has a cookie of the session. Only the SHA-256 of the cookie is kept.
CREATE TABLE signon_cookies (
    tenant        TEXT NOT NULL,
    cookie_sha256 BLOB NOT NULL CHECK (length(cookie_sha256) = 32),
    host          TEXT NOT NULL,
    sid           TEXT NOT NULL,
    PRIMARY KEY (tenant, cookie_sha256),
    FOREIGN KEY (tenant, sid) REFERENCES signon_sessions (tenant, sid) ON DELETE CASCADE
) STRICT;
CREATE INDEX signon_cookies_by_sid ON signon_cookies (tenant, sid);

-- What this tier granted to sessions at its children.
CREATE TABLE signon_grants (
    tenant    TEXT NOT NULL,
    child     TEXT NOT NULL,
    sid       TEXT NOT NULL CHECK (length(sid) = 32),
    user      TEXT NOT NULL,
    identity  TEXT NOT NULL,
    put_us    INTEGER NOT NULL,  -- of the log-in that it rests on: bounds the renewals
    until_us  INTEGER NOT NULL,
    PRIMARY KEY (tenant, child, sid)
) STRICT;
CREATE INDEX signon_grants_by_user ON signon_grants (tenant, user);
CREATE INDEX signon_grants_by_until ON signon_grants (tenant, until_us);
