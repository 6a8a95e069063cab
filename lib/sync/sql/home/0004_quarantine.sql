-- Files whose content does not count: a scanner found something in it, or has not looked at it yet (home_quarantine.cpp). The content is kept
-- as any other, sealed under its user's key.
CREATE TABLE files_quarantine (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant   TEXT NOT NULL,
    user     TEXT NOT NULL,
    app      TEXT NOT NULL,
    path     BLOB NOT NULL,
    hash     BLOB NOT NULL,          -- SHA-256 of the content
    mode     INTEGER NOT NULL,
    mtime_us INTEGER NOT NULL,
    size     INTEGER NOT NULL,       -- bytes
    revision INTEGER NOT NULL,       -- of what its sender had agreed on at the path; 0: nothing
    found    TEXT NOT NULL,          -- as the scanner calls it; empty: it has not looked at it
    released INTEGER NOT NULL CHECK (released IN (0, 1)), -- an operator says that it is sound
    who      TEXT NOT NULL,          -- USER@TIER that sent it
    at_us    INTEGER NOT NULL        -- wall clock
) STRICT;
CREATE UNIQUE INDEX files_quarantine_by_path ON files_quarantine (tenant, user, app, path, hash);
CREATE INDEX files_quarantine_by_hash ON files_quarantine (tenant, user, hash);
