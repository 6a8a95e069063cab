-- Tokens of programs. The text itself is nowhere: only the SHA-256 of its secret part.
CREATE TABLE signon_tokens (
    tenant        TEXT NOT NULL,
    id            TEXT NOT NULL CHECK (length(id) = 32),
    user          TEXT NOT NULL,
    label         TEXT NOT NULL,
    scope         TEXT NOT NULL,     -- 'all', 'operator', or names of apps separated by commas
    secret_sha256 BLOB NOT NULL CHECK (length(secret_sha256) = 32),
    created_us    INTEGER NOT NULL,
    expires_us    INTEGER,           -- NULL: until it is revoked
    last_used_us  INTEGER,           -- written at most every ten minutes
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, user) REFERENCES signon_accounts (tenant, user) ON DELETE CASCADE
) STRICT;
CREATE INDEX signon_tokens_by_user ON signon_tokens (tenant, user, created_us);
