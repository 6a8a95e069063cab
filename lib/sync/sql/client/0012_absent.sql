-- Contents that are to come: a file of the folder stands without its content (sync/absent.h), which is found by what was agreed on at its path.
CREATE TABLE sync_absent (
    tenant   TEXT NOT NULL,
    user     TEXT NOT NULL,
    app      TEXT NOT NULL,
    hash     BLOB NOT NULL,
    size     INTEGER NOT NULL,
    mtime_us INTEGER NOT NULL, -- of the newest such file: the newest come first
    PRIMARY KEY (tenant, user, app, hash)
) STRICT, WITHOUT ROWID;
